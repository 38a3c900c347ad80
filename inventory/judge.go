package inventory

import (
	"staunch/numbered"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
	"staunch/see/verdict"
)

// judge gives each set its rank for one advisory. Only what the advisory can speak about is shown to the judge,
// and what is alike for it is judged once: a few hundred judgements answer for millions of processes.
func (inv *Inventory) judge(catalogue *advisory.Catalogue, a *advisory.Advisory) []rank {
	about := inv.about(a)
	ranks := make([]rank, len(inv.sets.All))
	cases := map[set][]int32{} // the part of a set that matters, to the sets that share it
	var parts numbered.Lists
	parts.Of(nil)
	for i, s := range inv.sets.All {
		part := set{parts.Of(pick(inv.lists.All[s.list], about.variants)), parts.Of(pick(inv.lists.All[s.modules], about.modules)), s.machine}
		if part.list != 0 || part.modules != 0 {
			cases[part] = append(cases[part], int32(i))
		}
	}
	for c := range inv.classes.All {
		inv.judgeClass(catalogue, a, int32(c), cases, &parts, ranks)
	}
	return ranks
}

func pick(list []int32, wanted []bool) []int32 {
	var out []int32
	for _, n := range list {
		if int(n) < len(wanted) && wanted[n] {
			out = append(out, n)
		}
	}
	return out
}

// judgeClass judges the cases of one machine class as if each were a process of one machine.
func (inv *Inventory) judgeClass(catalogue *advisory.Catalogue, a *advisory.Advisory, c int32, cases map[set][]int32, parts *numbered.Lists, ranks []rank) {
	k := inv.classes.All[c]
	r := &scan.Report{Schema: scan.Schema, Machine: scan.Machine{Arch: k.Arch, Distro: k.Distro, Release: k.Release}}
	var of [][]int32
	shown := map[string]bool{}
	for part, sets := range cases {
		if part.machine != c {
			continue
		}
		of = append(of, sets)
		p := scan.Process{PID: len(of)}
		for _, v := range parts.All[part.list] {
			p.Objects = append(p.Objects, inv.mapped(v))
			inv.show(r, shown, v)
		}
		for _, m := range parts.All[part.modules] {
			p.Modules = append(p.Modules, inv.modules[m])
		}
		r.Processes = append(r.Processes, p)
	}
	for _, f := range verdict.Judge(r, catalogue, verdict.Options{Advisory: a.ID}).Findings {
		if f.PID < 1 {
			continue
		}
		for _, s := range of[f.PID-1] {
			ranks[s] = max(ranks[s], rankOf(f.State))
		}
	}
}

// show puts a variant's object, and the one that lies on disk in its place, into the report.
func (inv *Inventory) show(r *scan.Report, shown map[string]bool, v int32) {
	has := inv.variants.All[v]
	put := func(o int32) {
		if o >= 0 && int(o) < len(inv.contents) && !shown[inv.contents[o].ID] {
			shown[inv.contents[o].ID] = true
			r.Objects = append(r.Objects, inv.contents[o])
		}
	}
	put(has.object)
	if id := has.seen.OnDisk; id != "" {
		if o, known := inv.objects.Known(id); known {
			put(o)
		}
	}
}

// relevance says which variants and modules an advisory can speak about.
type relevance struct{ variants, modules []bool }

func (inv *Inventory) about(a *advisory.Advisory) relevance {
	names := map[string]bool{}
	for _, affects := range a.Affects {
		names[affects.Name] = true
	}
	if a.Rule != nil {
		names[a.Rule.Component] = true
	}
	return inv.named(names)
}

func (inv *Inventory) named(names map[string]bool) relevance {
	objects := make([]bool, len(inv.contents))
	for i := range inv.contents {
		objects[i] = speaks(names, inv.contents[i].Components, inv.contents[i].Package)
	}
	out := relevance{variants: make([]bool, len(inv.variants.All)), modules: make([]bool, len(inv.modules))}
	for i, v := range inv.variants.All {
		out.variants[i] = v.object >= 0 && int(v.object) < len(objects) && objects[v.object] ||
			v.pkg >= 0 && names[inv.packages.All[v.pkg].Source]
	}
	for i := range inv.modules {
		out.modules[i] = speaks(names, []elf.Component{inv.modules[i].Component}, nil)
	}
	return out
}

// speaks tells, generously, whether names mean one of the components or their package: in any ecosystem, under any name of it.
func speaks(names map[string]bool, components []elf.Component, pkg *owner.Package) bool {
	for i := range components {
		c := &components[i]
		if names[c.Name] || names[advisory.PackageName(c.Kind, c.Name)] {
			return true
		}
	}
	return pkg != nil && names[pkg.Source]
}

// holding ranks as unknown every set in which something holds the component.
func (inv *Inventory) holding(component string) []rank {
	about := inv.named(map[string]bool{component: true})
	ranks := make([]rank, len(inv.sets.All))
	for i, s := range inv.sets.All {
		if len(pick(inv.lists.All[s.list], about.variants))+len(pick(inv.lists.All[s.modules], about.modules)) > 0 {
			ranks[i] = unknown
		}
	}
	return ranks
}
