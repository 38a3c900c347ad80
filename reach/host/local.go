package host

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"sync"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/carry"
	"staunch/see/probe"
	"staunch/see/scan"
)

// Local is this machine.
type Local struct {
	Called string        // the fleet's name for it; "": its own host name
	Scan   scan.Env      // how to look at processes; Scan.Version is staunch's version
	Engine *carry.Engine // carries orders out; nil: this host is only looked at
	// Keys answers see/keys questions; nil: unsupported.
	Keys func(ctx context.Context, q json.RawMessage, p func(Progress)) (json.RawMessage, error)

	mu     sync.Mutex
	closed bool
}

var (
	_ Host  = (*Local)(nil)
	_ Store = (*Local)(nil)
)

// Name is what the fleet calls this machine, or else its host name.
func (l *Local) Name() string {
	if l.Called != "" {
		return l.Called
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// Close ends the use of this value; the machine does not notice.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

func (l *Local) open(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fault.New(fault.Unreachable, "%s is closed", l.Name())
	}
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Timeout, "%s was not asked: no time left", l.Name()).Caused(err)
	}
	return nil
}

// Look answers one question about this machine.
func (l *Local) Look(ctx context.Context, q Question, p func(Progress)) (Answer, error) {
	if err := q.One(); err != nil {
		return Answer{}, err
	}
	if err := l.open(ctx); err != nil {
		return Answer{}, err
	}
	if p == nil {
		p = func(Progress) {}
	}
	switch {
	case q.Scan != nil:
		return l.scan(ctx, *q.Scan, p)
	case q.Probe != nil:
		return l.probe(ctx, q.Probe, p)
	case q.Keys != nil:
		return l.keys(ctx, q.Keys, p)
	case q.Health != nil:
		p(Progress{Says: "asking systemd"})
		health := l.health(ctx, *q.Health)
		return Answer{Health: &health}, nil
	}
	return l.check(ctx, *q.Check)
}

func (l *Local) scan(ctx context.Context, q scan.Question, p func(Progress)) (Answer, error) {
	p(Progress{Says: "looking at processes"})
	report, err := scan.Look(ctx, q, l.Scan, func(s scan.Progress) { p(Progress(s)) })
	if err != nil {
		return Answer{}, err
	}
	if l.Called != "" {
		report.Host = l.Called
	}
	return Answer{Scan: report}, nil
}

func (l *Local) probe(ctx context.Context, raw json.RawMessage, p func(Progress)) (Answer, error) {
	var q probe.Question
	if err := json.Unmarshal(raw, &q); err != nil {
		return Answer{}, fault.New(fault.Usage, "the probe's question cannot be read: %v", err)
	}
	results, err := probe.Probe(ctx, q, func(s probe.Progress) { p(Progress(s)) })
	if err != nil {
		return Answer{}, err
	}
	b, err := json.Marshal(results)
	if err != nil {
		return Answer{}, fault.New(fault.Bug, "the probe's answer cannot be encoded: %v", err)
	}
	return Answer{Probe: b}, nil
}

func (l *Local) keys(ctx context.Context, q json.RawMessage, p func(Progress)) (Answer, error) {
	if l.Keys == nil {
		return Answer{}, fault.New(fault.Unsupported, "this host part cannot look for keys")
	}
	found, err := l.Keys(ctx, q, p)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Keys: found}, nil
}

func (l *Local) check(ctx context.Context, o act.Order) (Answer, error) {
	if err := l.acts(o); err != nil {
		return Answer{}, err
	}
	preview, err := l.Engine.Check(ctx, o)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Check: &preview}, nil
}

// Do carries out one order. Refusals are outcomes.
func (l *Local) Do(ctx context.Context, o act.Order, p func(Progress)) (act.Outcome, error) {
	if err := l.open(ctx); err != nil {
		return act.Outcome{}, err
	}
	if err := l.acts(o); err != nil {
		return act.Outcome{}, err
	}
	engine := *l.Engine
	if p != nil {
		engine.Says = func(s string) { p(Progress{Says: s}) }
	}
	return engine.Do(ctx, o)
}

// acts refuses orders that this host cannot be meant by.
func (l *Local) acts(o act.Order) error {
	switch {
	case l.Engine == nil:
		return fault.New(fault.Unsupported, "%s is only looked at", l.Name())
	case o.Host != "" && o.Host != l.Name():
		return fault.New(fault.Denied, "the order is for %.60q, this is %s", o.Host, l.Name())
	}
	return nil
}

// Put keeps a payload under its SHA-256 where acts look for it.
func (l *Local) Put(ctx context.Context, sum string, r io.Reader) error {
	if err := l.open(ctx); err != nil {
		return err
	}
	if l.Engine == nil {
		return fault.New(fault.Unsupported, "%s takes no payloads", l.Name())
	}
	return l.Engine.Put(ctx, sum, r)
}
