// Package patch turns verdicts about a fleet into a plan: what to upgrade, restart, switch off or hand to a person, in rings, with proof.
package patch

import (
	"cmp"
	"slices"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/see/verdict"
	"staunch/steer/plan"
)

// Wish is everything that a plan is made from. Plan is pure: the same wish gives the same plan.
type Wish struct {
	ID         string // of the plan: "7.1"
	Incident   string
	Parent     string // id of the plan that this one replaces
	ParentHash string
	Title      string
	Advisories []string // ids; what "clean" means
	Urgency    plan.Urgency
	MadeBy     string
	Now        time.Time
	Life       time.Duration // until the plan expires; 0: 7 days
	// Soak overrides how long each ring is watched; the plan says so. Nil: what the urgency says.
	Soak      *time.Duration
	NotBefore time.Time
	Delay     time.Duration // after the vote of one person alone
	Fleet     *fleet.Fleet
	Hosts     []Host
	// Owner does what no service's owner does.
	Owner string
	// Version names the version to install where the first good one is not what the host can get; nil or "" takes the first good one.
	Version func(host, pkg, atLeast string) string
	Choices Choices
	// NoMask says why a unit cannot be masked on a host, as the host itself says, or ""; nil: every unit can.
	NoMask func(host, unit string) string
	// Probed tells whether a probe from outside can see an advisory; nil: none.
	Probed func(advisory string) bool
}

// Host is what is known of one host.
type Host struct {
	Name   string
	Doc    *verdict.Document // nil: nothing fresh is known
	Silent string            // why nothing is known
}

// Choices are what people decided where several ways lead on.
type Choices struct {
	Off      []string              // units to switch off until a fixed version exists
	Built    map[string]Built      // binary package to a library that was built elsewhere: installed instead of upgrading
	Mitigate map[string]Mitigation // unit to a configuration change that takes the danger away until a fixed version exists
	Waivers  []plan.Waiver
	Reboot   bool // reboot hosts whose affected units must not be restarted casually, instead of asking a person
	// Uncovered names hosts that are not covered and that a person mends by hand: their named hook restarts them then.
	Uncovered []string
}

// Built is a library built from pinned source on one build host: its payload is known by content before anybody votes.
type Built struct {
	SHA256 string   // of the file
	Object string   // scan's object id of the file
	Path   string   // where it goes
	Links  []string // names beside it that lead to it
	Recipe string   // how it was built, for the voters
	Arch   string   // as uname -m says; "": any
}

// Mitigation is a host-side hook.
type Mitigation struct {
	Hook   string
	Params map[string]string
	Undo   map[string]string // parameters that take it back
	Says   string
}

// Plan makes the plan and the world that its lint needs. It errs on a wish that cannot be planned; a plan with nothing to do is NotFound.
func Plan(w Wish) (plan.Plan, plan.World, error) {
	if err := w.check(); err != nil {
		return plan.Plan{}, plan.World{}, err
	}
	pace, err := plan.PaceOf(w.Urgency)
	if err != nil {
		return plan.Plan{}, plan.World{}, err
	}
	if w.Soak != nil {
		pace.Watch(*w.Soak)
	}
	m := &maker{Wish: w, plan: plan.Plan{
		ID: w.ID, Incident: w.Incident, Parent: w.Parent, ParentHash: w.ParentHash, Title: w.Title, Advisories: slices.Clone(w.Advisories),
		Made: w.Now, MadeBy: w.MadeBy, Expires: w.Now.Add(cmp.Or(w.Life, 7*24*time.Hour)), NotBefore: w.NotBefore, DelayMS: ms(w.Delay), Pace: pace, Waivers: w.Choices.Waivers,
	}}
	m.rings()
	m.services()
	m.collect()
	if err := m.unheard(); err != nil {
		return plan.Plan{}, plan.World{}, err
	}
	m.build()
	if err := m.uncovered(); err != nil {
		return plan.Plan{}, plan.World{}, err
	}
	world := WorldOf(w.Fleet, w.Now)
	if len(m.plan.Steps) == 0 {
		return m.plan, world, fault.New(fault.NotFound, "nothing that is known needs a change (%d of %d hosts seen)", len(w.Hosts)-len(m.plan.Unseen), len(w.Fleet.Hosts))
	}
	return m.plan, world, nil
}

func (w *Wish) check() error {
	switch {
	case w.Fleet == nil || len(w.Fleet.Hosts) == 0:
		return fault.New(fault.Usage, "no fleet to plan for").Hinted("name hosts in staunch.yaml")
	case len(w.Advisories) == 0:
		return fault.New(fault.Usage, "a patch plan needs to know what is to be patched")
	case w.Now.IsZero():
		return fault.New(fault.Bug, "a plan without a time")
	}
	known := make(map[string]bool, len(w.Fleet.Hosts))
	for _, h := range w.Fleet.Hosts {
		known[h.Name] = true
	}
	for _, h := range w.Hosts {
		if !known[h.Name] {
			return fault.New(fault.NotFound, "host %s is not in the fleet", h.Name).Hinted("was it renamed?")
		}
	}
	return nil
}

// WorldOf is what the lint holds a plan against, from the inventory alone.
func WorldOf(f *fleet.Fleet, now time.Time) plan.World {
	w := plan.World{Now: now, Rings: map[string]string{}, Services: map[string]plan.KnownService{}, Endpoints: map[string][]string{}}
	for _, h := range f.Hosts {
		w.Rings[h.Name] = h.Ring
	}
	for _, s := range f.Services {
		w.Services[s.Name] = plan.KnownService{Units: s.Units, Hosts: s.Hosts, MaxDown: s.MaxDown.Of(len(s.Hosts))}
	}
	return w
}

// maker builds one plan.
type maker struct {
	Wish
	plan  plan.Plan
	jobs  []job // in the fleet's order of hosts
	asked map[string]bool
	on    map[string][]*fleet.Service // by host
}

// rings copies the fleet's rings in their order; the pace may widen them.
func (m *maker) rings() {
	rings := slices.Clone(m.Fleet.Rings)
	slices.SortStableFunc(rings, func(a, b fleet.Ring) int { return cmp.Compare(a.Order, b.Order) })
	for _, r := range rings {
		n := len(m.Fleet.InRing(r.Name))
		width := min(max(1, r.Width.Of(max(n, 1))*m.plan.Pace.WidthFactor), max(n, 1))
		m.plan.Rings = append(m.plan.Rings, plan.Ring{Name: r.Name, Width: width, Quorum: max(1, r.Quorum)})
	}
}

// services copies the limits that hold over all steps.
func (m *maker) services() {
	m.on = map[string][]*fleet.Service{}
	for i := range m.Fleet.Services {
		s := &m.Fleet.Services[i]
		for _, host := range s.Hosts {
			m.on[host] = append(m.on[host], s)
		}
		if len(s.Hosts) > 0 {
			m.plan.Services = append(m.plan.Services, plan.Service{Name: s.Name, Units: s.Units, MaxDown: s.MaxDown.Of(len(s.Hosts)), Hosts: len(s.Hosts), Public: s.Public})
		}
	}
}

func (m *maker) quorum(ring string) int {
	r, _ := m.plan.RingOf(ring)
	return max(1, r.Quorum)
}

// owner is who answers for a unit on a host.
func (m *maker) owner(host, unit string) string {
	for _, s := range m.on[host] {
		if s.Owner != "" && slices.Contains(s.Units, unit) {
			return s.Owner
		}
	}
	return cmp.Or(m.Owner, "on-call")
}

// vendor is whom to ask for a fixed version of a unit.
func (m *maker) vendor(host, unit string) string {
	if s := m.service(host, unit); s != nil && s.Vendor != "" {
		return s.Vendor
	}
	return "the vendor of " + unit
}

// due is when a person must have done a task.
func (m *maker) due() time.Time {
	switch m.plan.Pace.Urgency {
	case plan.Now:
		return m.Now.Add(2 * time.Hour)
	case plan.Week:
		return m.Now.Add(5 * 24 * time.Hour)
	}
	return m.Now.Add(12 * time.Hour)
}
