package keep_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/testbed"
	"staunch/testbed/real"
)

// desk is a person's machine with the program, in front of real hosts.
type desk struct {
	*testing.T
	staunch string
	home    string
	names   string
	config  string
	hosts   []*testbed.Host
}

func newDesk(t *testing.T, n int) *desk {
	t.Helper()
	real.Root(t)
	d := &desk{T: t, staunch: real.Build(t, "./cmd/staunch"), home: t.TempDir()}
	part := real.Build(t, "./cmd/staunch-host", "-ldflags", "-s -w")
	parts := filepath.Join(filepath.Dir(d.staunch), "host")
	d.must(os.Mkdir(parts, 0o700))
	d.must(os.Rename(part, filepath.Join(parts, "staunch-host-linux-amd64")))
	d.must(os.WriteFile(filepath.Join(parts, "staunch-host-linux-arm64"), []byte("not for these machines"), 0o700))
	d.hosts = testbed.Up(t, n)
	var names strings.Builder
	for _, h := range d.hosts {
		fmt.Fprintln(&names, h.Name)
	}
	d.names, d.config = filepath.Join(d.home, "names"), filepath.Join(d.home, "config")
	d.must(os.WriteFile(d.names, []byte(names.String()), 0o600))
	text, err := os.ReadFile(d.hosts[0].SSHConfig)
	d.must(err)
	d.must(os.WriteFile(d.config, text, 0o600))
	t.Cleanup(func() {
		for _, pid := range d.keepers() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	})
	return d
}

func (d *desk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// runs types a command; out is what it printed, whatever its exit code.
func (d *desk) runs(args ...string) (out string, code int) {
	d.Helper()
	cmd := exec.Command(d.staunch, append(args, "--config", d.names, "--ssh-config", d.config)...)
	cmd.Env = append(os.Environ(), "HOME="+d.home, "XDG_RUNTIME_DIR=", "XDG_CACHE_HOME=", "XDG_DATA_HOME="+d.home)
	var said, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &errs
	_ = cmd.Run() // its exit code says more
	if code = cmd.ProcessState.ExitCode(); code < 0 || code == 2 {
		d.Logf("%v: exit %d: %s", args, code, errs.String())
	}
	return said.String(), code
}

// keepers are the keepers of this desk that run.
func (d *desk) keepers() (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	d.must(err)
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), "\x00keeper\x00"+d.home) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			d.must(err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// logins is how often somebody logged in to a host.
func (d *desk) logins(h *testbed.Host) int {
	d.Helper()
	n, err := strconv.Atoi(h.Exec(d, "journalctl -u ssh --no-pager | grep -c 'Accepted publickey' || true"))
	d.must(err)
	return n
}

// parts is how many host parts run on a host.
func (d *desk) parts(h *testbed.Host) string {
	d.Helper()
	return h.Exec(d, "pgrep -cf 'fd/3 serve [0-9a-f]+ .* look' || true")
}

// sight is what a scan said of one host, without what differs from one moment or connection to the next.
func (d *desk) sight(keep string) map[string]string {
	d.Helper()
	out, code := d.runs("scan", "--on", "all", "--fail-on", "never", "--format", "json", "--keep", keep)
	var docs []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &docs); err != nil || len(docs) != len(d.hosts) {
		d.Fatalf("--keep %s: exit %d, %d hosts, %v", keep, code, len(docs), err)
	}
	all := map[string]string{}
	for _, doc := range docs {
		var host string
		d.must(json.Unmarshal(doc["host"], &host))
		if doc["error"] != nil {
			d.Fatalf("%s: %s", host, doc["error"])
		}
		for _, key := range []string{"objects", "dormant", "machine", "unseen"} {
			all[host+" "+key] = string(doc[key])
		}
		passing := map[int]bool{}
		all[host+" processes"] = d.processes(doc["processes"], passing)
		all[host+" findings"] = d.findings(doc["findings"], passing)
	}
	return all
}

// processes leaves out ssh's and our own, which each scan brings along: passing names them.
func (d *desk) processes(raw json.RawMessage, passing map[int]bool) string {
	d.Helper()
	var list []map[string]json.RawMessage
	d.must(json.Unmarshal(raw, &list))
	kept := list[:0]
	for _, p := range list {
		var exe string
		var pid int
		d.must(json.Unmarshal(p["exe"], &exe))
		d.must(json.Unmarshal(p["pid"], &pid))
		if strings.Contains(exe, "staunch-host") || strings.HasSuffix(exe, "/sshd") {
			passing[pid] = true
			continue
		}
		kept = append(kept, p)
	}
	b, err := json.Marshal(kept)
	d.must(err)
	return string(b)
}

// findings leaves out what is said of passing processes, and how many processes there were with them.
func (d *desk) findings(raw json.RawMessage, passing map[int]bool) string {
	d.Helper()
	var list []map[string]any
	d.must(json.Unmarshal(raw, &list))
	kept := list[:0]
	for _, f := range list {
		if pid, single := f["pid"].(float64); single && passing[int(pid)] {
			continue
		}
		if pids, many := f["pids"].([]any); many {
			f["pids"] = slices.DeleteFunc(pids, func(pid any) bool { n, is := pid.(float64); return is && passing[int(n)] })
			delete(f, "process")
		}
		kept = append(kept, f)
	}
	b, err := json.Marshal(kept)
	d.must(err)
	return string(b)
}

// same compares a scan over kept connections with one over new ones, and wants no new login for the first.
func (d *desk) same(when string) {
	d.Helper()
	d.sight("60s") // so that a connection is there, and what starts slowly has started
	before := d.logins(d.hosts[0])
	kept := d.sight("60s")
	if now := d.logins(d.hosts[0]); now != before {
		d.Errorf("%s: a scan over kept connections logged in", when)
	}
	fresh := d.sight("0")
	if now := d.logins(d.hosts[0]); now != before+1 {
		d.Errorf("%s: a scan over new connections logged in %d times", when, now-before)
	}
	for key, want := range fresh {
		if kept[key] != want {
			d.Errorf("%s: %s differ:\nkept  %s\nfresh %s", when, key, around(kept[key], want), around(want, kept[key]))
		}
	}
}

// around is the part of a where it begins to differ from b.
func around(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return a[max(0, i-200):min(len(a), i+200)]
}

func (d *desk) until(what string, is func() bool) {
	d.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			d.Fatalf("never: %s", what)
		}
	}
}

// TestKeptConnectionsToRealHosts tells what a person sees of the keeper, and what its death, theft of rights and changes on hosts come to.
func TestKeptConnectionsToRealHosts(t *testing.T) {
	d := newDesk(t, 2)
	h := d.hosts[0]
	d.same("at first")

	h.Exec(t, "systemctl restart tallyd; cp /usr/sbin/tallyd /root/another; (setsid /root/another 7999 >/dev/null 2>&1 &) ; sleep 0.5")
	d.same("after a restart and a new program")
	h.Exec(t, "apt-get update -q >/dev/null; DEBIAN_FRONTEND=noninteractive apt-get install -qy libtally1="+testbed.New+" >/dev/null")
	d.same("after an upgrade that nobody restarted for")
	h.Exec(t, "systemctl restart tallyd; echo '#!/bin/sh' >/etc/cron.daily/mine; cp /bin/true /usr/local/bin/unit; chmod 755 /etc/cron.daily/mine; "+
		"printf '[Service]\\nExecStart=/usr/local/bin/unit\\n' >/etc/systemd/system/mine.service; systemctl daemon-reload")
	d.same("after new things that could start")
	h.Exec(t, "pkill -x another; rm /etc/systemd/system/mine.service; systemctl daemon-reload; cat /bin/ls >/usr/local/bin/unit")
	d.same("after things went away")

	keepers := d.keepers()
	if len(keepers) != 1 || d.parts(h) != "1" {
		t.Fatalf("keepers %v, host parts %s", keepers, d.parts(h))
	}
	if os.Geteuid() == 0 {
		// its memory is closed to others: what it would show of itself is root's
		cmd := exec.Command("sh", "-c", fmt.Sprintf("stat -c %%u /proc/%d/mem", keepers[0]))
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "0" {
			t.Errorf("%s, %v", out, err)
		}
	}
	if out, code := d.runs("hosts", "--check", "--format", "json"); code == 2 || !strings.Contains(out, `"root": true`) {
		t.Errorf("hosts --check: exit %d: %s", code, out)
	}
	if out, _ := d.runs("probe", "--from", "all", "127.0.0.1:22", "--format", "json"); strings.Count(out, `"from"`) != 2 {
		t.Errorf("probe --from: %s", out)
	}

	before := d.logins(h)
	if out, code := d.runs("do", "stop", "tallyd.service", "--on", h.Name, "--yes"); code != 0 {
		t.Errorf("do: exit %d: %s", code, out)
	}
	if d.logins(h) == before {
		t.Error("an act had no login of its own")
	}
	h.Exec(t, "systemctl start tallyd")
	d.same("after an act")

	d.must(syscall.Kill(keepers[0], syscall.SIGKILL))
	d.until("the host part ends with its keeper", func() bool { return d.parts(h) == "0" })
	d.same("after the keeper was killed")

	h.Reboot(t)
	h.Exec(t, "systemctl is-system-running --wait >/dev/null; true")
	d.same("after a reboot")

	two := make(chan int, 2)
	for range cap(two) {
		go func() {
			out, _ := d.runs("scan", "--on", "all", "--fail-on", "never")
			two <- strings.Count(out, "2 of 2 known hosts seen")
		}()
	}
	if <-two+<-two != 2 {
		t.Error("two scans at once")
	}

	text, err := os.ReadFile(h.KnownHosts)
	d.must(err)
	lines := strings.SplitAfter(string(text), "\n")
	known := filepath.Join(d.home, "known")
	d.must(os.WriteFile(known, []byte(strings.Replace(lines[1], "st-2,10.66.0.12", "st-1,10.66.0.11", 1)+lines[1]), 0o600))
	config, err := os.ReadFile(d.config)
	d.must(err)
	d.must(os.WriteFile(d.config, []byte(strings.ReplaceAll(string(config), h.KnownHosts, known)), 0o600))
	if out, _ := d.runs("scan", "--on", "all", "--fail-on", "never"); !strings.Contains(out, "shows another host key") || !strings.Contains(out, "1 of 2 known hosts seen") {
		t.Errorf("a kept connection to a host whose key is no longer the known one: %s", out)
	}
	d.must(os.WriteFile(known, text, 0o600))
	d.same("with the right key again")

	if out, code := d.runs("hosts", "clean", "all"); code != 0 {
		t.Errorf("clean: exit %d: %s", code, out)
	}
	if left := d.keepers(); len(left) != 0 {
		t.Errorf("keepers after clean: %v", left)
	}
	d.until("no host part is left after clean", func() bool { return d.parts(h) == "0" })

	d.runs("scan", "--on", "all", "--fail-on", "never", "--keep", "2s")
	if len(d.keepers()) != 1 {
		t.Errorf("keepers: %v", d.keepers())
	}
	d.until("the keeper ends by itself", func() bool { return len(d.keepers()) == 0 })
	if d.parts(h) != "0" {
		t.Error("a host part is left when the keeper ended by itself")
	}
	if socks, err := filepath.Glob(filepath.Join(d.home, ".cache/staunch/keep/*.sock")); err != nil || len(socks) != 0 {
		t.Errorf("left behind: %v, %v", socks, err)
	}
}
