package cli_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/cli"
	"staunch/hub"
	"staunch/ledger/sqlite"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/lab"
	"staunch/steer/plan"

	"golang.org/x/crypto/ssh"
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
	lab    *lab.Lab
	env    map[string]string
	stderr io.Writer // nil: it is kept and given back
}

func newOperator(t *testing.T, webs int, troubles ...lab.Trouble) operator {
	t.Helper()
	f, world := lab.Example(webs)
	world.Troubles = troubles
	o := operator{person: newPerson(t), env: map[string]string{}}
	o.builds(f, world)
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
	var errs io.Writer = &stderr
	if o.stderr != nil {
		errs = o.stderr
	}
	if args[0] == "incident" || args[0] == "plan" || args[0] == "approve" {
		args = append(args, "--config", o.path("staunch.yaml"))
	}
	code = cli.Run(context.Background(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: errs, Version: "test",
		Getenv: func(name string) string {
			if name == "XDG_DATA_HOME" {
				return o.dir
			}
			return o.env[name]
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

// proposes puts a small plan before the voters: the library on two hosts in two rings, the second of which needs two votes.
func (o operator) proposes() {
	o.t.Helper()
	must := func(err error) {
		o.t.Helper()
		if err != nil {
			o.t.Fatal(err)
		}
	}
	p := plan.Plan{
		ID: "1.1", Incident: "1", Title: "fix tally", Advisories: []string{"CVE-2026-0001"}, Made: time.Now(), Expires: time.Now().Add(time.Hour),
		Pace: plan.Pace{Urgency: plan.Now, WidthFactor: 1, StopAfter: 1}, Rings: []plan.Ring{{Name: "canary", Width: 1, Quorum: 1}, {Name: "production", Width: 1, Quorum: 2}},
	}
	p.Steps = append(o.steps("canary", "web1", nil), o.steps("production", "db1", []string{"watch-canary"})...)
	sealed, err := plan.Seal(p)
	must(err)
	s, err := sqlite.Open(o.t.Context(), sqlite.Options{Path: filepath.Join(o.dir, "staunch", "ledger.db")})
	must(err)
	h := hub.Hub{Store: s, Now: time.Now, Who: "ada"}
	_, err = h.Propose(o.t.Context(), sealed, "")
	must(err)
	must(s.Close())
}

func (o operator) steps(ring, host string, before []string) []plan.Step {
	o.t.Helper()
	votes, units := 2, []string{"shopd.service"}
	if ring == "canary" {
		votes = 1
		units = append(units, "proxyd.service")
	}
	hold := plan.Undo{Kind: plan.Hold, Says: "hold"}
	one := func(id string, kind act.Kind, with act.Params, proves plan.Predicate, on plan.Target, after ...string) plan.Step {
		a, err := act.New(kind, with)
		if err != nil {
			o.t.Fatal(err)
		}
		return plan.Step{ID: id, Kind: plan.Act, Says: id, Ring: ring, Targets: []plan.Target{on}, After: after, Act: &a, Proves: []plan.Predicate{proves}, Undo: hold, Votes: votes, Tries: 2, Repeat: true, DeadlineMS: 8000}
	}
	up := one("upgrade-"+ring, act.Upgrade, &act.UpgradeWith{Packages: []act.Package{{Name: "libtally1", Version: lab.Fixed}}},
		plan.Predicate{Kind: plan.Installed, Package: "libtally1", Version: lab.Fixed}, plan.Target{Host: host}, before...)
	restart := one("restart-"+ring, act.Restart, &act.UnitsWith{Units: units}, plan.Predicate{Kind: plan.Running, Unit: "shopd.service"}, plan.Target{Host: host}, up.ID)
	watch := plan.Step{
		ID: "watch-" + ring, Kind: plan.Gate, Says: "clean", Ring: ring, Targets: []plan.Target{{Host: host}}, After: []string{restart.ID},
		Proves: []plan.Predicate{{Kind: plan.Clean, Advisory: "CVE-2026-0001"}}, Undo: hold, Votes: 1, Tries: 1, DeadlineMS: 8000,
	}
	return []plan.Step{up, restart, watch}
}

// keyOf makes a person's ssh key and puts the person on the list.
func (o operator) keyOf(name string, listed bool) string {
	o.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		o.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, name)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write(name+".key", string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		o.t.Fatal(err)
	}
	if listed {
		list, err := os.ReadFile(o.path("allowed_signers"))
		if err != nil && !os.IsNotExist(err) {
			o.t.Fatal(err)
		}
		o.write("allowed_signers", string(list)+name+" "+string(ssh.MarshalAuthorizedKey(key)))
	}
	return o.path(name + ".key")
}

func TestPlanIsReadVotedAndCarriedOut(t *testing.T) {
	o := newOperator(t, 3)
	o.must(1, "incident", "open", "CVE-2026-0001")
	if _, err, code := o.types("incident", "run", "1"); code != 2 || !strings.Contains(err, "has no plan") {
		t.Errorf("a run without a plan: exit %d, %s", code, err)
	}
	o.proposes()
	ada, ben, eve := o.keyOf("ada", true), o.keyOf("ben", true), o.keyOf("eve", false)
	has(t, "plan", o.mustType("plan", "show", "1.1"), "digest", "ring canary", "1 vote needed", "proves  installed libtally1 1.1-1", "undo    hold")
	has(t, "graph", o.mustType("plan", "show", "1.1", "--graph"), "canary: 1 host at once, 1 vote", "* upgrade  web1", "? watch  web1")
	has(t, "page", o.mustType("plan", "show", "1.1", "--format", "html"), "<svg", "step-watch-canary")
	if _, err, code := o.types("incident", "run", "1"); code != 2 || !strings.Contains(err, "1 more of 1 vote") {
		t.Errorf("a run without votes: exit %d, %s", code, err)
	}
	if _, err, code := o.types("approve", "1.1", "--key", eve); code != 2 || !strings.Contains(err, "not among the allowed signers") {
		t.Errorf("a vote of somebody who is not listed: exit %d, %s", code, err)
	}
	has(t, "approve", o.mustType("approve", "1.1", "--key", ada), "ada approved plan 1.1", "ring production: 1 more of 2 votes")
	if _, err, code := o.types("approve", "1.1", "--key", ada); code != 2 || !strings.Contains(err, "has voted") {
		t.Errorf("voting twice: exit %d, %s", code, err)
	}
	out := o.must(3, "incident", "run", "1")
	has(t, "the canary's run", out, "proven upgrade-canary web1", "proven watch-canary web1", "clean now: web1", "waits: ring production: 1 more of 2 votes")
	if strings.Contains(out, "begun upgrade-production") {
		t.Errorf("production began without its votes:\n%s", out)
	}
	o.mustType("approve", "1.1", "--key", ben)
	o.mustType("incident", "pause", "1", "--reason", "lunch")
	if _, err, code := o.types("incident", "run", "1"); code != 2 || !strings.Contains(err, "paused the run (lunch)") {
		t.Errorf("a run although somebody paused it: exit %d, %s", code, err)
	}
	has(t, "resume", o.mustType("incident", "resume", "1"), "nobody is carrying it out now")
	has(t, "the brief", o.mustType("incident", "brief", "1"), "3 of 6", "hosts are still affected")
	has(t, "the rest", o.mustType("incident", "run", "1"), "proven watch-production db1", "plan 1.1: done, 6 of 6 settled")
	has(t, "report", o.mustType("incident", "report", "1"), "ben approved plan 1.1", "paused: lunch", "lines of single steps are left out")
	if _, err, code := o.types("incident", "skip", "1", "upgrade-canary", "web1"); code != 2 || !strings.Contains(err, "needs a reason") {
		t.Errorf("skipping without a reason: exit %d, %s", code, err)
	}
	has(t, "verify", o.mustType("ledger", "verify"), "unchanged")
}
