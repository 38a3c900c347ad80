package testbed

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// askedReboot is the exit code with which nspawn says that the guest asked for a reboot.
const askedReboot = 133

// patience is how long a boot, a login or a power-off may take on a busy machine.
const patience = 60 * time.Second

// guest is a running machine: an nspawn that is started again whenever the guest reboots.
type guest struct {
	mu      sync.Mutex
	process *os.Process
	stopped bool
	ended   chan struct{}
	boots   int
}

func pemBytes(block *pem.Block) []byte { return pem.EncodeToMemory(block) }

func (h *Host) dir() string  { return filepath.Join(h.bed.dir, h.Name) }
func (h *Host) root() string { return filepath.Join(h.dir(), "root") }

// lay mounts the host's own writable layer over the image and writes what makes it this host.
func (h *Host) lay(t testing.TB) {
	t.Helper()
	upper, work := filepath.Join(h.dir(), "upper"), filepath.Join(h.dir(), "work")
	for _, dir := range []string{upper, work, h.root()} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	mount(t, h.bed.lower, upper, work, h.root())
	t.Cleanup(func() { unmount(h.root()) })
	signer, private := newKey(t)
	h.hostKey = signer.PublicKey()
	h.put(t, "etc/ssh/ssh_host_ed25519_key", string(private), 0o600)
	h.put(t, "etc/ssh/ssh_host_ed25519_key.pub", string(ssh.MarshalAuthorizedKey(h.hostKey)), 0o644)
	h.put(t, "etc/hostname", h.Name+"\n", 0o644)
	h.put(t, "etc/machine-id", h.machine+"\n", 0o444)
	h.put(t, "etc/hosts", "127.0.0.1 localhost\n"+h.Addr+" "+h.Name+"\n", 0o644)
	h.put(t, "etc/apt/sources.list", "deb [trusted=yes] "+h.bed.repo+" ./\n", 0o644)
	h.put(t, "root/.ssh/authorized_keys", h.bed.public+"\n", 0o600)
	for i, user := range users {
		file := "home/" + user + "/.ssh/authorized_keys"
		h.put(t, file, h.bed.public+"\n", 0o600)
		for _, path := range []string{"home/" + user + "/.ssh", file} {
			must(t, os.Chown(filepath.Join(h.root(), path), firstUID+i, firstUID+i))
		}
	}
}

// put writes a file into the host before it boots.
func (h *Host) put(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	full := filepath.Join(h.root(), path)
	must(t, os.MkdirAll(filepath.Dir(full), 0o755))
	if err := os.Remove(full); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	must(t, os.WriteFile(full, []byte(text), mode))
}

// boot starts the machine and keeps it running until powerOff.
func (h *Host) boot() error {
	g := &guest{ended: make(chan struct{})}
	wait, err := h.start(g)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.guest = g
	h.mu.Unlock()
	go func() {
		defer close(g.ended)
		for wait() == askedReboot && !g.isStopped() {
			if wait, err = h.start(g); err != nil {
				return
			}
		}
	}()
	return nil
}

func (g *guest) isStopped() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopped
}

// start runs one nspawn in a cgroup of its own; the function it returns waits for its end and gives its exit code.
func (h *Host) start(g *guest) (func() int, error) {
	group, err := os.Open(h.group())
	if err != nil {
		return nil, err
	}
	defer group.Close()
	cmd := exec.Command("systemd-nspawn", "-q", "-D", h.root(), "-M", h.Name, "--hostname="+h.Name, "--uuid="+h.machine, "--register=no", "--keep-unit",
		"--network-namespace-path=/run/netns/"+h.Name, "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", "--boot")
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	console, err := os.OpenFile(filepath.Join(h.dir(), "console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.process = cmd.Process
	g.boots++
	g.mu.Unlock()
	if err := os.WriteFile(filepath.Join(h.dir(), "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return nil, err
	}
	return func() int {
		if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
			return -1
		}
		return cmd.ProcessState.ExitCode()
	}, nil
}

// group is the host's own cgroup directory: without it hosts collide.
func (h *Host) group() string { return filepath.Join(h.bed.dir, h.Name, "cgroup") }

func cgroupRoot(t testing.TB) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	t.Fatal("no cgroup2 file system is mounted")
	return ""
}

// powerOff ends the machine at once, as a power cut does: what is on its disk goes away anyway.
func (h *Host) powerOff(t testing.TB) {
	h.hangUp()
	h.mu.Lock()
	g := h.guest
	h.guest = nil
	h.mu.Unlock()
	if g == nil {
		return
	}
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	group, err := filepath.EvalSymlinks(h.group())
	must(t, err)
	killGroup(filepath.Join(group, "payload"))
	select {
	case <-g.ended:
	case <-time.After(patience):
		t.Errorf("%s does not end", h.Name)
	}
	renewGroup(group)
}

// Kill cuts the power: nothing is flushed, nobody is told. Start boots the host again from the same disk.
func (h *Host) Kill(t testing.TB) {
	t.Helper()
	h.powerOff(t)
}

// Start boots a killed host and waits until it accepts a login.
func (h *Host) Start(t testing.TB) {
	t.Helper()
	must(t, h.boot())
	must(t, h.await())
}

// Reboot asks the host to reboot and waits until it is back.
func (h *Host) Reboot(t testing.TB) {
	t.Helper()
	before := h.boots()
	h.Exec(t, "systemctl --no-block reboot")
	h.hangUp()
	for deadline := time.Now().Add(patience); h.boots() == before; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not reboot; console: %s", h.Name, h.Console())
		}
	}
	must(t, h.await())
}

func (h *Host) boots() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guest.mu.Lock()
	defer h.guest.mu.Unlock()
	return h.guest.boots
}

// Console is what the host printed while it booted.
func (h *Host) Console() string {
	text, err := os.ReadFile(filepath.Join(h.dir(), "console"))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}
