package scan

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"staunch/see/scan/files"
	"staunch/see/scan/proc"
	"staunch/testbed/real"
)

// sleeper starts a copy of sleep of its own, so that no other process has its file mapped.
func sleeper(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	b, err := os.ReadFile(real.Program(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(own, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return exec.Command(own, "600")
}

func end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Process.Kill() // it may have ended
	cmd.Wait()         // killed
}

// begun reads a process once it runs its own program.
func begun(t *testing.T, l *look, cmd *exec.Cmd) *seen {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r := l.readProcess(cmd.Process.Pid)
		if r.exe == cmd.Path && slices.ContainsFunc(r.uses, func(f *files.File) bool { return f.Name == cmd.Path }) {
			return r // the kernel names the program before it maps it
		}
		if r.dir != nil {
			r.dir.Close()
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not start: %+v", cmd.Path, r)
		}
	}
}

func newTestLook(t *testing.T) *look {
	t.Helper()
	l, err := newLook(context.Background(), Question{}, Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.catalogue.Start(1)
	t.Cleanup(func() {
		l.catalogue.Finish()
		l.roots.Close()
	})
	return l
}

// again starts another program until the kernel gives it that pid, which it is asked to.
func again(t *testing.T, pid int) *exec.Cmd {
	t.Helper()
	for range 200 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0o644); err != nil {
			real.Missing(t, "the next pid cannot be chosen: %v", err)
		}
		cmd := sleeper(t, "second")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if cmd.Process.Pid == pid {
			t.Cleanup(func() { end(t, cmd) })
			return cmd
		}
		end(t, cmd)
	}
	real.Missing(t, "others took pid %d first, every time", pid)
	return nil
}

// TestAPidThatIsUsedAgainIsNotTakenForItsFormerOwner ends a process between the two parts of a look, and lets another one have its pid.
func TestAPidThatIsUsedAgainIsNotTakenForItsFormerOwner(t *testing.T) {
	real.Root(t)
	l := newTestLook(t)
	first := sleeper(t, "first")
	r := begun(t, l, first)
	defer r.dir.Close()
	end(t, first)
	time.Sleep(30 * time.Millisecond) // starts are told apart by 10 ms
	second := again(t, r.process.PID)

	l.resolveAll(r)
	l.files.Retry(l.proc)
	var own *files.File
	for _, f := range r.uses {
		if f.Name == first.Path {
			own = f
		}
		if strings.HasSuffix(f.Name, "/second") {
			t.Errorf("the first process is said to hold %s", f.Name)
		}
	}
	if own == nil || own.Memory != nil || !strings.Contains(own.Unread, "ended") {
		t.Fatalf("its own program: %+v", own)
	}
	fresh := l.readProcess(second.Process.Pid)
	if fresh.dir != nil {
		defer fresh.dir.Close()
	}
	if fresh.start == r.start || fresh.exe != second.Path {
		t.Errorf("the second process: %+v", fresh)
	}
}

// TestAFileIsShownByAnotherProcessWhenItsFirstOneEnds ends a process in the middle of a look; a second one runs the same program.
func TestAFileIsShownByAnotherProcessWhenItsFirstOneEnds(t *testing.T) {
	real.Slow(t)
	l := newTestLook(t)
	first := sleeper(t, "shared")
	second := exec.Command(first.Path, "600")
	a := begun(t, l, first)
	defer a.dir.Close()
	b := begun(t, l, second)
	defer b.dir.Close()
	end(t, first)
	l.resolveAll(a)
	l.resolveAll(b) // nothing is new to it
	l.files.Retry(l.proc)
	for _, f := range a.uses {
		if f.Name == first.Path && (f.Memory == nil || f.State != Same) {
			t.Errorf("%+v", f)
		}
	}
}

// TestProcessesThatEndMeanwhileAreNoTrouble looks while others come and go.
func TestProcessesThatEndMeanwhileAreNoTrouble(t *testing.T) {
	program := real.Program(t, "true")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if err := exec.Command(program).Run(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	cache := filepath.Join(t.TempDir(), "cache")
	for range 10 {
		r, err := Look(t.Context(), Question{NoDormant: true}, Env{Cache: cache}, nil)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, p := range r.Processes {
			found = found || p.PID == os.Getpid()
		}
		if !found {
			t.Error("this process is missing")
		}
		for _, u := range r.Unseen {
			if strings.Contains(u.Reason, "no such") {
				t.Errorf("a process that ended is called unseen: %+v", u)
			}
		}
	}
	close(stop)
	<-stopped
}

// TestWhatIsReadThroughADirectoryBelongsToItsProcess shows the ground of it: a directory of procfs dies with its process.
func TestWhatIsReadThroughADirectoryBelongsToItsProcess(t *testing.T) {
	real.Slow(t)
	cmd := sleeper(t, "gone")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := proc.Open("/proc", cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	end(t, cmd)
	if b, err := dir.Read(&proc.Scratch{}, "stat", 4096); err == nil {
		t.Errorf("still reads %q", b)
	}
}
