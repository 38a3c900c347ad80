package run

import (
	"time"

	"staunch/steer/plan"
)

// settle ends a target's story and lets go on what waited for it.
func (m *Machine) settle(at spot, phase Phase, now time.Time) {
	s, t := &m.steps[at.step], &m.steps[at.step].targets[at.target]
	t.phase, t.since = phase, now
	delete(m.active, at)
	s.open--
	m.unsettled--
	switch phase {
	case Good:
		s.good++
	case Skipping:
		s.skipped++
	}
	host := s.Targets[at.target].Host
	if takesTurn(s.Step) {
		m.closeTurn(s.Step, host)
	}
	for _, n := range s.eachNext {
		m.unblockOn(n, host)
	}
	m.satisfy(at.step)
}

// leave goes on without a silent host: what waits for the step there is left, too, so that nothing half-done begins when it comes back.
func (m *Machine) leave(at spot, now time.Time) {
	s := &m.steps[at.step]
	s.dropReady(at.target)
	host := s.Targets[at.target].Host
	m.settle(at, Left, now)
	for _, n := range s.eachNext {
		for _, t := range m.steps[n].onHost[host] {
			if phase := m.steps[n].targets[t].phase; phase == Waiting || phase == Holding {
				m.steps[n].targets[t].says = "left with " + s.ID
				m.leave(spot{n, t}, now)
			}
		}
	}
}

// unblockOn tells step n that one thing less stands before it on a host.
func (m *Machine) unblockOn(n int, host string) {
	next := &m.steps[n]
	for _, t := range next.onHost[host] {
		next.targets[t].blocked--
		if next.targets[t].blocked == 0 && next.blocked == 0 && next.targets[t].phase == Waiting {
			next.putReady(t)
		}
	}
}

// satisfy lets the steps after step i go on, once. All hosts left behind is not enough: somebody must have been proven, or a person must have said so.
func (m *Machine) satisfy(i int) {
	s := &m.steps[i]
	if s.satisfied || s.open > 0 || s.good == 0 && s.skipped == 0 {
		return
	}
	s.satisfied = true
	for _, n := range s.next {
		m.steps[n].blocked--
		if m.steps[n].blocked == 0 {
			m.fillReady(n)
		}
	}
}

func (m *Machine) openTurn(s *plan.Step, host string) {
	turn := m.turnOf(s, host)
	if turn.open {
		return
	}
	turn.open = true
	count(m.busy, turn.ring, host, 1)
	for _, service := range turn.down {
		count(m.down, service, host, 1)
	}
}

func (m *Machine) closeTurn(s *plan.Step, host string) {
	turn := m.turnOf(s, host)
	turn.left--
	if turn.left > 0 || !turn.open || turn.stuck {
		return
	}
	turn.open = false
	count(m.busy, turn.ring, host, -1)
	for _, service := range turn.down {
		count(m.down, service, host, -1)
	}
}

func count(in map[string]map[string]int, name, host string, by int) {
	if in[name] == nil {
		in[name] = map[string]int{}
	}
	in[name][host] += by
	if in[name][host] == 0 {
		delete(in[name], host)
	}
}
