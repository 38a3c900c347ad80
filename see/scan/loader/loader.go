// Package loader finds the libraries that a dynamic loader would map for a program that does not run.
package loader

import (
	"path"
	"strings"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/jail"
)

// Loader searches one root as glibc's ld.so does (ld.so(8): RPATH, RUNPATH, the cache, the default directories), or as musl's.
//
// It does not know the environment in which a program will be started: LD_LIBRARY_PATH and LD_PRELOAD are not looked at. Where a
// library is found in no other way, the program's own surroundings are searched, since wrappers set that variable to lead there.
// It is for one goroutine.
type Loader struct {
	head  func(name string) []byte
	lib   map[string]string // machine to what $LIB stands for
	cache map[string][]cached
	conf  []string // directories of ld.so.conf, in a root that has no cache
	musl  map[string][]string
	known map[query]string
}

// query is one search whose answer does not depend on who asks.
type query struct {
	machine, name, before, after, beside string
	musl, noDefault                      bool
}

// New reads what a root's loader is set up with. head returns the first 20 bytes of a regular file below root, none when there is no
// such file or it cannot be had in time.
func New(root *jail.Root, head func(name string) []byte) *Loader {
	l := &Loader{head: head, lib: map[string]string{}, musl: map[string][]string{}, known: map[query]string{}}
	if b, err := root.Read("/etc/ld.so.cache", maxCache); err == nil {
		l.cache = parseCache(b)
	}
	if l.cache == nil {
		l.conf = conf(root)
	}
	for _, machine := range []string{"x86-64", "i386", "aarch64", "arm"} {
		if _, err := root.Stat("/lib/" + tag(machine)); err == nil {
			l.lib[machine] = "lib/" + tag(machine)
		} else if machine == "x86-64" || machine == "aarch64" {
			l.lib[machine] = "lib64"
		} else {
			l.lib[machine] = "lib"
		}
		l.musl[machine] = muslDirs(root, machine)
	}
	return l
}

// find returns the path of a library, "" when there is none.
func (l *Loader) find(q query) string {
	if found, ok := l.known[q]; ok {
		return found
	}
	found := ""
	for _, name := range l.candidates(q) {
		if l.fits(name, q.machine) {
			found = name
			break
		}
	}
	l.known[q] = found
	return found
}

// candidates are the paths to try, in the loader's order.
func (l *Loader) candidates(q query) []string {
	var out []string
	in := func(dirs ...string) {
		for _, dir := range dirs {
			if strings.HasPrefix(dir, "/") { // others depend on the directory in which the program is started
				out = append(out, path.Join(dir, q.name))
			}
		}
	}
	in(list(q.before)...)
	in(list(q.after)...)
	switch {
	case q.musl:
		in(l.musl[q.machine]...)
	default:
		for _, c := range l.cache[q.name] {
			if c.flags&0xff00 == cacheFlags(q.machine) && !(q.noDefault && inDefault(c.path, q.machine)) {
				out = append(out, c.path)
			}
		}
		in(l.conf...)
		if !q.noDefault {
			in(defaultDirs(q.machine)...)
		}
	}
	if !system(q.beside) {
		in(q.beside, path.Join(q.beside, "../lib"), path.Join(q.beside, "lib"))
	}
	return out
}

// fits tells whether a regular file of the right machine is there: a loader passes over others.
func (l *Loader) fits(name, machine string) bool { return image.MachineOf(l.head(name)) == machine }

// muslDirs are the directories of musl's loader: those of its own file, or its defaults.
func muslDirs(root *jail.Root, machine string) []string {
	if b, err := root.Read("/etc/ld-musl-"+muslName(machine)+".path", maxConf); err == nil {
		return strings.FieldsFunc(string(b), func(r rune) bool { return r == ':' || r == '\n' })
	}
	return []string{"/lib", "/usr/local/lib", "/usr/lib"}
}

// muslName is how musl names a machine in its files.
func muslName(machine string) string {
	return map[string]string{"x86-64": "x86_64", "i386": "i386", "aarch64": "aarch64", "arm": "armhf"}[machine]
}

// tag is how a multiarch directory names a machine; "" where Debian's names are not used.
func tag(machine string) string {
	return map[string]string{
		"x86-64": "x86_64-linux-gnu", "i386": "i386-linux-gnu", "aarch64": "aarch64-linux-gnu", "arm": "arm-linux-gnueabihf",
	}[machine]
}

// defaultDirs are the directories that glibc searches by itself, with Debian's and Red Hat's names. /usr/local/lib is none of them.
func defaultDirs(machine string) []string {
	var out []string
	if t := tag(machine); t != "" {
		out = append(out, "/lib/"+t, "/usr/lib/"+t)
	}
	return append(out, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
}

func inDefault(file, machine string) bool {
	for _, dir := range defaultDirs(machine) {
		if path.Dir(file) == dir {
			return true
		}
	}
	return false
}

// system tells the directories whose programs are never shipped with libraries beside them.
func system(dir string) bool {
	for _, d := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib", "/lib", "/lib64", "/usr/lib64", "/usr/libexec"} {
		if dir == d || strings.HasPrefix(dir, d+"/") {
			return true
		}
	}
	return false
}
