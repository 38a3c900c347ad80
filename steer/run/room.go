package run

import "staunch/steer/plan"

// room is what is left of the rings' widths, the services' allowances and the hosts' attention while one decision is made.
type room struct {
	of   *Machine
	busy map[string]map[string]bool // ring to hosts taken by this decision
	down map[string]map[string]bool // service to hosts taken by this decision
	acts map[string]bool            // hosts that get an act by this decision: one at a time
}

func (m *Machine) newRoom() *room {
	r := &room{of: m, busy: map[string]map[string]bool{}, down: map[string]map[string]bool{}, acts: map[string]bool{}}
	for at := range m.active {
		s := &m.steps[at.step]
		switch s.targets[at.target].phase {
		case Doing, InDoubt, Undoing:
			r.acts[s.Targets[at.target].Host] = true
		}
	}
	return r
}

func (r *room) note(s *plan.Step, host string) {
	reserve(r.busy, s.Ring, host)
	for _, service := range s.Harm.Down {
		reserve(r.down, service, host)
	}
	r.acts[host] = true
}

func reserve(in map[string]map[string]bool, name, host string) {
	if in[name] == nil {
		in[name] = map[string]bool{}
	}
	in[name][host] = true
}

// take reserves the places that a host needs for a step, or says that there is none. A host in its turn has them already.
func (r *room) take(s *plan.Step, host string, inTurn bool) bool {
	if host != "" && r.acts[host] {
		return false
	}
	if !inTurn {
		if !fits(r.of.busy[s.Ring], r.busy[s.Ring], host, r.width(s.Ring)) {
			return false
		}
		for _, service := range s.Harm.Down {
			if !fits(r.of.down[service], r.down[service], host, r.allowed(service)) {
				return false
			}
		}
	}
	r.note(s, host)
	return true
}

// fits tells whether host is among those taken, or one more may be.
func fits(recorded map[string]int, taken map[string]bool, host string, limit int) bool {
	return recorded[host] > 0 || taken[host] || size(recorded, taken) < limit
}

func size(recorded map[string]int, taken map[string]bool) int {
	n := len(recorded)
	for host := range taken {
		if recorded[host] == 0 {
			n++
		}
	}
	return n
}

// full tells whether no further host can find room for this step, so that looking at its other targets is useless.
func (r *room) full(s *plan.Step) bool {
	if size(r.of.busy[s.Ring], r.busy[s.Ring]) >= r.width(s.Ring) {
		return true
	}
	for _, service := range s.Harm.Down {
		if size(r.of.down[service], r.down[service]) >= r.allowed(service) {
			return true
		}
	}
	return false
}

func (r *room) width(ring string) int {
	known, at := r.of.plan.RingOf(ring)
	if at < 0 {
		return 1
	}
	return max(known.Width, 1) // the pace's factor is in it already: what people read is what counts
}

func (r *room) allowed(service string) int {
	if s := r.of.plan.Service(service); s != nil {
		return s.MaxDown
	}
	return 1
}
