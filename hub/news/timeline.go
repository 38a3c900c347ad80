package news

import (
	"context"
	"slices"
	"strings"
	"time"

	"staunch/hub"
	"staunch/incident/report"
	"staunch/ledger"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// detail tells whether a run's event is a single step's detail rather than something a manager reads.
func detail(kind string) bool {
	switch run.Kind(strings.TrimPrefix(kind, hub.RunKind)) {
	case run.Taken, run.Held, run.Begun, run.Answered, run.Checked, run.Lacks, run.Proven, run.UndoBegun:
		return strings.HasPrefix(kind, hub.RunKind)
	}
	return false
}

// Timeline is everything that happened in an incident and its runs, in the ledger's order, and the hash of the ledger's newest seal.
func (d *Desk) Timeline(ctx context.Context, id string) (lines []report.Line, head string, err error) {
	plans := map[string]*plan.Sealed{}
	for e, err := range d.Hub.Store.Read(ctx, ledger.Query{}) {
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
		case e.Stream == hub.IncidentStream+id || strings.HasPrefix(e.Stream, hub.RunStream+id+"."):
			l := lineOf(e)
			if l.Detail {
				end, err := d.keyEnds(ctx, e, plans)
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
func (d *Desk) keyEnds(ctx context.Context, e ledger.Event, plans map[string]*plan.Sealed) (bool, error) {
	if e.Kind != hub.RunKind+string(run.Proven) {
		return false, nil
	}
	var ev run.Event
	if err := e.Decode(&ev); err != nil {
		return false, err
	}
	id := strings.TrimPrefix(e.Stream, hub.RunStream)
	if plans[id] == nil {
		sealed, err := d.Hub.Plan(ctx, id)
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
	plan, isRun := strings.CutPrefix(e.Stream, hub.RunStream)
	if !isRun {
		if d.Says == "" {
			return e.Kind
		}
		return d.Says
	}
	what := "plan " + plan + ": " + strings.ReplaceAll(strings.TrimPrefix(e.Kind, hub.RunKind), "_", " ")
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
func (d *Desk) Report(ctx context.Context, id string, local *time.Location) (*report.Report, error) {
	s, _, err := d.Hub.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	lines, head, err := d.Timeline(ctx, id)
	if err != nil {
		return nil, err
	}
	return report.Write(s, lines, head, local), nil
}
