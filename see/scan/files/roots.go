package files

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"staunch/see/scan/jail"
	"staunch/see/scan/owner"
	"staunch/see/scan/proc"
)

// Root is what one set of processes calls "/".
type Root struct {
	ns   uint64 // inode number of the mount namespace
	link string // where /proc/PID/root points: "/" or the directory of a chroot
	own  bool   // our own mount namespace
	Dir  *jail.Root
	// sumKind is the checksum that the root's package manager keeps of files: md5, sha1, sha256, or "".
	sumKind string
	top     *jail.Root // in our own namespace: its "/", above every chroot
}

// Name is the root as a report shows it; "" for our own.
func (r *Root) Name() string {
	if r.own && r.link == "/" {
		return ""
	}
	name := "mnt:[" + strconv.FormatUint(r.ns, 10) + "]"
	if r.link != "/" {
		name += r.link
	}
	return name
}

// reach returns the directory and the path below it that a name of the maps file stands for, and false when it lies outside of what
// we can open (mapped before a chroot in another namespace).
func (r *Root) reach(path string) (*jail.Root, string, bool) {
	if r.link == "/" {
		return r.Dir, path, r.Dir != nil
	}
	if rest, ok := strings.CutPrefix(path, r.link); ok && strings.HasPrefix(rest, "/") {
		return r.Dir, rest, r.Dir != nil
	}
	return r.top, path, r.top != nil
}

// SumFor is the checksum to take of a file at that path: none where packages bring no files (Filesystem Hierarchy Standard), because
// that is where the largest programs lie. Should a package own one there all the same, whether it is intact stays unknown.
func (r *Root) SumFor(path string) string {
	for _, dir := range []string{"/usr/local/", "/home/", "/root/", "/tmp/", "/var/tmp/", "/srv/", "/mnt/", "/media/", "/run/", "/dev/"} {
		if strings.HasPrefix(path, dir) {
			return ""
		}
	}
	for _, dir := range []string{"/usr/", "/lib", "/bin/", "/sbin/", "/opt/", "/etc/", "/var/"} {
		if strings.HasPrefix(path, dir) {
			return r.sumKind
		}
	}
	return ""
}

// Roots are all mount namespaces and chroots of a look, each opened once.
type Roots struct {
	mu  sync.Mutex
	own uint64
	Top *jail.Root // our own "/"
	all map[rootKey]*Root
}

type rootKey struct {
	ns   uint64
	link string
}

// Get returns a root, which is opened if nobody asked for it before.
func (rs *Roots) Get(ns uint64, link string, open func() (*jail.Root, error)) (*Root, error) {
	key := rootKey{ns, link}
	rs.mu.Lock()
	r, ok := rs.all[key]
	rs.mu.Unlock()
	if ok {
		return r, nil
	}
	r = &Root{ns: ns, link: link, own: ns == rs.own, Dir: rs.Top}
	if r.own {
		r.top = rs.Top
	}
	if !r.own || link != "/" {
		dir, err := open() // outside of the lock: it may hang
		if err != nil {
			return nil, err
		}
		r.Dir = dir
	}
	r.sumKind = owner.Detect(r.Dir).SumKind()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if other, ok := rs.all[key]; ok {
		if r.Dir != rs.Top {
			r.Dir.Close()
		}
		return other, nil
	}
	rs.all[key] = r
	return r, nil
}

// Own is what we call "/" ourselves.
func (rs *Roots) Own() (*Root, error) { return rs.Get(rs.own, "/", nil) }

// Add takes in a directory that counts as "/" though nothing runs in it; it is closed with the others.
func (rs *Roots) Add(name string, dir *jail.Root) *Root {
	r := &Root{link: "/", Dir: dir, sumKind: owner.Detect(dir).SumKind()}
	rs.all[rootKey{link: name}] = r
	return r
}

// Close gives all of them back.
func (rs *Roots) Close() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.all {
		if r.Dir != rs.Top {
			r.Dir.Close()
		}
	}
	rs.Top.Close()
}

// NewRoots returns no roots but our own "/", which it closes with the others.
func NewRoots(top *jail.Root, procfs string) *Roots {
	rs := &Roots{Top: top, all: map[rootKey]*Root{}}
	if self, err := os.Readlink(procfs + "/self/ns/mnt"); err == nil {
		rs.own = proc.Namespace(self)
	}
	return rs
}
