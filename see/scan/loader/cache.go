package loader

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"

	"staunch/see/scan/jail"
)

const (
	maxCache    = 64 << 20
	maxConf     = 1 << 20
	maxIncludes = 256
)

// cached is one entry of the loader's cache.
type cached struct {
	flags uint32
	path  string
}

// parseCache reads glibc's ld.so.cache in its format of 2.2 and later (struct cache_file_new of glibc's dl-cache.h), which may
// stand behind one of the older format. Entries that point outside of the file are left out.
func parseCache(b []byte) map[string][]cached {
	const magic, head, size = "glibc-ld.so.cache1.1", 48, 24
	at := bytes.Index(b, []byte(magic))
	if at < 0 || len(b)-at < head {
		return nil
	}
	b = b[at:]
	count := binary.NativeEndian.Uint32(b[len(magic):])
	out := map[string][]cached{}
	for i := range uint64(count) {
		off := head + i*size
		if off+size > uint64(len(b)) {
			break
		}
		e := b[off:]
		name, ok1 := textAt(b, binary.NativeEndian.Uint32(e[4:]))
		file, ok2 := textAt(b, binary.NativeEndian.Uint32(e[8:]))
		if ok1 && ok2 && strings.HasPrefix(file, "/") {
			out[name] = append(out[name], cached{flags: binary.NativeEndian.Uint32(e), path: file})
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

// cacheFlags are the marks of a machine's libraries in the loader's cache (glibc's ldconfig.h: FLAG_X8664_LIB64, FLAG_AARCH64_LIB64).
func cacheFlags(machine string) uint32 {
	switch machine {
	case "x86-64":
		return 0x0300
	case "aarch64":
		return 0x0a00
	}
	return 0
}

// conf reads the directories of an ld.so.conf, with what it includes: the cache is made from them.
func conf(root *jail.Root) []string {
	var out []string
	files := []string{"/etc/ld.so.conf"}
	for n := 0; n < len(files) && n < maxIncludes; n++ {
		b, err := root.Read(files[n], maxConf)
		if err != nil {
			continue // not there: there is nothing to search
		}
		for line := range strings.Lines(string(b)) {
			line, _, _ = strings.Cut(line, "#")
			line = strings.TrimSpace(line)
			if pattern, ok := strings.CutPrefix(line, "include"); ok && strings.TrimLeft(pattern, " \t") != pattern {
				files = append(files, included(root, strings.TrimSpace(pattern))...)
			} else if strings.HasPrefix(line, "/") {
				dir, _, _ := strings.Cut(line, "=") // "directory=TYPE" is of the time of libc5
				out = append(out, path.Clean(strings.TrimSpace(dir)))
			}
		}
	}
	return out
}

// included are the files that an include names; only its last part may be a pattern.
func included(root *jail.Root, pattern string) []string {
	if !strings.HasPrefix(pattern, "/") {
		pattern = path.Join("/etc", pattern)
	}
	names, _, err := root.Names(path.Dir(pattern), maxIncludes)
	if err != nil {
		return nil // not there
	}
	var out []string
	for _, name := range names {
		if ok, err := path.Match(path.Base(pattern), name); err == nil && ok {
			out = append(out, path.Join(path.Dir(pattern), name))
		}
	}
	return out
}
