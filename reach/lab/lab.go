// Package lab is a pretend fleet that misbehaves on request, for tests, drills and demonstrations.
package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/host"
)

// maxPayload bounds what Put takes into memory.
const maxPayload = 64 << 20

// Lab is a set of pretend machines. Its state survives Close of a host, as a machine's does; it is safe for concurrent use.
type Lab struct {
	mu       sync.Mutex
	now      func() time.Time
	builds   map[string][]Build // by path
	machines map[string]*machine
	payloads map[string]bool // sha256 of what was put
	troubles []*trouble
	seen     []Event
	observe  func(Event)
}

// Event is one thing that happened in the lab: tests check with it what was really done, and in which order.
type Event struct {
	Host  string
	What  string // "look scan", "look health", "do restart", "undo upgrade", "down nginx.service", "up nginx.service" ...
	Order string // id of the order, for acts
	// Down lists the host's units that do not run after the event.
	Down []string
}

// New makes a lab from data. Builds says what every version of every package contains.
func New(world World) (*Lab, error) {
	l := &Lab{now: time.Now, builds: map[string][]Build{}, machines: map[string]*machine{}, payloads: map[string]bool{}}
	for _, b := range world.Builds {
		if b.Path == "" || b.Version == "" {
			return nil, fault.New(fault.Usage, "a build needs a path and a version: %+v", b)
		}
		l.builds[b.Path] = append(l.builds[b.Path], b)
	}
	for _, m := range world.Machines {
		if m.Name == "" || l.machines[m.Name] != nil {
			return nil, fault.New(fault.Usage, "machine %q: every machine needs a name of its own", m.Name)
		}
		made, err := l.boot(m)
		if err != nil {
			return nil, err
		}
		l.machines[m.Name] = made
	}
	for _, t := range world.Troubles {
		l.Trouble(t)
	}
	return l, nil
}

// Clock makes the lab take the time from now.
func (l *Lab) Clock(now func() time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = now
}

// Observe calls f for every event from now on, one at a time, while the lab stands still: f must not call the lab.
func (l *Lab) Observe(f func(Event)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observe = f
}

// Events returns what happened so far.
func (l *Lab) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Event(nil), l.seen...)
}

// Names lists the machines in no order.
func (l *Lab) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name := range l.machines {
		names = append(names, name)
	}
	return names
}

// Rename gives a machine another name, as people do in the middle of a night.
func (l *Lab) Rename(from, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.machines[from]
	if m == nil || l.machines[to] != nil {
		return
	}
	delete(l.machines, from)
	m.Name = to
	l.machines[to] = m
}

// Host connects to a machine. It always succeeds for a known name: trouble shows when something is asked.
func (l *Lab) Host(name string) (host.Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.machines[name] == nil {
		return nil, fault.New(fault.NotFound, "the lab has no machine %q", name)
	}
	return &guest{lab: l, name: name}, nil
}

// guest is one connection to a pretend machine.
type guest struct {
	lab    *Lab
	name   string
	mu     sync.Mutex
	closed bool
}

func (g *guest) Name() string { return g.name }

func (g *guest) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return nil
}

func (g *guest) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fault.New(fault.Unreachable, "the connection to %s is closed", g.name)
	}
	return nil
}

// Look answers from the machine's present state.
func (g *guest) Look(ctx context.Context, q host.Question, p func(host.Progress)) (host.Answer, error) {
	if err := q.One(); err != nil {
		return host.Answer{}, err
	}
	if err := g.open(); err != nil {
		return host.Answer{}, err
	}
	what := "look " + q.Kind()
	bad, err := g.lab.suffer(ctx, g.name, what)
	if err != nil {
		return host.Answer{}, err
	}
	report(p, host.Progress{Says: "looking at " + g.name, Done: 1, Total: 1})
	return g.lab.answer(g.name, what, q, bad)
}

// Do carries an order out on the machine's state, once for each order id.
func (g *guest) Do(ctx context.Context, o act.Order, p func(host.Progress)) (act.Outcome, error) {
	if err := g.open(); err != nil {
		return act.Outcome{}, err
	}
	if o.Host != "" && o.Host != g.name {
		return act.Outcome{}, fault.New(fault.Denied, "the order is for %s, this is %s", o.Host, g.name)
	}
	bad, err := g.lab.suffer(ctx, g.name, "do "+string(o.Act.Kind))
	if err != nil {
		return act.Outcome{}, err
	}
	report(p, host.Progress{Says: string(o.Act.Kind) + " on " + g.name})
	return g.lab.do(g.name, o, bad)
}

// Put takes a payload; InstallLib and Place refer to it by its SHA-256.
func (g *guest) Put(ctx context.Context, sum string, r io.Reader) error {
	if err := g.open(); err != nil {
		return err
	}
	if _, err := g.lab.suffer(ctx, g.name, "put"); err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, maxPayload+1))
	switch {
	case err != nil:
		return fault.New(fault.Unreachable, "the payload broke off: %v", err)
	case n > maxPayload:
		return fault.New(fault.Full, "the payload is over %d bytes", maxPayload)
	case hex.EncodeToString(h.Sum(nil)) != sum:
		return fault.New(fault.Corrupt, "the payload does not have the sha256 %s", sum)
	}
	g.lab.mu.Lock()
	defer g.lab.mu.Unlock()
	g.lab.payloads[sum] = true
	return nil
}

func report(p func(host.Progress), step host.Progress) {
	if p != nil {
		p(step)
	}
}
