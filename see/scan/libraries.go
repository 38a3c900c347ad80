package scan

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"

	"staunch/see/scan/elf"
	"staunch/see/scan/jail"
)

// libraries finds the files that a dynamic loader would map for a name. It knows the loader's cache and its default directories, and
// looks beside programs outside of the system directories first, where such programs keep their own copies.
type libraries struct {
	root  *jail.Root
	cache map[string][]cachedLibrary
	known map[string]string // machine, directory and name to path
}

type cachedLibrary struct {
	flags uint32
	path  string
}

const maxLoaderCache = 64 << 20

func newLibraries(root *jail.Root) *libraries {
	l := &libraries{root: root, known: map[string]string{}}
	if b, err := root.Read("/etc/ld.so.cache", maxLoaderCache); err == nil {
		l.cache = parseLoaderCache(b)
	}
	return l
}

// parseLoaderCache reads glibc's ld.so.cache in its format of 2.2 and later (struct cache_file_new of glibc's dl-cache.h), which may
// stand behind one of the older format. Entries that point outside of the file are left out.
func parseLoaderCache(b []byte) map[string][]cachedLibrary {
	const magic, head, size = "glibc-ld.so.cache1.1", 48, 24
	at := bytes.Index(b, []byte(magic))
	if at < 0 || len(b)-at < head {
		return nil
	}
	b = b[at:]
	count := binary.NativeEndian.Uint32(b[len(magic):])
	out := map[string][]cachedLibrary{}
	for i := range uint64(count) {
		off := head + i*size
		if off+size > uint64(len(b)) {
			break
		}
		e := b[off:]
		name, ok1 := textAt(b, binary.NativeEndian.Uint32(e[4:]))
		file, ok2 := textAt(b, binary.NativeEndian.Uint32(e[8:]))
		if ok1 && ok2 && strings.HasPrefix(file, "/") {
			out[name] = append(out[name], cachedLibrary{flags: binary.NativeEndian.Uint32(e), path: file})
		}
	}
	return out
}

func textAt(b []byte, off uint32) (string, bool) {
	if uint64(off) >= uint64(len(b)) {
		return "", false
	}
	end := bytes.IndexByte(b[off:min(uint64(len(b)), uint64(off)+4096)], 0)
	if end < 0 {
		return "", false
	}
	return string(b[off : int(off)+end]), true
}

// loaderFlags are the marks of a machine's libraries in the loader's cache (glibc's ldconfig.h: FLAG_X8664_LIB64, FLAG_AARCH64_LIB64).
func loaderFlags(machine string) uint32 {
	switch machine {
	case "x86-64":
		return 0x0300
	case "aarch64":
		return 0x0a00
	}
	return 0
}

// find returns the path of a needed library, "" when there is none.
func (l *libraries) find(o *elf.Object, from, name string) string {
	dir := path.Dir(from)
	key := o.Machine + "\x00" + dir + "\x00" + name
	if found, ok := l.known[key]; ok {
		return found
	}
	found := l.search(o, dir, name)
	l.known[key] = found
	return found
}

func (l *libraries) search(o *elf.Object, dir, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	if strings.Contains(name, "/") {
		return ""
	}
	var candidates []string
	if !system(dir) {
		candidates = append(candidates, path.Join(dir, name), path.Join(dir, "../lib", name), path.Join(dir, "lib", name))
	}
	for _, c := range l.cache[name] {
		if c.flags&0xff00 == loaderFlags(o.Machine) {
			candidates = append(candidates, c.path)
		}
	}
	for _, d := range libraryDirs(o.Machine) {
		candidates = append(candidates, path.Join(d, name))
	}
	for _, c := range candidates {
		if _, err := l.root.Stat(c); err == nil {
			return c
		}
	}
	return ""
}

func system(dir string) bool {
	for _, d := range append(pathDirs(), "/usr/lib", "/lib", "/usr/libexec") {
		if dir == d || strings.HasPrefix(dir, d+"/") {
			return true
		}
	}
	return false
}

// libraryDirs are the default directories of glibc (with Debian's and Red Hat's names) and musl.
func libraryDirs(machine string) []string {
	dirs := []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"}
	switch machine {
	case "x86-64":
		return append([]string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/local/lib/x86_64-linux-gnu"}, dirs...)
	case "aarch64":
		return append([]string{"/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib/aarch64-linux-gnu"}, dirs...)
	}
	return dirs
}
