package run

import "staunch/steer/plan"

// Place names one target with what is known about it.
type Place struct {
	Step   string `json:"step"`
	Target string `json:"target"`
	Phase  Phase  `json:"phase"`
	Says   string `json:"says,omitempty"`
	// Attempt is the number of the last one; 0: none has begun.
	Attempt int `json:"attempt,omitempty"`
}

// Failures lists the targets that failed, in the plan's order.
func (m *Machine) Failures() []Place {
	return m.places(func(t *target) bool { return t.phase == Failed || t.phase == Undoing })
}

// LeftBehind lists the targets on hosts that did not answer.
func (m *Machine) LeftBehind() []Place {
	return m.places(func(t *target) bool { return t.phase == Left })
}

func (m *Machine) places(want func(*target) bool) (out []Place) {
	for i := range m.steps {
		s := &m.steps[i]
		for t := range s.targets {
			if want(&s.targets[t]) {
				out = append(out, Place{s.ID, s.Targets[t].Key(), m.shown(s, &s.targets[t]), s.targets[t].says, s.targets[t].attempt})
			}
		}
	}
	return out
}

// shown is a target's phase as people read it: a person's step whose turn it is asks for that person.
func (m *Machine) shown(s *step, t *target) Phase {
	if m.started && s.Kind == plan.Person && t.phase == Waiting && s.blocked == 0 && t.blocked == 0 {
		return Asking
	}
	return t.phase
}

// Asks tells whether a step waits for its person on some target now.
func (m *Machine) Asks(stepID string) bool {
	i, known := m.at[stepID]
	if !known {
		return false
	}
	s := &m.steps[i]
	for t := range s.targets {
		if m.shown(s, &s.targets[t]) == Asking {
			return true
		}
	}
	return false
}
