package owner

import (
	"context"
	"fmt"
	"strings"

	"staunch/see/scan/jail"
)

// Kind is a package manager's database.
type Kind string

// The databases that are read. None means that a root has none of them.
const (
	None Kind = ""
	Deb  Kind = "deb"
	RPM  Kind = "rpm"
	APK  Kind = "apk"
)

// SumKind is the checksum that the manager records of files.
func (k Kind) SumKind() string {
	switch k {
	case Deb:
		return "md5"
	case RPM:
		return "sha256"
	case APK:
		return "sha1"
	}
	return ""
}

// Match is the owner of one path, with the checksum that the package recorded for it.
type Match struct {
	Package
	Sum     string // lower-case hex; "" when none was recorded
	SumKind string // md5, sha1, sha256
}

// Detect tells which database a root has.
func Detect(root *jail.Root) Kind {
	for _, d := range databases() {
		for _, path := range d.marks {
			if _, err := root.Stat(path); err == nil {
				return d.kind
			}
		}
	}
	return None
}

type database struct {
	kind  Kind
	marks []string // any of these files is the database; their stamps say whether it changed
	also  []string // what else answers depend on
	find  func(ctx context.Context, root *jail.Root, paths []string) (map[string]*Match, error)
}

func databases() []database {
	return []database{
		{Deb, []string{"/var/lib/dpkg/status"}, []string{"/var/lib/dpkg/info", "/var/lib/dpkg/diversions"}, findDeb},
		{APK, apkFiles(), nil, findAPK},
		{RPM, rpmFiles(), nil, findRPM},
	}
}

// DB answers which package owns a path of one root.
type DB struct {
	root    *jail.Root
	release Release
	base    database
}

// Open finds a root's database; a root without one answers that nobody owns anything.
func Open(root *jail.Root) *DB {
	db := &DB{root: root, release: ReadRelease(root)}
	kind := Detect(root)
	for _, d := range databases() {
		if d.kind == kind && kind != None {
			db.base = d
		}
	}
	return db
}

// Stamp changes whenever the answers may change; "" when that cannot be told.
func (db *DB) Stamp() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %q", db.base.kind, db.release.ID, db.release.Version)
	for _, path := range append(append([]string{}, db.base.marks...), db.base.also...) {
		st, err := db.root.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, " -")
			continue
		}
		fmt.Fprintf(&b, " %x:%x:%x:%x:%x.%x:%x.%x", st.Dev_major, st.Dev_minor, st.Ino, st.Size,
			st.Mtime.Sec, st.Mtime.Nsec, st.Ctime.Sec, st.Ctime.Nsec)
	}
	return b.String()
}

// Find returns the owners of the paths (absolute, inside the root, without symbolic links, as the kernel names mapped files).
// Paths without an owner are missing in the result. With an error the result holds what was found before it.
func (db *DB) Find(ctx context.Context, paths []string) (map[string]*Match, error) {
	if db.base.find == nil || len(paths) == 0 {
		return map[string]*Match{}, nil
	}
	found, err := db.base.find(ctx, db.root, paths)
	for _, m := range found {
		m.Type = string(db.base.kind)
		m.Distro, m.Release = db.release.ID, db.release.Version
		if m.Source == "" {
			m.Source = m.Name
		}
		if m.SourceVersion == "" {
			m.SourceVersion = m.Version
		}
	}
	return found, err
}
