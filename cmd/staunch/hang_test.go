package main_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/testbed/real"

	"golang.org/x/sys/unix"
)

// A scan beside hanging file servers must come back: printed whole, its end of every pipe closed, and its process gone, although the kernel lets
// nobody kill a thread that waits for an answer of a FUSE server.

// TestAScanEndsAlthoughTheServerOfAProgramHangs: a running program lies on a FUSE server that answered until it ran.
func TestAScanEndsAlthoughTheServerOfAProgramHangs(t *testing.T) {
	staunch := real.Build(t, "./cmd/staunch")
	for _, silent := range []uint32{real.FuseLookup, real.FuseGetattr, real.FuseOpen, real.FuseRead} {
		dir := t.TempDir()
		var pid int
		scan := command(t, staunch, "scan", "--format", "json", "--dormant=off")
		doc := ended(t, scan, func() {
			server := real.MountFUSE(t, dir, sleeper(t))
			pid = runs(t, filepath.Join(dir, "sleeper"))
			silence(server, silent)
		})
		i := slices.IndexFunc(doc.Unseen, func(u unseen) bool { return u.PID == pid })
		if i < 0 || !strings.Contains(doc.Unseen[i].Reason, "no answer") {
			t.Errorf("silent at request %d: the process is not named: %+v", silent, doc.Unseen)
		}
	}
}

// TestAScanEndsAlthoughWhatCanStartHangs: a machine whose /srv and /usr/local/bin are dead still shows what lies in /opt.
func TestAScanEndsAlthoughWhatCanStartHangs(t *testing.T) {
	staunch := real.Build(t, "./cmd/staunch")
	for _, silent := range []uint32{real.FuseLookup, real.FuseOpendir, real.FuseReaddir} {
		top := t.TempDir()
		for _, name := range []string{"proc", "srv", "usr/local/bin", "opt"} {
			must(t, os.MkdirAll(filepath.Join(top, name), 0o755))
		}
		must(t, os.WriteFile(filepath.Join(top, "opt/sleeper"), sleeper(t)["sleeper"], 0o755))
		run(t, "cp", staunch, filepath.Join(top, "staunch"))
		scan := command(t, "/staunch", "scan", "--format", "json", "--dormant-time", "10s")
		scan.SysProcAttr = &syscall.SysProcAttr{Chroot: top}
		doc := ended(t, scan, func() {
			must(t, unix.Mount("/proc", filepath.Join(top, "proc"), "", unix.MS_BIND, ""))
			for _, name := range []string{"srv", "usr/local/bin"} {
				silence(real.MountFUSE(t, filepath.Join(top, name), sleeper(t)), silent)
			}
		})
		if !slices.ContainsFunc(doc.Dormant, func(d dormant) bool { return d.Path == "/opt/sleeper" }) {
			t.Errorf("silent at request %d: what is healthy is not listed: %+v", silent, doc.Dormant)
		}
		notes := strings.Join(doc.Sight.Notes, "\n")
		for _, place := range []string{"/srv", "/usr/local/bin"} {
			if !strings.Contains(notes, place) {
				t.Errorf("silent at request %d: %s is not named: %s", silent, place, notes)
			}
		}
		if doc.Sight.DormantLeft < 2 {
			t.Errorf("silent at request %d: %d left", silent, doc.Sight.DormantLeft)
		}
	}
}

type (
	unseen = struct {
		PID    int
		Reason string
	}
	dormant  = struct{ Path string }
	document struct {
		Unseen  []unseen
		Dormant []dormant
		Sight   struct {
			Notes       []string
			DormantLeft int `json:"dormant_left"`
		}
	}
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// sleeper is what the servers serve: a small real program.
func sleeper(t *testing.T) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(real.Program(t, "sleep"))
	must(t, err)
	return map[string][]byte{"sleeper": b}
}

func silence(server *real.FUSE, at uint32) {
	server.Before(func(op uint32) {
		if op == at {
			<-server.End()
		}
	})
}

// runs starts a program and waits until it runs from its own file.
func runs(t *testing.T, program string) int {
	t.Helper()
	cmd := exec.Command("sh", "-c", `exec "$0" 1000`, program) // not by us: our fork would wait for our own server
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() // it may wait for its server, whose end comes after this
		go cmd.Wait()
	})
	for range 200 {
		if name, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/comm"); err == nil && string(name) == "sleeper\n" {
			return cmd.Process.Pid
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%s does not run", program)
	return 0
}

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	return cmd
}

// ended runs a scan in a mount namespace that setup prepared, and returns what it printed when its output ended and it was gone.
func ended(t *testing.T, scan *exec.Cmd, setup func()) (doc document) {
	t.Helper()
	out, err := scan.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	scan.Stderr = os.Stderr
	real.OwnMounts(t, func() {
		setup()
		must(t, scan.Start())
	})
	if t.Failed() {
		t.FailNow()
	}
	printed := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(out) // cut: it does not decode
		scan.Wait()             // its code is looked at below
		printed <- b
	}()
	select {
	case b := <-printed:
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatalf("%v: %q", err, b)
		}
	case <-time.After(2 * time.Minute):
		scan.Process.Kill()
		t.Fatal("the scan did not come back")
	}
	if code := scan.ProcessState.ExitCode(); code != 1 && code != 3 {
		t.Errorf("exit code %d", code)
	}
	return doc
}
