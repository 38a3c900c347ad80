package scan

import (
	"fmt"

	"staunch/see/scan/files"
	"staunch/see/scan/jail"
	"staunch/see/scan/owner"
	"staunch/see/scan/patience"
)

// packages are the owners of files: as they lie in memory, and as their name leads to them now.
type packages struct {
	memory, disk map[*files.File]*owner.Package
}

// database is one package database and the files to ask it for. Many mount namespaces show the same one, which is read once.
type database struct {
	db    *owner.DB
	stamp string
	files []*files.File
}

// findOwners asks every package database once for all paths that processes have mapped, or that can start.
func (l *look) findOwners() packages {
	out := packages{memory: map[*files.File]*owner.Package{}, disk: map[*files.File]*owner.Package{}}
	for _, d := range l.databases() {
		matches, ok := patience.Within(10*l.limit, func() map[string]*owner.Match { return l.askOwners(d) })
		if !ok {
			l.note(fmt.Sprintf("a package database gave no answer within %v", 10*l.limit))
			continue
		}
		for _, f := range d.files {
			if m := matches[f.Inside]; m != nil {
				out.memory[f] = packageOf(m, f.Memory)
				if f.Disk != nil {
					out.disk[f] = packageOf(m, f.Disk)
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
	for f := range l.files.All() {
		if f.Dir == nil || f.Inside == "" {
			continue
		}
		d, known := of[f.Dir]
		if !known {
			opened, ok := patience.Within(l.limit, func() *database {
				db := owner.Open(f.Dir)
				return &database{db: db, stamp: db.Stamp()}
			})
			if !ok {
				l.note(fmt.Sprintf("a package database gave no answer within %v", l.limit))
			} else if d = same[opened.stamp]; d == nil || opened.stamp == "" {
				d = opened
				same[d.stamp] = d
				all = append(all, d)
			}
			of[f.Dir] = d
		}
		if d != nil {
			d.files = append(d.files, f)
		}
	}
	return all
}

// packageOf says with whose file the bytes are compared: Intact only when they are the ones that the package brought.
func packageOf(m *owner.Match, c *files.Content) *owner.Package {
	p := m.Package
	p.Intact = "unknown"
	if c != nil && c.Sum != "" && m.Sum != "" && c.Want.Kind == m.SumKind {
		p.Intact = "no"
		if c.Sum == m.Sum {
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
		if _, done := out[f.Inside]; done {
			continue
		}
		m, known := l.cache.Owned(d.stamp, f.Inside)
		if !known {
			rest = append(rest, f.Inside)
		}
		out[f.Inside] = m
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
