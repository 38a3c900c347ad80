package patch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/steer/plan"
)

// units writes what happens to the units of one side (public or not) of a ring: off first, for it makes safer at once; then, replicas
// before their primaries, restarts with drain and undrain around them.
func (m *maker) units(ring string, jobs []*job, public bool, before []string, installed map[string][]string) []string {
	side := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.public != public })
	var ended []string
	for _, g := range grouped(side, func(j *job) string { return keyOf(j, off) }) {
		ended = append(ended, m.switchOff(ring, g, public))
	}
	for _, g := range grouped(side, func(j *job) string { return keyOf(j, mitigate) }) {
		ended = append(ended, m.mitigate(ring, g, public, before))
	}
	for _, g := range grouped(side, func(j *job) string { return keyOf(j, reboot) }) {
		ended = append(ended, m.reboot(ring, g, public, before, installed)...)
	}
	restarts := grouped(side, m.restartKey)
	slices.SortStableFunc(restarts, func(a, b *group) int { return cmp.Compare(m.primary(a), m.primary(b)) })
	wait := before
	for i, g := range restarts {
		if i > 0 && m.primary(g) > m.primary(restarts[i-1]) {
			wait = slices.Concat(before, ended) // a primary comes after its replicas
		}
		ended = append(ended, m.restart(ring, g, public, wait, installed))
	}
	return ended
}

func keyOf(j *job, w way) string {
	if j.way == w {
		return j.unit
	}
	return ""
}

// nameOf is what the ids of a group's steps end with.
func nameOf(ring string, g *group, public bool) string {
	if public {
		return ring + "-public-" + plain(g.unit)
	}
	return ring + "-" + plain(g.unit)
}

// restartKey puts the same unit of the same service together: a replica is another service than its primary.
func (m *maker) restartKey(j *job) string {
	if j.way != again && j.way != upgrade && j.way != install {
		return ""
	}
	key := j.unit
	if s := m.service(j.host, j.unit); s != nil {
		key += " of " + s.Name
	}
	return key
}

// primary is 1 for units of a service that has replicas elsewhere, so that they sort behind everything else.
func (m *maker) primary(g *group) int {
	s := m.service(g.jobs[0].host, g.unit)
	if s == nil || s.Replica {
		return 0
	}
	for _, other := range m.Fleet.Services {
		if other.Replica && slices.Contains(other.Units, g.unit) {
			return 1
		}
	}
	return 0
}

// service is the service that a unit belongs to on a host, or nil.
func (m *maker) service(host, unit string) *fleet.Service {
	for _, s := range m.on[host] {
		if slices.Contains(s.Units, unit) {
			return s
		}
	}
	return nil
}

// twice tells whether several services are made of this unit, so that its name alone does not name a step.
func (m *maker) twice(unit string) bool {
	n := 0
	for _, s := range m.Fleet.Services {
		if slices.Contains(s.Units, unit) {
			n++
		}
	}
	return n > 1
}

// down lists every service that is down on the group's hosts while the unit restarts.
func (m *maker) down(g *group) []string {
	var names []string
	for _, t := range g.hosts {
		for _, s := range m.on[t.Host] {
			if slices.Contains(s.Units, g.unit) {
				insert(&names, s.Name)
			}
		}
	}
	return names
}

// waits is what the group's hosts need installed: the same hosts each on their own where possible, else all of them.
func waits(s *plan.Step, g *group, installed map[string][]string) {
	counts := map[string]int{}
	var order []string
	for _, t := range g.hosts {
		for _, id := range installed[t.Host] {
			if counts[id]++; counts[id] == 1 {
				order = append(order, id)
			}
		}
	}
	for _, id := range order {
		if counts[id] == len(g.hosts) {
			s.Each = append(s.Each, id)
		} else {
			s.After = append(s.After, id)
		}
	}
}

// restart writes the turn of one unit: drain, restart (or reload, or hook), undrain. It returns the last step's id.
func (m *maker) restart(ring string, g *group, public bool, before []string, installed map[string][]string) string {
	service := m.service(g.jobs[0].host, g.unit)
	how, hook, says := manner(g.unit, service)
	name := nameOf(ring, g, public)
	if service != nil && m.twice(g.unit) {
		name += "-" + plain(service.Name)
	}
	s := m.restartStep(how, hook, m.free(name), ring, g)
	s.Says = strings.TrimSpace(how + " " + g.unit)
	if says != "" {
		s.Says += ": " + says
	}
	s.After, s.Public = slices.Clone(before), public
	s.Harm = plan.Harm{Says: g.unit + " is away for a moment", Down: m.down(g)}
	s.Proves = m.restartProofs(g, how, service)
	s.DeadlineMS = max(s.DeadlineMS, ms(careOf(g.unit).Deadline))
	s.Undo = plan.Undo{Kind: plan.Hold, Says: "the host stays out of service and a person looks: going back would bring back affected code"}
	waits(&s, g, installed)
	if service == nil || service.Drain == "" || service.Undrain == "" {
		m.put(s)
	} else {
		s.ID = m.turn(s, service, g)
	}
	if service != nil && service.Replica && service.Follows == "" {
		return m.followed(s, service, g)
	}
	return s.ID
}

// followed asks a person whether replicas follow their primary again, where no hook can tell: the primary waits for the answer.
func (m *maker) followed(restart plan.Step, service *fleet.Service, g *group) string {
	asks := "look whether " + service.Name + " follows its primary on " + strings.Join(slices.Sorted(maps.Keys(g.named)), ", ")
	s := plan.Step{
		ID: "follows-" + strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(restart.ID, "restart-"), "reload-"), "undrain-"), Kind: plan.Person, Says: asks, Ring: restart.Ring,
		Targets: g.hosts, After: []string{restart.ID}, Votes: restart.Votes, Tries: 1, DeadlineMS: ms(10 * minute), Public: restart.Public,
		Task: &plan.Task{Owner: m.owner(g.jobs[0].host, g.unit), Asks: asks + "; a hook named in follows: would tell", Due: m.due()},
		Undo: plan.Undo{Kind: plan.ByPerson, Says: "as that person sees fit"}, Proves: []plan.Predicate{{Kind: plan.Confirmed}},
	}
	m.put(s)
	return s.ID
}

// free makes a name that no restart has yet: the same unit may belong to a service on some hosts and to none on others.
func (m *maker) free(name string) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(m.plan.Steps, func(s plan.Step) bool { return s.ID == "restart-"+name || s.ID == "reload-"+name })
	}
	for n, try := 2, name; ; n++ {
		if !taken(try) {
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

func (m *maker) restartStep(how, hook, name, ring string, g *group) plan.Step {
	units := &act.UnitsWith{Units: []string{g.unit}}
	for _, j := range g.jobs {
		for _, o := range j.objects {
			insert(&units.Gone, o)
		}
	}
	targets := make([]plan.Target, len(g.hosts))
	for i, t := range g.hosts {
		targets[i] = plan.Target{Host: t.Host, Unit: g.unit}
	}
	switch {
	case how == "hook" && hook != "":
		return m.step("restart-"+name, ring, act.Hook, &act.HookWith{Name: hook, Params: map[string]string{"UNIT": g.unit}}, targets, nil)
	case how == "reload":
		units.Gone = nil // old workers may finish their connections first: that they are gone is a proof, with its own deadline
		return m.step("reload-"+name, ring, act.Reload, units, targets, nil)
	}
	return m.step("restart-"+name, ring, act.Restart, units, targets, nil)
}

// restartProofs: it runs, maps nothing old, old workers are gone where the program keeps them, its service is well.
func (m *maker) restartProofs(g *group, how string, service *fleet.Service) []plan.Predicate {
	proofs := []plan.Predicate{{Kind: plan.Running}}
	var objects []string
	for _, j := range g.jobs {
		for _, o := range j.objects {
			insert(&objects, o)
		}
	}
	for _, o := range objects {
		proofs = append(proofs, plan.Predicate{Kind: plan.UnitMapsNew, Object: o})
	}
	for _, f := range workers(g.unit, how, len(objects) > 0) {
		proofs = append(proofs, plan.Predicate{Kind: f})
	}
	if service != nil && service.Health != nil {
		proofs = append(proofs, plan.Predicate{Kind: plan.Healthy, Service: service.Name})
	}
	if service != nil && service.Replica && service.Follows != "" {
		proofs = append(proofs, plan.Predicate{Kind: plan.Replicated, Service: service.Name})
	}
	return proofs
}

// workers says what must hold of a unit's processes beyond "maps nothing old". A reload that executes the binary anew keeps the age of the
// main process, so there only the mappings prove anything; without a known object only the age does.
func workers(unit, how string, objects bool) []plan.Fact {
	switch {
	case how == "reload" && objects:
		return nil
	case !objects:
		return []plan.Fact{plan.OldWorkersGone}
	}
	return careOf(unit).Proves
}

// turn puts a drain before and an undrain after a restart: the host goes through them in one go.
func (m *maker) turn(s plan.Step, service *fleet.Service, g *group) string {
	name := strings.TrimPrefix(strings.TrimPrefix(s.ID, "restart-"), "reload-")
	drain := m.step("drain-"+name, s.Ring, act.Drain, &act.DrainWith{Service: service.Name, Hook: service.Drain}, s.Targets, s.After)
	drain.Says, drain.Each = "take the host out of "+service.Name, s.Each
	drain.Proves = []plan.Predicate{{Kind: plan.Drained, Service: service.Name}}
	drain.Undo = plan.Undo{Kind: plan.ByPerson, Says: "put it back by hand: " + service.Undrain}
	undrain := m.step("undrain-"+name, s.Ring, act.Undrain, &act.DrainWith{Service: service.Name, Hook: service.Undrain}, s.Targets, nil)
	undrain.Says, undrain.Each = "put the host back into "+service.Name, []string{s.ID}
	undrain.Proves = []plan.Predicate{{Kind: plan.Undrained, Service: service.Name}}
	if service.Health != nil {
		undrain.Proves = append(undrain.Proves, plan.Predicate{Kind: plan.Healthy, Service: service.Name})
	}
	undrain.Undo = plan.Undo{Kind: plan.Hold, Says: "the host stays out of service until a person looks"}
	s.After, s.Each = nil, []string{drain.ID}
	for _, step := range []*plan.Step{&drain, &s, &undrain} {
		step.Turn, step.Harm, step.Public = name, s.Harm, s.Public
	}
	m.plan.Steps = append(m.plan.Steps, drain, s, undrain)
	return undrain.ID
}

// switchOff stops and masks a unit until a fixed version exists. It makes safer, so it waits for nobody.
func (m *maker) switchOff(ring string, g *group, public bool) string {
	with := &act.UnitsWith{Units: []string{g.unit}}
	targets := make([]plan.Target, len(g.hosts))
	for i, t := range g.hosts {
		targets[i] = plan.Target{Host: t.Host, Unit: g.unit}
		m.plan.Watches = append(m.plan.Watches, plan.Watch{
			What: g.unit + " is off until a fixed version exists", Host: t.Host, Contact: m.vendor(t.Host, g.unit) + ", asked by " + m.owner(t.Host, g.unit), Since: m.Now, Due: m.due(),
		})
	}
	masked, byHand := m.split(targets)
	stop := m.step("stop-"+nameOf(ring, g, public), ring, act.Stop, with, targets, nil)
	mask := m.step("mask-"+nameOf(ring, g, public), ring, act.Mask, with, masked, nil)
	mask.Each = []string{stop.ID}
	for _, s := range []*plan.Step{&stop, &mask} {
		s.Safer, s.Votes, s.Public = true, 1, public
		s.Proves = []plan.Predicate{{Kind: plan.Stopped}}
		s.Harm = plan.Harm{Says: g.unit + " is switched off for good"}
		s.Undo = plan.Undo{Kind: plan.ByPerson, Says: "unmask and start it by hand once a fixed version is installed"}
	}
	stop.Says, mask.Says = "switch "+g.unit+" off: there is no fixed version yet", "keep "+g.unit+" from starting"
	stop.Proves = []plan.Predicate{{Kind: plan.Clean, Advisory: m.Advisories[0], Unit: g.unit}}
	m.put(stop)
	for _, t := range byHand {
		m.keepOff(stop, t)
	}
	if len(masked) == 0 {
		return stop.ID
	}
	m.put(mask)
	return mask.ID
}

// split parts the targets whose unit can be masked from those where the host says that it cannot.
func (m *maker) split(targets []plan.Target) (masked, byHand []plan.Target) {
	for _, t := range targets {
		if m.NoMask != nil && m.NoMask(t.Host, t.Unit) != "" {
			byHand = append(byHand, t)
		} else {
			masked = append(masked, t)
		}
	}
	return masked, byHand
}

// keepOff asks a person to see to it that a unit stays off where it cannot be masked: it was stopped already, and holds up nobody.
func (m *maker) keepOff(stop plan.Step, t plan.Target) {
	owner, name := m.owner(t.Host, t.Unit), strings.TrimPrefix(stop.ID, "stop-")+"-"+plain(t.Host)
	asks := "keep " + t.Unit + " from starting again on " + t.Host + " (systemctl disable, or take its file away): " + m.NoMask(t.Host, t.Unit)
	s := plan.Step{
		ID: "keep-off-" + name, Kind: plan.Person, Says: asks, Targets: []plan.Target{t}, After: []string{stop.ID}, Votes: 1, Tries: 1, DeadlineMS: ms(10 * minute),
		Task: &plan.Task{Owner: owner, Asks: asks, Due: m.due()}, Undo: plan.Undo{Kind: plan.ByPerson, Says: "as that person sees fit"}, Proves: []plan.Predicate{{Kind: plan.Confirmed}}, Public: stop.Public,
	}
	m.put(s)
	gate := m.gate("off-"+name, "", []string{s.ID}, 0)
	gate.Says, gate.Targets, gate.Public = t.Unit+" does not run", []plan.Target{t}, stop.Public
	gate.Proves = []plan.Predicate{{Kind: plan.Stopped}}
	m.put(gate)
}

func (m *maker) mitigate(ring string, g *group, public bool, before []string) string {
	way := m.Choices.Mitigate[g.unit]
	targets := make([]plan.Target, len(g.hosts))
	for i, t := range g.hosts {
		targets[i] = plan.Target{Host: t.Host, Unit: g.unit}
		m.plan.Watches = append(m.plan.Watches, plan.Watch{What: g.unit + " only has a mitigation (" + way.Hook + "), the affected code still runs", Host: t.Host, Contact: m.vendor(t.Host, g.unit) + ", asked by " + m.owner(t.Host, g.unit), Since: m.Now, Due: m.due()})
	}
	s := m.step("mitigate-"+nameOf(ring, g, public), ring, act.Hook, &act.HookWith{Name: way.Hook, Params: way.Params}, targets, before)
	s.Says, s.Public = cmp.Or(way.Says, "mitigate "+g.unit+" by the host's hook "+way.Hook), public
	s.Proves = []plan.Predicate{{Kind: plan.Running}}
	s.Harm = plan.Harm{Down: m.down(g)}
	s.Undo = plan.Undo{Kind: plan.ByPerson, Says: "run the hook " + way.Hook + fmt.Sprintf(" with %v", way.Undo)}
	m.put(s)
	return s.ID
}

// reboot reboots hosts one boot at a time; each host is a step of its own because the boot that ends is named.
func (m *maker) reboot(ring string, g *group, public bool, before []string, installed map[string][]string) []string {
	var ids []string
	for _, j := range g.jobs {
		id := "reboot-" + plain(j.host)
		if slices.ContainsFunc(m.plan.Steps, func(s plan.Step) bool { return s.ID == id }) {
			continue
		}
		s := m.step(id, ring, act.Reboot, &act.RebootWith{BootID: j.bootID}, []plan.Target{{Host: j.host}}, before)
		s.Says, s.Public = "reboot "+j.host+": "+j.unit+" must not be restarted casually", public
		s.After = append(s.After, installed[j.host]...)
		s.Proves = []plan.Predicate{{Kind: plan.Booted}, {Kind: plan.Reachable}}
		for _, service := range m.on[j.host] {
			insert(&s.Harm.Down, service.Name)
		}
		s.Undo = plan.Undo{Kind: plan.NoUndo, Says: "a reboot cannot be undone"}
		s.DeadlineMS = ms(15 * minute)
		m.put(s)
		ids = append(ids, id)
	}
	return ids
}
