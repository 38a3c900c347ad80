package ssh_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/host/promise"
	"staunch/reach/ssh"
	"staunch/see/scan"
	"staunch/testbed"
	"staunch/testbed/real"
)

// parts builds the host part for this machine; the other architecture gets one that is never run here.
func parts(t *testing.T) *ssh.Parts {
	t.Helper()
	dir := filepath.Dir(real.Build(t, "./cmd/staunch-host", "-ldflags", "-s -w"))
	must(t, os.Rename(filepath.Join(dir, "staunch-host"), filepath.Join(dir, "staunch-host-linux-amd64")))
	must(t, os.WriteFile(filepath.Join(dir, "staunch-host-linux-arm64"), []byte("not for this machine"), 0o700))
	return &ssh.Parts{Dir: dir}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func program(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ssh")
	if err != nil {
		real.Missing(t, "ssh is not installed")
	}
	return path
}

func dialer(t *testing.T, h *testbed.Host, p *ssh.Parts) *ssh.Dialer {
	t.Helper()
	d := &ssh.Dialer{Program: program(t), ConfigFile: h.SSHConfig, Home: t.TempDir(), User: "root", Parts: p}
	t.Cleanup(d.Close)
	return d
}

func dial(t *testing.T, d *ssh.Dialer, h fleet.Host) (*ssh.Host, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := d.Dial(ctx, h)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func health(t *testing.T, h host.Host) *host.Health {
	t.Helper()
	a, err := h.Look(t.Context(), host.Question{Health: &host.HealthQuestion{Units: []string{"tallyd.service"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.Health
}

// TestFiveRealHosts holds ssh to what a person expects of it; one testbed serves all the stories, each host ends as it was found.
func TestFiveRealHosts(t *testing.T) {
	real.Root(t)
	p := parts(t)
	hosts := testbed.Up(t, 5)
	for _, story := range []struct {
		name string
		tell func(*testing.T, []*testbed.Host, *ssh.Parts)
	}{
		{"a scan over ssh is the scan on the host", scanEquals},
		{"nothing but the cache is left, and clean takes that too", nothingLeft},
		{"a forged program in the cache is not run", forgedProgram},
		{"sudo without a password", sudoQuiet},
		{"sudo with a password, asked once", sudoAsked},
		{"a wrong password", sudoWrong},
		{"without sudo a host is seen with the user's own rights", noSudo},
		{"noise of login scripts", noise},
		{"a login for questions alone", lookOnly},
		{"no room in the cache directory", noRoom},
		{"a changed host key", changedKey},
		{"an unknown host key", unknownKey},
		{"the system's own ssh", systemSSH},
		{"without an ssh program", withoutSSH},
		{"a host that is cut off", cutOff},
		{"the agent is never forwarded", agentStaysHere},
		{"an sshd that drops logins above its limit", maxStartups},
		{"a release carries its host parts", aReleaseCarriesItsHostParts},
		{"killed on either side in the middle of an act", killedOnEitherSide},
		{"a jump host", jumpHost},
	} {
		t.Run(story.name, func(t *testing.T) { story.tell(t, hosts, p) })
	}
	t.Run("promises", func(t *testing.T) {
		d := dialer(t, hosts[0], p)
		promise.Host(t, func(t *testing.T) host.Host {
			c, err := d.Dial(t.Context(), fleet.Host{Name: hosts[0].Name})
			must(t, err)
			return c
		})
	})
}

func scanEquals(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	staunch, err := os.ReadFile(real.Build(t, "./cmd/staunch"))
	must(t, err)
	for _, h := range hosts {
		c, err := dial(t, dialer(t, h, p), fleet.Host{Name: h.Name})
		must(t, err)
		a, err := c.Look(t.Context(), host.Question{Scan: &scan.Question{NoDormant: true}}, nil)
		must(t, err)
		h.Write(t, "/root/staunch", string(staunch), 0o700)
		out, err := h.Run("root", "/root/staunch scan --format json --dormant=off --fail-on never 2>/dev/null; rm /root/staunch")
		must(t, err)
		var there scan.Report
		must(t, json.Unmarshal([]byte(out), &there))
		compared := 0
		for _, q := range there.Processes {
			i := slices.IndexFunc(a.Scan.Processes, func(r scan.Process) bool { return r.PID == q.PID && r.Start.Equal(q.Start) })
			if !strings.HasPrefix(q.Unit, "tallyd") && q.Unit != "dbus.service" && q.Unit != "cron.service" {
				continue
			}
			compared++
			if i < 0 {
				t.Errorf("%s: process %d (%s) is missing over ssh", h.Name, q.PID, q.Name)
				continue
			}
			over, local := encoded(t, a.Scan.Processes[i].Objects), encoded(t, q.Objects)
			if over != local {
				t.Errorf("%s: process %d (%s): over ssh %s, there %s", h.Name, q.PID, q.Name, over, local)
			}
		}
		if compared < 3 {
			t.Errorf("%s: only %d processes to compare", h.Name, compared)
		}
		if a.Scan.Host != h.Name {
			t.Errorf("the report is of %q", a.Scan.Host)
		}
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

func nothingLeft(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[1]
	h.Exec(t, "rm -rf /var/cache/staunch-host; touch /tmp/before; sleep 1.1")
	d := dialer(t, h, p)
	c, err := dial(t, d, fleet.Host{Name: h.Name})
	must(t, err)
	_, err = c.Look(t.Context(), host.Question{Scan: &scan.Question{NoDormant: true}}, nil)
	must(t, err)
	must(t, c.Close())
	left := h.Exec(t, "find / -xdev -newer /tmp/before -type f -not -path '/proc/*' -not -path '/var/log/*' -not -path '/run/*' -not -path '/sys/*'")
	for file := range strings.FieldsSeq(left) {
		if !strings.HasPrefix(file, "/var/cache/staunch-host/") {
			t.Errorf("left behind: %s", file)
		}
	}
	if !strings.Contains(left, "/var/cache/staunch-host/") {
		t.Errorf("the cache is not where it is looked for: %s", left)
	}
	if out, err := h.Run("root", "for i in 1 2 3 4 5 6 7 8 9 10; do pgrep -f 'serve [0-9a-f]+' || exit 0; sleep 0.5; done; exit 1"); err != nil {
		t.Errorf("the host part still runs: %s", out)
	}
	removed, err := d.Clean(t.Context(), fleet.Host{Name: h.Name})
	if err != nil || !removed {
		t.Errorf("clean: %v, %v", removed, err)
	}
	if out, err := h.Run("root", "ls /var/cache/staunch-host"); err == nil {
		t.Errorf("after clean: %s", out)
	}
	if removed, err := d.Clean(t.Context(), fleet.Host{Name: h.Name}); err != nil || removed {
		t.Errorf("clean again: %v, %v", removed, err)
	}
}

// lookOnly holds a host part that may stay to what it may do, on the host itself: whoever takes over our end gets no further.
func lookOnly(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[0]
	order, err := act.New(act.Stop, &act.UnitsWith{Units: []string{"tallyd.service"}})
	must(t, err)
	for _, user := range []string{"root", "op"} {
		d := dialer(t, h, p)
		c, err := dial(t, d, fleet.Host{Name: h.Name, User: user})
		must(t, err)
		if err := ssh.Session(c); err != nil {
			t.Errorf("%s: a usual login has one session only: the rest proves nothing: %v", user, err)
		}
		d = dialer(t, h, p)
		d.LookOnly = true
		c, err = dial(t, d, fleet.Host{Name: h.Name, User: user})
		must(t, err)
		if !health(t, c).Root {
			t.Errorf("%s: not root", user)
		}
		o := act.Order{ID: "look-only/" + user, Host: h.Name, Act: order}
		if out, err := c.Do(t.Context(), o, nil); !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: an order: %+v, %v", user, out, err)
		}
		if _, err := c.Look(t.Context(), host.Question{Check: &o}, nil); !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: a preview: %v", user, err)
		}
		if err := c.Put(t.Context(), strings.Repeat("a", 64), strings.NewReader("x")); !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: a payload: %v", user, err)
		}
		health(t, c)
		if err := ssh.Session(c); err == nil {
			t.Errorf("%s: sshd begins another command on the login", user)
		}
		_ = c.Close() // sshd may have ended the connection for the attempt
	}
	if got := h.Exec(t, "systemctl is-active tallyd"); got != "active" {
		t.Errorf("tallyd is %s", got)
	}
}

func forgedProgram(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[0]
	h.Exec(t, "for f in /var/cache/staunch-host/*; do [ -f $f ] && printf '#!/bin/sh\\ntouch /tmp/pwned\\n' >$f; done; true")
	c, err := dial(t, dialer(t, h, p), fleet.Host{Name: h.Name})
	must(t, err)
	health(t, c)
	if _, err := h.Run("root", "test -e /tmp/pwned"); err == nil {
		t.Error("the forged program ran")
	}
}

func sudoQuiet(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	c, err := dial(t, dialer(t, hosts[0], p), fleet.Host{Name: "st-1", User: "op"})
	must(t, err)
	if h := health(t, c); !h.Root || h.Units[0].Active != "active" {
		t.Errorf("%+v", h)
	}
}

func sudoAsked(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	d := dialer(t, hosts[0], p)
	var asked atomic.Int32
	d.Password = func(context.Context) (string, error) { asked.Add(1); return testbed.Password, nil }
	c, err := dial(t, d, fleet.Host{Name: "st-1", User: "pass"})
	must(t, err)
	if h := health(t, c); !h.Root {
		t.Errorf("%+v", h)
	}
	for _, where := range []string{"journalctl --no-pager", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '"} {
		if out := hosts[0].Exec(t, where+"; true"); strings.Contains(out, testbed.Password) {
			t.Errorf("the password shows in: %s", where)
		}
	}
	asked.Store(0)
	if _, err := dial(t, d, fleet.Host{Name: "st-1", User: "op"}); err != nil || asked.Load() != 0 {
		t.Errorf("a host that wants no password: asked %d times, %v", asked.Load(), err)
	}
}

func sudoWrong(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	d := dialer(t, hosts[0], p)
	d.Password = func(context.Context) (string, error) { return "wrong", nil }
	if _, err := dial(t, d, fleet.Host{Name: "st-1", User: "pass"}); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "password") {
		t.Errorf("%v", err)
	}
}

func noSudo(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	d := dialer(t, hosts[0], p)
	for _, user := range []string{"plain", "pass"} {
		c, err := dial(t, d, fleet.Host{Name: "st-1", User: user})
		must(t, err)
		if h := health(t, c); h.Root {
			t.Errorf("%s is root", user)
		}
	}
	d.Sudo = ssh.SudoAlways
	if _, err := dial(t, d, fleet.Host{Name: "st-1", User: "plain"}); !fault.Is(err, fault.Denied) {
		t.Errorf("sudo always: %v", err)
	}
}

func noise(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[0]
	was, err := os.ReadFile(h.Path("/root/.bashrc"))
	must(t, err)
	defer h.Write(t, "/root/.bashrc", string(was), 0o644)
	h.Write(t, "/root/.bashrc", "echo Welcome to $(hostname); printf half; echo more >&2\n", 0o644)
	c, err := dial(t, dialer(t, h, p), fleet.Host{Name: h.Name})
	must(t, err)
	health(t, c)
	h.Write(t, "/root/.bashrc", "yes\n", 0o644)
	if _, err := dial(t, dialer(t, h, p), fleet.Host{Name: h.Name}); !fault.Is(err, fault.Corrupt) || !strings.Contains(fault.HintOf(err), ".bashrc") {
		t.Errorf("endless noise: %v, hint %q", err, fault.HintOf(err))
	}
}

func noRoom(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[2]
	h.Exec(t, "rm -rf /var/cache/staunch-host && mkdir -m 700 /var/cache/staunch-host && mount -t tmpfs -o size=1m none /var/cache/staunch-host")
	d := dialer(t, h, p)
	if _, err := dial(t, d, fleet.Host{Name: h.Name}); !fault.Is(err, fault.Full) {
		t.Errorf("full: %v", err)
	}
	if out := h.Exec(t, "ls -A /var/cache/staunch-host"); out != "" {
		t.Errorf("half of the host part was left: %s", out)
	}
	h.Exec(t, "umount /var/cache/staunch-host; rmdir /var/cache/staunch-host")
	if _, err := dial(t, d, fleet.Host{Name: h.Name}); err != nil {
		t.Errorf("with room: %v", err)
	}
}

// withKnown copies the ssh configuration with another known_hosts file.
func withKnown(t *testing.T, h *testbed.Host, known string) (config, file string) {
	t.Helper()
	dir := t.TempDir()
	file, config = filepath.Join(dir, "known_hosts"), filepath.Join(dir, "config")
	must(t, os.WriteFile(file, []byte(known), 0o600))
	text, err := os.ReadFile(h.SSHConfig)
	must(t, err)
	must(t, os.WriteFile(config, []byte(strings.ReplaceAll(string(text), h.KnownHosts, file)+"\nHost *\n\tStrictHostKeyChecking no\n"), 0o600))
	return config, file
}

func changedKey(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	text, err := os.ReadFile(hosts[0].KnownHosts)
	must(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	other := "# mine\n" + strings.Replace(lines[1], "st-2,10.66.0.12", "st-1,10.66.0.11", 1)
	d := dialer(t, hosts[0], p)
	var file string
	d.ConfigFile, file = withKnown(t, hosts[0], other)
	_, err = dial(t, d, fleet.Host{Name: "st-1"})
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), file+":2") || !strings.Contains(fault.HintOf(err), "ssh-keygen -R") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

func unknownKey(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	d := dialer(t, hosts[0], p)
	d.ConfigFile, _ = withKnown(t, hosts[0], "")
	d.Password = func(context.Context) (string, error) {
		t.Error("the password was asked for an unknown host")
		return "", nil
	}
	_, err := dial(t, d, fleet.Host{Name: "st-1", User: "pass"})
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "ssh-keyscan") || !strings.Contains(err.Error(), "SHA256:") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
	if _, err := dial(t, d, fleet.Host{Name: "st-1", Via: fleet.ViaSystem}); err == nil {
		t.Error("the system's ssh accepted an unknown key")
	}
}

func systemSSH(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	d := dialer(t, hosts[0], p)
	c, err := dial(t, d, fleet.Host{Name: "st-1", Via: fleet.ViaSystem})
	must(t, err)
	if h := health(t, c); !h.Root {
		t.Errorf("%+v", h)
	}
	text, err := os.ReadFile(hosts[0].SSHConfig)
	must(t, err)
	d = dialer(t, hosts[0], p)
	d.ConfigFile = filepath.Join(t.TempDir(), "config")
	command := "\tProxyCommand " + d.Program + " -F " + hosts[0].SSHConfig + " -W %h:%p st-2\n"
	must(t, os.WriteFile(d.ConfigFile, []byte(strings.Replace(string(text), "Host st-1\n", "Host st-1\n"+command, 1)), 0o600))
	c, err = dial(t, d, fleet.Host{Name: "st-1"})
	must(t, err)
	health(t, c)
}

func withoutSSH(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	d := dialer(t, hosts[0], p)
	d.Program = ""
	c, err := dial(t, d, fleet.Host{Name: "st-1"})
	must(t, err)
	health(t, c)
}

func cutOff(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[3]
	d := dialer(t, h, p)
	c, err := dial(t, d, fleet.Host{Name: h.Name})
	must(t, err)
	h.Partition(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.Look(ctx, host.Question{Health: &host.HealthQuestion{}}, nil); !fault.Is(err, fault.Timeout) {
		t.Errorf("an open connection: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := d.Dial(ctx, fleet.Host{Name: h.Name}); !fault.Is(err, fault.Timeout) && !fault.Is(err, fault.Unreachable) {
		t.Errorf("a new connection: %v", err)
	}
	h.Heal(t)
}

// agentStaysHere asks for forwarding as loudly as a configuration can, and looks on the host whether any agent is to be had there.
func agentStaysHere(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[1]
	socket := filepath.Join(t.TempDir(), "agent")
	agent := exec.Command(real.Program(t, "ssh-agent"), "-D", "-a", socket)
	must(t, agent.Start())
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	add := func() error {
		cmd := exec.Command(real.Program(t, "ssh-add"), h.Key)
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		return cmd.Run()
	}
	for end := time.Now().Add(20 * time.Second); add() != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the agent takes no key")
		}
	}
	text, err := os.ReadFile(h.SSHConfig)
	must(t, err)
	config := filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(config, []byte("ForwardAgent yes\n"+string(text)), 0o600))
	t.Setenv("SSH_AUTH_SOCK", socket) // the system's ssh finds it there
	seen := func() string {
		return h.Exec(t, "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep ^SSH_AUTH_SOCK; ls -d /tmp/ssh-* 2>/dev/null; true")
	}
	// a person's own ssh with this configuration does forward: else the rest proves nothing
	own := exec.Command(program(t), "-F", config, h.Name, "sleep 60")
	must(t, own.Start())
	for end := time.Now().Add(20 * time.Second); seen() == ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no forwarding where it was asked for")
		}
	}
	must(t, own.Process.Kill())
	_ = own.Wait() // it was killed
	h.Exec(t, "pkill -x sleep; true")
	for end := time.Now().Add(20 * time.Second); seen() != ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still forwarded: %s", seen())
		}
	}
	for _, via := range []fleet.Via{"", fleet.ViaSystem} {
		d := dialer(t, h, p)
		d.ConfigFile, d.Agent = config, socket
		c, err := dial(t, d, fleet.Host{Name: h.Name, Via: via})
		must(t, err)
		health(t, c)
		if got := seen(); got != "" {
			t.Errorf("via %q an agent is to be had on the host: %s", via, got)
		}
		must(t, c.Close())
	}
}

// maxStartups lets twenty logins at once meet an sshd that begins to drop at three and drops all above four.
func maxStartups(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[2]
	h.Write(t, "/etc/ssh/sshd_config.d/few.conf", "MaxStartups 2:30:4\n", 0o644)
	h.Exec(t, "systemctl restart ssh")
	defer func() {
		must(t, os.Remove(h.Path("/etc/ssh/sshd_config.d/few.conf")))
		h.Exec(t, "systemctl restart ssh")
	}()
	d := dialer(t, h, p)
	_, err := dial(t, d, fleet.Host{Name: h.Name}) // puts the host part there once
	must(t, err)
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			c, err := d.Dial(ctx, fleet.Host{Name: h.Name})
			if err == nil {
				err = c.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if log := h.Exec(t, "journalctl -u ssh --no-pager | grep -ciE 'drop connection|MaxStartups throttling' || true"); log == "0" {
		t.Error("sshd dropped nothing: this story proves nothing")
	}
}

func jumpHost(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[4]
	h.Hide(t)
	d := dialer(t, h, p)
	short, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if _, err := d.Dial(short, fleet.Host{Name: h.Name}); err == nil {
		t.Fatal("the host answers although it cannot reach us")
	}
	text, err := os.ReadFile(h.SSHConfig)
	must(t, err)
	d = dialer(t, h, p)
	d.ConfigFile = filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(d.ConfigFile, []byte(strings.Replace(string(text), "Host st-5\n", "Host st-5\n\tProxyJump st-2\n", 1)), 0o600))
	c, err := dial(t, d, fleet.Host{Name: h.Name})
	must(t, err)
	health(t, c)
}
