package verdict

import (
	"path"
	"slices"
	"strings"
	"sync"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// subject is one component in one object (or module) as one process has it: the smallest thing that is weighed.
type subject struct {
	object    *scan.Object // nil for a module outside of ELF
	component elf.Component
	version   string         // resolved: libssl's is its libcrypto's
	pkg       *owner.Package // owner of the file under that path; nil: no package
	own       bool           // the package is the component's own, not one that merely carries a copy
	sibling   *scan.Object   // the library that the version came from
	path      string
	state     scan.State
	disk      *scan.Object // what the path names now, if another object
	answers   []elf.Answer
}

// subjectKey is what two subjects must share to be weighed alike.
type subjectKey struct {
	object, sibling, disk *scan.Object
	pkg                   *owner.Package
	component, version    string
	path                  string // only where there is no object
	state                 scan.State
	vendor                bool
}

type componentKey struct{ name, version, pkg, pkgVersion string }

func (s *subject) key() subjectKey {
	k := subjectKey{
		object: s.object, sibling: s.sibling, disk: s.disk, pkg: s.pkg,
		component: s.component.Kind + "/" + s.component.Name, version: s.version, state: s.state, vendor: owner.Vendored(s.path),
	}
	if s.object == nil {
		k.path = s.path
	}
	return k
}

// subjects lists everything in a process that can be judged.
func (j *judge) subjects(p *scan.Process) []*subject {
	var list []*subject
	for i := range p.Objects {
		m := &p.Objects[i]
		if o := j.objects[m.ID]; o != nil {
			list = append(list, j.inObject(o, m, p.Objects)...)
		}
	}
	for i := range p.Modules {
		list = append(list, inModule(&p.Modules[i]))
	}
	return list
}

func (j *judge) inObject(o *scan.Object, m *scan.Mapped, all []scan.Mapped) []*subject {
	pkg := o.Package
	if m.Package != nil {
		pkg = m.Package
	}
	var list []*subject
	covered := false
	for _, c := range o.Components {
		if c.Linkage == elf.Headers {
			continue
		}
		s := &subject{
			object: o, component: c, version: c.Version, pkg: pkg, path: m.Path, state: m.State, answers: o.Answers,
			own: pkg != nil && ownSource(c.Name, pkg.Source),
		}
		if m.OnDisk != "" && m.OnDisk != m.ID {
			s.disk = j.objects[m.OnDisk]
		}
		if c.Version == "" && c.Linkage == elf.Dynamic {
			j.askSibling(s, all)
		}
		covered = covered || s.own
		list = append(list, s)
	}
	if pkg != nil && !covered && pkg.Source != "" && m.State != scan.Overwritten {
		list = append(list, packageSubject(o, pkg, m))
	}
	return list
}

// packageSubject judges a packaged file whose code holds no component that we know by itself: by its package alone.
func packageSubject(o *scan.Object, pkg *owner.Package, m *scan.Mapped) *subject {
	return &subject{
		object: o, pkg: pkg, own: true, path: m.Path, state: m.State, version: pkg.Version,
		component: elf.Component{Name: pkg.Source, Version: pkg.Version, Linkage: elf.Dynamic, Kind: "package"},
	}
}

// askSibling takes the version from the library of the same component and release in the same process: libssl holds no version text, its libcrypto does.
func (j *judge) askSibling(s *subject, all []scan.Mapped) {
	_, release, _ := strings.Cut(s.object.Soname, ".so")
	for pass := range 2 {
		for i := range all {
			o := j.objects[all[i].ID]
			if o == nil || o == s.object || pass == 0 && path.Dir(all[i].Path) != path.Dir(s.path) {
				continue
			}
			_, theirs, _ := strings.Cut(o.Soname, ".so")
			for _, c := range o.Components {
				if c.Name == s.component.Name && c.Version != "" && c.Linkage == elf.Dynamic && theirs == release {
					s.version, s.sibling = c.Version, o
					return
				}
			}
		}
	}
}

func inModule(m *scan.Module) *subject {
	s := &subject{component: m.Component, version: m.Component.Version, path: m.Path, state: scan.Same, answers: m.Answers}
	if owner.Distributed(m.Path) {
		s.pkg = &owner.Package{Type: "distribution", Name: m.Component.Name, Version: m.Component.Version, Intact: string(elf.Unknown)}
	}
	return s
}

// upstreamKey names the component for upstream's or its ecosystem's advisories.
func (s *subject) upstreamKey() advisory.Key {
	return advisory.Key{Ecosystem: s.component.Kind, Name: advisory.PackageName(s.component.Kind, s.component.Name)}
}

// packageKey names the source package for the distribution's advisories; ok is false without one.
func (s *subject) packageKey() (advisory.Key, bool) {
	if s.pkg == nil || s.pkg.Distro == "" || s.pkg.Source == "" {
		return advisory.Key{}, false
	}
	return advisory.Key{Ecosystem: advisory.OfPackage(s.pkg.Distro, s.pkg.Release), Name: s.pkg.Source}, true
}

// binaryKey names an rpm itself: AlmaLinux's advisories name no source packages. ok is false where the source's name says it already.
func (s *subject) binaryKey() (advisory.Key, bool) {
	key, ok := s.packageKey()
	if !ok || s.pkg.Type != "rpm" || s.pkg.Name == "" || s.pkg.Name == s.pkg.Source {
		return advisory.Key{}, false
	}
	key.Name = s.pkg.Name
	return key, true
}

// packageKeys are the names under which the distribution's advisories may speak about the package.
func (s *subject) packageKeys() []advisory.Key {
	var list []advisory.Key
	for _, of := range []func() (advisory.Key, bool){s.packageKey, s.binaryKey} {
		if key, ok := of(); ok {
			list = append(list, key)
		}
	}
	return list
}

// packageKeyOf is the name by which one advisory speaks about the package: that of the source, unless it knows only the other one.
func (s *subject) packageKeyOf(a *advisory.Advisory) (advisory.Key, bool) {
	keys := s.packageKeys()
	for _, key := range keys {
		if slices.ContainsFunc(a.Affects, func(aff advisory.Affected) bool { return aff.Ecosystem == key.Ecosystem && aff.Name == key.Name }) {
			return key, true
		}
	}
	return s.packageKey()
}

// sourceVersion is the version that a distribution's advisories speak about.
func sourceVersion(p *owner.Package) string {
	if p.SourceVersion != "" {
		return p.SourceVersion
	}
	return p.Version
}

// patched tells whether a distribution may have patched the file, so that upstream's numbers neither clear nor condemn it:
// a package owns it, it lies where distributions install, and it is not known to be another file than the packaged one.
func (s *subject) patched() bool {
	return s.pkg != nil && !owner.Vendored(s.path) && (s.pkg.Intact != string(elf.No) || s.state == scan.Deleted || s.state == scan.Replaced)
}

// ownSource tells whether a source package is the component's own ("openssl1.1" of openssl) rather than one that carries a copy.
func ownSource(component, source string) bool {
	if source == component {
		return true
	}
	for _, prefix := range sources()[component] {
		if rest, ok := strings.CutPrefix(source, prefix); ok && strings.Trim(rest, "0123456789.-") == "" {
			return true
		}
	}
	return false
}

// sources names source packages, up to version numbers at their end, per component: Debian's, Fedora's and Alpine's names.
//
//nolint:gochecknoglobals // made once, never written
var sources = sync.OnceValue(func() map[string][]string {
	return map[string][]string{
		"openssl": {"openssl", "compat-openssl", "openssl-compat"},
		"liblzma": {"xz-utils", "xz"},
		"glibc":   {"glibc", "eglibc"},
		"gnutls":  {"gnutls"},
		"sqlite":  {"sqlite"},
		"python":  {"python"},
		"ruby":    {"ruby"},
		"php":     {"php"},
		"openjdk": {"openjdk-", "java-"},
		"nodejs":  {"nodejs", "node"},
		"libcurl": {"curl"},
		"mbedtls": {"mbedtls"},
		"nghttp2": {"nghttp2"},
		"libwebp": {"libwebp"},
		"expat":   {"expat"},
	}
})
