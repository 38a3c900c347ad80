package scan

import (
	"fmt"

	"staunch/see/scan/jail"
	"staunch/see/scan/owner"
	"staunch/see/scan/patience"
)

// packages are the owners of files: as they lie in memory, and as their name leads to them now.
type packages struct{ memory, disk map[*file]*owner.Package }

// database is one package database and the files to ask it for. Many mount namespaces show the same one, which is read once.
type database struct {
	db    *owner.DB
	stamp string
	files []*file
}

// findOwners asks every package database once for all paths that processes have mapped, or that can start.
func (l *look) findOwners() packages {
	out := packages{memory: map[*file]*owner.Package{}, disk: map[*file]*owner.Package{}}
	for _, d := range l.databases() {
		matches, ok := patience.Within(10*l.limit, func() map[string]*owner.Match { return l.askOwners(d) })
		if !ok {
			l.note(fmt.Sprintf("a package database gave no answer within %v", 10*l.limit))
			continue
		}
		for _, f := range d.files {
			if m := matches[f.inside]; m != nil {
				out.memory[f] = packageOf(m, f.memory)
				if f.disk != nil {
					out.disk[f] = packageOf(m, f.disk)
				}
			}
		}
	}
	return out
}

// databases sorts the files of this look by the package database that answers for them.
func (l *look) databases() []*database {
	of := map[*jail.Root]*database{}
	same := map[string]*database{}
	var all []*database
	for _, f := range l.files.all {
		if f.dir == nil || f.inside == "" {
			continue
		}
		d, known := of[f.dir]
		if !known {
			opened, ok := patience.Within(l.limit, func() *database {
				db := owner.Open(f.dir)
				return &database{db: db, stamp: db.Stamp()}
			})
			if !ok {
				l.note(fmt.Sprintf("a package database gave no answer within %v", l.limit))
			} else if d = same[opened.stamp]; d == nil || opened.stamp == "" {
				d = opened
				same[d.stamp] = d
				all = append(all, d)
			}
			of[f.dir] = d
		}
		if d != nil {
			d.files = append(d.files, f)
		}
	}
	return all
}

// packageOf says with whose file the bytes are compared: Intact only when they are the ones that the package brought.
func packageOf(m *owner.Match, c *content) *owner.Package {
	p := m.Package
	p.Intact = "unknown"
	if c != nil && c.sum != "" && m.Sum != "" && c.want.Kind == m.SumKind {
		p.Intact = "no"
		if c.sum == m.Sum {
			p.Intact = "yes"
		}
	}
	return &p
}

// better prefers the package whose file this surely is.
func better(a, b *owner.Package) bool {
	rank := map[string]int{"yes": 2, "unknown": 1}
	if rank[a.Intact] != rank[b.Intact] {
		return rank[a.Intact] > rank[b.Intact]
	}
	return a.Distro+a.Name+a.Version < b.Distro+b.Name+b.Version
}

// askOwners answers from the cache where the database is unchanged, and asks the database once for the rest.
func (l *look) askOwners(d *database) map[string]*owner.Match {
	out := map[string]*owner.Match{}
	var rest []string
	for _, f := range d.files {
		if _, done := out[f.inside]; done {
			continue
		}
		m, known := l.cache.Owned(d.stamp, f.inside)
		if !known {
			rest = append(rest, f.inside)
		}
		out[f.inside] = m
	}
	if len(rest) == 0 {
		return out
	}
	matches, err := d.db.Find(l.ctx, rest)
	if err != nil {
		l.note("a package database could not be read whole: " + jail.Reason(err))
	}
	for _, path := range rest {
		out[path] = matches[path]
		if err == nil {
			l.cache.LearnOwner(d.stamp, path, matches[path])
		}
	}
	return out
}
