package patch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/reach/act"
	"staunch/steer/plan"
)

// build writes the steps: ring by ring, the public side first inside each, every ring closed by a gate.
func (m *maker) build() {
	var before []string
	for _, ring := range m.plan.Rings {
		before = m.ring(ring.Name, before)
	}
	m.people()
}

// ring writes one ring's steps and returns what the next ring waits for.
func (m *maker) ring(ring string, before []string) []string {
	var jobs []*job
	for i := range m.jobs {
		if m.jobs[i].ring == ring && m.jobs[i].way != person {
			jobs = append(jobs, &m.jobs[i])
		}
	}
	if len(jobs) == 0 {
		return before
	}
	installed := m.installs(ring, jobs, before)
	public := m.units(ring, jobs, true, before, installed)
	rest := m.units(ring, jobs, false, slices.Concat(before, public), installed)
	ended := slices.Concat(before, public, rest)
	if public != nil && rest != nil {
		facing := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !j.public })
		ended = append(ended, m.byUnit(ring, "public", facing, slices.Concat(before, public), 0)...)
	}
	gates := m.gates(ring, jobs, ended)
	m.outside(ring, gates)
	return gates
}

// group is one step in the making: hosts for which exactly the same is to be done.
type group struct {
	key   string
	unit  string          // of its first job
	named map[string]bool // hosts
	jobs  []*job
	hosts []plan.Target
}

// grouped puts jobs with the same key together, in the order of their first appearance; each host once.
func grouped(jobs []*job, key func(*job) string) []*group {
	var out []*group
	at := map[string]*group{}
	for _, j := range jobs {
		k := key(j)
		if k == "" {
			continue
		}
		g := at[k]
		if g == nil {
			g = &group{key: k, unit: j.unit, named: map[string]bool{}}
			at[k] = g
			out = append(out, g)
		}
		g.jobs = append(g.jobs, j)
		if !g.named[j.host] {
			g.named[j.host] = true
			g.hosts = append(g.hosts, plan.Target{Host: j.host})
		}
	}
	return out
}

// installs writes the steps that bring fixed code onto disks: nothing restarts yet. It returns, for each host, the steps to wait for.
func (m *maker) installs(ring string, jobs []*job, before []string) map[string][]string {
	done := map[string][]string{}
	packages := map[string][]act.Package{}
	libraries := map[string][]Built{}
	for _, j := range jobs {
		for _, p := range j.packages {
			if j.way == upgrade || j.way == install || j.way == reboot {
				packages[j.host] = merge(packages[j.host], p)
			}
		}
		if j.way == install || j.way == reboot {
			libraries[j.host] = append(libraries[j.host], j.libraries...)
		}
	}
	steps := grouped(jobs, func(j *job) string { return upgradeKey(packages[j.host]) })
	for n, g := range steps {
		id := numbered("upgrade-"+ring, n, len(steps))
		m.upgradeStep(id, ring, g, packages[g.jobs[0].host], before)
		for _, t := range g.hosts {
			done[t.Host] = append(done[t.Host], id)
		}
	}
	built := grouped(jobs, func(j *job) string { return builtKey(libraries[j.host]) })
	n := 0
	for _, g := range built {
		for _, b := range unique(libraries[g.jobs[0].host]) {
			id := numbered("install-"+ring, n, len(built)+len(unique(libraries[g.jobs[0].host]))-1)
			n++
			m.installStep(id, ring, g, b, before)
			for _, t := range g.hosts {
				done[t.Host] = append(done[t.Host], id)
			}
		}
	}
	return done
}

func merge(have []act.Package, p act.Package) []act.Package {
	if slices.Contains(have, p) {
		return have
	}
	have = append(have, p)
	slices.SortFunc(have, func(a, b act.Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return have
}

func upgradeKey(packages []act.Package) string {
	var parts []string
	for _, p := range packages {
		parts = append(parts, p.Name+"="+p.Version)
	}
	return strings.Join(parts, " ")
}

func builtKey(all []Built) string {
	var parts []string
	for _, b := range unique(all) {
		parts = append(parts, b.Path+"="+b.SHA256)
	}
	return strings.Join(parts, " ")
}

func unique(all []Built) []Built {
	var out []Built
	for _, b := range all {
		if !slices.ContainsFunc(out, func(have Built) bool { return have.Path == b.Path }) {
			out = append(out, b)
		}
	}
	return out
}

func numbered(id string, n, of int) string {
	if of < 2 {
		return id
	}
	return fmt.Sprintf("%s-%d", id, n+1)
}

func (m *maker) upgradeStep(id, ring string, g *group, packages []act.Package, before []string) {
	s := m.step(id, ring, act.Upgrade, &act.UpgradeWith{Packages: packages, Refresh: true}, g.hosts, before)
	s.Says = "install " + strings.ReplaceAll(upgradeKey(packages), "=", " ") + "; nothing restarts yet"
	for _, p := range packages {
		s.Proves = append(s.Proves, plan.Predicate{Kind: plan.Installed, Package: p.Name, Version: p.Version})
	}
	s.Undo = plan.Undo{Kind: plan.Hold, Says: "the former version is affected and is never brought back by itself"}
	s.DeadlineMS, s.Tries = ms(15*time.Minute), 2
	m.put(s)
}

func (m *maker) installStep(id, ring string, g *group, b Built, before []string) {
	with := &act.InstallLibWith{SHA256: b.SHA256, Path: b.Path, Links: b.Links, Ldconfig: true}
	s := m.step(id, ring, act.InstallLib, with, g.hosts, before)
	s.Says = "install the library that was built elsewhere as " + b.Path
	if b.Recipe != "" {
		s.Says += " (" + b.Recipe + ")"
	}
	s.Proves = []plan.Predicate{{Kind: plan.ObjectOnDisk, Object: b.Object}}
	s.Undo = plan.Undo{Kind: plan.Hold, Says: "the former library is affected and is never brought back by itself"}
	s.DeadlineMS, s.Tries = ms(10*time.Minute), 2
	m.put(s)
}

// step is the frame of a step that hosts carry out.
func (m *maker) step(id, ring string, kind act.Kind, with act.Params, on []plan.Target, after []string) plan.Step {
	body, err := json.Marshal(with)
	if err != nil {
		body = nil // refused by the lint as an act without parameters
	}
	return plan.Step{
		ID: id, Kind: plan.Act, Ring: ring, Targets: on, After: slices.Clone(after), Act: &act.Act{Kind: kind, With: body},
		Needs: []plan.Predicate{{Kind: plan.Reachable}}, Votes: m.quorum(ring), Tries: 1, Repeat: true, DeadlineMS: ms(3 * time.Minute),
	}
}

func (m *maker) put(s plan.Step) { m.plan.Steps = append(m.plan.Steps, s) }

func ms(d time.Duration) int64 { return d.Milliseconds() }
