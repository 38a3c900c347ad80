package hub

import (
	"context"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/ledger"
	"staunch/mandate"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// recount is how often votes are counted anew although nobody said anything: keys and standing votes end by themselves.
const recount = time.Minute

// Allow counts a plan's votes and records in its run what they allow, if that is something else than before.
func (h *Hub) Allow(ctx context.Context, sealed *plan.Sealed, list *mandate.Signers) (Approval, error) {
	a, err := h.Approval(ctx, sealed, list)
	if err != nil {
		return a, err
	}
	rec := h.Record(sealed.Plan().ID)
	m, err := run.Load(ctx, sealed, rec)
	if err != nil {
		return a, err
	}
	e := a.Grant(run.Event{Kind: run.Allowed, By: h.Who})
	if m.Grants(e) {
		return a, nil
	}
	return a, run.Tell(ctx, sealed, rec, e)
}

// KeepAllowing records what the votes allow whenever somebody votes, until ctx ends (which is no error) or the plan is replaced.
func (h *Hub) KeepAllowing(ctx context.Context, sealed *plan.Sealed, list *mandate.Signers) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	said, failed := make(chan struct{}, 1), make(chan error, 1)
	go func() { failed <- h.hearVotes(ctx, IncidentStream+sealed.Plan().Incident, said) }()
	tick := time.NewTicker(recount)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-said:
		case <-tick.C:
		}
		_, err := h.Allow(ctx, sealed, list)
		switch {
		case ctx.Err() != nil, fault.Is(err, fault.Conflict):
			return nil // replaced, or the run has ended: its events say so
		case err != nil:
			return err
		}
	}
}

// hearVotes signals when somebody voted or signed a word.
func (h *Hub) hearVotes(ctx context.Context, stream string, said chan<- struct{}) error {
	for e, err := range h.Store.Follow(ctx, ledger.Query{Stream: stream}) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if e.Kind != incidentKind+string(incident.WasVoted) && e.Kind != incidentKind+string(incident.WasSaid) {
			continue
		}
		select {
		case said <- struct{}{}:
		default: // a count is due already
		}
	}
	return nil
}

// replace ends the run of the plan that a new one replaces.
func (h *Hub) replace(ctx context.Context, by *plan.Plan) error {
	if by.Parent == "" {
		return nil
	}
	old, err := h.Plan(ctx, by.Parent)
	if err != nil {
		return err
	}
	rec := h.Record(by.Parent)
	m, err := run.Load(ctx, old, rec)
	if err != nil || m.Seq() == 0 {
		return err
	}
	if s := m.Next(h.Now(), nil).State; s == run.Complete || s == run.GivenUp {
		return nil
	}
	err = run.Tell(ctx, old, rec, run.Event{Kind: run.Replaced, By: h.Who, Says: by.ID})
	if fault.Is(err, fault.Conflict) {
		return nil // it ended meanwhile
	}
	return err
}

// At names who is carrying out a plan now, or "".
func (h *Hub) At(ctx context.Context, planID, holder string) (string, error) {
	name := "run/" + planID
	l, err := h.Store.Acquire(ctx, name, holder, time.Second)
	switch {
	case fault.Is(err, fault.Conflict):
		return err.Error(), nil
	case err != nil:
		return "", err
	}
	return "", h.Store.Release(ctx, l)
}
