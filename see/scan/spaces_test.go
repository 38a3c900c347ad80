package scan_test

import (
	"fmt"
	"net"
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

// TestAMemoryMapThatCannotBeReadCostsADeadline puts a file whose server never answers in place of one process's memory map: reading it
// blocks, as it does while that process's memory is locked.
func TestAMemoryMapThatCannotBeReadCostsADeadline(t *testing.T) {
	real.Root(t)
	v := newVictim(t, nil)
	procfs := filepath.Join(t.TempDir(), "proc")
	must(t, os.Mkdir(procfs, 0o755))
	holder := exec.Command("sh", "-c", `mount -t proc proc "$1" && echo ready && exec sleep 3600`, "sh", procfs)
	holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	start(t, holder)
	deadServer(t, holder.Process.Pid, filepath.Join(procfs, strconv.Itoa(v.pid()), "maps"), "100444")

	began := time.Now()
	r := look(t, scan.Question{}, scan.Env{Proc: fmt.Sprintf("/proc/%d/root%s", holder.Process.Pid, procfs), Limit: time.Second})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took)
	}
	if len(r.Processes) < 2 {
		t.Errorf("only %d processes were seen beside it", len(r.Processes))
	}
	for _, u := range r.Unseen {
		if u.PID == v.pid() {
			if !strings.Contains(u.Reason, "no answer within 1s") || u.Name != "prog" {
				t.Errorf("%+v", u)
			}
			return
		}
	}
	t.Errorf("process %d is not listed as unseen", v.pid())
}

// TestAProcessInNestedPidNamespacesHasThePidOfOurs looks at one that is number 1 for itself, twice over.
func TestAProcessInNestedPidNamespacesHasThePidOfOurs(t *testing.T) {
	real.Root(t)
	unshare := real.Program(t, "unshare")
	v := newVictim(t, func(dir, lib string) *exec.Cmd {
		cmd := exec.Command(unshare, "--pid", "--fork", "--kill-child", "--mount-proc", filepath.Join(dir, "prog"), lib)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
		return cmd
	})
	found := 0
	for _, p := range look(t, scan.Question{}, scan.Env{}).Processes {
		if p.Exe == filepath.Join(v.dir, "prog") {
			found++
			if p.PPID != v.pid() || p.PID == 1 {
				t.Errorf("%+v", p)
			}
			if got := holding(t, p, v.lib); got.State != scan.Same || got.ID != idOf(t, v.lib) {
				t.Errorf("%+v", got)
			}
		}
	}
	if found != 1 {
		t.Errorf("found %d times", found)
	}
}

// TestAForeignRootCannotBorrowOurPackages runs a program under a name that a package of this machine has, in a root whose package
// database is a link to ours.
func TestAForeignRootCannotBorrowOurPackages(t *testing.T) {
	real.Root(t)
	busybox := real.Program(t, "busybox")
	root := t.TempDir()
	for _, dir := range []string{"bin", "usr/bin", "var/lib", "proc", "etc"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	run(t, "cp", busybox, filepath.Join(root, "bin/busybox"))
	run(t, "cp", busybox, filepath.Join(root, "usr/bin/tail"))
	must(t, os.Symlink("/proc/1/root/var/lib/dpkg", filepath.Join(root, "var/lib/dpkg")))
	must(t, os.Symlink("../../../../../../etc/os-release", filepath.Join(root, "etc/os-release")))
	must(t, os.Symlink("/proc/1/root/etc/passwd", filepath.Join(root, "etc/passwd")))
	cmd := exec.Command("sh", "-c", `mount -t proc proc "$1/proc" && echo ready && exec chroot "$1" /usr/bin/tail -f /proc/version`, "sh", root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	start(t, cmd)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		r := look(t, scan.Question{PIDs: []int{cmd.Process.Pid}}, scan.Env{})
		if p := only(t, r); strings.HasSuffix(p.Exe, "/usr/bin/tail") {
			if got := holding(t, p, p.Exe); got.State != scan.Same || got.ID == "" || got.Package != nil {
				t.Errorf("%+v", got)
			}
			for _, o := range r.Objects {
				if o.Package != nil {
					t.Errorf("%s is said to be of %+v", o.Path, o.Package)
				}
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("the program does not start")
		}
	}
}

// TestSocketsInAnotherNetworkNamespace lets a program listen and call where there is a public address, a private one, and v6.
func TestSocketsInAnotherNetworkNamespace(t *testing.T) {
	real.Root(t)
	python, ip := real.Program(t, "python3"), real.Program(t, "ip")
	script := filepath.Join(t.TempDir(), "listen.py")
	write(t, script, `
import socket, sys, time
def tcp(family, addr, port):
    s = socket.socket(family, socket.SOCK_STREAM); s.bind((addr, port)); s.listen(); return s
def udp(family, addr, port):
    s = socket.socket(family, socket.SOCK_DGRAM); s.bind((addr, port)); return s
four, six = socket.AF_INET, socket.AF_INET6
keep = [tcp(four, "0.0.0.0", 1001), tcp(four, "10.9.8.7", 1002), tcp(four, "127.0.0.1", 1003), tcp(four, "192.0.2.1", 1004),
        tcp(six, "::", 1005), tcp(six, "::1", 1006), tcp(six, "2001:db8::5", 1007), tcp(six, "fd00::5", 1008),
        udp(four, "0.0.0.0", 2001), udp(four, "127.0.0.1", 2002), udp(six, "2001:db8::5", 2003)]
for family, addr in ((four, ("192.0.2.1", 1004)), (four, ("10.9.8.7", 1002)), (six, ("2001:db8::5", 1007))):
    s = socket.socket(family, socket.SOCK_STREAM); s.connect(addr); keep.append(s)
u = socket.socket(four, socket.SOCK_DGRAM); u.connect(("198.51.100.9", 53)); keep.append(u)
print("ready", flush=True); time.sleep(600)
`)
	cmd := exec.Command("sh", "-c", ip+` link set lo up && for a in 192.0.2.1/32 10.9.8.7/32 2001:db8::5/128 fd00::5/128; do `+ip+` addr add $a dev lo nodad 2>/dev/null || `+ip+
		` addr add $a dev lo; done && `+ip+` route add default dev lo && exec `+python+" "+script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}
	start(t, cmd)
	p := only(t, look(t, scan.Question{PIDs: []int{cmd.Process.Pid}}, scan.Env{}))
	got := map[string]string{}
	for _, l := range p.Listens {
		got[fmt.Sprintf("%s %s", l.Proto, net.JoinHostPort(l.Addr, strconv.Itoa(l.Port)))] = l.Reach
		if l.Public != (l.Reach == "public") {
			t.Errorf("%+v", l)
		}
	}
	for want, reach := range map[string]string{
		"tcp 0.0.0.0:1001": "public", "tcp 10.9.8.7:1002": "internal", "tcp 127.0.0.1:1003": "loopback", "tcp 192.0.2.1:1004": "public",
		"tcp [::]:1005": "public", "tcp [::1]:1006": "loopback", "tcp [2001:db8::5]:1007": "public", "tcp [fd00::5]:1008": "internal",
		"udp 0.0.0.0:2001": "public", "udp 127.0.0.1:2002": "loopback", "udp [2001:db8::5]:2003": "public",
	} {
		if got[want] != reach {
			t.Errorf("%s: %q, want %q", want, got[want], reach)
		}
	}
	if len(got) != 11 {
		t.Errorf("%d listeners: %v", len(got), got)
	}
	calls := map[string]string{}
	for _, o := range p.Outbound {
		calls[fmt.Sprintf("%s %s", o.Proto, net.JoinHostPort(o.Addr, strconv.Itoa(o.Port)))] = o.Reach
	}
	for want, reach := range map[string]string{
		"tcp 192.0.2.1:1004": "internet", "tcp 10.9.8.7:1002": "internal", "tcp [2001:db8::5]:1007": "internet", "udp 198.51.100.9:53": "internet",
	} {
		if calls[want] != reach {
			t.Errorf("call to %s: %q, want %q (%v)", want, calls[want], reach, calls)
		}
	}
	if len(calls) != 4 {
		t.Errorf("%d calls: %v", len(calls), calls)
	}
}
