package scan_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// image lays out a directory that does not run: a program with a library of its own, started by a unit and a timer, and one by cron.
func image(t *testing.T) string {
	t.Helper()
	built, root := compile(t), t.TempDir()
	for path, from := range map[string]string{"opt/app/prog": "prog", "usr/lib/x86_64-linux-gnu/libold.so": "old.so", "usr/local/bin/tool": "prog"} {
		to := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "cp", "-p", filepath.Join(built, from), to)
	}
	return root
}

func TestADirectoryThatDoesNotRunIsJudgedAsAnImage(t *testing.T) {
	root := image(t)
	r := look(t, scan.Question{Root: root}, scan.Env{})
	var paths []string
	for _, d := range r.Dormant {
		paths = append(paths, d.Path)
		if d.Start != "image" || d.ID == "" {
			t.Errorf("%+v", d)
		}
	}
	slices.Sort(paths)
	if want := []string{"/opt/app/prog", "/usr/lib/x86_64-linux-gnu/libold.so", "/usr/local/bin/tool"}; !slices.Equal(paths, want) {
		t.Errorf("found %v", paths)
	}
	if len(r.Processes) != 0 {
		t.Errorf("%d processes in a directory that does not run", len(r.Processes))
	}
}

func TestAFileThatDoesNotRunBringsItsLibraries(t *testing.T) {
	nginx := real.Program(t, "nginx")
	r := look(t, scan.Question{Files: []string{nginx}}, scan.Env{})
	if len(r.Dormant) != 1 || len(r.Dormant[0].Needs) < 3 {
		t.Fatalf("%+v", r.Dormant)
	}
	var sonames []string
	for _, o := range r.Objects {
		sonames = append(sonames, o.Soname)
	}
	for _, want := range []string{"libc.so.6", "libcrypto.so.3", "libssl.so.3", "libz.so.1"} {
		if !slices.Contains(sonames, want) {
			t.Errorf("%s is not among %v", want, sonames)
		}
	}
}

func TestWhatIsAskedForMustBeThere(t *testing.T) {
	for _, q := range []scan.Question{{Root: "/nowhere/at/all"}, {Files: []string{"/nowhere"}}, {Files: []string{"/dev/null"}}} {
		if _, err := scan.Look(t.Context(), q, scan.Env{Version: "test"}, nil); err == nil {
			t.Errorf("%+v was looked at", q)
		}
	}
}

// TestWhatCanStartIsListedWithinItsBudget looks at this machine: something that does not run is found, within a budget that leaves rest.
func TestWhatCanStartIsListedWithinItsBudget(t *testing.T) {
	real.Slow(t)
	r, err := scan.Look(t.Context(), scan.Question{DormantBudget: 100}, scan.Env{Version: "test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sight.DormantLeft == 0 {
		t.Error("a tenth of a second sufficed for a whole machine: the rest is not counted")
	}
	for _, d := range r.Dormant {
		if !strings.HasPrefix(d.Path, "/") || d.Start == "" {
			t.Errorf("%+v", d)
		}
	}
}
