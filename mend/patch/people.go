package patch

import (
	"fmt"
	"slices"
	"time"

	"staunch/steer/plan"
)

const minute = time.Minute

// people writes a step for each thing that only a person can do, with owner and due time, and a proof of its own that holds up nobody.
func (m *maker) people() {
	var jobs []*job
	for i := range m.jobs {
		if m.jobs[i].way == person {
			jobs = append(jobs, &m.jobs[i])
		}
	}
	n := 0
	for _, g := range grouped(jobs, func(j *job) string { return m.owner(j.host, j.unit) + "\x00" + j.asks }) {
		n++
		first := g.jobs[0]
		owner := m.owner(first.host, first.unit)
		s := plan.Step{
			ID: fmt.Sprintf("person-%d", n), Kind: plan.Person, Says: first.asks, Targets: g.hosts, Votes: 1, Tries: 1, DeadlineMS: ms(10 * minute),
			Task: &plan.Task{Owner: owner, Asks: first.asks + "; done when a fresh look shows it gone", Due: m.due()},
			Undo: plan.Undo{Kind: plan.ByPerson, Says: "as that person sees fit"}, Proves: []plan.Predicate{{Kind: plan.Confirmed}},
			Public: slices.ContainsFunc(g.jobs, func(j *job) bool { return j.public }),
		}
		m.put(s)
		gate := m.gate(fmt.Sprintf("clean-person-%d", n), "", []string{s.ID}, 0)
		gate.Says, gate.Targets, gate.Public = "a fresh look shows that it is gone", g.hosts, s.Public
		for _, a := range m.Advisories {
			gate.Proves = append(gate.Proves, plan.Predicate{Kind: plan.Clean, Advisory: a, Unit: first.unit})
		}
		m.put(gate)
	}
}
