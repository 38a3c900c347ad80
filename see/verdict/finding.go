package verdict

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// maxOwn is how many of the component's own evidences a finding repeats.
const maxOwn = 4

// write writes down what was decided for one process.
func (j *judge) write(p *pending, f *Finding) {
	s, v := p.subject, p.verdict
	if v.base == nil || v.baseOf != s.path {
		b := base(s, v)
		b.Evidence = slices.Clip(b.Evidence)
		v.base, v.baseOf = &b, s.path
	}
	*f = *v.base
	f.PID, f.Process, f.Unit, f.Container = p.process.PID, p.process.Name, p.process.Unit, p.process.Container
	f.Exposure = p.exposure
	for _, other := range *p.held {
		if o := other.subject; o != s && (o.path != s.path || o.component.Name != s.component.Name) {
			f.Evidence = append(f.Evidence, elf.Evidence{
				Kind: "also", Says: fmt.Sprintf("also in this process: %s in %s: %s", name(o), path.Base(o.path), words(other.verdict.state)), Detail: o.path,
			})
		}
	}
	f.Fix = *p.fix
	if f.Fix.Kind == FixOff && f.Minor(j.report.Taken) {
		f.Fix.What = fmt.Sprintf("no fixed %s in %s's data: nothing to install, it can wait", v.fix.pkg, v.fix.data)
	}
}

// cures remember what to do in one process: dozens of advisories about one component have the same.
type cures []cure

type cure struct {
	subject *subject
	remedy  remedy
	fix     *Fix
}

func (c *cures) of(p *scan.Process, s *subject, r remedy) *Fix {
	for _, known := range *c {
		if known.subject == s && known.remedy == r {
			return known.fix
		}
	}
	fix := r.forProcess(p, s)
	*c = append(*c, cure{s, r, &fix})
	return &fix
}

func name(s *subject) string { return strings.TrimSpace(s.component.Name + " " + s.version) }

// base is what a finding says about the component, whoever runs it.
func base(s *subject, v *verdict) Finding {
	a := v.advisory
	f := Finding{
		Advisory: a.ID, Aliases: slices.Clone(a.Aliases), Names: a.Names, State: v.state, Justification: v.justification,
		Component: s.component.Name, Version: s.version, Path: s.path, Linkage: s.component.Linkage, Package: packageWords(s.pkg),
		Severity: a.Severity, KnownExploited: a.KnownExploited, EPSS: a.EPSS, Published: a.Published, Evidence: []elf.Evidence{},
	}
	if f.Aliases == nil {
		f.Aliases = []string{}
	}
	if s.object != nil {
		f.Object = s.object.ID
	}
	if v.state == Unknown {
		f.Evidence = append(f.Evidence, elf.Evidence{Kind: "unknown", Says: v.reason.says()})
	}
	for _, c := range v.clues {
		f.Evidence = append(f.Evidence, c.evidence)
	}
	if s.sibling != nil {
		f.Evidence = append(f.Evidence, elf.Evidence{Kind: "version", Says: "the version is that of " + s.sibling.Soname + " in the same process"})
	}
	f.Evidence = append(f.Evidence, s.component.Evidence[:min(maxOwn, len(s.component.Evidence))]...)
	return f
}

func packageWords(p *owner.Package) string {
	if p == nil || p.Type == "distribution" {
		return ""
	}
	return p.Type + " " + p.Name + " " + p.Version
}

// dormant judges something that does not run now but can start: itself and the libraries that it would map.
func (j *judge) dormant(d *scan.Dormant) {
	if j.nothing {
		return
	}
	p := j.asIfStarted(d)
	still := len(j.report.Processes) == 0 // an image or files: what can start is what was asked about, its unknowns too
	if still {
		j.unanalysed(p)
	}
	keep := func(v *verdict) bool { return still || j.asked != nil || v.state == Affected }
	g := j.gather(j.subjects(p), still && j.asked == nil, keep)
	j.tell(g, p.PID, d.Path)
	for _, h := range g.held {
		worst := h.worst()
		v, s := worst.verdict, worst.subject
		if !j.wants(v) {
			continue
		}
		f := base(s, v)
		if f.State == Affected {
			f.State = Dormant
		}
		f.Process, f.Unit, f.Exposure = path.Base(d.Path), d.Unit, Exposure{"none", "none"}
		if f.Path != d.Path {
			f.Evidence = append(f.Evidence, elf.Evidence{Kind: "dormant", Says: d.Path + " would map it", Detail: d.Start})
		}
		f.Fix = v.fix.forDormant(d, s)
		j.findings = append(j.findings, f)
	}
}

// asIfStarted is the process that something dormant would be.
func (j *judge) asIfStarted(d *scan.Dormant) *scan.Process {
	all := []scan.Mapped{{ID: d.ID, Path: d.Path, State: scan.Same}}
	for _, id := range d.Needs {
		if o := j.objects[id]; o != nil {
			all = append(all, scan.Mapped{ID: id, Path: o.Path, State: scan.Same})
		}
	}
	return &scan.Process{Name: path.Base(d.Path), Objects: all, Modules: d.Modules}
}

// exposure says who can talk to a process and whom it talks to.
func exposure(p *scan.Process) Exposure {
	e := Exposure{In: "none", Out: "none"}
	for _, l := range p.Listens {
		reach := l.Reach
		if l.Public {
			reach = "public"
		}
		if inRank(reach) > inRank(e.In) {
			e.In = reach
		}
	}
	for _, o := range p.Outbound {
		switch {
		case o.Reach == "internet":
			e.Out = "internet"
		case e.Out == "none" && o.Reach == "internal":
			e.Out = "internal"
		}
	}
	return e
}

func inRank(in string) int {
	switch in {
	case "public":
		return 3
	case "internal":
		return 2
	case "loopback":
		return 1
	}
	return 0
}

func (e Exposure) rank() int {
	n := 2 * inRank(e.In)
	if e.Out == "internet" {
		n++
	}
	return n
}
