package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/incident/report"
	"staunch/ledger"
	"staunch/mandate"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// Propose keeps a plan's document and puts it before the voters of its incident. Because says why it replaces the one before.
func (h *Hub) Propose(ctx context.Context, sealed *plan.Sealed, because string) (*incident.Incident, error) {
	p := sealed.Plan()
	err := h.Store.Put(ctx, ledger.Document{Kind: planDocument, ID: p.ID, Body: sealed.Bytes}, ledger.Empty)
	if fault.Is(err, fault.Conflict) {
		if known, errKnown := h.Plan(ctx, p.ID); errKnown != nil || known.Digest != sealed.Digest {
			return nil, fault.New(fault.Conflict, "there is another plan %s already", p.ID)
		}
		err = nil // this very plan was stored, and the command broke off before it was proposed
	}
	if err != nil {
		return nil, err
	}
	var unseen []string
	for _, u := range p.Unseen {
		unseen = append(unseen, u.Host)
	}
	s, err := h.Do(ctx, p.Incident, incident.Propose{Planned: incident.Planned{
		Plan: p.ID, Digest: sealed.Digest, Title: p.Title, Steps: len(p.Steps), Hosts: len(p.Hosts()), GaveUp: p.Pace.GaveUp, Because: because, Remaining: unseen,
	}})
	if err != nil {
		return nil, err
	}
	return s, h.replace(ctx, p)
}

// NextPlanID is the id of an incident's next plan.
func NextPlanID(s *incident.Incident) string {
	return fmt.Sprintf("%s.%d", s.Opened.ID, len(s.Plans)+1)
}

// IncidentOf gives the incident's part of a plan's id.
func IncidentOf(planID string) (string, error) {
	id, n, ok := strings.Cut(planID, ".")
	if !ok || number(id) < 1 || number(n) < 1 {
		return "", fault.New(fault.Usage, "%.40q is no plan", planID).Hinted("plans are called 7.1: the incident's number, a dot, a number")
	}
	return id, nil
}

// Plan reads a plan back and holds it to the digest that was proposed: a document that was changed on the way is refused.
func (h *Hub) Plan(ctx context.Context, id string) (*plan.Sealed, error) {
	of, err := IncidentOf(id)
	if err != nil {
		return nil, err
	}
	d, err := h.Store.Get(ctx, planDocument, id)
	if err != nil {
		return nil, err
	}
	sealed, err := plan.Open(d.Body)
	if err != nil {
		return nil, err
	}
	s, _, err := h.Incident(ctx, of)
	if err != nil {
		return nil, err
	}
	if known := s.Plan(id); known != nil && known.Digest != sealed.Digest {
		return nil, fault.New(fault.Corrupt, "plan %s is not the one that was proposed: its digest is %.12s, the ledger says %.12s", id, sealed.Digest, known.Digest).
			Hinted("make a new plan; `staunch ledger verify` tells whether the ledger was changed")
	}
	return sealed, nil
}

// detail tells whether a run's event is a single step's detail rather than something a manager reads.
func detail(kind string) bool {
	switch run.Kind(strings.TrimPrefix(kind, runKind)) {
	case run.Taken, run.Held, run.Begun, run.Answered, run.Checked, run.Lacks, run.Proven, run.UndoBegun:
		return strings.HasPrefix(kind, runKind)
	}
	return false
}

// Timeline is everything that happened in an incident and its runs, in the ledger's order, and the hash of the ledger's newest seal.
func (h *Hub) Timeline(ctx context.Context, id string) (lines []report.Line, head string, err error) {
	plans := map[string]*plan.Sealed{}
	for e, err := range h.Store.Read(ctx, ledger.Query{}) {
		if err != nil {
			return nil, "", err
		}
		switch {
		case e.Kind == ledger.SealKind:
			var s ledger.Seal
			if err := e.Decode(&s); err != nil {
				return nil, "", err
			}
			head = s.SHA256
		case e.Stream == incidentStream+id || strings.HasPrefix(e.Stream, runStream+id+"."):
			l := lineOf(e)
			if l.Detail {
				end, err := h.keyEnds(ctx, e, plans)
				if err != nil {
					return nil, "", err
				}
				l.Detail = !end
			}
			lines = append(lines, l)
		}
	}
	return lines, head, nil
}

// keyEnds tells whether an event is the end of a key: its revocation was accepted, or seen on the CA's list. A manager reads that.
func (h *Hub) keyEnds(ctx context.Context, e ledger.Event, plans map[string]*plan.Sealed) (bool, error) {
	if e.Kind != runKind+string(run.Proven) {
		return false, nil
	}
	var ev run.Event
	if err := e.Decode(&ev); err != nil {
		return false, err
	}
	id := strings.TrimPrefix(e.Stream, runStream)
	if plans[id] == nil {
		sealed, err := h.Plan(ctx, id)
		if err != nil {
			return false, err
		}
		plans[id] = sealed
	}
	s := plans[id].Plan().Step(ev.Step)
	if s == nil {
		return false, nil
	}
	return s.Kind == plan.Revoke || slices.ContainsFunc(s.Proves, func(p plan.Predicate) bool { return p.Kind == plan.OnCRL }), nil
}

func lineOf(e ledger.Event) report.Line {
	l := report.Line{Seq: e.Seq, At: e.At, Stored: e.Stored, By: e.By, Source: e.Source, Kind: e.Kind, Says: Words(e), Detail: detail(e.Kind)}
	return l
}

// Words is an event as a sentence: what its data says, with the step and target that it is about.
func Words(e ledger.Event) string {
	var d struct {
		Says, Step, Target, Status, Truth, Until string
	}
	if len(e.Data) == 0 || e.Decode(&d) != nil {
		return e.Kind
	}
	plan, isRun := strings.CutPrefix(e.Stream, runStream)
	if !isRun {
		if d.Says == "" {
			return e.Kind
		}
		return d.Says
	}
	what := "plan " + plan + ": " + strings.ReplaceAll(strings.TrimPrefix(e.Kind, runKind), "_", " ")
	for _, part := range []string{d.Step, d.Target, d.Status, d.Truth} {
		if part != "" {
			what += " " + part
		}
	}
	if d.Until != "" {
		what += ", up to ring " + d.Until
	}
	if d.Says != "" {
		what += ": " + d.Says
	}
	return what
}

// Report writes an incident up from the ledger alone.
func (h *Hub) Report(ctx context.Context, id string, local *time.Location) (*report.Report, error) {
	s, _, err := h.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	lines, head, err := h.Timeline(ctx, id)
	if err != nil {
		return nil, err
	}
	return report.Write(s, lines, head, local), nil
}

// Brief hands an incident over: its state, and how the votes and the run of its newest plan stand. List is who may vote; nil: votes are not counted.
func (h *Hub) Brief(ctx context.Context, id string, list *mandate.Signers) (incident.Brief, error) {
	s, _, err := h.Incident(ctx, id)
	if err != nil {
		return incident.Brief{}, err
	}
	var runs []incident.Progress
	if p := s.Current(); p != nil {
		progress, err := h.Progress(ctx, p.Plan)
		if err != nil {
			return incident.Brief{}, err
		}
		if err := h.nextOf(ctx, id, &progress, list); err != nil {
			return incident.Brief{}, err
		}
		runs = append(runs, progress)
	}
	return s.Brief(h.Now(), runs), nil
}

// nextOf says what a plan waits for from whoever reads a brief, with the command that does it.
func (h *Hub) nextOf(ctx context.Context, id string, p *incident.Progress, list *mandate.Signers) error {
	if p.State == string(run.Complete) || p.State == string(run.GivenUp) {
		return nil
	}
	if list == nil {
		p.Next = append(p.Next, "whether its votes suffice was not counted: the list of people who may vote (allowed_signers) was not found")
	} else {
		sealed, err := h.Plan(ctx, p.Plan)
		if err != nil {
			return err
		}
		a, err := h.Approval(ctx, sealed, list)
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
func (h *Hub) Progress(ctx context.Context, planID string) (incident.Progress, error) {
	sealed, err := h.Plan(ctx, planID)
	if err != nil {
		return incident.Progress{}, err
	}
	m, err := run.Load(ctx, sealed, h.Record(planID))
	if err != nil {
		return incident.Progress{}, err
	}
	p := incident.Progress{Plan: planID, State: string(m.Next(h.Now(), nil).State)}
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
