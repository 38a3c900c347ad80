package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"staunch/reach/lab"
	"staunch/see/scan"
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
		"libtally.so.1", "30 processes on 9 of 10 hosts", // 7 web hosts with 4, 2 databases with 1
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

func TestFleetMistakesAreExplained(t *testing.T) {
	o := newOperator(t, 2)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"scan", "--on", "wbe1"}, "did you mean web1?"},
		{[]string{"scan", "--on", "web1", "--watch"}, "for one machine"},
		{[]string{"scan", "--on", "web1", "--format", "html"}, "with --on: table, json or jsonl"},
		{[]string{"scan", "--on", "web1", "--forks", "0"}, "--forks"},
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
	has(t, "import", o.mustType("hosts", "import", o.path("staunch.yaml")), "hosts:", "web1:", "ring: canary")
}
