package verdict

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
)

// groups collects unknowns that share one cause, so that they stay one finding each instead of hundreds.
type groups map[groupKey]*group

type groupKey struct {
	key    subjectKey
	reason reason
}

type group struct {
	subject    *subject
	verdict    *verdict
	advisories map[string]bool
	severity   advisory.Severity
	exploited  bool
	pids       map[int]bool
	names      map[string]bool
}

func (g groups) add(s *subject, v *verdict, pid int, process string) {
	key := groupKey{s.key(), v.grouped}
	one := g[key]
	if one == nil {
		one = &group{subject: s, verdict: v, advisories: map[string]bool{}, pids: map[int]bool{}, names: map[string]bool{}}
		g[key] = one
	}
	one.pids[pid], one.names[process] = true, true
	if !v.candidate {
		return
	}
	one.advisories[v.advisory.ID] = true
	one.exploited = one.exploited || v.advisory.KnownExploited
	if v.advisory.Severity.Rank() > one.severity.Rank() {
		one.severity = v.advisory.Severity
	}
}

func (g groups) findings() []Finding {
	var list []Finding
	for _, one := range g {
		f := base(one.subject, one.verdict)
		f.Advisory, f.Aliases, f.Names, f.Justification = "", []string{}, nil, ""
		f.Severity, f.KnownExploited, f.EPSS, f.Published = one.severity, one.exploited, 0, time.Time{}
		f.Evidence = []elf.Evidence{{Kind: "unknown", Says: one.verdict.reason.says(), Detail: packageWords(one.subject.pkg)}}
		f.Candidates = len(one.advisories)
		f.PIDs = pidList(one.pids)
		f.Process = processes(one.names, one.pids)
		f.Exposure = Exposure{"none", "unknown"}
		f.Fix = one.verdict.fix.forGroup(one.subject, one.verdict.reason)
		list = append(list, f)
	}
	return list
}

// processes says who it is in few words: the one name, or how many.
func processes(names map[string]bool, pids map[int]bool) string {
	n, what := len(pids), "processes"
	if pids[0] {
		n, what = len(names), "programs"
	}
	if n == 1 {
		for only := range names {
			return only
		}
	}
	return fmt.Sprintf("%d %s", n, what)
}

// pidList sorts pids; 0 stands for what does not run.
func pidList(pids map[int]bool) []int {
	var list []int
	for pid := range pids {
		if pid != 0 {
			list = append(list, pid)
		}
	}
	sort.Ints(list)
	return list
}

// unloaded collects packages about which nothing at all is loaded: one finding per distribution's release.
type unloaded map[string]*bare

type bare struct {
	pids     map[int]bool
	names    map[string]bool
	packages map[string]bool
}

// maxNamed bounds the packages that a finding names.
const maxNamed = 400

func (u unloaded) add(l *lacking, pid int, process string) {
	one := u[l.ecosystem]
	if one == nil {
		one = &bare{pids: map[int]bool{}, names: map[string]bool{}, packages: map[string]bool{}}
		u[l.ecosystem] = one
	}
	one.pids[pid], one.names[process] = true, true
	if l.told {
		return
	}
	for _, s := range l.subjects {
		if len(one.packages) < maxNamed {
			one.packages[s.pkg.Name+" "+s.pkg.Version] = true
		}
	}
}

func (u unloaded) findings() []Finding {
	var list []Finding
	for ecosystem, one := range u {
		var packages []string
		for name := range one.packages {
			packages = append(packages, name)
		}
		slices.Sort(packages)
		f := Finding{
			Aliases: []string{}, State: Unknown, Component: fmt.Sprintf("%d more packages of %s", len(packages), advisory.Title(ecosystem)),
			Linkage: elf.Dynamic, Process: processes(one.names, one.pids), Exposure: Exposure{"none", "unknown"},
			Evidence: []elf.Evidence{{Kind: "unknown", Says: notLoaded.says(), Detail: strings.Join(packages, ", ")}},
			Fix:      remedy{}.forGroup(nil, notLoaded),
		}
		f.PIDs = pidList(one.pids)
		list = append(list, f)
	}
	return list
}

// opaque collects objects whose code could not be analysed: whatever they hold is unknown, to every advisory.
type opaque map[*scan.Object]*bare

func (o opaque) add(object *scan.Object, pid int, process string) {
	one := o[object]
	if one == nil {
		one = &bare{pids: map[int]bool{}, names: map[string]bool{}}
		o[object] = one
	}
	one.pids[pid], one.names[process] = true, true
}

func (o opaque) findings(asked *advisory.Advisory) []Finding {
	var list []Finding
	for object, one := range o {
		f := Finding{
			Aliases: []string{}, State: Unknown, Component: "code that could not be analysed", Object: object.ID, Path: object.Path,
			Package: packageWords(object.Package), Process: processes(one.names, one.pids), Exposure: Exposure{"none", "unknown"},
			Evidence: []elf.Evidence{{
				Kind: "unknown", Says: "what this file holds is not known: it could not be analysed; its vendor, or an unpacked copy of it, would settle it", Detail: object.Unknown,
			}},
			Fix: Fix{Kind: FixLook, What: "find out what is in " + object.Path + " (" + object.Unknown + "): its vendor knows"},
		}
		if asked != nil {
			f.Advisory = asked.ID
		}
		f.PIDs = pidList(one.pids)
		list = append(list, f)
	}
	return list
}
