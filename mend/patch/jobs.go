package patch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/see/verdict"
	"staunch/steer/plan"
)

// way is how one unit on one host is cured.
type way string

const (
	upgrade  way = "upgrade"  // packages, then restart
	install  way = "install"  // a library built elsewhere, then restart
	again    way = "restart"  // the disk is good already
	off      way = "off"      // stop and mask until a fix exists
	mitigate way = "mitigate" // a hook takes the danger away until a fixed version exists
	person   way = "person"   // rebuild, image, vendor, delicate restart
	reboot   way = "reboot"
)

// job is one unit (or process without one) on one host, with everything that has to happen to it.
type job struct {
	host, ring, unit string
	process          string
	way              way
	public           bool
	packages         []act.Package
	libraries        []Built
	objects          []string // mapped now, must be gone afterwards
	advisories       []string
	asks             string // for a person
	bootID           string
	arch             string
	wants            []string // what asks is made of
}

// collect turns findings into jobs, and everything that is not known into the plan's unseen.
func (m *maker) collect() {
	m.asked = map[string]bool{}
	for _, a := range m.Advisories {
		m.asked[strings.ToUpper(a)] = true
	}
	told := map[string]Host{}
	for _, h := range m.Hosts {
		told[h.Name] = h
	}
	for _, h := range m.Fleet.Hosts {
		t := told[h.Name]
		switch {
		case h.NotCovered() != "":
			m.unseen(h.Name, h.NotCovered()+"; "+h.RestartedBy())
		case m.waived(h.Name) != nil:
			w := m.waived(h.Name)
			m.unseen(h.Name, fmt.Sprintf("left alone: %s signed that it may stay vulnerable until %s: %s", w.By, w.Until.UTC().Format("2006-01-02 15:04Z"), w.Reason))
			m.plan.Watches = append(m.plan.Watches, plan.Watch{What: "the waiver of " + w.By + " ends", Host: h.Name, Contact: w.By, Since: m.Now, Due: w.Until})
		case t.Doc == nil:
			why := t.Silent
			if why == "" {
				why = "nothing fresh is known of it"
			}
			m.unseen(h.Name, why)
		default:
			m.hostJobs(h.Name, h.Ring, t.Doc)
		}
	}
}

// waived is the signed word by which a host is left alone for every advisory of the plan, or nil.
func (m *maker) waived(host string) *plan.Waiver {
	var found *plan.Waiver
	for _, a := range m.Advisories {
		at := slices.IndexFunc(m.Choices.Waivers, func(w plan.Waiver) bool {
			return w.Host == host && strings.EqualFold(w.Advisory, a) && w.Step == "" && w.Until.After(m.Now)
		})
		if at < 0 {
			return nil
		}
		found = &m.Choices.Waivers[at]
	}
	return found
}

func (m *maker) unseen(host, why string) {
	m.plan.Unseen = append(m.plan.Unseen, plan.Unseen{Host: host, Why: why})
}

func (m *maker) wanted(f verdict.Finding) bool {
	if m.asked[strings.ToUpper(f.Advisory)] {
		return true
	}
	return slices.ContainsFunc(f.Aliases, func(a string) bool { return m.asked[strings.ToUpper(a)] })
}

// hostJobs makes the jobs of one host. What a restart settles is restarted also where nothing is proven; other unknowns are named.
func (m *maker) hostJobs(host, ring string, doc *verdict.Document) {
	var unknown []string
	at := map[string]int{}
	for _, f := range doc.Findings {
		if !m.wanted(f) {
			continue
		}
		switch {
		case f.Bad(), f.State == verdict.Unknown && (f.Fix.Kind == verdict.FixRestart || m.chosen(f.Unit)):
		case f.State == verdict.Unknown:
			unknown = append(unknown, name(f))
			continue
		default:
			continue // dormant ones are cured by the upgrade of the library, or named by the scan; fixed and not affected need nothing
		}
		key := f.Unit
		if f.Unit == "" || f.Fix.Restart == "process" {
			key = f.Process + "\x00" + f.Path
		}
		i, known := at[key]
		if !known {
			i = len(m.jobs)
			at[key] = i
			m.jobs = append(m.jobs, job{host: host, ring: ring, unit: f.Unit, process: f.Process, bootID: doc.Machine.BootID, arch: doc.Machine.Arch})
		}
		m.add(&m.jobs[i], f)
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		m.unseen(host, "cannot be judged: "+strings.Join(slices.Compact(unknown), ", "))
	}
	for _, u := range doc.Unseen {
		m.unseen(host, "process not seen: "+u.Name+": "+u.Reason)
	}
}

// chosen tells whether people decided about a unit themselves: then it need not be proven affected.
func (m *maker) chosen(unit string) bool {
	_, mitigated := m.Choices.Mitigate[unit]
	return unit != "" && (mitigated || slices.Contains(m.Choices.Off, unit))
}

// unheard names choices about which the plan does nothing: a name that is mistyped must not look like a decision that was followed.
func (m *maker) unheard() error {
	for _, unit := range slices.Sorted(maps.Keys(m.Choices.Mitigate)) {
		if !m.does(unit, mitigate) {
			return fault.New(fault.NotFound, "no process of unit %s is affected or unknown: there is nothing to mitigate", unit)
		}
	}
	for _, unit := range m.Choices.Off {
		if !m.does(unit, off) {
			return fault.New(fault.NotFound, "no process of unit %s is affected or unknown: there is nothing to switch off", unit)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Choices.Built)) {
		path := m.Choices.Built[name].Path
		used := slices.ContainsFunc(m.jobs, func(j job) bool {
			return slices.ContainsFunc(j.libraries, func(b Built) bool { return b.Path == path })
		})
		if !used {
			return fault.New(fault.NotFound, "nothing affected comes from package %s: there is nothing to install the built library for", name)
		}
	}
	return nil
}

func (m *maker) does(unit string, w way) bool {
	return slices.ContainsFunc(m.jobs, func(j job) bool { return j.unit == unit && j.way == w })
}

func name(f verdict.Finding) string {
	if f.Unit != "" {
		return f.Unit
	}
	return f.Process
}

// add takes one finding into a job; the way that needs most care wins over the others.
func (m *maker) add(j *job, f verdict.Finding) {
	service := m.service(j.host, j.unit)
	j.public = j.public || f.Exposure.In == "public" || service != nil && service.Public // behind a balancer the address does not show it
	insert(&j.advisories, f.Advisory)
	// An overwritten file may hold the fixed content already: only what is affected for sure must be gone afterwards.
	if f.Object != "" && f.Bad() && (f.Fix.Kind == verdict.FixUpgrade || f.Fix.Kind == verdict.FixRestart) {
		insert(&j.objects, f.Object)
	}
	said := j.asks
	j.asks = ""
	next := m.wayOf(j, f)
	what := cmp.Or(j.asks, f.Fix.What)
	j.asks = said
	if next == person && rank(j.way) <= rank(person) {
		j.ask(what)
	}
	if rank(next) > rank(j.way) {
		j.way = next
	}
}

// mostAsks bounds the sentences of one person's step: a login server has hundreds of sessions.
const mostAsks = 8

// ask adds to what a person has to do: each session that keeps old code is named, not only the first.
func (j *job) ask(what string) {
	if slices.Contains(j.wants, what) {
		return
	}
	j.wants = append(j.wants, what)
	j.asks = strings.Join(j.wants[:min(len(j.wants), mostAsks)], "; ")
	if more := len(j.wants) - mostAsks; more > 0 {
		j.asks += fmt.Sprintf("; and %d more like these", more)
	}
}

func rank(w way) int {
	return slices.Index([]way{"", again, upgrade, install, mitigate, reboot, person, off}, w)
}

// wayOf decides by the finding's cure, the unit's manner and what people chose.
func (m *maker) wayOf(j *job, f verdict.Finding) way {
	if mitigation, chosen := m.Choices.Mitigate[f.Unit]; chosen && mitigation.Hook != "" {
		return mitigate
	}
	if slices.Contains(m.Choices.Off, f.Unit) && f.Unit != "" {
		return off
	}
	switch f.Fix.Kind {
	case verdict.FixUpgrade:
		return m.upgradeOf(j, f)
	case verdict.FixRestart:
		return m.restartOf(j, f, again)
	case verdict.FixOff:
		if f.Unit == "" || f.Fix.Restart != "unit" {
			return person
		}
		return off
	}
	return person
}

func (m *maker) upgradeOf(j *job, f verdict.Finding) way {
	if built, chosen := m.Choices.Built[f.Fix.Package]; chosen && built.Arch != "" && built.Arch != j.arch {
		j.asks = fmt.Sprintf("%s: the built library is for %s, this host is %s", f.Fix.What, built.Arch, j.arch)
		return person
	} else if chosen {
		if !slices.ContainsFunc(j.libraries, func(b Built) bool { return b.Path == built.Path }) {
			j.libraries = append(j.libraries, built)
		}
		return m.restartOf(j, f, install)
	}
	version := f.Fix.Version
	if m.Version != nil {
		if can := m.Version(j.host, f.Fix.Package, version); can != "" {
			version = can
		}
	}
	if f.Fix.Package == "" || version == "" {
		j.asks = f.Fix.What
		return person // which version is good is not known: somebody has to say
	}
	m.pack(j, f, act.Package{Name: f.Fix.Package, Version: version})
	return m.restartOf(j, f, upgrade)
}

// pack keeps the newest of several first good versions: each advisory has its own, the last one cures all.
func (m *maker) pack(j *job, f verdict.Finding, p act.Package) {
	i := slices.IndexFunc(j.packages, func(have act.Package) bool { return have.Name == p.Name })
	if i < 0 {
		j.packages = append(j.packages, p)
		return
	}
	if newer(f, p.Version, j.packages[i].Version) {
		j.packages[i] = p
	}
}

// restartOf tells delicate restarts and processes without a unit from what a restart of the unit cures.
func (m *maker) restartOf(j *job, f verdict.Finding, next way) way {
	switch f.Fix.Restart {
	case "unit":
		return next
	case "reboot":
		if m.Choices.Reboot && j.bootID != "" {
			return reboot
		}
	}
	j.asks = f.Fix.What
	return person
}

func insert(list *[]string, s string) {
	if i, found := slices.BinarySearch(*list, s); !found {
		*list = slices.Insert(*list, i, s)
	}
}
