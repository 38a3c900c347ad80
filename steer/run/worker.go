package run

import (
	"context"
	"fmt"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/act"
)

// mayBegin asks once more, right before a begin is recorded.
func (m *Machine) mayBegin(e Effect, now time.Time) bool {
	at, err := m.find(e.Step, e.Target)
	return err == nil && !m.aborted && m.may(at, m.fresh(now))
}

func (d *driver) workOf(e Effect) Work {
	at, err := d.m.find(e.Step, e.Target)
	if err != nil {
		return Work{}
	}
	s := &d.m.steps[at.step]
	return Work{
		ID: act.OrderID(d.m.digest, e.Step, e.Target, e.Attempt), Digest: d.m.digest, Plan: d.m.plan, Step: s.Step,
		Target: s.Targets[at.target], Attempt: e.Attempt, Began: s.targets[at.target].began,
	}
}

// worker does one effect and reports what is to be recorded. It ends with exactly one last report.
func (d *driver) worker(e Effect, w Work) {
	within := d.work
	if e.Do == Prove || e.Do == Check {
		within = d.looks
	}
	ctx, cancel := context.WithTimeout(within, max(w.Step.Deadline(), time.Second))
	defer cancel()
	switch e.Do {
	case Begin:
		d.begin(ctx, e, w)
	case Back:
		d.undo(ctx, e, w)
	case Prove:
		d.found(e, d.prove(ctx, e, w))
	case Check:
		seen := d.Executor.Happened(ctx, w)
		d.found(e, Event{Kind: Checked, Truth: seen.Truth, Says: seen.Says, Silent: seen.Silent})
	}
}

// found reports what a look gave. A look that was broken off because the runner ends has found nothing.
func (d *driver) found(e Effect, ev Event) {
	if d.looks.Err() != nil {
		d.tell(e, true)
		return
	}
	d.tell(e, true, ev)
}

// tell hands events to the runner's own goroutine and waits until they are kept; it tells whether they were.
func (d *driver) tell(e Effect, last bool, events ...Event) bool {
	answer := make(chan error, 1)
	d.results <- report{effect: e, events: events, last: last, answer: answer}
	return <-answer == nil
}

func (d *driver) begin(ctx context.Context, e Effect, w Work) {
	for _, need := range w.Step.Needs {
		need = need.On(w.Target)
		if seen := d.Executor.Observe(ctx, need, w); seen.Truth != Yes {
			d.tell(e, true, Event{Kind: Held, Silent: seen.Silent, Final: seen.Final, Says: fmt.Sprintf("needs %s: %s", need, says(seen))})
			return
		}
	}
	if !w.Step.Changes() {
		d.tell(e, true, Event{Kind: Begun}, Event{Kind: Answered, Status: act.Done})
		return
	}
	if !d.tell(e, false, Event{Kind: Begun}) {
		return
	}
	if w.Began.IsZero() {
		w.Began = time.Now()
	}
	outcome, err := d.Executor.Do(ctx, w)
	d.tell(e, true, answered(outcome, err))
}

// answered turns an outcome or an error into what is recorded. Only faults that mean "nothing was done" are told from unknown.
func answered(o act.Outcome, err error) Event {
	if err == nil {
		return Event{Kind: Answered, Status: o.Status, Says: o.Says}
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.Usage, fault.Unsupported, fault.Conflict, fault.NotFound:
		return Event{Kind: Answered, Status: act.Refused, Says: err.Error()}
	}
	return Event{Kind: Answered, Status: act.Unknown, Says: err.Error()}
}

func (d *driver) undo(ctx context.Context, e Effect, w Work) {
	if !d.tell(e, false, Event{Kind: UndoBegun}) {
		return
	}
	w.Undo = true
	outcome, err := d.Executor.Do(ctx, w)
	ev := answered(outcome, err)
	ev.Kind = Undone
	d.tell(e, true, ev)
}

// patient is after how many looks it is told what a proof lacks: most hold at the first or second.
const patient = 3

// prove looks at all proofs again and again until they hold together, or the deadline runs out. What is waited for is told, and told
// again when it changes; times and counts in it are no change.
func (d *driver) prove(ctx context.Context, e Effect, w Work) Event {
	wait, told := time.Second, ""
	for looks := 1; ; looks++ {
		missing, all := d.look(ctx, w)
		if missing == "" {
			return Event{Kind: Proven, Says: all}
		}
		if now := uncounted(missing); looks >= patient && now != told && ctx.Err() == nil {
			if d.tell(e, false, Event{Kind: Lacks, Says: missing}) {
				told = now
			}
		}
		select {
		case <-ctx.Done():
			return Event{Kind: Unproven, Says: missing}
		case <-time.After(wait):
			wait = min(wait*3/2, 10*time.Second)
		}
	}
}

// uncounted is a text without its digits.
func uncounted(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// look observes every proof once: what is missing first, and what was seen.
func (d *driver) look(ctx context.Context, w Work) (missing, all string) {
	var seen []string
	for _, p := range w.Step.Proves {
		p = p.On(w.Target)
		got := d.Executor.Observe(ctx, p, w)
		if got.Truth != Yes {
			return fmt.Sprintf("not proven: %s: %s", p, says(got)), ""
		}
		seen = append(seen, says(got))
	}
	return "", strings.Join(seen, "; ")
}

func says(s Seen) string {
	if s.Says != "" {
		return s.Says
	}
	return string(s.Truth)
}
