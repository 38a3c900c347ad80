package lab

import (
	"context"
	"strings"
	"time"

	"staunch/fault"
)

// trouble counts how often its request was seen.
type trouble struct {
	Trouble
	seen int
}

// Trouble adds a misbehaviour.
func (l *Lab) Trouble(t Trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.troubles = append(l.troubles, &trouble{Trouble: t})
}

// Heal ends all trouble of a machine; "" ends everything everywhere.
func (l *Lab) Heal(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rest []*trouble
	for _, t := range l.troubles {
		if name != "" && t.Host != name {
			rest = append(rest, t)
		}
	}
	l.troubles = rest
}

// due returns the troubles that befall this request.
func (l *Lab) due(name, what string) []Trouble {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []Trouble
	for _, t := range l.troubles {
		if (t.Host != "" && t.Host != name) || !(t.On == "" || t.On == what || strings.HasPrefix(what, t.On+" ")) {
			continue
		}
		t.seen++
		if t.seen > t.After && (t.Times == 0 || t.seen <= t.After+t.Times) {
			due = append(due, t.Trouble)
		}
	}
	return due
}

// woes are the troubles that shape an answer instead of preventing it.
type woes struct {
	early, mid, late, lies, blind bool
	fails, denies                 string
	skew                          time.Duration
}

// suffer lets happen what comes before an answer, and returns what will shape it.
func (l *Lab) suffer(ctx context.Context, name, what string) (woes, error) {
	var w woes
	for _, t := range l.due(name, what) {
		switch t.Way {
		case Silent:
			<-ctx.Done()
		case Slow:
			wait(ctx, t.Delay)
		case Refuses:
			return w, fault.New(fault.Unreachable, "%s: connection refused", name).Hinted("is the host up?")
		case OldProto:
			return w, fault.New(fault.Unsupported, "%s speaks wire version 0, this program speaks 1", name).Hinted("remove its cached host part: staunch hosts clean %s", name)
		default:
			w.add(t)
		}
	}
	if err := ctx.Err(); err != nil {
		return w, fault.New(fault.Timeout, "%s did not answer in time", name).Caused(err)
	}
	return w, nil
}

func (w *woes) add(t Trouble) {
	switch t.Way {
	case DiesEarly:
		w.early = true
	case DiesMid:
		w.mid = true
	case DiesLate:
		w.late = true
	case Lies:
		w.lies = true
	case Blind:
		w.blind = true
	case Skewed:
		w.skew += t.Delay
	case Fails:
		w.fails = orElse(t.Text, "it does not work")
	case Denies:
		w.denies = orElse(t.Text, "the host's policy refuses this act")
	}
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// lost is how a broken connection looks from outside: for an act nobody can tell whether it happened.
func lost(name, what string) error {
	if strings.HasPrefix(what, "do") {
		return fault.New(fault.Unsure, "the connection to %s broke during the act", name).Hinted("ask the host again with the same order: its journal knows")
	}
	return fault.New(fault.Unreachable, "the connection to %s broke", name)
}
