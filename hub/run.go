package hub

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ledger"
	"staunch/steer/run"
)

// record keeps one run's events in its stream. It is steer/run's Recorder.
type record struct {
	hub    *Hub
	stream string
}

// Record gives a plan's run its place in the ledger.
func (h *Hub) Record(planID string) run.Recorder { return record{h, RunStream + planID} }

func (r record) Record(ctx context.Context, after int64, events ...run.Event) error {
	out := make([]ledger.Event, len(events))
	for i, e := range events {
		by := e.By
		if by == "" {
			by = r.hub.Who
		}
		one, err := ledger.New(RunKind+string(e.Kind), 1, e.At, by, e)
		if err != nil {
			return err
		}
		one.Source = r.hub.Machine
		out[i] = one
	}
	_, err := r.hub.append(ctx, r.stream, after, out)
	return err
}

func (r record) Since(ctx context.Context, after int64) ([]run.Event, error) {
	var list []run.Event
	for e, err := range r.hub.Store.Read(ctx, ledger.Query{Stream: r.stream}) {
		if err != nil {
			return nil, err
		}
		kind, ours := strings.CutPrefix(e.Kind, RunKind)
		if !ours || e.Pos <= after {
			continue
		}
		var one run.Event
		if err := json.Unmarshal(e.Data, &one); err != nil {
			return nil, fault.New(fault.Corrupt, "event %d: a run's event that cannot be read: %v", e.Seq, err)
		}
		one.Seq, one.At, one.Kind = e.Pos, e.At, run.Kind(kind)
		list = append(list, one)
	}
	return list, nil
}

// lease is steer/run's Lease over the store's.
type lease struct {
	hub    *Hub
	holder string
	ttl    time.Duration
}

// Lease makes sure that one runner at a time runs a plan. Holder must be unique to this process.
func (h *Hub) Lease(holder string) run.Lease { return lease{h, holder, 30 * time.Second} }

// Take gets the lease and renews it until release; the context ends when it could not be renewed in time.
func (l lease) Take(ctx context.Context, name string) (context.Context, func(), error) {
	got, err := l.hub.Store.Acquire(ctx, name, l.holder, l.ttl)
	if err != nil {
		return nil, nil, err
	}
	held, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.keep(held, cancel, name)
	}()
	release := func() {
		cancel()
		<-ended
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		_ = l.hub.Store.Release(last, got) // a lease that cannot be given back runs out by itself
	}
	return held, release, nil
}

// keep renews three times within the lease's time; when the last of them failed the lease may be somebody else's, and the work ends.
func (l lease) keep(ctx context.Context, lost context.CancelFunc, name string) {
	tick := time.NewTicker(l.ttl / 3)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := l.hub.Store.Acquire(ctx, name, l.holder, l.ttl)
		switch {
		case err == nil:
			renewed = time.Now()
		case fault.Is(err, fault.Conflict), time.Since(renewed) > l.ttl*2/3:
			lost()
			return
		}
	}
}
