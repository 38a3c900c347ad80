package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"staunch/testbed/real"

	"golang.org/x/sys/unix"
)

// TestARefusalNamesWhoCouldHaveRead: what a scan was not shown, and who would be, told truly for each kind of scan that is refused something.
func TestARefusalNamesWhoCouldHaveRead(t *testing.T) {
	real.Root(t)
	staunch := real.Build(t, "./cmd/staunch")
	run(t, "chmod", "755", filepath.Dir(staunch)) // for the plain user
	other := exec.Command("sleep", "1000")
	must(t, other.Start())
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	scan := []string{staunch, "scan", "--format", "json", "--dormant=off", "--no-cache", "--pid", strconv.Itoa(other.Process.Pid)}
	setpriv := real.Program(t, "setpriv")
	for _, c := range []struct {
		name, says string
		start      func(*exec.Cmd) error
		args       []string
	}{
		{"a plain user", "by root, or with the capabilities", nil, append([]string{setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"}, scan...)},
		{"root without SYS_PTRACE", "left without the capability SYS_PTRACE (", nil, append([]string{setpriv, "--bounding-set", "-sys_ptrace,-kill", "--inh-caps", "-all", "--"}, scan...)},
		{"root of a user namespace", "inside of a user namespace", nil, append([]string{real.Program(t, "unshare"), "-Ur", "--"}, scan...)},
		{"root in a Landlock sandbox", "a security module refuses it", sandboxed, scan},
	} {
		cmd := command(t, c.args[0], c.args[1:]...)
		if c.start == nil {
			c.start = (*exec.Cmd).Start
		}
		out := &strings.Builder{}
		cmd.Stdout = out
		if err := c.start(cmd); err != nil {
			real.Missing(t, "%s: %v", c.name, err)
		}
		err := cmd.Wait()
		var doc document
		if json.Unmarshal([]byte(out.String()), &doc) != nil {
			t.Fatalf("%s: %v: %s", c.name, err, out)
		}
		if len(doc.Unseen) != 1 || !strings.Contains(doc.Unseen[0].Reason, "permission denied") {
			t.Errorf("%s: unseen %+v", c.name, doc.Unseen)
		}
		if notes := strings.Join(doc.Sight.Notes, "\n"); !strings.Contains(notes, c.says) {
			t.Errorf("%s is told: %s", c.name, notes)
		}
		if code := cmd.ProcessState.ExitCode(); code != 3 {
			t.Errorf("%s: exit code %d", c.name, code)
		}
	}
}

// sandboxed starts a command in a Landlock domain of its own, which forbids next to nothing but looking at processes outside of it.
func sandboxed(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its domain
		if unix.Gettid() == unix.Getpid() {
			done <- sandboxed(cmd) // not the first thread, which cannot end
			runtime.UnlockOSThread()
			return
		}
		attr := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK) // the rights that the domain handles
		fd, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), 8, 0)
		if errno != 0 {
			done <- errno
			return
		}
		if _, _, errno = syscall.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
			done <- errno
			return
		}
		done <- cmd.Start()
	}()
	return <-done
}

// TestAdvisoriesThatMayNotBeReadAreSaidOnce: root's state directory is closed (its ledger made it), and a plain user has no advisories of their own.
func TestAdvisoriesThatMayNotBeReadAreSaidOnce(t *testing.T) {
	staunch := real.Build(t, "./cmd/staunch")
	run(t, "chmod", "755", filepath.Dir(staunch))
	cmd := exec.Command(real.Program(t, "setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", staunch, "scan", "--dormant=off", "--no-cache", "--pid", "1")
	cmd.Env = []string{"HOME=/nonexistent"}
	var said strings.Builder
	cmd.Stderr = &said
	real.OwnMounts(t, func() {
		must(t, unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, ""))
		must(t, os.MkdirAll("/var/lib/staunch/advisories", 0o700))
		must(t, os.WriteFile("/var/lib/staunch/advisories/debian.set", nil, 0o644))
		must(t, cmd.Start())
	})
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit code %d, %v", code, err)
	}
	if strings.Count(said.String(), "warning:") != 1 || !strings.Contains(said.String(), "may not be read by this user") || !strings.Contains(said.String(), "hint: fetch your own") {
		t.Errorf("said: %s", said.String())
	}
}
