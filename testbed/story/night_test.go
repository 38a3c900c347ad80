// Package story_test tells whole nights on real Debian hosts, from the command line alone, as a team would live them.
package story_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/testbed"
	"staunch/testbed/real"

	"golang.org/x/crypto/ssh"
)

var keep = flag.Bool("keep-report", false, "write the night's report to docs/example-report.md")

const tallybleed = `{"schema_version":"1.6.0","id":"CVE-2026-0001","published":"2026-11-20T00:00:00Z","modified":"2026-11-20T00:00:00Z",
"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
"affected":[{"package":{"ecosystem":"Debian:12","name":"tally"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.1-1"}]}]}],
"database_specific":{"cwe_ids":["CWE-125"]}}`

const inventory = `rings:
  canary: {width: 1}
  staging: {width: 1}
  production: {width: 2, quorum: 2}
hosts:
  st-1: {ring: canary, labels: [web]}
  st-2: {ring: staging, labels: [web]}
  st-3: {ring: production, labels: [web]}
  st-4: {ring: production, labels: [front]}
  st-5: {ring: production, labels: [web]}
services:
  shop:
    on: web
    units: [nginx.service]
    health: {url: "http://{host}/", within: 30s}
    drain: drain
    undrain: undrain
    max_down: 1
    holds: [orders, addresses]
    owner: cleo
    public: true
  front:
    on: front
    units: [haproxy.service]
    restart: reload
    health: {tcp: "{host}:8080", within: 30s}
    owner: dora
    public: true
`

// team is people at one machine with a fleet of real hosts.
type team struct {
	*testing.T
	dir, staunch, parts string
	hosts               []*testbed.Host
}

func newTeam(t *testing.T) *team {
	t.Helper()
	real.Root(t)
	x := &team{T: t, dir: t.TempDir()}
	x.staunch = real.Build(t, "./cmd/staunch")
	x.parts = filepath.Dir(real.Build(t, "./cmd/staunch-host", "-ldflags", "-s -w"))
	x.must(os.Rename(filepath.Join(x.parts, "staunch-host"), filepath.Join(x.parts, "staunch-host-linux-amd64")))
	x.must(os.WriteFile(filepath.Join(x.parts, "staunch-host-linux-arm64"), []byte("not for this machine"), 0o700))
	x.hosts = testbed.Up(t, 5, testbed.With("nginx-light", "haproxy"))
	x.write("staunch.yaml", inventory)
	x.write("tally.json", tallybleed)
	return x
}

func (x *team) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *team) path(name string) string { return filepath.Join(x.dir, name) }

func (x *team) write(name, text string) {
	x.Helper()
	x.must(os.WriteFile(x.path(name), []byte(text), 0o600))
}

// command is one command line of the team's, with state of its own.
func (x *team) command(args ...string) *exec.Cmd {
	switch args[0] {
	case "incident", "plan", "approve":
		args = append(args, "--config", x.path("staunch.yaml"), "--ssh-config", x.hosts[0].SSHConfig, "--host-parts", x.parts)
	}
	cmd := exec.Command(x.staunch, args...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+x.path("data"), "XDG_CACHE_HOME="+x.path("cache"), "NO_COLOR=1")
	return cmd
}

// says runs a command line and wants an exit code.
func (x *team) says(code int, args ...string) string {
	x.Helper()
	out, err := x.command(args...).CombinedOutput()
	if got := exitOf(err); got != code {
		x.Fatalf("staunch %s: exit %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

func exitOf(err error) int {
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func (x *team) has(what, text string, wants ...string) {
	x.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			x.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
}

// key makes a person's ssh key and puts the person on the list of those who may vote.
func (x *team) key(name string) string {
	x.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	x.must(err)
	block, err := ssh.MarshalPrivateKey(private, name)
	x.must(err)
	x.write(name+".key", string(pem.EncodeToMemory(block)))
	line, err := ssh.NewPublicKey(public)
	x.must(err)
	list, err := os.ReadFile(x.path("allowed_signers"))
	if err != nil && !os.IsNotExist(err) {
		x.Fatal(err)
	}
	x.write("allowed_signers", string(list)+name+" "+string(ssh.MarshalAuthorizedKey(line)))
	return x.path(name + ".key")
}

// furnish makes the hosts what the story is about: nginx and haproxy with the library, a daemon without an update, hooks, and a balancer.
func (x *team) furnish() {
	x.Helper()
	preload := "[Service]\nEnvironment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libtally.so.1\n"
	for i, h := range x.hosts {
		h.Exec(x, "apt-get update -q")
		h.Exec(x, "mkdir -p /etc/staunch/hooks /etc/systemd/system/nginx.service.d /etc/systemd/system/haproxy.service.d")
		h.Write(x, "/etc/staunch/hooks/drain", "#!/bin/sh\nrm -f /var/www/html/ready\nsleep 4\n", 0o755)
		h.Write(x, "/etc/staunch/hooks/undrain", "#!/bin/sh\necho yes >/var/www/html/ready\nchmod 644 /var/www/html/ready\nsleep 4\n", 0o755)
		h.Write(x, "/etc/systemd/system/nginx.service.d/tally.conf", preload, 0o644)
		h.Write(x, "/etc/systemd/system/haproxy.service.d/tally.conf", preload, 0o644)
		h.Exec(x, "systemctl daemon-reload; echo shop >/var/www/html/index.html; echo yes >/var/www/html/ready")
		if i == 3 {
			h.Write(x, "/etc/haproxy/haproxy.cfg", balancer(x.hosts), 0o644)
			h.Exec(x, "systemctl disable -q --now nginx; systemctl restart haproxy")
			continue
		}
		h.Exec(x, "systemctl disable -q --now haproxy; systemctl restart nginx")
	}
	h := x.hosts[1]
	h.Write(x, "/lib/systemd/system/legacyd.service", "[Unit]\nDescription=a vendor's daemon\n[Service]\nExecStart=/usr/sbin/tallyd 7003\n[Install]\nWantedBy=multi-user.target\n", 0o644)
	h.Exec(x, "systemctl daemon-reload; systemctl enable -q --now legacyd")
}

func balancer(hosts []*testbed.Host) string {
	text := "global\n  stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners\n" +
		"defaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n  timeout check 3s\n  retries 3\n  option redispatch\n" +
		"frontend shop\n  bind :8080\n  default_backend web\nbackend web\n  option httpchk GET /ready\n"
	for _, h := range hosts[:3] {
		text += fmt.Sprintf("  server %s %s:80 check inter 500ms fall 2 rise 2\n", h.Name, h.Addr)
	}
	return text
}

// The night: a library in two versions, three rings, nginx and haproxy with it loaded, a program with it inside, a daemon that is switched off,
// a silent host, customers all the time, and a runner that is killed three times.
func TestTheNightOnRealHosts(t *testing.T) {
	x := newTeam(t)
	x.furnish()
	x.hosts[4].Partition(t)
	ada, ben := x.key("ada"), x.key("ben")
	x.says(0, "advisories", "add", x.path("tally.json"))
	customers := visit(x.hosts[3].Addr)

	opened := x.says(1, "incident", "open", "CVE-2026-0001", "--host-timeout", "20s")
	x.has("the opening", opened, "st-5")
	made := x.says(0, "plan", "make", "1", "--urgency", "now", "--soak", "1s", "--owner", "ada", "--off", "legacyd.service")
	x.has("the plan", made, "not reached: st-5")
	x.has("the plan's text", x.says(0, "plan", "show", "1.1"), "upgrade-canary", "stop-staging-legacyd", "public-haproxy")
	x.says(0, "approve", "1.1", "--key", ada)
	x.says(0, "approve", "1.1", "--key", ben)

	out := x.runKilled(3)
	x.has("the run", out, "plan 1.1: done")
	x.atRest(out)
	served, failed := customers()
	t.Logf("customers: %d requests, %d failed", served, len(failed))
	if len(failed) > 0 || served < 100 {
		t.Errorf("%d of %d requests failed, the first: %v\n%s\n%s", len(failed), served, failed, out, x.hosts[3].Exec(t, "journalctl -u haproxy --no-pager -o short-precise | tail -40"))
	}
	x.report()
}

// runKilled runs the incident; the runner is killed at random moments, so often as is said, and started again.
func (x *team) runKilled(kills int) string {
	x.Helper()
	seed := uint64(time.Now().UnixNano())
	x.Logf("seed of the kills: %d", seed)
	chance := mathrand.New(mathrand.NewPCG(seed, 1))
	for range kills {
		cmd := x.command("incident", "run", "1")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		x.must(cmd.Start())
		death := time.AfterFunc(time.Duration(1000+chance.IntN(7000))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		death.Stop()
		x.Logf("a runner ended with %v after:\n%s", err, out.String())
	}
	return x.says(0, "incident", "run", "1")
}

// atRest looks at the hosts themselves: what runs, what is switched off.
func (x *team) atRest(out string) {
	x.Helper()
	for i, h := range x.hosts[:4] {
		for _, unit := range []string{"tallyd", "tallyd-static"} {
			port := map[string]string{"tallyd": "7001", "tallyd-static": "7002"}[unit]
			ask := "exec 3<>/dev/tcp/127.0.0.1/" + port + "; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -1 <&3"
			h.Write(x, "/root/ask", ask, 0o600)
			if got := h.Exec(x, "bash /root/ask"); got != "libtally "+testbed.New+" 1" {
				x.Errorf("%s on %s answers %q\n%s", unit, h.Name, got, out)
			}
		}
		if got := h.Exec(x, "grep -l 'libtally.so.1.*(deleted)' /proc/[0-9]*/maps 2>/dev/null | wc -l"); got != "0" {
			x.Errorf("%s processes of %s still map the old library", got, h.Name)
		}
		if i != 3 {
			if got := h.Exec(x, "cat /var/www/html/ready"); got != "yes" {
				x.Errorf("%s was not put back into service", h.Name)
			}
		}
	}
	if got := x.hosts[1].Exec(x, "systemctl is-active legacyd; systemctl is-enabled legacyd; true"); got != "inactive\nmasked" && got != "failed\nmasked" {
		x.Errorf("the daemon without an update is %q", got)
	}
	look, _ := x.command("incident", "look", "1", "--host-timeout", "10s").CombinedOutput()
	x.has("a fresh look", string(look), "unknown: 1 host", "4 of 5 known hosts seen, 4 clean")
}

// report writes the night up, and holds the text to what a manager wants to know.
func (x *team) report() {
	x.Helper()
	text := x.says(0, "incident", "report", "1")
	x.has("the report", text, "st-5", "ada approved plan 1.1", "ben approved plan 1.1")
	if *keep {
		x.must(os.WriteFile(filepath.Join(real.Top(x), "docs", "example-report.md"), []byte(text), 0o644))
	}
}
