package door

import (
	"cmp"
	"context"
	"net/netip"
	"sync"
	"time"
)

// Limits keeps us from being mistaken for an attack: forty quick connections trip fail2ban and may lock the operator out.
// Loopback addresses are not limited.
type Limits struct {
	atOnce    int
	perSecond float64
	total     *pace
	mu        sync.Mutex
	addresses map[netip.Addr]*limit
}

type limit struct {
	slots chan struct{}
	pace  *pace
}

// NewLimits allows atOnce connections at once and perSecond new ones a second to one address, and total new ones a second over all; 0 stands for 4, 10 and 200.
func NewLimits(atOnce int, perSecond, total float64) *Limits {
	return &Limits{atOnce: cmp.Or(max(atOnce, 0), 4), perSecond: cmp.Or(max(perSecond, 0), 10), total: newPace(cmp.Or(max(total, 0), 200)), addresses: map[netip.Addr]*limit{}}
}

func (l *Limits) of(a netip.Addr) *limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.addresses[a]
	if one == nil {
		one = &limit{slots: make(chan struct{}, l.atOnce), pace: newPace(l.perSecond)}
		l.addresses[a] = one
	}
	return one
}

// enter waits until one more connection to a may be opened; leave gives the place back.
func (l *Limits) enter(ctx context.Context, a netip.Addr) (leave func(), err error) {
	if a.IsLoopback() {
		return func() {}, ctx.Err()
	}
	one := l.of(a)
	select {
	case one.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = sync.OnceFunc(func() { <-one.slots })
	for _, p := range []*pace{one.pace, l.total} {
		if err := p.wait(ctx); err != nil {
			leave()
			return nil, err
		}
	}
	return leave, nil
}

// pace lets one pass every 1/rate seconds, without bursts.
type pace struct {
	gap  time.Duration
	mu   sync.Mutex
	next time.Time
}

func newPace(perSecond float64) *pace {
	return &pace{gap: time.Duration(float64(time.Second) / perSecond)}
}

func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(p.gap)
	p.mu.Unlock()
	if at.Equal(now) {
		return ctx.Err()
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
