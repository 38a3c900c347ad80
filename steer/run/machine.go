package run

import (
	"slices"
	"time"

	"staunch/fault"
	"staunch/steer/plan"
)

// Phase is where one target of one step stands.
type Phase string

// The phases. Proven, Skipping and Left are settled; Failed waits for a person.
const (
	Waiting  Phase = "waiting" // not begun
	Holding  Phase = "held"    // tried to begin, or tries again later
	Doing    Phase = "doing"   // begun
	InDoubt  Phase = "unknown" // begun, outcome unknown: is checked before anything else
	Proving  Phase = "proving" // done; proofs are being looked for
	Soaking  Phase = "soaking" // proofs held; watched for a while
	Good     Phase = "proven"  // settled
	Skipping Phase = "skipped" // settled by a person, with a reason
	Left     Phase = "left"    // settled without the host, which does not answer; only where the plan's pace allows it
	Failed   Phase = "failed"  // waits for a person
	Undoing  Phase = "undoing" // failed, and its undo was begun
	Asking   Phase = "asking"  // a person's turn
)

// Settled reports whether nothing more will happen to the target by itself, and what waits for it may go on.
func (p Phase) Settled() bool { return p == Good || p == Skipping || p == Left }

type target struct {
	phase   Phase
	attempt int
	tries   int       // attempts since a person last said "again"
	began   time.Time // first begin
	since   time.Time // of the phase, or of the first hold
	due     time.Time // next try or look
	says    string
	blocked int // unsettled steps that this one waits for on the same host
	undone  bool
}

type step struct {
	*plan.Step
	targets   []target
	index     map[string]int // target key to place
	onHost    map[string][]int
	blocked   int   // unsatisfied steps in After
	open      int   // targets not settled
	good      int   // targets proven
	skipped   int   // targets skipped by a person
	next      []int // steps that wait for all of this one
	eachNext  []int // steps that wait for this one host by host
	ready     []int // waiting targets that may begin as far as order goes, ascending
	ring      int   // place of its ring, or -1
	satisfied bool
}

// Machine is the run of one plan as a pure function of its events: no clock, no network, no goroutine.
type Machine struct {
	plan      *plan.Plan
	digest    string
	steps     []step
	at        map[string]int
	active    map[spot]bool // targets in a phase that something must be done about
	turns     map[turnAt]*turn
	busy      map[string]map[string]int // ring to host to open turns
	down      map[string]map[string]int // service to host to open turns
	failed    map[string]int            // ring to failed targets
	unsettled int
	seq       int64
	started   bool
	paused    bool
	pausedBy  string
	aborted   bool
	replaced  string // by which plan
	until     int    // place of the last ring to work on
	votes     int    // people whose votes count; 0: nobody counted
	glass     bool
	from      time.Time // nothing begins before it
	asked     string    // name of that ring, "" for all
	holder    string
	says      string // the last reason a person gave
}

// spot is one target of one step by place.
type spot struct{ step, target int }

type turnAt struct{ turn, host string }

// turn is one host going through steps that belong together.
type turn struct {
	left  int // unsettled targets
	open  bool
	stuck bool // skipped by a person who did not say that the host is up
	down  []string
	ring  string
}

// New makes the machine of a sealed plan before anything happened.
func New(sealed *plan.Sealed) (*Machine, error) {
	p := sealed.Plan()
	m := &Machine{
		plan: p, digest: sealed.Digest, at: map[string]int{}, active: map[spot]bool{}, turns: map[turnAt]*turn{},
		busy: map[string]map[string]int{}, down: map[string]map[string]int{}, failed: map[string]int{}, until: len(p.Rings),
		steps: make([]step, len(p.Steps)),
	}
	for i := range p.Steps {
		if _, twice := m.at[p.Steps[i].ID]; twice {
			return nil, fault.New(fault.Corrupt, "step %s stands twice in plan %s", p.Steps[i].ID, p.ID)
		}
		m.at[p.Steps[i].ID] = i
		m.steps[i] = m.newStep(&p.Steps[i])
	}
	for i := range m.steps {
		if err := m.link(i); err != nil {
			return nil, err
		}
	}
	for i := range m.steps {
		m.fillReady(i)
	}
	return m, nil
}

func (m *Machine) newStep(s *plan.Step) step {
	_, ring := m.plan.RingOf(s.Ring)
	st := step{Step: s, targets: make([]target, len(s.Targets)), index: make(map[string]int, len(s.Targets)), onHost: map[string][]int{}, open: len(s.Targets), ring: ring}
	for t, where := range s.Targets {
		st.targets[t].phase = Waiting
		st.index[where.Key()] = t
		st.onHost[where.Host] = append(st.onHost[where.Host], t)
		if takesTurn(s) {
			m.turnOf(s, where.Host).left++
		}
	}
	m.unsettled += len(s.Targets)
	return st
}

// takesTurn tells whether a step occupies its host: gates only look, and people do not count.
func takesTurn(s *plan.Step) bool { return s.Changes() }

func (m *Machine) turnOf(s *plan.Step, host string) *turn {
	at := turnAt{s.TurnName(), host}
	if m.turns[at] == nil {
		m.turns[at] = &turn{down: s.Harm.Down, ring: s.Ring}
	}
	return m.turns[at]
}

// link counts what each step and target waits for.
func (m *Machine) link(i int) error {
	s := &m.steps[i]
	for _, id := range s.After {
		a, known := m.at[id]
		if !known {
			return fault.New(fault.Corrupt, "step %s waits for %s, which does not exist", s.ID, id)
		}
		m.steps[a].next = append(m.steps[a].next, i)
		s.blocked++
	}
	for _, id := range s.Each {
		a, known := m.at[id]
		if !known {
			return fault.New(fault.Corrupt, "step %s waits for %s, which does not exist", s.ID, id)
		}
		m.steps[a].eachNext = append(m.steps[a].eachNext, i)
		for t, where := range s.Targets {
			s.targets[t].blocked += len(m.steps[a].onHost[where.Host])
		}
	}
	return nil
}

// fillReady lists the targets of a step whose order allows them to begin.
func (m *Machine) fillReady(i int) {
	s := &m.steps[i]
	if s.blocked > 0 {
		return
	}
	for t := range s.targets {
		if s.targets[t].phase == Waiting && s.targets[t].blocked == 0 {
			s.ready = append(s.ready, t)
		}
	}
}

func (s *step) putReady(t int) {
	if at, there := slices.BinarySearch(s.ready, t); !there {
		s.ready = slices.Insert(s.ready, at, t)
	}
}

func (s *step) dropReady(t int) {
	if at, there := slices.BinarySearch(s.ready, t); there {
		s.ready = slices.Delete(s.ready, at, at+1)
	}
}

// find gives the place of a target, or a fault.
func (m *Machine) find(stepID, key string) (spot, error) {
	i, known := m.at[stepID]
	if !known {
		return spot{}, fault.New(fault.NotFound, "plan %s has no step %q", m.plan.ID, stepID)
	}
	t, known := m.steps[i].index[key]
	if !known {
		return spot{}, fault.New(fault.NotFound, "step %s has no target %q", stepID, key)
	}
	return spot{i, t}, nil
}

// Seq is the position of the last event applied.
func (m *Machine) Seq() int64 { return m.seq }
