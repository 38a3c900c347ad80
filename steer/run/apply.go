package run

import (
	"slices"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/steer/plan"
)

// Accepts tells whether an event fits the state: what a recorder must ask before it writes one down.
func (m *Machine) Accepts(e Event) error {
	if e.Plan != m.digest {
		return fault.New(fault.Conflict, "this run carries out plan %.12s, not %.12s", m.digest, e.Plan).Hinted("a changed plan is a new plan with new votes; run that one")
	}
	if m.aborted && e.Kind != Aborted && !closing(e.Kind) {
		return fault.New(fault.Conflict, "the run was aborted").Hinted("make a new plan from what is true now")
	}
	if m.replaced != "" && (e.Kind == Started || e.Kind == Resumed || e.Kind == Replaced) {
		return fault.New(fault.Conflict, "plan %s was replaced by plan %s", m.plan.ID, m.replaced).Hinted("staunch plan show %s", m.replaced)
	}
	switch e.Kind {
	case Taken, Paused, Aborted, Allowed, Replaced:
		return nil
	case Started, Resumed:
		return m.acceptsStart(e)
	}
	at, err := m.find(e.Step, e.Target)
	if err != nil {
		return err
	}
	return m.acceptsAt(e, at)
}

// closing events only tell how something ended that had begun; they are taken even after an abort.
func closing(k Kind) bool {
	switch k {
	case Answered, Checked, Lacks, Proven, Unproven, Undone, Taken:
		return true
	}
	return false
}

func (m *Machine) acceptsStart(e Event) error {
	if e.Kind == Started && m.paused {
		return fault.New(fault.Conflict, "%s paused the run%s", m.pausedBy, because(m.says)).Hinted("ask them; then: staunch incident resume %s", m.plan.Incident)
	}
	if _, at := m.plan.RingOf(e.Until); e.Until != "" && at < 0 {
		return fault.New(fault.Usage, "plan %s has no ring %q", m.plan.ID, e.Until)
	}
	return nil
}

// from lists the phases in which each event of a target may come.
func from(k Kind) []Phase {
	switch k {
	case Held:
		return []Phase{Waiting, Holding}
	case Begun:
		return []Phase{Waiting, Holding}
	case Answered:
		return []Phase{Doing}
	case Checked:
		return []Phase{InDoubt}
	case Lacks, Proven, Unproven:
		return []Phase{Proving, Soaking}
	case UndoBegun:
		return []Phase{Failed, Undoing}
	case Undone:
		return []Phase{Undoing}
	case Retried:
		return []Phase{Failed}
	case Skipped:
		return []Phase{Waiting, Holding, Failed, InDoubt, Left}
	case Confirmed:
		return []Phase{Waiting}
	}
	return nil
}

func (m *Machine) acceptsAt(e Event, at spot) error {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	if !slices.Contains(from(e.Kind), t.phase) {
		return fault.New(fault.Conflict, "step %s on %s is %s: it cannot be %s now", e.Step, e.Target, t.phase, e.Kind)
	}
	switch {
	case e.Kind == Skipped && e.Says == "":
		return fault.New(fault.Usage, "skipping %s on %s needs a reason", e.Step, e.Target).Hinted("--reason \"why it is right to go on without it\"")
	case e.Kind == Skipped && s.Kind == plan.Revoke:
		return fault.New(fault.Denied, "a revocation is not skipped by the way").Hinted("abort the run, and make a plan without it")
	case e.Kind == Skipped && s.Kind == plan.Gate && e.By == "":
		return fault.New(fault.Usage, "skipping a gate needs a person's name")
	case e.Kind == Confirmed && s.Kind != plan.Person:
		return fault.New(fault.Denied, "step %s is no step for a person: it is proven by looking, not by saying", e.Step)
	case (e.Kind == Confirmed || e.Kind == Skipped && t.phase == Waiting) && (s.blocked > 0 || t.blocked > 0):
		return fault.New(fault.Conflict, "step %s is not due yet on %s: what stands before it is not settled", e.Step, e.Target)
	case e.Kind == Begun && (s.blocked > 0 || t.blocked > 0):
		return fault.New(fault.Conflict, "step %s on %s must wait for others", e.Step, e.Target)
	case e.Kind == Begun && !m.granted(s.Step) && !m.mustFinish(at):
		return fault.New(fault.Denied, "step %s asks for %d votes, %d count", e.Step, s.Votes, max(m.votes, 0)).Hinted("staunch approve %s", m.plan.ID)
	case e.Kind == Begun && e.Attempt != t.attempt+1:
		return fault.New(fault.Conflict, "attempt %d of %s on %s cannot follow attempt %d", e.Attempt, e.Step, e.Target, t.attempt)
	}
	return nil
}

// Apply takes one recorded event in. An event that does not fit is an error and changes nothing.
func (m *Machine) Apply(e Event) error {
	if e.Seq != m.seq+1 {
		return fault.New(fault.Conflict, "event %d cannot follow event %d", e.Seq, m.seq)
	}
	if err := m.Accepts(e); err != nil {
		return err
	}
	m.seq = e.Seq
	switch e.Kind {
	case Taken:
		m.holder = e.By
		m.doubt(e.At)
	case Started, Resumed:
		m.goOn(e)
	case Allowed:
		m.grant(e)
	case Paused:
		m.paused, m.pausedBy, m.says = true, e.By, e.Says
		if e.By == "" {
			m.pausedBy = "somebody"
		}
	case Aborted:
		m.aborted, m.says = true, e.Says
	case Replaced:
		m.replaced = e.Says
		if e.Says == "" {
			m.replaced = "another"
		}
	default:
		at, err := m.find(e.Step, e.Target)
		if err != nil {
			return err
		}
		m.applyAt(e, at)
	}
	return nil
}

// goOn takes up work. To resume says nothing about rings and votes: what was asked for and granted before stays.
func (m *Machine) goOn(e Event) {
	m.started, m.paused, m.pausedBy = true, false, ""
	if e.Kind == Started {
		m.asked, m.until = "", len(m.plan.Rings)
		m.grant(e)
	}
	if e.Until != "" {
		m.asked = e.Until
		_, m.until = m.plan.RingOf(e.Until)
	}
}

// Grants tells whether an event allows just what the run is allowed already.
func (m *Machine) Grants(e Event) bool {
	return m.votes == e.Votes && m.glass == e.Glass && m.from.Equal(e.From)
}

func (m *Machine) grant(e Event) { m.votes, m.glass, m.from = e.Votes, e.Glass, e.From }

// granted tells whether a step has its votes. A run whose votes nobody counted (an older program recorded it) is held by its rings alone.
func (m *Machine) granted(s *plan.Step) bool { return m.votes == 0 || m.glass || s.Votes <= m.votes }

// doubt makes everything that was begun and not answered unknown: its runner is gone.
func (m *Machine) doubt(now time.Time) {
	for at := range m.active {
		if t := &m.steps[at.step].targets[at.target]; t.phase == Doing {
			t.phase, t.since, t.due = InDoubt, now, now
		}
	}
}

func (m *Machine) applyAt(e Event, at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	if e.Says != "" {
		t.says = e.Says
	}
	switch e.Kind {
	case Held:
		m.hold(e, at)
	case Begun:
		m.begin(e, at)
	case Answered:
		m.answer(e, at)
	case Checked:
		m.checked(e, at)
	case Proven:
		m.proven(e, at)
	case Unproven:
		m.fail(at, e.At)
	case UndoBegun:
		t.phase, t.since = Undoing, e.At
		m.active[at] = true
	case Undone:
		t.phase, t.undone = Failed, e.Status == act.Done || e.Status == act.Already || e.Status == act.Undone
		t.since = e.At
		delete(m.active, at)
	case Retried:
		m.again(at)
	case Skipped:
		m.skip(e, at)
	case Confirmed:
		s.dropReady(at.target)
		m.settle(at, Good, e.At)
	}
}

func (m *Machine) hold(e Event, at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	if t.phase == Waiting {
		t.phase, t.since = Holding, e.At
		s.dropReady(at.target)
		m.active[at] = true
	}
	if e.At.Sub(t.since) < s.Deadline() && !e.Final {
		t.due = e.At.Add(backoff(e.At.Sub(t.since)))
		return
	}
	if e.Silent && m.plan.Pace.LeaveSilent && t.attempt == 0 && !m.inTurn(at) {
		m.leave(at, e.At)
		return
	}
	m.fail(at, e.At)
}

// backoff waits longer the longer it has been waiting: a fifth more each time, between one second and a minute.
func backoff(waited time.Duration) time.Duration {
	return min(max(waited/5, time.Second), time.Minute)
}

func (m *Machine) begin(e Event, at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	s.dropReady(at.target)
	if t.began.IsZero() {
		t.began = e.At
	}
	t.attempt, t.phase, t.since = e.Attempt, Doing, e.At
	t.tries++
	m.active[at] = true
	if takesTurn(s.Step) {
		m.openTurn(s.Step, s.Targets[at.target].Host)
	}
}

func (m *Machine) answer(e Event, at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	switch e.Status {
	case act.Done, act.Already:
		t.phase, t.since, t.due = Proving, e.At, e.At
	case act.Refused:
		m.fail(at, e.At)
	case act.Failed, act.Undone:
		if s.Repeat && t.tries < s.Tries {
			t.phase, t.since = Holding, e.At
			t.due = e.At.Add(time.Duration(t.tries) * 5 * time.Second)
			return
		}
		m.fail(at, e.At)
	default: // unknown, or a status that this version does not know: never success, never failure
		t.phase, t.since, t.due = InDoubt, e.At, e.At
	}
}

func (m *Machine) checked(e Event, at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	switch {
	case e.Truth == Yes:
		t.phase, t.since, t.due = Proving, e.At, e.At
	case e.Truth == No: // it is begun again, more slowly each time: whoever does not answer is not to be hammered
		t.phase, t.since = Holding, e.At
		t.due = e.At.Add(min(time.Duration(max(t.tries-2, 0))*5*time.Second, 5*time.Minute))
	case e.At.Sub(t.since) < s.Deadline():
		t.due = e.At.Add(backoff(e.At.Sub(t.since)))
	default:
		m.fail(at, e.At)
	}
}

func (m *Machine) proven(e Event, at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	if s.SoakMS == 0 {
		m.settle(at, Good, e.At)
		return
	}
	if t.phase == Proving {
		t.phase, t.since = Soaking, e.At
	} else if e.At.Sub(t.since) >= s.Soak() {
		m.settle(at, Good, e.At)
		return
	}
	const looks = 6
	t.due = e.At.Add(max(s.Soak()/looks, time.Second))
	if end := t.since.Add(s.Soak()); t.due.After(end) {
		t.due = end
	}
}

func (m *Machine) fail(at spot, now time.Time) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	t.phase, t.since = Failed, now
	delete(m.active, at)
	m.failed[s.Ring]++
	if s.Undo.Auto && !t.undone && t.attempt > 0 && (s.Undo.Kind == plan.RunAct || s.Undo.Kind == plan.Reverse) {
		m.active[at] = true
	}
}

func (m *Machine) unfail(at spot) {
	s := &m.steps[at.step]
	if phase := s.targets[at.target].phase; phase == Failed || phase == Undoing {
		m.failed[s.Ring]--
	}
}

// again puts a failed target back to where it may begin.
func (m *Machine) again(at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	m.unfail(at)
	delete(m.active, at)
	t.phase, t.tries, t.undone = Waiting, 0, false
	s.putReady(at.target)
}

func (m *Machine) skip(e Event, at spot) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	if t.phase == Left { // settled already; a person says that going on without it is right
		t.phase = Skipping
		s.skipped++
		m.satisfy(at.step)
		return
	}
	m.unfail(at)
	if takesTurn(s.Step) && m.inTurn(at) && !e.Up {
		m.turnOf(s.Step, s.Targets[at.target].Host).stuck = true
	}
	s.dropReady(at.target)
	m.settle(at, Skipping, e.At)
}
