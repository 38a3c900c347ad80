package scan_test

import (
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

// deadServer mounts a file system whose server never answers over a directory (or file, by the mode of its root), in the mount namespace
// of a process.
func deadServer(t *testing.T, pid int, dir, mode string) {
	t.Helper()
	nsenter := real.Program(t, "nsenter")
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		real.Missing(t, "FUSE: %v", err)
	}
	t.Cleanup(func() { fuse.Close() }) // ends everything that waits for an answer
	cmd := exec.Command(nsenter, "-t", strconv.Itoa(pid), "-m", "mount", "-i", "-t", "fuse", "dead", dir,
		"-o", "fd=3,rootmode="+mode+",user_id=0,group_id=0")
	cmd.ExtraFiles = []*os.File{fuse}
	if out, err := cmd.CombinedOutput(); err != nil {
		real.Missing(t, "mounting FUSE: %v %s", err, out)
	}
}

func TestADeadFileServerCostsADeadlineAndNotTheScan(t *testing.T) {
	real.Root(t)
	v := newVictim(t, func(dir, lib string) *exec.Cmd {
		inner := filepath.Join(dir, "served")
		cmd := exec.Command("sh", "-c", `mkdir "$1" && cp -p "$2" "$1/lib.so" && exec "$3" "$1/lib.so"`, "sh", inner, lib, filepath.Join(dir, "prog"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		return cmd
	})
	served := filepath.Join(v.dir, "served", "lib.so")
	deadServer(t, v.pid(), filepath.Dir(served), "40000")

	began := time.Now()
	r := look(t, scan.Question{PIDs: []int{v.pid(), os.Getpid()}}, scan.Env{Limit: 300 * time.Millisecond})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took) // without deadlines it would never have come back
	}
	if len(r.Processes) != 2 {
		t.Fatalf("%d processes, unseen %+v", len(r.Processes), r.Unseen)
	}
	for _, p := range r.Processes {
		if p.PID != v.pid() {
			continue
		}
		if got := holding(t, p, served); got.ID != "" || !strings.Contains(got.Unread, "no answer") {
			t.Errorf("%+v", got)
		}
		if got := holding(t, p, filepath.Join(v.dir, "prog")); got.State != scan.Same || got.ID == "" {
			t.Errorf("its other files: %+v", got)
		}
	}
}

func TestANamedPipeInPlaceOfALibraryIsNotOpened(t *testing.T) {
	v := newVictim(t, nil)
	if err := os.Remove(v.lib); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(v.lib, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib); got.State != scan.Replaced || got.OnDisk != "" || got.ID == "" {
		t.Errorf("%+v", got)
	}
}
