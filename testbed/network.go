package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	bridgeName = "br-st"
	inotify    = "/proc/sys/fs/inotify/max_user_instances"
)

// Gateway is the address of this machine as the hosts see it.
const Gateway = "10.66.0.1"

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// bridge makes the network that hosts share: no forwarding, no default route, so they reach this machine and each other only.
func bridge(t testing.TB) {
	t.Helper()
	run(t, "ip", "link", "add", bridgeName, "type", "bridge")
	t.Cleanup(func() { run(t, "ip", "link", "del", bridgeName) })
	run(t, "ip", "addr", "add", Gateway+"/24", "dev", bridgeName)
	run(t, "ip", "link", "set", bridgeName, "up")
}

// plug gives the host its network namespace, whose address is known before boot and survives a reboot.
func (h *Host) plug(t testing.TB) {
	t.Helper()
	run(t, "ip", "netns", "add", h.Name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", h.Name) })
	run(t, "ip", "link", "add", h.veth(), "type", "veth", "peer", "name", "host0", "netns", h.Name)
	t.Cleanup(func() { run(t, "ip", "link", "del", h.veth()) })
	run(t, "ip", "link", "set", h.veth(), "master", bridgeName, "up")
	run(t, "ip", "-n", h.Name, "addr", "add", h.Addr+"/24", "dev", "host0")
	run(t, "ip", "-n", h.Name, "link", "set", "host0", "up")
	run(t, "ip", "-n", h.Name, "link", "set", "lo", "up")
}

func (h *Host) veth() string { return "ve-" + h.Name }

// Partition cuts the host off: nobody hears anything of it any more, as when a switch dies.
func (h *Host) Partition(t testing.TB) {
	t.Helper()
	h.hangUp()
	run(t, "ip", "link", "set", h.veth(), "down")
}

// Heal ends a Partition.
func (h *Host) Heal(t testing.TB) {
	t.Helper()
	run(t, "ip", "link", "set", h.veth(), "up")
}

// Hide makes the host unreachable from this machine, but not from the other hosts, until the test ends: it lies behind a jump host.
func (h *Host) Hide(t testing.TB) {
	t.Helper()
	h.hangUp()
	run(t, "ip", "-n", h.Name, "route", "add", "blackhole", Gateway)
	t.Cleanup(func() { run(t, "ip", "-n", h.Name, "route", "del", "blackhole", Gateway) })
}

// raiseInotify lets more than 21 hosts run; the limit is put back when the test ends.
func raiseInotify(t testing.TB, dir string) {
	t.Helper()
	old, err := os.ReadFile(inotify)
	must(t, err)
	if n, err := strconv.Atoi(strings.TrimSpace(string(old))); err != nil || n >= 1024 {
		return
	}
	must(t, os.WriteFile(filepath.Join(dir, "inotify"), old, 0o600)) // for sweep
	must(t, os.WriteFile(inotify, []byte("1024"), 0o644))
	t.Cleanup(func() { must(t, os.WriteFile(inotify, old, 0o644)) })
}

// sweep removes what an earlier run left that was killed. It runs while the testbed's lock is held, so all of it is nobody's.
func sweep(t testing.TB, dir string) {
	t.Helper()
	killLeft(dir)
	roots, err := filepath.Glob(filepath.Join(dir, "*", "root"))
	must(t, err)
	for _, root := range roots {
		unmount(root)
	}
	if links, err := filepath.Glob("/sys/class/net/ve-st-*"); err == nil {
		for _, link := range links {
			run(t, "ip", "link", "del", filepath.Base(link))
		}
	}
	if names, err := filepath.Glob("/run/netns/st-*"); err == nil {
		for _, name := range names {
			run(t, "ip", "netns", "del", filepath.Base(name))
		}
	}
	if _, err := os.Stat("/sys/class/net/" + bridgeName); err == nil {
		run(t, "ip", "link", "del", bridgeName)
	}
	if groups, err := filepath.Glob(filepath.Join(cgroupRoot(t), "staunch-st-*")); err == nil {
		for _, group := range groups {
			removeGroup(group)
		}
	}
	if old, err := os.ReadFile(filepath.Join(dir, "inotify")); err == nil {
		must(t, os.WriteFile(inotify, old, 0o644))
	}
	must(t, os.RemoveAll(dir))
}

// killLeft ends supervisors of a killed run: only those whose recorded pid still is an nspawn of that very directory.
func killLeft(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "pid"))
	if err != nil {
		return
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid <= 1 {
			continue
		}
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil || !strings.Contains(string(line), filepath.Join(filepath.Dir(file), "root")) {
			continue
		}
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			waitGone(pid)
		}
	}
}

func waitGone(pid int) {
	for range 100 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
