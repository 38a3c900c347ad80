package patch

import (
	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/steer/plan"
)

// uncovered writes what happens to hosts that staunch cannot look into and that people chose: somebody brings fixed code there, the
// host's named hook restarts it, and strangers' eyes look at its endpoints afterwards. Nothing else ever restarts such a host.
func (m *maker) uncovered() error {
	for _, name := range m.Choices.Uncovered {
		h, known := m.Fleet.Host(name)
		switch {
		case !known:
			return fault.New(fault.NotFound, "no host is called %q", name)
		case h.NotCovered() == "":
			return fault.New(fault.Usage, "%s is covered: its units are restarted, not the host by a hook", name)
		case h.Hook == "":
			return fault.New(fault.Usage, "%s has no restart_hook: nothing here can restart it", name).Hinted("name one in staunch.yaml, or restart it by hand")
		}
		m.byHook(h)
	}
	return nil
}

// byHook is one such host.
func (m *maker) byHook(h fleet.Host) {
	id := plain(h.Name)
	with, on := &act.HookWith{Name: h.Hook}, h
	if h.HookOn != "" {
		with.Params = map[string]string{"HOST": h.Name}
		on, _ = m.Fleet.Host(h.HookOn) // the inventory was refused if there is none
	}
	mended := plan.Step{
		ID: "mend-" + id, Kind: plan.Person, Targets: []plan.Target{{Host: h.Name}}, Says: "bring fixed code onto " + h.Name + ": " + h.NotCovered(), Votes: 1, Tries: 1, DeadlineMS: ms(10 * minute),
		Task: &plan.Task{Owner: m.owner(h.Name, ""), Asks: "bring fixed code onto " + h.Name + "; its hook restarts it then", Due: m.due()},
		Undo: plan.Undo{Kind: plan.ByPerson, Says: "as that person sees fit"}, Proves: []plan.Predicate{{Kind: plan.Confirmed}},
	}
	m.put(mended)
	s := m.step("restart-"+id, on.Ring, act.Hook, with, []plan.Target{{Host: on.Name}}, append([]string{mended.ID}, m.earlier(on.Ring)...))
	s.Says = "restart " + h.Name + " by the hook " + h.Hook + " of " + on.Name
	s.Proves = []plan.Predicate{{Kind: plan.Reachable}}
	s.Harm = plan.Harm{Says: h.Name + " is away for a moment"}
	for _, service := range m.on[h.Name] {
		insert(&s.Harm.Down, service.Name)
	}
	s.Undo = plan.Undo{Kind: plan.NoUndo, Says: "a restart leaves nothing to go back to"}
	m.put(s)
	m.outsideOf(h, on.Ring, []string{s.ID})
}

// earlier lists the steps of all rings before this one.
func (m *maker) earlier(ring string) []string {
	at, _ := m.Fleet.Ring(ring)
	var ids []string
	for _, s := range m.plan.Steps {
		if r, known := m.Fleet.Ring(s.Ring); known && s.Ring != "" && r.Order < at.Order {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// outsideOf asks strangers' eyes for the endpoints of one host, where a probe can see the advisory.
func (m *maker) outsideOf(h fleet.Host, ring string, after []string) {
	for _, a := range m.Advisories {
		if m.Probed == nil || !m.Probed(a) {
			continue
		}
		for _, e := range m.Fleet.EndpointsOf(h) {
			s := m.gate("outside-"+plain(h.Name)+"-"+plain(e.Name)+"-"+plain(a), ring, after, 0)
			s.Says, s.Public = "a probe of "+e.Name+" from outside finds nothing", e.Public
			s.Targets = []plan.Target{{Endpoint: e.Name}}
			s.Proves = []plan.Predicate{{Kind: plan.NotVulnerable, Advisory: a}}
			m.put(s)
		}
	}
}
