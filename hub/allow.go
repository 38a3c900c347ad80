package hub

import (
	"context"
	"errors"
	"strconv"
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
	go func() { failed <- h.hearVotes(ctx, incidentStream+sealed.Plan().Incident, said) }()
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

// Announce tells people what a run has come to: what failed, that it is done; and reminds owners of what is due.
func (h *Hub) Announce(ctx context.Context, sealed *plan.Sealed) error {
	p := sealed.Plan()
	m, err := run.Load(ctx, sealed, h.Record(p.ID))
	if err != nil {
		return err
	}
	var failed []error
	for _, f := range m.Failures() {
		failed = append(failed, h.Tell(ctx, p.Incident, incident.Notice{
			Key: "failed " + p.ID + " " + f.Step + " " + f.Target + " #" + strconv.Itoa(f.Attempt), Kind: Stopped,
			Says: "plan " + p.ID + " STOPPED: " + f.Step + " on " + f.Target + " failed: " + f.Says,
		}))
	}
	if m.Next(h.Now(), nil).State == run.Complete {
		failed = append(failed, h.Tell(ctx, p.Incident, incident.Notice{Key: "done " + p.ID, Kind: Finished, Says: "plan " + p.ID + " is done: " + p.Title}))
	}
	_, err = h.Remind(ctx, p.Incident)
	return errors.Join(append(failed, err)...)
}

// WarnOfLoneVote tells people that a plan will begin on one person's vote, so that somebody can object.
func (h *Hub) WarnOfLoneVote(ctx context.Context, sealed *plan.Sealed, a Approval) error {
	if a.From.IsZero() {
		return nil
	}
	p := sealed.Plan()
	who := "one person"
	if v := append(append([]string{}, a.People...), a.Carried...); len(v) > 0 {
		who = v[0]
	}
	return h.Tell(ctx, p.Incident, incident.Notice{
		Key: "lone " + p.ID, Kind: LoneVote,
		Says: "plan " + p.ID + " (" + p.Title + ") begins at " + clock(a.From) + " on the vote of " + who + " alone; to object: staunch incident pause " + p.Incident + " --reason ...",
	})
}

// WarnOfGlass tells people that somebody broke the glass.
func (h *Hub) WarnOfGlass(ctx context.Context, sealed *plan.Sealed, a Approval) error {
	p := sealed.Plan()
	var failed []error
	for _, g := range a.Glass {
		failed = append(failed, h.Tell(ctx, p.Incident, incident.Notice{
			Key: "glass " + p.ID + " " + g.By, Kind: Glass,
			Says: g.By + " BROKE THE GLASS for plan " + p.ID + ": it runs without its votes, because: " + g.Reason + "; somebody else must review it: staunch approve " + p.ID + " --review --reason ...",
		}))
	}
	return errors.Join(failed...)
}
