package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// executables are the answers for one process, with their paths copied.
func executables(d *Dir) (list []Mapping, bad int, err error) {
	bad, err = d.EachExecutable(&Scratch{}, func(m Mapping) {
		m.Path = []byte(string(m.Path))
		list = append(list, m)
	})
	return list, bad, err
}

// bothWays asks the kernel and reads the text until a process keeps still in between.
func bothWays(t *testing.T, pid int) (asked []Mapping) {
	t.Helper()
	d, err := Open("/proc", pid)
	if err != nil {
		return nil // it ended
	}
	defer d.Close()
	var read []Mapping
	for range 20 {
		d.textOnly = true
		before, _, errBefore := executables(d)
		d.textOnly = false
		var bad int
		if asked, bad, err = executables(d); bad != 0 {
			t.Errorf("%d bad lines", bad)
		}
		d.textOnly = true
		read, _, _ = executables(d)
		if errBefore != nil || err != nil {
			return nil // ended, or not ours to read
		}
		if reflect.DeepEqual(before, read) && reflect.DeepEqual(asked, read) {
			return asked
		}
	}
	t.Errorf("process %d: asked %v, read %v", pid, asked, read)
	return asked
}

func TestAskedAndReadMappingsAreTheSameForEveryProcess(t *testing.T) {
	pids, err := PIDs("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, pid := range pids {
		n += len(bothWays(t, pid))
	}
	if n == 0 {
		t.Error("no mapping of any process seen")
	}
}

// sleeper runs a copy of sleep under a name.
func sleeper(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return started(t, path)
}

func started(t *testing.T, path string) int {
	t.Helper()
	cmd := exec.Command(path, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()         // killed
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/maps")
		if err == nil && strings.Contains(string(b), "libc") && strings.Contains(string(b), "sleep") {
			return cmd.Process.Pid
		}
	}
	t.Fatalf("%q does not start", path)
	return 0
}

func TestStrangeNamesAreSpelledAlike(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"sleep\nline", `sleep\012x`, "sleep (deleted)", " sleep", "sleep\ttab \x1b[31m"} {
		pid := sleeper(t, filepath.Join(dir, name))
		want := filepath.Join(dir, strings.ReplaceAll(name, "\n", `\012`))
		if !hasPath(bothWays(t, pid), want) {
			t.Errorf("%q is not told", name)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if !hasPath(bothWays(t, pid), want+" (deleted)") {
			t.Errorf("%q, deleted, is not told", name)
		}
	}
}

func TestMemoryFilesAreToldAlike(t *testing.T) {
	fd, err := unix.MemfdCreate("sleep", 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "sleep")
	defer f.Close()
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	pid := started(t, "/proc/"+strconv.Itoa(os.Getpid())+"/fd/"+strconv.Itoa(fd))
	if list := bothWays(t, pid); !hasPath(list, "/memfd:sleep (deleted)") {
		t.Errorf("%v", list)
	}
}

func hasPath(list []Mapping, path string) bool {
	for _, m := range list {
		if string(m.Path) == path {
			return true
		}
	}
	return false
}

// TestFilesWithoutAnswersAreRead looks at a written tree, whose files answer no questions about mappings as those of old kernels do.
func TestFilesWithoutAnswersAreRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "42"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"maps": someMaps, "stat": "42 (x) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1 2 3\n", "status": "Name:\tx\nUid:\t1\t33\t2\t3\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "42", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir, 42)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	list, bad, err := executables(d)
	if err != nil || bad != 0 || len(list) != 3 || string(list[0].Path) != "/opt/node 0.10/bin/node" {
		t.Errorf("%v %d %v", list, bad, err)
	}
	if st, err := d.Stat(&Scratch{}); err != nil || st.UID != 33 {
		t.Errorf("%+v %v: its status says 33", st, err)
	}
}

func TestTheOwnerOfADirectoryIsTheEffectiveUserOfStatus(t *testing.T) {
	pids, err := PIDs("/proc")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // one whose files procfs gives to root, because it may not be dumped
		cmd := exec.Command("setpriv", "--reuid=65534", "--clear-groups", "sleep", "600")
		if err := cmd.Start(); err == nil {
			defer cmd.Wait()
			defer cmd.Process.Kill()
			time.Sleep(100 * time.Millisecond)
			pids = append(pids, cmd.Process.Pid)
		}
	}
	n := 0
	for _, pid := range pids {
		d, err := Open("/proc", pid)
		if err != nil {
			continue
		}
		uid, ok := d.owner()
		b, err := d.Read(&Scratch{}, "status", maxSmall)
		if err == nil {
			want, err := parseUID(b)
			if err != nil || !ok || uid != want {
				t.Errorf("process %d: %d %v, its status says %d (%v)", pid, uid, ok, want, err)
			}
			n++
		}
		d.Close()
	}
	if n == 0 {
		t.Error("no process seen")
	}
}

// TestAProcessThatBeginsOneProgramAfterAnotherIsNotTakenForEnded reads one that does nothing else.
func TestAProcessThatBeginsOneProgramAfterAnotherIsNotTakenForEnded(t *testing.T) {
	script := filepath.Join(t.TempDir(), "again.sh")
	if err := os.WriteFile(script, []byte("exec sh \"$0\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()         // killed
	})
	d, err := Open("/proc", cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	seen := 0
	for range 3000 {
		list, _, err := executables(d)
		if err == unix.ESRCH {
			t.Fatal("it is said to have ended")
		}
		seen += len(list)
	}
	if seen == 0 {
		t.Error("no mapping seen")
	}
}
