package owner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"staunch/see/scan/jail"
)

const (
	dpkgDir    = "/var/lib/dpkg/"
	maxStatus  = 256 << 20
	maxList    = 64 << 20
	maxDebInfo = 200_000 // files in info/
)

// findDeb finds paths in the file lists of dpkg: all lists are read once, each only compared with what is wanted.
func findDeb(ctx context.Context, root *jail.Root, paths []string) (map[string]*Match, error) {
	w := debWanted{names: map[string][]string{}, owner: map[string]string{}, diverted: readDiversions(root)}
	merged := readAliases(root)
	for _, path := range paths {
		for _, name := range merged.of(path) {
			w.want(path, name)
		}
	}
	if err := w.search(ctx, root); err != nil {
		return map[string]*Match{}, err
	}
	return w.matches(root)
}

// debWanted are the paths looked for, by the names under which lists may hold them.
type debWanted struct {
	names    map[string][]string // recorded name to wanted paths
	owner    map[string]string   // wanted path to package as info/ names it: "libssl3:amd64"
	recorded map[string]string   // wanted path to the name that the list holds
	diverted diversions
	likely   [1 << (likelyBits - 6)]uint64 // the last bytes of the names, hashed: most lines of most lists end otherwise
}

const likelyBits = 15

// place is where a name's last bytes stand in likely; false for one that is too short to have them.
func place(name []byte) (word, bit uint32, ok bool) {
	if len(name) < 8 {
		return 0, 0, false
	}
	tail := binary.LittleEndian.Uint64(name[len(name)-8:]) + uint64(len(name))
	h := uint32(tail * 0x9E3779B97F4A7C15 >> (64 - likelyBits))
	return h >> 6, h & 63, true
}

// mayWant is false for most names that nobody looks for.
func (w *debWanted) mayWant(name []byte) bool {
	word, bit, ok := place(name)
	return !ok || w.likely[word]>>bit&1 != 0
}

func (w *debWanted) want(path, name string) {
	w.add(path, name)
	if from, ok := w.diverted.from[name]; ok { // this file is where dpkg put another one's
		w.add(path, from)
	}
}

func (w *debWanted) add(path, name string) {
	w.names[name] = append(w.names[name], path)
	if word, bit, ok := place([]byte(name)); ok {
		w.likely[word] |= 1 << bit
	}
}

// search reads all file lists.
func (w *debWanted) search(ctx context.Context, root *jail.Root) error {
	w.recorded = map[string]string{}
	infos, more, err := root.Names(dpkgDir+"info", maxDebInfo)
	if err != nil {
		return err
	}
	if more {
		return fmt.Errorf("%sinfo holds more than %d files", dpkgDir, maxDebInfo)
	}
	info, err := root.Sub(dpkgDir + "info")
	if err != nil {
		return err
	}
	defer info.Close()
	var buf []byte
	for _, file := range infos {
		pkg, ok := strings.CutSuffix(file, ".list")
		if !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := info.ReadInto(file, buf, maxList)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		buf = list
		w.searchList(pkg, list)
	}
	return nil
}

func (w *debWanted) searchList(pkg string, list []byte) {
	for len(list) > 0 {
		line := list
		if end := bytes.IndexByte(list, '\n'); end >= 0 {
			line, list = list[:end], list[end+1:]
		} else {
			list = nil
		}
		if !w.mayWant(line) {
			continue
		}
		for _, path := range w.names[string(line)] { // a lookup that makes no string
			name := string(line)
			if w.diverted.owns(pkg, name, path) {
				w.owner[path], w.recorded[path] = pkg, name
			}
		}
	}
}

// matches reads the records and checksums of the packages that own something.
func (w *debWanted) matches(root *jail.Root) (map[string]*Match, error) {
	out := map[string]*Match{}
	byPackage := map[string][]string{}
	for path, pkg := range w.owner {
		byPackage[pkg] = append(byPackage[pkg], path)
	}
	status, err := root.Read(dpkgDir+"status", maxStatus)
	if err != nil {
		return out, err
	}
	eachStanza(status, func(s stanza) {
		for _, key := range []string{s["Package"] + ":" + s["Architecture"], s["Package"]} {
			paths, ok := byPackage[key]
			if !ok || !strings.HasSuffix(s["Status"], " installed") && !strings.Contains(s["Status"], "unpacked") && !strings.Contains(s["Status"], "half-configured") && !strings.Contains(s["Status"], "trigger") {
				continue
			}
			sums := readSums(root, key)
			for _, path := range paths {
				m := debMatch(s)
				m.Sum, m.SumKind = sums[strings.TrimPrefix(w.recorded[path], "/")], "md5"
				out[path] = m
			}
		}
	})
	return out, nil
}

func debMatch(s stanza) *Match {
	m := &Match{Package: Package{Name: s["Package"], Version: s["Version"], Arch: s["Architecture"]}}
	// "Source: glibc (2.36-9)": the version stands there only where it differs
	source, version, _ := strings.Cut(s["Source"], " ")
	m.Source = source
	m.SourceVersion = strings.Trim(version, "() ")
	return m
}

// readSums reads a package's md5sums; without the file no checksum is known.
func readSums(root *jail.Root, pkg string) map[string]string {
	out := map[string]string{}
	b, err := root.Read(dpkgDir+"info/"+pkg+".md5sums", maxList)
	if err != nil {
		return out
	}
	parseSums(b, out)
	return out
}

// parseSums reads "hash  path" lines.
func parseSums(b []byte, into map[string]string) {
	for line := range bytes.Lines(b) {
		line = bytes.TrimRight(line, "\n")
		if len(line) > 34 && line[32] == ' ' {
			into[string(bytes.TrimLeft(line[33:], " *"))] = strings.ToLower(string(line[:32]))
		}
	}
}

// stanza holds the fields of one package record that matter here.
type stanza map[string]string

// eachStanza reads dpkg's status: "Field: value" lines, blank lines between records. The stanza is reused between calls.
func eachStanza(b []byte, yield func(stanza)) {
	s := stanza{}
	scan := bufio.NewScanner(bytes.NewReader(b))
	scan.Buffer(make([]byte, 64<<10), 4<<20)
	for scan.Scan() {
		line := scan.Bytes()
		if len(line) == 0 {
			if len(s) > 0 {
				yield(s)
				clear(s)
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		switch string(name) {
		case "Package", "Status", "Architecture", "Version", "Source":
			s[string(name)] = string(bytes.TrimSpace(value))
		}
	}
	if len(s) > 0 {
		yield(s)
	}
}
