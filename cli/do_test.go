package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"staunch/cli"
	"staunch/cli/desk"
	"staunch/testbed"
	"staunch/testbed/real"
)

// night is a person's command line before a few real hosts.
type night struct {
	t     *testing.T
	state string
	parts string
	hosts []*testbed.Host
}

func newNight(t *testing.T, n int) night {
	t.Helper()
	hosts := testbed.Up(t, n)
	part := real.Build(t, "./cmd/staunch-host")
	parts := t.TempDir()
	if err := os.Rename(part, filepath.Join(parts, "staunch-host-linux-amd64")); err != nil {
		t.Fatal(err)
	}
	// no host here is of the other architecture: anything will do
	if err := os.WriteFile(filepath.Join(parts, "staunch-host-linux-arm64"), []byte("not built for this test"), 0o600); err != nil {
		t.Fatal(err)
	}
	return night{t: t, state: t.TempDir(), parts: parts, hosts: hosts}
}

// types runs one command line and holds its exit code.
func (n night) types(want int, line string) string {
	n.t.Helper()
	args := strings.Fields(line)
	if strings.Contains(line, "--on") || args[1] == "undo" || args[1] == "confirm" || args[1] == "repeat" {
		args = append(args, "--ssh-config", n.hosts[0].SSHConfig, "--host-parts", n.parts)
	}
	var out, errs bytes.Buffer
	env := map[string]string{"HOME": n.state, "XDG_DATA_HOME": n.state, "XDG_CACHE_HOME": n.state}
	code := cli.Run(context.Background(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(k string) string { return env[k] }, Version: "test",
	})
	if code != want {
		n.t.Fatalf("staunch %s: exit %d, want %d\n%s%s", line, code, want, out.String(), errs.String())
	}
	return out.String()
}

func (n night) installed(want ...string) {
	n.t.Helper()
	for i, h := range n.hosts {
		if got := h.Exec(n.t, "dpkg-query -W -f '${Version}' libtally1"); got != want[i] {
			n.t.Errorf("%s has libtally1 %s, want %s", h.Name, got, want[i])
		}
	}
}

func TestOneActOnManyHosts(t *testing.T) {
	if os.Getenv("STAUNCH_REAL") != "1" {
		t.Skip("left out: waits its turn for the test hosts, make test runs it")
	}
	n := newNight(t, 3)
	up := "do upgrade libtally1=" + testbed.New + " --refresh --on st-1,st-2,st-3"
	out := n.types(desk.ExitClean, up+" --preview")
	if !strings.Contains(out, "st-1, st-2, st-3 (3 hosts)") || !strings.Contains(out, "1.0-1 -> 1.1-1") && !strings.Contains(out, "read again first") {
		t.Errorf("preview:\n%s", out)
	}
	n.installed(testbed.Old, testbed.Old, testbed.Old)
	n.types(desk.ExitCannot, up) // nobody is here to agree

	n.hosts[2].Exec(t, `mkdir -p /etc/staunch; echo '{"schema":1,"read_only":true}' >/etc/staunch/policy.json`)
	out = n.types(desk.ExitFound, up+" --yes --at-once 2")
	if !strings.Contains(out, "read-only") || !strings.Contains(out, "done: done and seen") {
		t.Errorf("upgrade:\n%s", out)
	}
	n.installed(testbed.New, testbed.New, testbed.Old)
	round := regexp.MustCompile(`orders (\S+);`).FindStringSubmatch(out)
	if round == nil {
		t.Fatalf("no round in:\n%s", out)
	}

	out = n.types(desk.ExitClean, "do restart tallyd --on st-1,st-2 --yes --format json")
	var lines []struct {
		Host    string
		Outcome struct{ Status string }
	}
	if err := json.Unmarshal([]byte(out), &lines); err != nil || len(lines) != 2 || lines[0].Outcome.Status != "done" {
		t.Errorf("restart: %v\n%s", err, out)
	}
	n.types(desk.ExitFound, "do undo "+round[1]+" --yes") // the third host refused: it is still read-only
	n.installed(testbed.Old, testbed.Old, testbed.Old)

	for _, h := range n.hosts[:2] {
		h.Write(t, "/etc/systemd/system/crasher.service", "[Service]\nExecStart=/bin/false\n", 0o644)
		h.Exec(t, "systemctl daemon-reload")
	}
	out = n.types(desk.ExitFound, "do start crasher --on st-1,st-2 --yes")
	if !strings.Contains(out, "not begun: another host failed before") {
		t.Errorf("a failure did not stop the rest:\n%s", out)
	}
	n.hosts[1].Partition(t)
	out = n.types(desk.ExitFound, "do restart tallyd --on st-1,st-2 --yes --host-timeout 10s")
	if !strings.Contains(out, "cannot be asked") || !strings.Contains(out, "done and seen") {
		t.Errorf("with one host cut off:\n%s", out)
	}
	n.hosts[1].Heal(t)

	boot := func() string {
		began, err := n.hosts[0].Run("root", "cut -d' ' -f22 /proc/1/stat")
		if err != nil { // the test's own connection ended with the boot before
			began = n.hosts[0].Exec(t, "cut -d' ' -f22 /proc/1/stat")
		}
		return began
	}
	boots := boot()
	out = n.types(desk.ExitClean, "do reboot --on st-1 --yes")
	after := boot()
	if after == boots || !strings.Contains(out, "done: ") {
		t.Errorf("a reboot is not over before the machine is back:\n%s", out)
	}
	round = regexp.MustCompile(`orders (\S+)`).FindStringSubmatch(out)
	if out = n.types(desk.ExitClean, "do repeat "+strings.TrimSuffix(round[1], ";")+" --yes"); !strings.Contains(out, "done: ") {
		t.Errorf("asked again:\n%s", out)
	}
	if now := boot(); now != after {
		t.Errorf("asked again it rebooted again: %s, then %s", after, now)
	}
}
