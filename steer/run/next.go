package run

import (
	"cmp"
	"slices"
	"time"

	"staunch/steer/plan"
)

// Do names what an effect asks of the driver.
type Do string

// The effects. Each ends in the event named behind it.
const (
	Begin Do = "begin" // look at the needs, record begun, act: held, or begun and answered
	Prove Do = "prove" // look at the proofs: proven or unproven
	Check Do = "check" // find out whether it happened: checked
	Back  Do = "undo"  // record undo_begun, carry out the undo: undone
)

// Effect is one thing to do now. A target has at most one effect at a time.
type Effect struct {
	Do      Do
	Step    string
	Target  string
	Attempt int
}

// State is how a run stands as a whole.
type State string

// The states. A run ends in Complete, GivenUp or WaitsHere.
const (
	NotBegun  State = "not_begun" // nobody has started it
	Working   State = "working"   // something is being done, or will be at Wake
	WaitsHere State = "waiting"   // for a person: Waits tells for what
	Complete  State = "done"      // every target is settled
	GivenUp   State = "aborted"   // by a person or a newer plan, and nothing is in flight any more
)

// Decision is what should be in progress at a moment.
type Decision struct {
	State   State
	Effects []Effect  // everything that should be running now and is not yet
	Wake    time.Time // when to ask again even if nothing happens; zero: only after an event
}

// Next decides what should begin at now. Running lists the effects that the driver is at: they keep their places and are not named again.
func (m *Machine) Next(now time.Time, running []Effect) Decision {
	if !m.started {
		return Decision{State: NotBegun}
	}
	c := m.choose(now, running)
	c.inProgress()
	if !m.aborted {
		c.heldOnes()
		c.newOnes()
	}
	c.State = c.state()
	return c.Decision
}

// choice is one decision in the making.
type choice struct {
	Decision
	*room
	m       *Machine
	now     time.Time
	running map[spot]bool
	fresh   bool // something new may begin
}

func (m *Machine) choose(now time.Time, running []Effect) *choice {
	c := &choice{m: m, now: now, running: map[spot]bool{}, room: m.newRoom(), fresh: m.fresh(now)}
	if from := m.From(); now.Before(from) && !m.aborted && !m.halted() {
		c.wakeAt(from)
	}
	for _, e := range running {
		at, err := m.find(e.Step, e.Target)
		if err != nil {
			continue // an effect of another plan keeps no places here
		}
		c.running[at] = true
		if s := &m.steps[at.step]; e.Do == Begin && takesTurn(s.Step) {
			c.note(s.Step, s.Targets[at.target].Host)
		}
	}
	return c
}

func (c *choice) add(do Do, at spot) {
	s, t := &c.m.steps[at.step], &c.m.steps[at.step].targets[at.target]
	attempt := t.attempt
	if do == Begin {
		attempt++
	}
	c.Effects = append(c.Effects, Effect{Do: do, Step: s.ID, Target: s.Targets[at.target].Key(), Attempt: attempt})
}

func (c *choice) wakeAt(t time.Time) {
	if c.Wake.IsZero() || t.Before(c.Wake) {
		c.Wake = t
	}
}

// inProgress lists looks and undos that targets in progress need next. They take no room: it is theirs already.
func (c *choice) inProgress() {
	for _, at := range c.m.inOrder() {
		t := &c.m.steps[at.step].targets[at.target]
		do, wanted := c.m.follows(t)
		switch {
		case !wanted || c.running[at]:
		case t.due.After(c.now) && do != Back:
			c.wakeAt(t.due)
		default:
			c.add(do, at)
		}
	}
}

// inOrder lists the active targets in the plan's order, so that a decision never depends on chance.
func (m *Machine) inOrder() []spot {
	spots := make([]spot, 0, len(m.active))
	for at := range m.active {
		spots = append(spots, at)
	}
	slices.SortFunc(spots, func(a, b spot) int { return cmp.Or(a.step-b.step, a.target-b.target) })
	return spots
}

func (m *Machine) follows(t *target) (Do, bool) {
	switch t.phase {
	case InDoubt:
		return Check, true
	case Proving:
		return Prove, true
	case Soaking:
		return Prove, !m.aborted
	case Failed, Undoing:
		return Back, !m.aborted || t.phase == Undoing
	}
	return "", false
}

// heldOnes tries again what could not begin, or is to be repeated.
func (c *choice) heldOnes() {
	for _, at := range c.m.inOrder() {
		t := &c.m.steps[at.step].targets[at.target]
		if t.phase != Holding || c.running[at] || !c.m.may(at, c.fresh) {
			continue
		}
		if t.due.After(c.now) {
			c.wakeAt(t.due)
			continue
		}
		c.tryBegin(at)
	}
}

// newOnes walks the steps in the plan's order, and their ready targets in theirs, as far as widths and services allow.
func (c *choice) newOnes() {
	for i := range c.m.steps {
		s := &c.m.steps[i]
		if s.Kind == plan.Person || s.ring > c.m.until && !c.m.turnsOpen(s) {
			continue
		}
		for _, t := range s.ready {
			at := spot{i, t}
			if c.running[at] || !c.m.may(at, c.fresh) {
				continue
			}
			if !c.tryBegin(at) && c.fresh && c.full(s.Step) && !c.m.turnsOpen(s) {
				break
			}
		}
	}
}

// fresh tells whether something new may begin at all.
func (m *Machine) fresh(now time.Time) bool { return !m.aborted && !m.halted() && m.inTime(now) }

// may tells whether a target may begin as far as people go: something new may, up to its ring, and its votes are there; or its host finishes a turn.
func (m *Machine) may(at spot, fresh bool) bool {
	s := &m.steps[at.step]
	return m.mustFinish(at) || fresh && s.ring <= m.until && m.granted(s.Step)
}

// tryBegin begins a target if there is room for it.
func (c *choice) tryBegin(at spot) bool {
	s := &c.m.steps[at.step]
	if takesTurn(s.Step) && !c.take(s.Step, s.Targets[at.target].Host, c.m.inTurn(at)) {
		return false
	}
	c.add(Begin, at)
	return true
}

func (m *Machine) inTurn(at spot) bool {
	s := &m.steps[at.step]
	turn := m.turns[turnAt{s.TurnName(), s.Targets[at.target].Host}]
	return turn != nil && turn.open
}

// mustFinish: a host in the middle of a turn of several steps finishes it even while nothing new begins, so that it does not stay drained.
func (m *Machine) mustFinish(at spot) bool { return m.steps[at.step].Turn != "" && m.inTurn(at) }

// turnsOpen tells whether the step may have targets that finish a turn, so that a full ring does not end the search.
func (m *Machine) turnsOpen(s *step) bool { return s.Turn != "" && len(m.busy[s.Ring]) > 0 }

// inTime: the plan is valid.
func (m *Machine) inTime(now time.Time) bool {
	return !now.Before(m.From()) && now.Before(m.plan.Expires)
}

// From is the moment before which nothing begins: what the plan says, or the delay after a lone vote. Breaking the glass ends only the latter,
// because hosts hold orders to the plan.
func (m *Machine) From() time.Time {
	if m.glass || m.from.Before(m.plan.NotBefore) {
		return m.plan.NotBefore
	}
	return m.from
}

// halted: a pause, a newer plan, or too many failures.
func (m *Machine) halted() bool { return m.paused || m.replaced != "" || m.stopped() != "" }

// stopped names a ring with too many failed targets, or "".
func (m *Machine) stopped() string {
	limit := max(m.plan.Pace.StopAfter, 1)
	for _, r := range m.plan.Rings {
		if m.failed[r.Name] >= limit {
			return "ring " + r.Name
		}
	}
	if m.failed[""] >= limit {
		return "a step outside of the rings"
	}
	return ""
}

func (c *choice) state() State {
	switch {
	case c.m.unsettled == 0:
		return Complete
	case len(c.Effects) > 0 || len(c.running) > 0 || !c.Wake.IsZero() || c.m.doing():
		return Working
	case c.m.aborted, c.m.replaced != "":
		return GivenUp
	}
	return WaitsHere
}

// doing tells whether an act has begun and was not answered: somebody is at it, or died at it.
func (m *Machine) doing() bool {
	for at := range m.active {
		if m.steps[at.step].targets[at.target].phase == Doing {
			return true
		}
	}
	return false
}
