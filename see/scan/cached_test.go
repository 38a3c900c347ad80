package scan_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// pythonWithTLS runs a program with many libraries until the test ends.
func pythonWithTLS(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(real.Program(t, "/usr/bin/python3"), "-c", "import ssl, time; print('ready', flush=True); time.sleep(600)")
	start(t, cmd)
	return cmd.Process.Pid
}

// TestTheCacheAnswersWhatAnalysisWould looks at one process without a cache, with an empty one, and with a full one.
func TestTheCacheAnswersWhatAnalysisWould(t *testing.T) {
	pid := pythonWithTLS(t)
	dir := filepath.Join(t.TempDir(), "cache")
	q := scan.Question{PIDs: []int{pid}}
	without := q
	without.NoCache = true
	plain := look(t, without, scan.Env{Cache: dir})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("a cache was written that was not wanted: %v", err)
	}
	empty := look(t, q, scan.Env{Cache: dir})
	full := look(t, q, scan.Env{Cache: dir})
	if empty.Sight.ObjectsRead != plain.Sight.ObjectsRead || empty.Sight.ObjectsRead == 0 || full.Sight.ObjectsRead != 0 || full.Sight.BytesRead != 0 {
		t.Errorf("objects read: %d without, %d with an empty one, %d with a full one (%d bytes)",
			plain.Sight.ObjectsRead, empty.Sight.ObjectsRead, full.Sight.ObjectsRead, full.Sight.BytesRead)
	}
	for _, r := range []*scan.Report{empty, full} {
		if !slices.EqualFunc(plain.Objects, r.Objects, func(a, b scan.Object) bool {
			return a.ID == b.ID && a.Path == b.Path && len(a.Components) == len(b.Components) && (a.Package == nil) == (b.Package == nil) &&
				(a.Package == nil || *a.Package == *b.Package) && a.Unknown == b.Unknown && a.BuildID == b.BuildID
		}) {
			t.Errorf("other objects: %d and %d", len(plain.Objects), len(r.Objects))
		}
	}
}

// TestLooksAtOnceShareACache has several at the same time fill the same one.
func TestLooksAtOnceShareACache(t *testing.T) {
	pid := pythonWithTLS(t)
	dir := filepath.Join(t.TempDir(), "cache")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			r, err := scan.Look(t.Context(), scan.Question{PIDs: []int{pid}}, scan.Env{Cache: dir}, nil)
			if err != nil || len(r.Objects) < 5 || len(r.Sight.Notes) != 0 {
				t.Errorf("%v: %d objects, notes %v", err, len(r.Objects), r.Sight.Notes)
			}
		})
	}
	all.Wait()
	if r := look(t, scan.Question{PIDs: []int{pid}}, scan.Env{Cache: dir}); r.Sight.ObjectsRead != 0 || len(r.Sight.Notes) != 0 {
		t.Errorf("%+v", r.Sight)
	}
}

// TestFilesThatDifferOnlyOutsideOfTheirCodeAreOneObject, and which of them is told does not hang on the order in which they were met.
func TestFilesThatDifferOnlyOutsideOfTheirCodeAreOneObject(t *testing.T) {
	dir := t.TempDir()
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"c", "a", "b"} {
		program = append(program, "more that is never loaded"...)
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		r := look(t, scan.Question{Files: []string{dir}}, scan.Env{})
		var told []scan.Object
		for _, o := range r.Objects {
			if filepath.Dir(o.Path) == dir {
				told = append(told, o)
			}
		}
		if len(told) != 1 || filepath.Base(told[0].Path) != "a" || told[0].Size != info.Size() {
			t.Fatalf("want a of %d bytes alone, got %+v", info.Size(), told)
		}
	}
}
