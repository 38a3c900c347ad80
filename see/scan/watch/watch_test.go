package watch

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"

	"staunch/testbed/real"
)

// patient is how long a change may take to be noticed on a loaded machine.
const patient = 2 * time.Minute

// watchers watch in both ways; the second one is left out where the kernel does not tell this user.
func watchers(t *testing.T) map[string]*Watcher {
	t.Helper()
	all := map[string]*Watcher{"by comparing": {root: "/proc", every: 50 * time.Millisecond, last: map[int]print{}, told: map[int]bool{}}}
	if w := New(""); w.events != nil {
		w.every = time.Hour // so that only events can tell
		all["by events"] = w
	}
	for _, w := range all {
		t.Cleanup(w.Close)
	}
	return all
}

// until waits for a change that has pid in one of its lists.
func until(t *testing.T, w *Watcher, what string, list func(Change) []int, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for {
		c, err := w.Wait(ctx, patient)
		if err != nil {
			t.Fatalf("%s of %d was not noticed: %v", what, pid, err)
		}
		if slices.Contains(list(c), pid) {
			return
		}
		if err := w.Mark(); err != nil { // others came and went
			t.Fatal(err)
		}
	}
}

func appeared(c Change) []int { return c.Appeared }
func gone(c Change) []int     { return c.Gone }
func changed(c Change) []int  { return c.Changed }

func mark(t *testing.T, w *Watcher) {
	t.Helper()
	if err := w.Mark(); err != nil {
		t.Fatal(err)
	}
}

func TestAProcessThatStartsTurnsAndEnds(t *testing.T) {
	shell := real.Program(t, "sh")
	for name, w := range watchers(t) {
		t.Run(name, func(t *testing.T) {
			mark(t, w)
			cmd := exec.Command(shell, "-c", "read go; exec sleep 600")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid := cmd.Process.Pid
			until(t, w, "the start", appeared, pid)
			mark(t, w)
			if _, err := io.WriteString(in, "\n"); err != nil {
				t.Fatal(err)
			}
			until(t, w, "the new program", changed, pid)
			mark(t, w)
			cmd.Process.Kill() // it runs
			cmd.Wait()         // killed
			until(t, w, "the end", gone, pid)
		})
	}
}

func TestALibraryThatComesInLaterIsNoticed(t *testing.T) {
	python := real.Program(t, "/usr/bin/python3")
	w := watchers(t)["by comparing"] // no event tells of it
	cmd := exec.Command(python, "-c", "import sys; print('ready', flush=True); sys.stdin.readline(); import ssl; print('done', flush=True); sys.stdin.readline()")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it runs
		cmd.Wait()         // killed
	})
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	mark(t, w)
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	until(t, w, "the library", changed, cmd.Process.Pid)
}

func TestNothingIsToldWhereNothingChanges(t *testing.T) {
	real.Slow(t)
	w := &Watcher{root: t.TempDir(), every: time.Millisecond, last: map[int]print{}, told: map[int]bool{}}
	mark(t, w)
	if c, err := w.Wait(t.Context(), 50*time.Millisecond); err != nil || c.Any() {
		t.Errorf("%+v %v", c, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestItSaysHowItWatches(t *testing.T) {
	for _, w := range []*Watcher{{}, {events: &events{}}} {
		if w.How() == "" {
			t.Error("it does not say")
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("\x4c\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x28\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) { eachEvent(b, func(int) {}) })
}
