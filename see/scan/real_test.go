package scan_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// victim is a small C program that has one library of ours mapped.
type victim struct {
	dir, lib string
	cmd      *exec.Cmd
}

// compile builds lib.so with a text of its own, and a program that loads what it is told and waits.
func compile(t *testing.T) (dir string) {
	t.Helper()
	gcc := real.Program(t, "gcc")
	dir = t.TempDir()
	write(t, filepath.Join(dir, "old.c"), `const char *version(void) { return "the old one"; }`)
	write(t, filepath.Join(dir, "new.c"), `const char *version(void) { return "the new one, which fixes it"; } int more(int x) { return x * 3; }`)
	write(t, filepath.Join(dir, "prog.c"), `#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) { for (int i = 1; i < argc; i++) if (!dlopen(argv[i], RTLD_NOW)) { puts(dlerror()); return 1; } puts("ready"); fflush(stdout); for (;;) pause(); }`)
	run(t, gcc, "-shared", "-fPIC", "-o", filepath.Join(dir, "old.so"), filepath.Join(dir, "old.c"))
	run(t, gcc, "-shared", "-fPIC", "-o", filepath.Join(dir, "new.so"), filepath.Join(dir, "new.c"))
	run(t, gcc, "-o", filepath.Join(dir, "prog"), filepath.Join(dir, "prog.c"))
	// older than any process, so that nothing looks written after its start
	long := time.Now().Add(-time.Hour)
	for _, name := range []string{"old.so", "new.so", "prog"} {
		if err := os.Chtimes(filepath.Join(dir, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a command until the test ends and waits for its first line.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()         // killed
	})
	line := make([]byte, 256)
	n, err := out.Read(line)
	if err != nil || !strings.HasPrefix(string(line[:n]), "ready") {
		t.Fatalf("%s did not become ready: %q %v", cmd.Path, line[:n], err)
	}
}

func newVictim(t *testing.T, cmd func(dir, lib string) *exec.Cmd) *victim {
	t.Helper()
	v := &victim{dir: compile(t)}
	v.lib = filepath.Join(v.dir, "lib.so")
	run(t, "cp", "-p", filepath.Join(v.dir, "old.so"), v.lib)
	if cmd == nil {
		cmd = func(dir, lib string) *exec.Cmd { return exec.Command(filepath.Join(dir, "prog"), lib) }
	}
	v.cmd = cmd(v.dir, v.lib)
	start(t, v.cmd)
	return v
}

func (v *victim) pid() int { return v.cmd.Process.Pid }

// look scans one process without a cache.
func look(t *testing.T, q scan.Question, env scan.Env) *scan.Report {
	t.Helper()
	q.NoDormant = true
	r, err := scan.Look(context.Background(), q, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func only(t *testing.T, r *scan.Report) scan.Process {
	t.Helper()
	if len(r.Processes) != 1 {
		t.Fatalf("%d processes, want one; unseen: %+v", len(r.Processes), r.Unseen)
	}
	return r.Processes[0]
}

func holding(t *testing.T, p scan.Process, path string) scan.Mapped {
	t.Helper()
	for _, m := range p.Objects {
		if m.Path == path {
			return m
		}
	}
	t.Fatalf("process %d does not show %s but %+v", p.PID, path, p.Objects)
	return scan.Mapped{}
}

// idOf is the object id of a file, as a process that maps it would have it.
func idOf(t *testing.T, path string) string {
	t.Helper()
	r, err := scan.Look(context.Background(), scan.Question{Files: []string{path}}, scan.Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Objects) == 0 {
		t.Fatalf("nothing was found in %s: %+v", path, r)
	}
	return r.Dormant[0].ID
}

func TestLibraryReplacedUnderAProcess(t *testing.T) {
	v := newVictim(t, nil)
	before := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib)
	if before.State != scan.Same || before.ID == "" || before.ID != idOf(t, v.lib) {
		t.Fatalf("untouched: %+v", before)
	}
	if err := os.Rename(filepath.Join(v.dir, "new.so"), v.lib); err != nil {
		t.Fatal(err)
	}
	after := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib)
	if after.State != scan.Replaced || after.ID != before.ID || after.OnDisk != idOf(t, v.lib) || after.OnDisk == before.ID {
		t.Errorf("replaced: %+v, before %+v", after, before)
	}
}

func TestLibraryDeletedUnderAProcess(t *testing.T) {
	v := newVictim(t, nil)
	want := idOf(t, v.lib)
	if err := os.Remove(v.lib); err != nil {
		t.Fatal(err)
	}
	if got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib); got.State != scan.Deleted || got.ID != want {
		t.Errorf("%+v, want id %s", got, want)
	}
}

func TestLibraryOverwrittenInPlaceProvesNothing(t *testing.T) {
	v := newVictim(t, nil)
	time.Sleep(50 * time.Millisecond) // starts are known to 10 ms
	b, err := os.ReadFile(filepath.Join(v.dir, "new.so"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.lib, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib); got.State != scan.Overwritten {
		t.Errorf("%+v", got)
	}
	// and with the time put back: still not told as the same without doubt
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(v.lib, long, long); err != nil {
		t.Fatal(err)
	}
	if got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib); got.Doubt == "" {
		t.Errorf("no doubt: %+v", got)
	}
}

func TestLibraryThatAProcessUnpacksForItselfIsNotOverwritten(t *testing.T) {
	v := newVictim(t, func(dir, lib string) *exec.Cmd {
		return exec.Command("sh", "-c", `sleep 0.2; cat "$1" > "$2"; exec "$3" "$2"`, "sh", filepath.Join(dir, "old.so"), filepath.Join(dir, "unpacked.so"), filepath.Join(dir, "prog"))
	})
	if got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), filepath.Join(v.dir, "unpacked.so")); got.State != scan.Same {
		t.Errorf("%+v", got)
	}
}

func TestNamesWithNewlinesAndMarksAreRead(t *testing.T) {
	dir := compile(t)
	for _, name := range []string{"new\nline.so", `back\012slash.so`, "really (deleted)", "a b\tc\x1b[31m.so"} {
		lib := filepath.Join(dir, name)
		run(t, "cp", "-p", filepath.Join(dir, "old.so"), lib)
		cmd := exec.Command(filepath.Join(dir, "prog"), lib)
		start(t, cmd)
		p := only(t, look(t, scan.Question{PIDs: []int{cmd.Process.Pid}}, scan.Env{}))
		got := holding(t, p, lib)
		if got.State != scan.Same || got.ID == "" {
			t.Errorf("%q: %+v", name, got)
		}
		if err := os.Remove(lib); err != nil {
			t.Fatal(err)
		}
		p = only(t, look(t, scan.Question{PIDs: []int{cmd.Process.Pid}}, scan.Env{}))
		gone := scan.Mapped{}
		for _, m := range p.Objects {
			if m.ID == got.ID {
				gone = m
			}
		}
		if gone.State != scan.Deleted || gone.Path != lib {
			t.Errorf("%q removed: %+v", name, gone)
		}
	}
}

func TestProcessInAnotherMountNamespace(t *testing.T) {
	real.Root(t)
	dir := compile(t)
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	// outside the same name holds the new library, inside the old one
	run(t, "cp", "-p", filepath.Join(dir, "new.so"), filepath.Join(inner, "lib.so"))
	cmd := exec.Command("sh", "-c", `mount -t tmpfs none "$1/inner" && cp -p "$1/old.so" "$1/inner/lib.so" && exec "$1/prog" "$1/inner/lib.so"`, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	start(t, cmd)
	p := only(t, look(t, scan.Question{PIDs: []int{cmd.Process.Pid}}, scan.Env{}))
	if !strings.HasPrefix(p.Root, "mnt:[") {
		t.Errorf("root %q", p.Root)
	}
	got := holding(t, p, filepath.Join(inner, "lib.so"))
	if got.State != scan.Same || got.ID != idOf(t, filepath.Join(dir, "old.so")) {
		t.Errorf("%+v", got)
	}
}

func TestProcessInAChroot(t *testing.T) {
	real.Root(t)
	jail := t.TempDir()
	write(t, filepath.Join(jail, "wait.go"), "package main\nimport (\"fmt\"; \"time\")\nfunc main() { fmt.Println(\"ready\"); time.Sleep(time.Hour) }\n")
	build := exec.Command("go", "build", "-o", filepath.Join(jail, "wait"), filepath.Join(jail, "wait.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command("/wait")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: jail}
	start(t, cmd)
	p := only(t, look(t, scan.Question{PIDs: []int{cmd.Process.Pid}}, scan.Env{}))
	if len(p.Objects) != 1 || p.Objects[0].State != scan.Same || p.Objects[0].ID == "" {
		t.Errorf("%+v", p)
	}
	if !strings.HasSuffix(p.Root, jail) {
		t.Errorf("root %q does not name the chroot", p.Root)
	}
}

// asUser runs the built command as nobody, with the given capabilities.
func asUser(t *testing.T, caps string, args ...string) *scan.Report {
	t.Helper()
	setpriv := real.Program(t, "setpriv")
	bin := real.Build(t, "./cmd/staunch")
	for dir := filepath.Dir(bin); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	with := []string{"--reuid", "65534", "--regid", "65534", "--clear-groups"}
	if caps != "" {
		with = append(with, "--inh-caps", caps, "--ambient-caps", caps)
	}
	cmd := exec.Command(setpriv, append(append(with, bin, "scan", "--format", "json", "--no-cache"), args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if len(out) == 0 {
		t.Fatalf("no report: %v %s", err, complaints.String())
	}
	var r scan.Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestAPlainUserSeesAPartAndSaysSo(t *testing.T) {
	real.Root(t)
	v := newVictim(t, nil)
	r := asUser(t, "")
	for _, u := range r.Unseen {
		if u.PID == v.pid() {
			if !strings.Contains(u.Reason, "permission denied") {
				t.Errorf("reason %q", u.Reason)
			}
			if !strings.Contains(strings.Join(r.Sight.Notes, "\n"), "CHECKPOINT_RESTORE") {
				t.Errorf("what would settle it is not told: %v", r.Sight.Notes)
			}
			return
		}
	}
	t.Errorf("root's process %d is not listed as unseen", v.pid())
}

func TestThreeCapabilitiesSeeEverything(t *testing.T) {
	real.Root(t)
	v := newVictim(t, nil)
	want := idOf(t, v.lib)
	if err := os.Remove(v.lib); err != nil {
		t.Fatal(err)
	}
	r := asUser(t, "+sys_ptrace,+dac_read_search,+checkpoint_restore", "--pid", strconv.Itoa(v.pid()))
	if got := holding(t, only(t, r), v.lib); got.State != scan.Deleted || got.ID != want {
		t.Errorf("%+v, want %s", got, want)
	}
}
