package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"staunch/cli"
	"staunch/reach/lab"
	"staunch/see/scan"
	"staunch/testbed/real"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"golang.org/x/sys/unix"
)

// on types a command about hosts of the operator's fleet.
func (o operator) on(code int, args ...string) string {
	o.t.Helper()
	return o.must(code, append(args, "--config", o.path("staunch.yaml"))...)
}

func TestScanOfAFleetIsGroupedByWhatRuns(t *testing.T) {
	o := newOperator(t, 8, lab.Trouble{Host: "web5", Way: lab.Refuses})
	out := o.on(1, "scan", "--on", "all", "--advisory", "CVE-2026-0001")
	has(t, "the fleet's table", out,
		"AFFECTED by CVE-2026-0001", "of 11 known hosts",
		"libtally 1.0 in 30 processes on 9 of 11 hosts", // 7 web hosts with 4, 2 databases with 1
		"proxyd.service (public)", "libtally1",
		"Not seen, so nothing is known of 1 host", "web5: connection refused",
		"10 of 11 known hosts seen")
	if strings.Count(out, "libtally.so.1 ") > 3 {
		t.Errorf("one object is one group:\n%s", out)
	}
}

func TestCleanIsAFractionOfTheKnownHosts(t *testing.T) {
	o := newOperator(t, 4, lab.Trouble{Host: "web2", Way: lab.Refuses})
	has(t, "a clean part", o.on(3, "scan", "--on", "web2 | report1", "--advisory", "CVE-2026-0001"),
		"affected by CVE-2026-0001 on 1 of 2 hosts chosen by web2 | report1 (7 known)", "1 of 2 hosts")
	if _, err, code := o.types("scan", "--on", "web2", "--config", o.path("staunch.yaml")); code != 2 || err != "" {
		t.Errorf("no host seen at all: exit %d, %s", code, err)
	}
}

func TestScanOfAFleetAsJSON(t *testing.T) {
	o := newOperator(t, 4, lab.Trouble{Host: "web2", Way: lab.Refuses})
	var docs []struct {
		Schema    int
		Host      string
		Processes []scan.Process
		Findings  []json.RawMessage
		Error     *struct{ Kind, What, Hint string }
	}
	if err := json.Unmarshal([]byte(o.on(1, "scan", "--on", "label=web", "--advisory", "CVE-2026-0001", "--format", "json")), &docs); err != nil {
		t.Fatal(err)
	}
	if len(docs) != 4 {
		t.Fatalf("%d entries for 4 hosts", len(docs))
	}
	for _, d := range docs {
		silent := d.Host == "web2"
		if silent != (d.Error != nil) || silent == (len(d.Processes) > 0) || d.Schema != 1 {
			t.Errorf("%+v", d)
		}
	}
	lines := strings.Split(strings.TrimSpace(o.on(1, "scan", "--on", "label=web", "--advisory", "CVE-2026-0001", "--format", "jsonl")), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, `"kind":"unreachable","host":"web2"`) {
		t.Errorf("the last line is %s", last)
	}
}

func TestScanOfAFleetForOtherTools(t *testing.T) {
	o := newOperator(t, 4, lab.Trouble{Host: "web2", Way: lab.Refuses})
	says := func(format string) string {
		out, err, code := o.types("scan", "--on", "label=web", "--advisory", "CVE-2026-0001", "--format", format, "--config", o.path("staunch.yaml"))
		if code != 1 || format != "html" && !strings.Contains(err, "web2 is not in it") {
			t.Errorf("%s: exit %d, %s", format, code, err)
		}
		return out
	}
	var vex struct {
		Statements []struct {
			Status   string
			Products []struct {
				ID            string `json:"@id"`
				Subcomponents []struct {
					ID string `json:"@id"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(says("openvex")), &vex); err != nil {
		t.Fatal(err)
	}
	hosts := map[string]bool{}
	for _, s := range vex.Statements {
		for _, p := range s.Products {
			if s.Status == "affected" && len(p.Subcomponents) > 0 {
				hosts[p.ID] = true
			}
		}
	}
	if len(hosts) != 3 || !hosts["urn:staunch:host:web1"] {
		t.Errorf("affected hosts in OpenVEX: %v", hosts)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(strings.NewReader(says("cyclonedx")), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{}
	for _, host := range *bom.Components {
		refs[host.BOMRef] = true
		for _, c := range *host.Components {
			if refs[c.BOMRef] {
				t.Errorf("reference %q is used twice", c.BOMRef)
			}
			refs[c.BOMRef] = true
		}
	}
	for _, v := range *bom.Vulnerabilities {
		for _, a := range *v.Affects {
			if !refs[a.Ref] {
				t.Errorf("%s affects %q, which is not in the bill", v.ID, a.Ref)
			}
		}
	}
	if len(*bom.Components) != 3 || len(*bom.Vulnerabilities) == 0 {
		t.Errorf("%d devices, %d vulnerabilities", len(*bom.Components), len(*bom.Vulnerabilities))
	}
	has(t, "the page", says("html"), "<!doctype html>", "AFFECTED by CVE-2026-0001", "libtally 1.0</b> in", `<a href="#host-web1">`, "web2", "connection refused", "never clean")
}

func TestAHostThatIsNotCoveredIsProbedFromOutsideAndRestartedByItsHookOnly(t *testing.T) {
	real.Slow(t)
	o := newOperator(t, 2)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	text, err := os.ReadFile(o.path("staunch.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	gate := "  gate: {system: openbsd, via: none, address: 127.0.0.1, restart_hook: drain, restart_on: web1}\n  dark: {via: none}\nservices:"
	o.write("staunch.yaml", strings.Replace(string(text), "services:", gate, 1)+"endpoints:\n  gate.example:\n    addresses: [\""+server.Listener.Addr().String()+"\"]\n")
	list := strings.Join(strings.Fields(o.on(0, "hosts", "gate | dark")), " ") // a note is broken over lines
	has(t, "the list", list, "not covered: runs openbsd, not Linux with systemd; restarted only by the hook drain on web1", "staunch cannot restart it")
	has(t, "the scan", o.on(1, "scan", "--on", "all"), "Not seen, so nothing is known of 2 hosts", "from outside, gate.example at 127.0.0.1:", "Heartbleed: no_heartbeat", "name its address under endpoints")
	has(t, "another advisory", o.on(2, "scan", "--on", "gate", "--advisory", "CVE-2026-0001"), "no probe from outside can see CVE-2026-0001")
	for _, args := range [][]string{{"do", "restart", "x.service"}, {"do", "hook", "drain"}} {
		_, says, code := o.types(append(args, "--on", "gate", "--yes", "--config", o.path("staunch.yaml"))...)
		if code != 2 || !strings.Contains(says, "staunch do hook drain HOST=gate --on web1") {
			t.Errorf("%v: exit %d, %s", args, code, says)
		}
	}
}

func TestFleetMistakesAreExplained(t *testing.T) {
	o := newOperator(t, 2)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"scan", "--on", "wbe1"}, "did you mean web1?"},
		{[]string{"scan", "--on", "web1", "--watch"}, "for one machine"},
		{[]string{"scan", "--on", "web1", "--pid", "7"}, "another process on each host"},
		{[]string{"scan", "--on", "web1", "--format", "pdf"}, "known: table, json, jsonl"},
		{[]string{"scan", "--on", "web1", "--forks", "0"}, "--forks"},
		{[]string{"scan", "--on", "web1", "--keep", "2h"}, "--keep is from 0 to 1h"},
		{[]string{"do", "stop", "x.service", "--on", "web1", "--keep", "1m"}, "unknown flag: --keep"},
		{[]string{"scan", "--on", "web1", "--sudo", "maybe"}, "--sudo is auto"},
		{[]string{"probe", "--from", "web1"}, "no target"},
		{[]string{"hosts", "ring=nowhere"}, "no host has ring=nowhere"},
	} {
		_, err, code := o.types(append(c.args, "--config", o.path("staunch.yaml"))...)
		if code != 2 || !strings.Contains(err, c.says) {
			t.Errorf("%v: exit %d, %s", c.args, code, err)
		}
	}
}

func TestHostsListsAndChecks(t *testing.T) {
	o := newOperator(t, 2, lab.Trouble{Host: "web2", Way: lab.Refuses}, lab.Trouble{Host: "db1", Way: lab.Skewed, Delay: -1e12})
	has(t, "the list", o.on(0, "hosts"), "HOST", "web1", "canary", "report1")
	has(t, "a part", o.on(0, "hosts", "ring=canary"), "web1")
	out := o.on(1, "hosts", "--check", "web1 | web2 | db1")
	has(t, "the check", out, "web2", "not reached", "connection refused", "a right clock: it is off by -16m", "1 of 3 hosts are ready")
	text, err := os.ReadFile(o.path("staunch.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o.write("staunch.yaml", strings.Replace(string(text), "services:", "  gate: {system: openbsd, via: none}\nservices:", 1))
	has(t, "a host that is not covered lacks nothing", o.on(0, "hosts", "--check", "web1 | gate"), "gate  not covered  runs openbsd", "1 of 1 host is ready, 1 not covered")
	has(t, "import", o.mustType("hosts", "import", o.path("staunch.yaml")), "hosts:", "web1:", "ring: canary")
}

// TestWithoutAnInventoryWhatThereIsWillDo: in an emergency the hosts of the ssh configuration are a fleet, and names are.
func TestWithoutAnInventoryWhatThereIsWillDo(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home)
	lists := func(args ...string) (out, errs string) {
		var o, e bytes.Buffer
		env := map[string]string{"HOME": home, "XDG_CONFIG_HOME": home}
		if code := cli.Run(t.Context(), cli.Env{Args: append([]string{"hosts"}, args...), Stdin: strings.NewReader(""), Stdout: &o, Stderr: &e, Getenv: func(k string) string { return env[k] }}); code != 0 {
			t.Errorf("hosts %v: exit %d, %s", args, code, e.String())
		}
		return o.String(), e.String()
	}
	if out, says := lists(); strings.Count(out, "\n") != 2 || !strings.Contains(says, "this machine alone") {
		t.Errorf("without anything:\n%s%s", out, says)
	}
	if err := os.MkdirAll(home+"/.ssh", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(home+"/.ssh/config", []byte("Host web1 web2\nHost *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, says := lists()
	has(t, "all of the ssh configuration", out, "web1", "web2")
	has(t, "where they come from", says, home+"/.ssh/config, as there is no staunch.yaml")
	out, _ = lists("web2 | 10.0.0.7")
	has(t, "a name that nobody wrote down", out, "10.0.0.7", "web2")
}

// terminal opens a real one: what is written to the file a person would see; screen gives it all once the file is closed.
func terminal(t *testing.T, columns uint16) (tty *os.File, screen func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		real.Missing(t, "no terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		real.Missing(t, "no terminals: %v", err)
	}
	all := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(master) // ends with an error when the other side is closed
		all <- string(text)
	}()
	return tty, func() string { tty.Close(); return <-all }
}

func TestWorkOnManyHostsIsShownOneCellAHost(t *testing.T) {
	o := newOperator(t, 2, lab.Trouble{Host: "web2", Way: lab.Refuses}, lab.Trouble{Host: "db1", Way: lab.Slow, Delay: time.Second})
	tty, screen := terminal(t, 60)
	o.stderr = tty
	if _, _, code := o.types("scan", "--on", "web1, web2, db1, db2", "--advisory", "CVE-2026-0001", "--config", o.path("staunch.yaml")); code != 1 {
		t.Errorf("exit %d", code)
	}
	seen := screen()
	has(t, "the last picture", seen, "#!o#", "4 hosts: # 2 done, ! 1 failed, o 1 looking", "db1: looking at")
	if !strings.HasSuffix(seen, "\x1b[J") {
		t.Errorf("the view stays on the screen: %q", seen)
	}
	for line := range strings.SplitSeq(seen, "\n") {
		if n := len([]rune(line[strings.LastIndex(line, "\x1b[J")+1:])); n > 60+3 {
			t.Errorf("a line of %d columns on a terminal of 60: %q", n, line)
		}
	}
}
