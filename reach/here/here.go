// Package here is this machine as a host: it looks at itself, and carries orders out.
package here

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"sync"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/carry"
	"staunch/reach/host"
	"staunch/see/probe"
	"staunch/see/scan"
)

// Machine is the machine that this program runs on.
type Machine struct {
	Called string        // the fleet's name for it; "": its own host name
	Scan   scan.Env      // how to look at processes; Scan.Version is staunch's version
	Engine *carry.Engine // carries orders out; nil: this host is only looked at
	// LookOnly refuses every order and payload, and previews of them: for a host part that stays for a while.
	LookOnly bool
	// Keys answers see/keys questions; nil: unsupported.
	Keys func(ctx context.Context, q json.RawMessage, p func(host.Progress)) (json.RawMessage, error)

	mu     sync.Mutex
	closed bool
}

var (
	_ host.Host  = (*Machine)(nil)
	_ host.Store = (*Machine)(nil)
)

// Name is what the fleet calls this machine, or else its host name.
func (m *Machine) Name() string {
	if m.Called != "" {
		return m.Called
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// Close ends the use of this value; the machine does not notice.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *Machine) open(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.New(fault.Unreachable, "%s is closed", m.Name())
	}
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Timeout, "%s was not asked: no time left", m.Name()).Caused(err)
	}
	return nil
}

// Look answers one question about this machine.
func (m *Machine) Look(ctx context.Context, q host.Question, p func(host.Progress)) (host.Answer, error) {
	if err := q.One(); err != nil {
		return host.Answer{}, err
	}
	if err := m.open(ctx); err != nil {
		return host.Answer{}, err
	}
	if p == nil {
		p = func(host.Progress) {}
	}
	switch {
	case q.Scan != nil:
		return m.scan(ctx, *q.Scan, p)
	case q.Probe != nil:
		return m.probe(ctx, q.Probe, p)
	case q.Keys != nil:
		return m.keys(ctx, q.Keys, p)
	case q.Health != nil:
		p(host.Progress{Says: "asking systemd"})
		health := m.health(ctx, *q.Health)
		return host.Answer{Health: &health}, nil
	}
	return m.check(ctx, *q.Check)
}

func (m *Machine) scan(ctx context.Context, q scan.Question, p func(host.Progress)) (host.Answer, error) {
	p(host.Progress{Says: "looking at processes"})
	report, err := scan.Look(ctx, q, m.Scan, func(s scan.Progress) { p(host.Progress(s)) })
	if err != nil {
		return host.Answer{}, err
	}
	if m.Called != "" {
		report.Host = m.Called
	}
	return host.Answer{Scan: report}, nil
}

func (m *Machine) probe(ctx context.Context, raw json.RawMessage, p func(host.Progress)) (host.Answer, error) {
	var q probe.Question
	if err := json.Unmarshal(raw, &q); err != nil {
		return host.Answer{}, fault.New(fault.Usage, "the probe's question cannot be read: %v", err)
	}
	results, err := probe.Probe(ctx, q, func(s probe.Progress) { p(host.Progress(s)) })
	if err != nil {
		return host.Answer{}, err
	}
	b, err := json.Marshal(results)
	if err != nil {
		return host.Answer{}, fault.New(fault.Bug, "the probe's answer cannot be encoded: %v", err)
	}
	return host.Answer{Probe: b}, nil
}

func (m *Machine) keys(ctx context.Context, q json.RawMessage, p func(host.Progress)) (host.Answer, error) {
	if m.Keys == nil {
		return host.Answer{}, fault.New(fault.Unsupported, "this host part cannot look for keys")
	}
	found, err := m.Keys(ctx, q, p)
	if err != nil {
		return host.Answer{}, err
	}
	return host.Answer{Keys: found}, nil
}

func (m *Machine) check(ctx context.Context, o act.Order) (host.Answer, error) {
	if err := m.acts(o); err != nil {
		return host.Answer{}, err
	}
	preview, err := m.Engine.Check(ctx, o)
	if err != nil {
		return host.Answer{}, err
	}
	return host.Answer{Check: &preview}, nil
}

// Do carries out one order. Refusals are outcomes.
func (m *Machine) Do(ctx context.Context, o act.Order, p func(host.Progress)) (act.Outcome, error) {
	if err := m.open(ctx); err != nil {
		return act.Outcome{}, err
	}
	if err := m.acts(o); err != nil {
		return act.Outcome{}, err
	}
	engine := *m.Engine
	if p != nil {
		engine.Says = func(s string) { p(host.Progress{Says: s}) }
	}
	return engine.Do(ctx, o)
}

// acts refuses orders that this host cannot be meant by.
func (m *Machine) acts(o act.Order) error {
	switch {
	case m.Engine == nil || m.LookOnly:
		return fault.New(fault.Unsupported, "%s is only looked at", m.Name())
	case o.Host != "" && o.Host != m.Name():
		return fault.New(fault.Denied, "the order is for %.60q, this is %s", o.Host, m.Name())
	}
	return nil
}

// Put keeps a payload under its SHA-256 where acts look for it.
func (m *Machine) Put(ctx context.Context, sum string, r io.Reader) error {
	if err := m.open(ctx); err != nil {
		return err
	}
	if m.Engine == nil || m.LookOnly {
		return fault.New(fault.Unsupported, "%s takes no payloads", m.Name())
	}
	return m.Engine.Put(ctx, sum, r)
}
