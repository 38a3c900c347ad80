package scan

import (
	"fmt"

	"staunch/see/scan/jail"
	"staunch/see/scan/owner"
)

// packages are the owners of files as they lie in memory.
type packages map[*file]*owner.Package

// findOwners asks every root's package database once for all paths that its processes have mapped.
func (l *look) findOwners(running []*seen) packages {
	wanted := map[*jail.Root][]*file{}
	for _, f := range l.files.all {
		if f.dir != nil && f.inside != "" {
			wanted[f.dir] = append(wanted[f.dir], f)
		}
	}
	out := packages{}
	for dir, files := range wanted {
		matches, ok := within(10*l.limit, func() map[string]*owner.Match { return l.askOwners(dir, files) })
		if !ok {
			l.note(fmt.Sprintf("a package database gave no answer within %v", 10*l.limit))
			continue
		}
		for _, f := range files {
			if m := matches[f.inside]; m != nil {
				out[f] = packageOf(m, f)
			}
		}
	}
	return out
}

// packageOf says with whose file the mapped bytes are compared: Intact only when they are the ones that the package brought.
func packageOf(m *owner.Match, f *file) *owner.Package {
	p := m.Package
	p.Intact = "unknown"
	if f.memory != nil && f.memory.sum != "" && m.Sum != "" && f.memory.want.kind == m.SumKind {
		p.Intact = "no"
		if f.memory.sum == m.Sum {
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
func (l *look) askOwners(dir *jail.Root, files []*file) map[string]*owner.Match {
	db := owner.Open(dir)
	stamp := db.Stamp()
	out := map[string]*owner.Match{}
	var rest []string
	for _, f := range files {
		if _, done := out[f.inside]; done {
			continue
		}
		known, ok := l.cache.owned(stamp, f.inside)
		if !ok {
			rest = append(rest, f.inside)
		}
		out[f.inside] = known.Match
	}
	if len(rest) == 0 {
		return out
	}
	matches, err := db.Find(l.ctx, rest)
	if err != nil {
		l.note("a package database could not be read whole: " + reason(err))
	}
	for _, path := range rest {
		out[path] = matches[path]
		if err == nil {
			l.cache.learnOwner(stamp, path, matches[path])
		}
	}
	return out
}
