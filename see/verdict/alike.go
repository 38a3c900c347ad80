package verdict

import (
	"hash/maphash"
	"slices"

	"staunch/see/advisory"
	"staunch/see/scan"
)

// alike is what processes share that map the same objects alike and hold no modules: on every machine most do, and what is judged of them
// is judged once.
type alike struct {
	objects  []scan.Mapped
	subjects []*subject
	gathered *gathered // nil until it is asked for
	wanted   bool      // of Wants alone
}

// gathered is what the catalogue makes of everything in a process.
type gathered struct {
	held     []*held // what becomes findings, in a stable order
	unloaded []lacking
	groups   []joined
}

// lacking are the subjects for whose judgement an ecosystem's data would be needed.
type lacking struct {
	ecosystem string
	subjects  []*subject
	told      bool // the packages stand in the finding already
}

// joined is an unknown that shares its finding with others.
type joined struct {
	subject *subject
	verdict *verdict
}

// alikeOf finds the others like a process, or begins with it.
func (j *judge) alikeOf(p *scan.Process) *alike {
	if len(p.Modules) > 0 {
		return &alike{objects: p.Objects, subjects: j.subjects(p)}
	}
	var h maphash.Hash
	h.SetSeed(j.seed)
	for i := range p.Objects {
		m := &p.Objects[i]
		for _, s := range [...]string{m.ID, m.Path, string(m.State), m.OnDisk} {
			h.WriteString(s)
			h.WriteByte(0)
		}
	}
	key := h.Sum64()
	for _, a := range j.shared[key] {
		if slices.Equal(a.objects, p.Objects) {
			return a
		}
	}
	a := &alike{objects: p.Objects, subjects: j.subjects(p)}
	j.shared[key] = append(j.shared[key], a)
	return a
}

// gather weighs subjects and joins what one advisory says of several. With grouping, unknowns that share a cause are left to their groups.
// keep tells which verdicts count; nil: all.
func (j *judge) gather(subjects []*subject, grouping bool, keep func(*verdict) bool) *gathered {
	g := &gathered{}
	best := map[*advisory.Advisory]*held{}
	for _, s := range subjects {
		w := j.weigh(s)
		if grouping && w.unloaded != "" {
			g.lacks(w.unloaded, s)
		}
		for i := range w.verdicts {
			v := &w.verdicts[i]
			if grouping && v.grouped != "" {
				g.groups = append(g.groups, joined{s, v})
				continue
			}
			if keep != nil && !keep(v) {
				continue
			}
			h := best[v.advisory]
			if h == nil {
				h = &held{}
				best[v.advisory] = h
				g.held = append(g.held, h)
			}
			*h = append(*h, joined{s, v})
		}
	}
	return g
}

func (g *gathered) lacks(ecosystem string, s *subject) {
	for i := range g.unloaded {
		if g.unloaded[i].ecosystem == ecosystem {
			g.unloaded[i].subjects = append(g.unloaded[i].subjects, s)
			return
		}
	}
	g.unloaded = append(g.unloaded, lacking{ecosystem: ecosystem, subjects: []*subject{s}})
}

// tell adds one holder of what was gathered to the groups and to what is not loaded.
func (j *judge) tell(g *gathered, pid int, label string) {
	for i := range g.unloaded {
		l := &g.unloaded[i]
		j.unloaded.add(l, pid, label)
		l.told = true
	}
	for _, one := range g.groups {
		j.groups.add(one.subject, one.verdict, pid, label)
	}
}
