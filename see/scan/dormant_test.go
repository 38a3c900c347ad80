package scan_test

import (
	"os"
	"os/exec"
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

// TestAProgramBringsTheLibrariesThatItsLoaderWouldMap asks the system's own loader.
func TestAProgramBringsTheLibrariesThatItsLoaderWouldMap(t *testing.T) {
	ldd, gcc := real.Program(t, "ldd"), real.Program(t, "gcc")
	dir := t.TempDir()
	lib, bin := filepath.Join(dir, "lib"), filepath.Join(dir, "bin")
	for _, d := range []string{lib, bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// its own copy of a library whose name the system has too, found by $ORIGIN; a second one that only the first one's RPATH leads to
	write(t, filepath.Join(dir, "deep.c"), `int deep(void) { return 1; }`)
	write(t, filepath.Join(dir, "z.c"), `int deep(void); int zlibVersion(void) { return deep(); }`)
	write(t, filepath.Join(dir, "prog.c"), `int zlibVersion(void); int main(void) { return zlibVersion(); }`)
	run(t, gcc, "-shared", "-fPIC", "-o", filepath.Join(lib, "libdeep.so"), filepath.Join(dir, "deep.c"))
	run(t, gcc, "-shared", "-fPIC", "-Wl,-soname,libz.so.1", "-o", filepath.Join(lib, "libz.so.1"), filepath.Join(dir, "z.c"), "-L"+lib, "-ldeep")
	var programs []string
	for name, flags := range map[string][]string{
		"rpath": {"-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib"}, "runpath": {"-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib"}, "plain": nil,
	} {
		out := filepath.Join(bin, name)
		run(t, gcc, append(flags, "-o", out, filepath.Join(dir, "prog.c"), filepath.Join(lib, "libz.so.1"), "-Wl,-rpath-link,"+lib, "-Wl,--allow-shlib-undefined")...)
		programs = append(programs, out)
	}
	for _, name := range []string{"nginx", "openssl", "python3", "java", "curl", "php", "gdb", "perl", "ssh"} {
		if found, err := filepath.EvalSymlinks("/usr/bin/" + name); err == nil { // the true name: $ORIGIN is where the program really lies
			programs = append(programs, found)
		}
	}
	for _, program := range programs {
		r := look(t, scan.Question{Files: []string{program}}, scan.Env{})
		if len(r.Dormant) != 1 {
			t.Errorf("%s: %+v", program, r.Dormant)
			continue
		}
		var got []string
		for _, o := range r.Objects {
			if slices.Contains(r.Dormant[0].Needs, o.ID) {
				got = append(got, o.Path)
			}
		}
		slices.Sort(got)
		want, missing := mapped(t, ldd, program)
		got = slices.DeleteFunc(got, func(name string) bool { return slices.Contains(missing, filepath.Base(name)) }) // found beside the program
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", program, got, want)
		}
	}
}

// mapped are the libraries that ldd names, by their true names, and the names that it did not find.
func mapped(t *testing.T, ldd, program string) (list, missing []string) {
	t.Helper()
	out, err := exec.Command(ldd, program).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "not found") {
			missing = append(missing, strings.Fields(line)[0])
		}
		for word := range strings.FieldsSeq(line) {
			if !strings.HasPrefix(word, "/") || strings.HasSuffix(word, ":") {
				continue
			}
			plain, err := filepath.EvalSymlinks(word)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, plain)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), missing
}

// TestWhatWasLeftIsTheNextLooksTurn: looks with far too little time, one after the other, get through.
func TestWhatWasLeftIsTheNextLooksTurn(t *testing.T) {
	real.Slow(t)
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	programs, err := filepath.Glob("/usr/bin/[a-m]*")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, program := range programs {
		if b, err := os.ReadFile(program); err == nil && len(b) > 4 && string(b[:4]) == "\x7fELF" && len(b) < 4<<20 && files < 80 {
			write(t, filepath.Join(dir, filepath.Base(program)), string(b))
			files++
		}
	}
	looks := 0
	for left := 1; left > 0; looks++ {
		if looks == 300 {
			t.Fatalf("%d files are left after %d looks", left, looks)
		}
		r, err := scan.Look(t.Context(), scan.Question{Files: []string{dir}, DormantBudget: 150}, scan.Env{Cache: cache, Version: "test"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		left = r.Sight.DormantLeft
		if left == 0 && len(r.Dormant) != files {
			t.Errorf("%d of %d programs are told", len(r.Dormant), files)
		}
	}
	t.Logf("%d programs in %d looks", files, looks)
}

// TestABrokenProgramIsNotPassedOverInSilence: who asks about a directory is told of what could not be read in it, and of nothing that is no program.
func TestABrokenProgramIsNotPassedOverInSilence(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(real.Program(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "whole"), string(whole))
	write(t, filepath.Join(dir, "cut"), string(whole[:5000]))
	write(t, filepath.Join(dir, "script"), "#!/bin/sh\n"+strings.Repeat("# no program of ours\n", 10))
	r, err := scan.Look(t.Context(), scan.Question{Files: []string{dir}}, scan.Env{Version: "test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Dormant) != 1 || len(r.Unseen) != 1 || r.Unseen[0].Name != filepath.Join(dir, "cut") || !strings.Contains(r.Unseen[0].Reason, "could not be read: ") {
		t.Errorf("%+v, unseen %+v", r.Dormant, r.Unseen)
	}
}
