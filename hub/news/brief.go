package news

import (
	"context"
	"fmt"

	"staunch/incident"
	"staunch/mandate"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// Brief hands an incident over: its state, and how the votes and the run of its newest plan stand. List is who may vote; nil: votes are not counted.
func (d *Desk) Brief(ctx context.Context, id string, list *mandate.Signers) (incident.Brief, error) {
	s, _, err := d.Hub.Incident(ctx, id)
	if err != nil {
		return incident.Brief{}, err
	}
	var runs []incident.Progress
	if p := s.Current(); p != nil {
		progress, err := d.Progress(ctx, p.Plan)
		if err != nil {
			return incident.Brief{}, err
		}
		if err := d.nextOf(ctx, id, &progress, list); err != nil {
			return incident.Brief{}, err
		}
		runs = append(runs, progress)
	}
	return s.Brief(d.Hub.Now(), runs), nil
}

// nextOf says what a plan waits for from whoever reads a brief, with the command that does it.
func (d *Desk) nextOf(ctx context.Context, id string, p *incident.Progress, list *mandate.Signers) error {
	if p.State == string(run.Complete) || p.State == string(run.GivenUp) {
		return nil
	}
	if list == nil {
		p.Next = append(p.Next, "whether its votes suffice was not counted: the list of people who may vote (allowed_signers) was not found")
	} else {
		sealed, err := d.Hub.Plan(ctx, p.Plan)
		if err != nil {
			return err
		}
		a, err := d.Hub.Approval(ctx, sealed, list)
		if err != nil {
			return err
		}
		for _, m := range a.Missing {
			p.Missing = append(p.Missing, "votes are missing: "+m+" (staunch approve "+p.Plan+")")
		}
	}
	switch {
	case len(p.Failed) > 0:
		p.Next = append(p.Next, "decide about what failed: staunch incident retry "+id+" STEP HOST, or skip with a reason, or abort")
	case len(p.Running) == 0 && len(p.Missing) == 0:
		p.Next = append(p.Next, "nobody may be running it now: staunch incident run "+id+" begins or resumes it")
	}
	return nil
}

// Progress is how a plan's run stands.
func (d *Desk) Progress(ctx context.Context, planID string) (incident.Progress, error) {
	sealed, err := d.Hub.Plan(ctx, planID)
	if err != nil {
		return incident.Progress{}, err
	}
	m, err := run.Load(ctx, sealed, d.Hub.Record(planID))
	if err != nil {
		return incident.Progress{}, err
	}
	p := incident.Progress{Plan: planID, State: string(m.Next(d.Hub.Now(), nil).State)}
	open, all := m.Unsettled()
	p.Settled, p.Total = all-open, all
	for _, at := range m.Places() {
		switch at.Phase {
		case run.Doing, run.Proving, run.Soaking, run.InDoubt, run.Undoing:
			doing := at.Step + " on " + at.Target + ": " + string(at.Phase)
			if at.Phase == run.Proving && at.Says != "" {
				doing += ", " + at.Says
			}
			p.Running = append(p.Running, doing)
		case run.Holding:
			p.Waits = append(p.Waits, at.Step+" on "+at.Target+" cannot begin: "+at.Says)
		case run.Asking:
			p.Waits = append(p.Waits, ask(sealed.Plan().Step(at.Step)))
		}
	}
	for _, w := range sealed.Plan().Watches {
		p.Watches = append(p.Watches, watchWords(w))
	}
	for _, w := range sealed.Plan().Waivers {
		p.Waived = append(p.Waived, fmt.Sprintf("%s may be vulnerable to %s until %s (%s signed it: %s)", w.Host, w.Advisory, clock(w.Until), w.By, w.Reason))
	}
	for _, f := range m.Failures() {
		p.Failed = append(p.Failed, f.Step+" on "+f.Target+": "+f.Says)
	}
	for _, l := range m.LeftBehind() {
		p.Left = append(p.Left, l.Target+" ("+l.Step+"): "+l.Says)
	}
	return p, nil
}

func watchWords(w plan.Watch) string {
	says := "watch: " + w.What
	if w.Host != "" {
		says += " on " + w.Host
	}
	if w.Contact != "" {
		says += "; ask " + w.Contact
	}
	return says + "; look again " + clock(w.Due)
}

// ask words what a step waits for from a person.
func ask(s *plan.Step) string {
	if s == nil || s.Task == nil {
		return "a person"
	}
	return fmt.Sprintf("%s: %s (step %s, due %s)", s.Task.Owner, s.Task.Asks, s.ID, s.Task.Due.UTC().Format("2006-01-02 15:04Z"))
}
