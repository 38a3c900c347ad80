package patch

import (
	"slices"
	"strings"
	"time"

	"staunch/reach/fleet"
	"staunch/steer/plan"
)

// gates close a ring: a fresh look shows nothing affected any more, and it stays so for the soak time. Where a part of the ring waits
// for people, only the units that were changed are held to it: people's work must not stop the fleet's.
func (m *maker) gates(ring string, jobs []*job, after []string) []string {
	if m.partly(ring) {
		return m.byUnit(ring, "", jobs, after, m.plan.Pace.SoakMS)
	}
	s := m.gate("clean-"+ring, ring, after, m.plan.Pace.SoakMS)
	s.Says = "a fresh look shows nothing affected on the hosts of ring " + ring
	for _, g := range grouped(jobs, func(j *job) string { return j.host }) {
		s.Targets = append(s.Targets, g.hosts...)
		s.Public = s.Public || g.jobs[0].public
	}
	for _, a := range m.Advisories {
		s.Proves = append(s.Proves, plan.Predicate{Kind: plan.Clean, Advisory: a})
	}
	m.put(s)
	return []string{s.ID}
}

// partly tells whether a ring holds units that this plan does not make clean by itself.
func (m *maker) partly(ring string) bool {
	inRing := func(host string) bool {
		h, known := m.Fleet.Host(host)
		return known && h.Ring == ring
	}
	return slices.ContainsFunc(m.jobs, func(j job) bool { return j.ring == ring && (j.way == person || j.way == mitigate) }) ||
		slices.ContainsFunc(m.plan.Unseen, func(u plan.Unseen) bool { return inRing(u.Host) && strings.HasPrefix(u.Why, "cannot be judged") })
}

// byUnit writes one gate per unit.
func (m *maker) byUnit(ring, part string, jobs []*job, after []string, soak int64) []string {
	var ids []string
	for _, g := range grouped(jobs, func(j *job) string { return j.unit }) {
		id := "clean-" + ring
		if part != "" {
			id += "-" + part
		}
		s := m.gate(id+"-"+plain(g.unit), ring, after, soak)
		s.Says, s.Targets = g.unit+" runs nothing affected any more", g.hosts
		for _, a := range m.Advisories {
			if g.jobs[0].way == mitigate {
				s.Says, s.Proves = g.unit+" runs with its mitigation", []plan.Predicate{{Kind: plan.Reachable}}
				break
			}
			s.Proves = append(s.Proves, plan.Predicate{Kind: plan.Clean, Advisory: a, Unit: g.unit})
		}
		s.Public = slices.ContainsFunc(g.jobs, func(j *job) bool { return j.public })
		m.put(s)
		ids = append(ids, s.ID)
	}
	if len(ids) == 0 {
		return after
	}
	return ids
}

func (m *maker) gate(id, ring string, after []string, soak int64) plan.Step {
	return plan.Step{
		ID: id, Kind: plan.Gate, Ring: ring, After: slices.Clone(after), Votes: 1, Tries: 1, DeadlineMS: ms(10*time.Minute) + soak, SoakMS: soak,
		Undo: plan.Undo{Kind: plan.Hold, Says: "nothing was changed here"},
	}
}

// plain makes a unit's name fit into a step's id.
func plain(unit string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, strings.TrimSuffix(unit, ".service"))
}

// outside asks strangers' eyes once the last host behind an endpoint is done: the same eyes that found the problem.
func (m *maker) outside(ring string, after []string) {
	if m.Probed == nil {
		return
	}
	for _, a := range m.Advisories {
		if !m.Probed(a) {
			continue
		}
		for _, e := range m.Fleet.Endpoints {
			if !m.lastRing(e, ring) {
				continue
			}
			s := m.gate("outside-"+plain(e.Name)+"-"+plain(a), ring, after, 0)
			s.Says, s.Public = "a probe of "+e.Name+" from outside finds nothing", e.Public
			s.Targets = []plan.Target{{Endpoint: e.Name}}
			s.Proves = []plan.Predicate{{Kind: plan.NotVulnerable, Advisory: a}}
			m.put(s)
		}
	}
}

// lastRing tells whether this ring is the last one with a host of the endpoint's service that the plan changes.
func (m *maker) lastRing(e fleet.Endpoint, ring string) bool {
	s, err := m.Fleet.Service(e.Service)
	if err != nil {
		return false
	}
	last := ""
	for _, r := range m.plan.Rings {
		if slices.ContainsFunc(m.jobs, func(j job) bool { return j.ring == r.Name && j.way != person && slices.Contains(s.Hosts, j.host) }) {
			last = r.Name
		}
	}
	return last == ring
}
