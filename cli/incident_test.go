package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"staunch/cli"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/lab"
)

// tallybleed is an OSV record about the lab's library.
const tallybleed = `{"schema_version":"1.6.0","id":"CVE-2026-0001","published":"2026-11-20T00:00:00Z","modified":"2026-11-20T00:00:00Z",
"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
"affected":[{"package":{"ecosystem":"Debian:12","name":"tally"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.1-1"}]}]}],
"database_specific":{"cwe_ids":["CWE-125"]}}`

const services = `
services:
  proxy:
    on: web
    units: [proxyd.service]
    holds: [proxy data]
    owner: cleo
    public: true
    drain: drain
    undrain: undrain
    health:
      tcp: "{host}:443"
  shop:
    on: web
    units: [shopd.service]
    health:
      unit: shopd.service
`

// operator is a person with a pretend fleet.
type operator struct {
	person
	lab *lab.Lab
}

func newOperator(t *testing.T, webs int, troubles ...lab.Trouble) operator {
	t.Helper()
	f, world := lab.Example(webs)
	world.Troubles = troubles
	l, err := lab.New(world)
	if err != nil {
		t.Fatal(err)
	}
	o := operator{newPerson(t), l}
	text, err := fleet.Write(f)
	if err != nil {
		t.Fatal(err)
	}
	o.write("staunch.yaml", string(text)+services)
	o.write("tally.json", tallybleed)
	o.mustType("advisories", "add", o.path("tally.json"))
	return o
}

func (o operator) path(name string) string { return filepath.Join(o.dir, name) }

func (o operator) write(name, text string) {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// types runs a command line against the pretend fleet.
func (o operator) types(args ...string) (out, err string, code int) {
	o.t.Helper()
	var stdout, stderr bytes.Buffer
	if args[0] == "incident" || args[0] == "plan" || args[0] == "approve" {
		args = append(args, "--config", o.path("staunch.yaml"))
	}
	code = cli.Run(context.Background(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Version: "test",
		Getenv: func(name string) string {
			if name == "XDG_DATA_HOME" {
				return o.dir
			}
			return ""
		},
		Reach: func(_ context.Context, h fleet.Host) (host.Host, error) { return o.lab.Host(h.Name) },
	})
	return stdout.String(), stderr.String(), code
}

func (o operator) must(code int, args ...string) string {
	o.t.Helper()
	out, err, got := o.types(args...)
	if got != code {
		o.t.Fatalf("staunch %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, err)
	}
	return out
}

func (o operator) mustType(args ...string) string { o.t.Helper(); return o.must(0, args...) }

func has(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
}

func TestIncidentByHandsOfATeam(t *testing.T) {
	o := newOperator(t, 4, lab.Trouble{Host: "web4", Way: lab.Refuses})
	has(t, "open", o.must(1, "incident", "open", "CVE-2026-0001"), "incident 1: CVE-2026-0001", "affected: 5 hosts", "web4", "keys, passwords", "6 of 7 known hosts seen")
	if _, err, code := o.types("incident", "open", "CVE-2026-0001"); code != 2 || !strings.Contains(err, "open already") {
		t.Errorf("opened twice: exit %d, %s", code, err)
	}
	if _, err, code := o.types("incident", "open", "CVE-1999-0000"); code != 2 || !strings.Contains(err, "no advisory") {
		t.Errorf("an unknown advisory: exit %d, %s", code, err)
	}
	if _, err, code := o.types("incident", "show", "9"); code != 2 || !strings.Contains(err, "there is no incident 9") {
		t.Errorf("an unknown incident: exit %d, %s", code, err)
	}
	o.mustType("incident", "comment", "1", "the", "phone", "rings")
	o.mustType("incident", "check", "1", "customers", "--owner", "cleo", "--due", "2h")
	o.mustType("incident", "check", "1", "--add", "call the proxy's vendor", "--owner", "ben")
	o.mustType("incident", "check", "1", "customers", "--done", "mail sent")
	o.mustType("incident", "searched", "1", "proxy logs", "--found", "nothing", "--since", "2026-10-01")
	o.mustType("incident", "lesson", "1", "wrong", "nobody", "was", "on", "call")
	o.mustType("incident", "impact", "1", "execution", "--reason", "a shell was seen")
	has(t, "check", o.mustType("incident", "check", "1"), "cleo", "done", "mail sent", "call the proxy's vendor", "rebuild")
	has(t, "brief", o.mustType("incident", "brief", "1"), "5 hosts are still affected", "web4", "NOBODY OWNS IT", "there is no plan yet")
	var list []map[string]any
	if err := json.Unmarshal([]byte(o.mustType("incident", "list", "--format", "json")), &list); err != nil || len(list) != 1 || list[0]["affected"] != float64(5) {
		t.Errorf("list: %v, %v", list, err)
	}
	report := o.mustType("incident", "report", "1", "--zone", "Europe/Berlin")
	has(t, "report", report, "# Incident 1", "the phone rings", "nobody was on call", "a shell was seen", "CET", "proxy data")
	o.mustType("incident", "report", "1", "--format", "html", "-o", o.path("report.html"))
	if _, err, code := o.types("incident", "close", "1"); code != 2 || !strings.Contains(err, "5 hosts are affected") {
		t.Errorf("closing too early: exit %d, %s", code, err)
	}
	o.mustType("incident", "close", "1", "--reason", "this was a drill")
	if _, err, code := o.types("incident", "check", "1", "customers", "--owner", "x"); code != 2 || !strings.Contains(err, "was closed") {
		t.Errorf("working on a closed incident: exit %d, %s", code, err)
	}
	o.mustType("incident", "open", "--again", "1", "--reason", "not quite")
	has(t, "list", o.mustType("incident", "list"), "open")
	has(t, "verify", o.mustType("ledger", "verify"), "unchanged up to event")
	has(t, "timeline", o.mustType("timeline", "--incident", "1"), "reopened: not quite")
}

func TestIncidentByHandAndFromHearsay(t *testing.T) {
	o := newOperator(t, 2)
	has(t, "by hand", o.must(3, "incident", "open", "vendor X leaked its tokens", "--on", "web"), "unknown: 2 hosts", "opened by hand", "somebody has to decide")
	has(t, "by component", o.must(3, "incident", "open", "something in tally", "--component", "tally"), "unknown: 5 hosts")
	if _, err, code := o.types("incident", "open"); code != 2 || !strings.Contains(err, "what is it about") {
		t.Errorf("about nothing: exit %d, %s", code, err)
	}
}
