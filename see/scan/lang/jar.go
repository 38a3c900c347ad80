package lang

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/pattern"
)

// Limits bound what one archive may cost, however it was made.
type Limits struct {
	Depth   int   // levels of nesting
	Entries int   // entries read in all
	Inner   int64 // bytes of one nested archive, held in memory while it is read
	Total   int64 // bytes inflated in all
}

// DefaultLimits fit every honest application server and stop archive bombs.
func DefaultLimits() Limits {
	return Limits{Depth: 4, Entries: 400_000, Inner: 96 << 20, Total: 1 << 30}
}

// Archive is what one archive holds, and what it makes the virtual machine load beside it.
type Archive struct {
	Found     []Found
	ClassPath []string // of its manifest, as absolute paths if its own name is one
}

// Jar lists the components of a jar, war, ear or any zip with classes, nested ones included. What it could not read (limits, broken or
// encrypted parts) is returned as an error beside everything that it did find.
func Jar(r io.ReaderAt, size int64, name string, marks []Mark, limits Limits) (Archive, error) {
	j := &jarReader{marks: marks, left: limits, depth: limits.Depth}
	err := j.read(r, size, name, limits.Depth)
	if err == nil {
		err = j.skipped
	}
	return Archive{Found: j.found, ClassPath: j.beside}, err
}

// IsJar reports whether a path looks like something that a Java virtual machine loads.
func IsJar(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear", ".rar", ".sar", ".hpi", ".jpi", ".par", ".kar":
		return true
	}
	return false
}

type jarReader struct {
	marks   []Mark
	left    Limits
	depth   int // of the outermost archive
	found   []Found
	beside  []string
	skipped error
}

func (j *jarReader) skip(format string, args ...any) {
	if j.skipped == nil {
		j.skipped = fault.New(fault.Corrupt, format, args...)
	}
}

// read looks through one archive; nested ones follow after its own components.
func (j *jarReader) read(r io.ReaderAt, size int64, name string, depth int) error {
	if n := directorySize(r, size); n > maxDirectory {
		return fault.New(fault.Full, "%s: a directory of %d bytes, more than we read", name, n)
	}
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return fault.New(fault.Corrupt, "%s: not a readable archive: %v", name, err)
	}
	if j.left.Entries -= len(archive.File); j.left.Entries < 0 {
		return fault.New(fault.Full, "%s: more entries than we read", name)
	}
	here := len(j.found)
	var manifest map[string]string
	for _, f := range archive.File {
		switch {
		case f.Name == "META-INF/MANIFEST.MF":
			if manifest = j.properties(f, name, ':'); depth == j.depth {
				j.beside = besides(name, manifest["Class-Path"])
			}
		case strings.HasPrefix(f.Name, "META-INF/maven/") && path.Base(f.Name) == "pom.properties":
			j.pom(f, name)
		}
	}
	if len(j.found) == here {
		j.byName(name, manifest)
	}
	j.answer(archive, name, here)
	for _, f := range archive.File {
		if IsJar(f.Name) && !f.FileInfo().IsDir() {
			j.nested(f, name, depth)
		}
	}
	return nil
}

// maxDirectory bounds a zip's directory, which the library reads into memory whole (100,000 entries take about 10 MB).
const maxDirectory = 48 << 20

// directorySize is what the end record claims (APPNOTE.TXT 4.3.14 to 4.3.16); 0 where there is none, which the library refuses.
func directorySize(r io.ReaderAt, size int64) uint64 {
	tail := make([]byte, min(size, 66<<10))
	if n, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && n < len(tail) {
		return 0
	}
	end := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if end < 0 || end+22 > len(tail) {
		return 0
	}
	n := uint64(binary.LittleEndian.Uint32(tail[end+12:]))
	if n != 0xffffffff {
		return n
	}
	if big := bytes.LastIndex(tail, []byte("PK\x06\x06")); big >= 0 && big+48 <= len(tail) {
		return binary.LittleEndian.Uint64(tail[big+40:])
	}
	return n
}

// pom reads the coordinates that Maven and Gradle leave in an archive.
func (j *jarReader) pom(f *zip.File, name string) {
	p := j.properties(f, name, '=')
	group, artifact := clean(p["groupId"]), clean(p["artifactId"])
	if group == "" || artifact == "" {
		return
	}
	j.found = append(j.found, Found{
		Ecosystem: "Maven", Name: group + ":" + artifact, Version: clean(p["version"]), Path: name,
		Facts: []Fact{{"metadata", "its pom.properties says so", name + "!/" + f.Name}},
	})
}

// versioned splits file names such as log4j-core-2.14.1.jar.
var versioned = pattern.New(`^(.+?)[-_]v?(\d[A-Za-z0-9._+\-]*)$`)

// byName is the weakest evidence: the manifest's title, or the file's name.
func (j *jarReader) byName(name string, manifest map[string]string) {
	file := strings.TrimSuffix(path.Base(name), path.Ext(name))
	found := Found{Ecosystem: "Maven", Path: name}
	if m := versioned.FindStringSubmatch(file); m != nil {
		found.Name, found.Version = clean(m[1]), clean(m[2])
		found.Facts = append(found.Facts, Fact{"name", "its file name says so", path.Base(name)})
	}
	title, version := clean(first(manifest, "Bundle-SymbolicName", "Implementation-Title", "Automatic-Module-Name")), clean(first(manifest, "Implementation-Version", "Bundle-Version"))
	if version != "" && found.Version == "" {
		found.Version = version
	}
	if vendor := clean(manifest["Implementation-Vendor-Id"]); vendor != "" && found.Name != "" {
		found.Name = vendor + ":" + found.Name
	}
	if found.Name == "" {
		found.Name = title
	}
	if found.Name == "" {
		found.Name = clean(file)
	}
	if title != "" || version != "" {
		found.Facts = append(found.Facts, Fact{"name", "its manifest says so", strings.TrimSpace(title + " " + version)})
	}
	if found.Name != "" && len(found.Facts) > 0 {
		j.found = append(j.found, found)
	}
}

func first(m map[string]string, keys ...string) string {
	for _, k := range keys {
		v, _, _ := strings.Cut(m[k], ";") // Bundle-SymbolicName may carry directives
		if v = strings.TrimSpace(v); v != "" {
			return v
		}
	}
	return ""
}

// answer looks for the marks' entries and reports a component whose code is there although its metadata is not.
func (j *jarReader) answer(archive *zip.Reader, name string, here int) {
	if len(j.marks) == 0 {
		return
	}
	entries := make(map[string]bool, len(archive.File))
	for _, f := range archive.File {
		entries[unprefixed(f.Name)] = true
	}
	for _, mark := range j.marks {
		i := slices.IndexFunc(mark.Entries, func(e string) bool { return entries[e] })
		at := slices.IndexFunc(j.found[here:], func(f Found) bool { return same(f.Name, mark.Component) })
		if at < 0 {
			if i < 0 {
				continue
			}
			j.found = append(j.found, Found{
				Ecosystem: mark.Ecosystem, Name: mark.Component, Path: name,
				Facts: []Fact{{"code", "its code is in the archive, its metadata is not (shaded)", name + "!/" + mark.Entries[i]}},
			})
			at = len(j.found) - 1 - here
		}
		f := &j.found[here+at]
		f.Name = mark.Component
		if f.Marks == nil {
			f.Marks = map[string]bool{}
		}
		f.Marks[mark.ID] = i >= 0
		if i >= 0 {
			f.Facts = append([]Fact{{"code", "the archive holds " + path.Base(mark.Entries[i]), name + "!/" + mark.Entries[i]}}, f.Facts...)
		}
	}
}

// same tells whether a found name is the mark's component, also where only the artifact's half is known.
func same(found, component string) bool {
	_, artifact, _ := strings.Cut(component, ":")
	return found == component || found == artifact
}

// unprefixed is an entry's name as a class loader sees it: web applications and multi-release jars put classes below a prefix.
func unprefixed(name string) string {
	for _, prefix := range []string{"WEB-INF/classes/", "BOOT-INF/classes/"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return rest
		}
	}
	if rest, ok := strings.CutPrefix(name, "META-INF/versions/"); ok {
		if _, rest, ok := strings.Cut(rest, "/"); ok {
			return rest
		}
	}
	return name
}

// nested reads an archive inside the archive, in memory, within the limits.
func (j *jarReader) nested(f *zip.File, name string, depth int) {
	inner := name + "!/" + f.Name
	if depth <= 1 {
		j.skip("%s: nested too deeply, not read", inner)
		return
	}
	if f.Flags&1 != 0 {
		j.skip("%s: encrypted, not read", inner)
		return
	}
	content, err := j.inflate(f, j.left.Inner)
	if err != nil {
		j.skip("%s: %v", inner, err)
		return
	}
	if err := j.read(bytes.NewReader(content), int64(len(content)), inner, depth-1); err != nil {
		j.skip("%v", err)
	}
}

// inflate reads one entry, never more than limit nor than is left in all.
func (j *jarReader) inflate(f *zip.File, limit int64) ([]byte, error) {
	limit = min(limit, j.left.Total)
	if f.UncompressedSize64 > uint64(limit) {
		return nil, fmt.Errorf("%d bytes, more than we read", f.UncompressedSize64)
	}
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, limit+1))
	j.left.Total -= int64(len(content))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("larger than it says")
	}
	return content, nil
}

// properties reads "key=value" or "Key: value" lines; a manifest continues a value on lines that begin with a space.
func (j *jarReader) properties(f *zip.File, name string, sep byte) map[string]string {
	content, err := j.inflate(f, 1<<20)
	if err != nil {
		j.skip("%s!/%s: %v", name, f.Name, err)
		return nil
	}
	out := map[string]string{}
	last := ""
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		line := lines.Text()
		if sep == ':' && strings.HasPrefix(line, " ") && last != "" {
			out[last] += line[1:]
			continue
		}
		key, value, ok := strings.Cut(line, string(sep))
		if !ok || strings.HasPrefix(key, "#") || (sep == ':' && line == "") {
			continue
		}
		last = strings.TrimSpace(key)
		if _, have := out[last]; !have {
			out[last] = strings.TrimSpace(value)
		}
	}
	return out
}
