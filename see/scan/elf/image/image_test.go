package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"staunch/see/scan/elf/sieve"
	"staunch/testbed/real"
)

// samples are real shared objects of this machine, small ones first.
func samples(t testing.TB, most int) []string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*-linux-gnu/*.so.*")
	if err != nil {
		t.Fatal(err)
	}
	return found[:min(len(found), most)]
}

// debug/elf of the standard library reads the same files its own way: through the section table.
func TestTheStandardLibraryReadsTheSame(t *testing.T) {
	real.Slow(t)
	compared := 0
	for _, path := range samples(t, 400) {
		content, err := os.ReadFile(path)
		if err != nil || len(content) > 8<<20 {
			continue
		}
		f, err := elf.NewFile(bytes.NewReader(content))
		if err != nil {
			continue
		}
		compareWithStandard(t, path, f, content)
		compared++
	}
	if compared == 0 {
		real.Missing(t, "no shared objects here")
	}
}

func compareWithStandard(t *testing.T, path string, f *elf.File, content []byte) {
	t.Helper()
	needed, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	soname, err := f.DynString(elf.DT_SONAME)
	if err != nil {
		t.Fatal(err)
	}
	im, err := Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	l := im.Linking()
	if strings.Join(soname, "") != l.Soname || !slices.Equal(slices.Compact(needed), l.Needed) {
		t.Errorf("%s: %q needs %q, the standard library says %q needs %q", path, l.Soname, l.Needed, soname, needed)
	}
	im.sections = nil // the hard way: through the hash table alone
	symbols, err := f.DynamicSymbols()
	if _, count := im.dynamicSymbols(im.Linking()); err == nil && count != uint64(len(symbols)+1) {
		t.Errorf("%s: %d dynamic symbols, the standard library counts %d", path, count, len(symbols)+1)
	}
	compareSymbols(t, path, im, symbols)
}

// compareSymbols looks every tenth name up our way. A name may be there twice, in two versions: then either will do.
func compareSymbols(t *testing.T, path string, im *Image, symbols []elf.Symbol) {
	t.Helper()
	imported, defined := map[string]bool{}, map[string]bool{}
	var w Wanted
	var patterns []sieve.Pattern
	seen := map[string]bool{}
	for n, s := range symbols {
		imported[s.Name] = imported[s.Name] || s.Section == elf.SHN_UNDEF
		defined[s.Name] = defined[s.Name] || s.Section != elf.SHN_UNDEF
		if n%10 == 0 && len(s.Name) >= 3 && !seen[s.Name] {
			seen[s.Name] = true
			w.Names = append(w.Names, s.Name)
			patterns = append(patterns, sieve.Pattern{Bytes: append([]byte(s.Name), 0)})
		}
	}
	var err error
	if w.Set, err = sieve.New(patterns); err != nil {
		t.Fatal(err)
	}
	found, complete := im.Symbols(im.Linking(), &w)
	if !complete {
		t.Errorf("%s: the symbols could not be read to their end", path)
	}
	for _, n := range w.Names {
		if p := found[n]; p.Defined != defined[n] || p.Imported != imported[n] {
			t.Errorf("%s: %s defined %v imported %v, the standard library says %v %v", path, n, p.Defined, p.Imported, defined[n], imported[n])
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x14\x00\x00\x00\x00\x00\x00\x00\x01zR\x00\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\x00\x00\x14\x00\x00\x00\x1c\x00\x00\x00\x10\x00\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), uint64(0x1000))
	f.Add([]byte("\xff\xff\xff\xff\x10\x00\x00\x00\x00\x00\x00\x00"), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, addr uint64) {
		im := &Image{wide: true, order: binary.LittleEndian}
		r := frameReader{im: im, b: b, addr: addr, encodings: map[uint64]byte{}}
		for _, fn := range r.all() {
			if fn.To <= fn.From || fn.To-fn.From > 1<<28 {
				t.Fatalf("bounds %#x-%#x", fn.From, fn.To)
			}
		}
	})
}

// FuzzImage reads everything of a file that there is a reader for; what it says of places must lie in the file.
func FuzzImage(f *testing.F) {
	for _, path := range samples(f, 3000) {
		if content, err := os.ReadFile(path); err == nil && len(content) < 16<<10 {
			f.Add(content)
		}
	}
	set, err := sieve.New([]sieve.Pattern{{Bytes: []byte("malloc\x00")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		im, err := Open(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return
		}
		l := im.Linking()
		if len(l.Needed) > maxNeeded || len(l.RPath) > maxDirs || len(l.RunPath) > maxDirs || len(im.BuildID()) > 128 {
			t.Fatalf("beyond the limits: %+v", l)
		}
		if found, _ := im.Symbols(l, &Wanted{Names: []string{"malloc"}, Set: set}); len(found) > 1 {
			t.Fatalf("names that nobody asked for: %v", found)
		}
		for _, s := range im.Constant() {
			if s.Off+s.Size > uint64(len(content)) {
				t.Fatalf("a segment ends at %d, the file at %d", s.Off+s.Size, len(content))
			}
		}
		functions, err := im.Functions()
		if err != nil {
			return
		}
		gaps, err := im.Gaps(functions)
		for _, g := range gaps {
			if err == nil && g.To <= g.From {
				t.Fatalf("a gap of %#x-%#x", g.From, g.To)
			}
		}
	})
}
