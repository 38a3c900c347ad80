package loader

import (
	"path"
	"strings"

	"staunch/see/scan/elf"
)

// Start is one program's start: it says step by step which libraries come in. As in a loader, a library that is already there under
// its name or soname is not looked for again, whoever needs it.
type Start struct {
	loader *Loader
	musl   bool
	had    map[string]bool
}

// Mapped is an object that a start maps.
type Mapped struct {
	Path   string // as the loader finds it; links are not followed
	Object *elf.Object

	by     *Mapped
	before string // directories of RPATH that its libraries are looked for in, its own and inherited ones
	after  string // and of RUNPATH, its own alone
}

// Begin starts a program. Its path is the true one: $ORIGIN is the directory where it really lies.
func (l *Loader) Begin(program string, o *elf.Object) (*Start, []*Mapped) {
	s := &Start{loader: l, had: map[string]bool{}, musl: l.isMusl(o)}
	return s, s.Enter(&Mapped{Path: program, Object: o})
}

// isMusl tells by the loader that the program asks for; a library that asks for none is taken for glibc's where there is its cache.
func (l *Loader) isMusl(o *elf.Object) bool {
	if o.Interpreter != "" {
		return strings.HasPrefix(path.Base(o.Interpreter), "ld-musl-")
	}
	return l.cache == nil && l.fits(muslFile(o.Machine), o.Machine)
}

func muslFile(machine string) string { return "/lib/ld-musl-" + muslName(machine) + ".so.1" }

// Enter takes in an object and returns the libraries that it brings, in the loader's order, each without its Object: the caller fills
// that and enters them too, level by level. A library that is nowhere is left out: the program would not start without it.
func (s *Start) Enter(m *Mapped) []*Mapped {
	if m.Object.Soname != "" {
		s.had[m.Object.Soname] = true
	}
	s.paths(m)
	var out []*Mapped
	for _, name := range m.Object.Needed {
		if s.had[name] {
			continue
		}
		s.had[name] = true
		if found := s.find(m, name); found != "" {
			out = append(out, &Mapped{Path: found, by: m})
		}
	}
	return out
}

func (s *Start) find(m *Mapped, name string) string {
	o := m.Object
	if s.musl && (name == "libc.so" || strings.HasPrefix(name, "libc.musl-")) {
		name = muslFile(o.Machine) // musl's C library is its loader
	}
	if strings.Contains(name, "/") {
		if name = s.expand(name, m); strings.HasPrefix(name, "/") && s.loader.fits(name, o.Machine) {
			return name
		}
		return ""
	}
	q := query{machine: o.Machine, name: name, before: m.before, after: m.after, musl: s.musl, noDefault: o.NoDefault}
	if dir := path.Dir(m.Path); !system(dir) {
		q.beside = dir
	}
	return s.loader.find(q)
}

// paths works out in which directories the object's libraries are looked for. An object with RUNPATH ignores every RPATH, its own and
// those of the objects that brought it; musl makes no difference between the two, and inherits both.
func (s *Start) paths(m *Mapped) {
	o := m.Object
	own := o.RPath
	if len(o.RunPath) > 0 {
		own = nil
		m.after = s.join(m, o.RunPath)
	}
	if s.musl {
		m.before, m.after = s.join(m, append(append([]string(nil), o.RunPath...), own...)), ""
	} else if len(o.RunPath) > 0 {
		return
	} else {
		m.before = s.join(m, own)
	}
	for x := m.by; x != nil; x = x.by {
		switch {
		case s.musl:
			m.before = chain(m.before, x.before)
			return // which holds what it inherited itself
		case len(x.Object.RunPath) == 0:
			m.before = chain(m.before, s.join(x, x.Object.RPath))
		}
	}
}

// The directories of one search are kept as one text, so that a search can be a key.
const between = "\x00"

func list(dirs string) []string {
	if dirs == "" {
		return nil
	}
	return strings.Split(dirs, between)
}

func (s *Start) join(m *Mapped, dirs []string) string {
	var out []string
	for _, dir := range dirs {
		out = append(out, s.expand(dir, m))
	}
	return strings.Join(out, between)
}

func chain(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + between + b
}

// expand fills in $ORIGIN, $LIB and $PLATFORM (ld.so(8)).
func (s *Start) expand(dir string, m *Mapped) string {
	if !strings.Contains(dir, "$") {
		return dir
	}
	origin, lib := path.Dir(m.Path), s.loader.lib[m.Object.Machine]
	platform := map[string]string{"x86-64": "x86_64", "i386": "i686", "aarch64": "aarch64"}[m.Object.Machine]
	return strings.NewReplacer(
		"${ORIGIN}", origin, "$ORIGIN", origin, "${LIB}", lib, "$LIB", lib, "${PLATFORM}", platform, "$PLATFORM", platform,
	).Replace(dir)
}
