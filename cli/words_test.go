package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/notify"
	"staunch/reach/lab"
	"staunch/testbed/real"
)

// says adds lines to the inventory.
func (o operator) says(lines string) {
	o.t.Helper()
	text, err := os.ReadFile(o.path("staunch.yaml"))
	if err != nil {
		o.t.Fatal(err)
	}
	o.write("staunch.yaml", lines+"\n"+string(text))
}

// pager sets a notify command that keeps what it was told, and gives how to read it.
func (o operator) pager() func() []notify.Message {
	o.t.Helper()
	script := o.path("page")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat >> \"$1\"\n"), 0o700); err != nil {
		o.t.Fatal(err)
	}
	told := o.path("told")
	o.says("notify: [" + script + ", " + told + "]")
	return func() (list []notify.Message) {
		text, err := os.ReadFile(told)
		if err != nil && !os.IsNotExist(err) {
			o.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var m notify.Message
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				o.t.Fatalf("%q: %v", line, err)
			}
			list = append(list, m)
		}
		return list
	}
}

func kinds(list []notify.Message) string {
	var out []string
	for _, m := range list {
		out = append(out, m.Kind)
	}
	return strings.Join(out, " ")
}

// refused holds a command line to its complaint.
func (o operator) refused(says string, args ...string) {
	o.t.Helper()
	if out, err, code := o.types(args...); code != 2 || !strings.Contains(err, says) {
		o.t.Errorf("staunch %s: exit %d, want a complaint about %q:\n%s%s", strings.Join(args, " "), code, says, out, err)
	}
}

// planned is a night with a plan on which everybody may vote.
func planned(t *testing.T, webs int, troubles ...lab.Trouble) operator {
	t.Helper()
	o := newOperator(t, webs, troubles...)
	o.must(1, "incident", "open", "CVE-2026-0001")
	return o
}

func (o operator) makes(more ...string) string {
	o.t.Helper()
	return o.mustType(append([]string{"plan", "make", "1", "--urgency", "now", "--soak", "0s", "--owner", "ada"}, more...)...)
}

// One person of a team of two is awake: she breaks the glass. Everybody is told, the whole plan runs, and somebody else must review it.
func TestGlassIsBrokenAndReviewed(t *testing.T) {
	o := planned(t, 2)
	told := o.pager()
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes()
	o.refused("needs a --reason", "approve", "1.1", "--break-glass", "--key", ada)
	o.refused("one signature says one thing", "approve", "1.1", "--break-glass", "--widen", "2", "--rings", "production", "--reason", "x", "--key", ada)
	o.refused("nobody broke the glass", "approve", "1.1", "--review", "--reason", "x", "--key", ben)
	has(t, "the glass", o.mustType("approve", "1.1", "--break-glass", "--reason", "nobody answers the phone", "--key", ada), "BROKE THE GLASS", "NOBODY HAS REVIEWED IT YET")
	if list := told(); len(list) != 1 || list[0].Kind != "glass" || !strings.Contains(list[0].Says, "nobody answers the phone") {
		t.Errorf("people were told %+v", list)
	}
	has(t, "plan show", o.mustType("plan", "show", "1.1"), "votes: ada BROKE THE GLASS")
	has(t, "the run", o.mustType("incident", "run", "1"), "plan 1.1: done")
	if got := kinds(told()); got != "glass done" {
		t.Errorf("people were told %q", got)
	}
	has(t, "the brief", o.mustType("incident", "brief", "1"), "somebody other than ada reviews the broken glass")
	o.refused("somebody else has to review it", "approve", "1.1", "--review", "--reason", "fine", "--key", ada)
	has(t, "the review", o.mustType("approve", "1.1", "--review", "--reason", "looked at each step", "--key", ben), "reviewed by ben")
	has(t, "the checklist", o.mustType("incident", "check", "1"), "glass-review  done", "looked at each step")
	has(t, "the report", o.mustType("incident", "report", "1"), "ada broke the glass", "ben reviewed the broken glass: looked at each step")
}

// A host was silent when the plan was voted on. It answers later: the new plan shows the difference, and runs on the standing vote alone, within its bounds.
func TestAStandingVoteTakesInALateHost(t *testing.T) {
	for _, c := range []struct {
		name, hosts, rings string
		carries            bool
	}{{"covered", "1", "production", true}, {"another ring", "1", "canary", false}} {
		t.Run(c.name, func(t *testing.T) {
			o := planned(t, 3, lab.Trouble{Host: "web3", Way: lab.Refuses})
			ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
			o.makes()
			o.mustType("approve", "1.1", "--key", ada)
			o.mustType("approve", "1.1", "--key", ben)
			has(t, "widen", o.mustType("approve", "1.1", "--widen", c.hosts, "--rings", c.rings, "--for", "1h", "--reason", "web3 comes back later", "--key", ada), "gave a standing vote")
			o.mustType("incident", "run", "1")
			o.lab.Heal("web3")
			o.must(1, "incident", "look", "1")
			has(t, "the difference", o.makes("--because", "web3 answers again"), "plan 1.2 against plan 1.1", "also on web3", "no longer on")
			if !c.carries {
				o.refused("may not begin", "incident", "run", "1")
				return
			}
			has(t, "plan show", o.mustType("plan", "show", "1.2"), "by a standing vote: ada, ben", "all votes are there")
			has(t, "the run", o.mustType("incident", "run", "1"), "plan 1.2: done", "web3")
			o.refused("was replaced by 1.2", "approve", "1.1", "--key", ada)
		})
	}
}

// A new plan while the old one waits: the old run ends for good, and its votes are void.
func TestANewPlanEndsTheRunOfTheOldOne(t *testing.T) {
	o := planned(t, 2)
	ada := o.keyOf("ada", true)
	o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.must(3, "incident", "run", "1", "--until", "canary")
	has(t, "the new plan", o.makes("--off", "report.service", "--because", "report must go"), "plan 1.2 against plan 1.1")
	has(t, "the timeline", o.mustType("timeline", "--stream", "run/1.1"), "replaced: 1.2")
	o.refused("was replaced by plan 1.2", "incident", "run", "1", "--plan", "1.1")
	o.refused("was replaced by plan 1.2", "incident", "resume", "1", "--plan", "1.1")
	o.refused("may not begin", "incident", "run", "1")
}

// Nobody else is on the list: the vote counts, but nothing begins before its delay, and people are told at once so that somebody may object.
func TestATeamOfOneWaitsAndIsHeard(t *testing.T) {
	o := planned(t, 1)
	told := o.pager()
	o.says("alone: 3s")
	ada := o.keyOf("ada", true)
	text, err := os.ReadFile(o.path("staunch.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o.write("staunch.yaml", strings.ReplaceAll(string(text), "quorum: 2", "quorum: 1"))
	o.makes()
	before := time.Now()
	has(t, "approve", o.mustType("approve", "1.1", "--key", ada), "one vote alone", "so that others can object")
	if list := told(); len(list) != 1 || list[0].Kind != "lone_vote" || !strings.Contains(list[0].Says, "on the vote of ada alone") {
		t.Errorf("people were told %+v", list)
	}
	o.mustType("incident", "pause", "1", "--reason", "wait for me")
	o.refused("paused the run (wait for me)", "incident", "run", "1")
	o.mustType("incident", "resume", "1")
	has(t, "the run", o.mustType("incident", "run", "1"), "plan 1.1: done")
	if took := time.Since(before); took < 3*time.Second {
		t.Errorf("done after %s: the delay was not held", took)
	}
	has(t, "the timeline", o.mustType("timeline", "--incident", "1"), "told everybody: plan 1.1")
}

// A person signs that a host may stay vulnerable: the next plan leaves it alone and says so, and so do the brief and the checklist.
func TestAWaiverIsSignedPlannedAndEnds(t *testing.T) {
	o := planned(t, 2)
	ada, eve := o.keyOf("ada", true), o.keyOf("eve", false)
	o.refused("end that lies ahead", "incident", "waive", "1", "db1", "--reason", "x", "--key", ada)
	o.refused("needs a --reason", "incident", "waive", "1", "db1", "--until", "48h", "--key", ada)
	o.refused("within 90 days", "incident", "waive", "1", "db1", "--until", "2400h", "--reason", "x", "--key", ada)
	o.refused("not among the allowed signers", "incident", "waive", "1", "db1", "--until", "48h", "--reason", "x", "--key", eve)
	o.refused("db7", "incident", "waive", "1", "db7", "--until", "48h", "--reason", "x", "--key", ada)
	has(t, "waive", o.mustType("incident", "waive", "1", "db1", "--until", "48h", "--reason", "unplugged", "--key", ada), "db1 may be vulnerable to CVE-2026-0001")
	has(t, "the plan", o.makes(), "not reached: db1 (left alone: ada signed that it may stay vulnerable until")
	shown := o.mustType("plan", "show", "1.1")
	has(t, "plan show", shown, "waiver: db1 may be vulnerable", "unplugged", "watch: the waiver of ada ends")
	if strings.Contains(shown, "db1, db2") {
		t.Errorf("the plan touches the waived host:\n%s", shown)
	}
	has(t, "the brief", o.mustType("incident", "brief", "1"), "db1 may be vulnerable to CVE-2026-0001", "ada: the waiver ends: db1 must be safe by then")
	has(t, "the report", o.mustType("incident", "report", "1"), "ada signed that db1 may stay vulnerable until")
}

// Owners are told once when something is due, again when it stays so, and a command that fails is named.
func TestOwnersAreReminded(t *testing.T) {
	o := planned(t, 1)
	o.mustType("incident", "check", "1", "customers", "--owner", "cleo", "--due", "1ms")
	out, err, code := o.types("incident", "remind", "1")
	if code != 1 || !strings.Contains(out, "cleo: incident 1: due") || !strings.Contains(err, "no notify command is set") {
		t.Errorf("without a command: exit %d\n%s%s", code, out, err)
	}
	told := o.pager()
	has(t, "remind", o.mustType("incident", "remind"), "cleo: incident 1: due")
	if list := told(); len(list) != 1 || list[0].To != "cleo" || list[0].Kind != "due" {
		t.Errorf("people were told %+v", list)
	}
	if out := o.mustType("incident", "remind", "1"); out != "" || len(told()) != 1 {
		t.Errorf("told twice:\n%s", out)
	}
	has(t, "the timeline", o.mustType("timeline", "--incident", "1"), "due: ")
}

// Votes come from a real agent, and from a real ssh-keygen on another machine; a signature over another plan's digest is told apart.
func TestVotesByAgentAndBySignatureFile(t *testing.T) {
	keygen, agent, add := real.Program(t, "ssh-keygen"), real.Program(t, "ssh-agent"), real.Program(t, "ssh-add")
	o := planned(t, 1)
	o.makes()
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	socket := filepath.Join(t.TempDir(), "a")
	serve := exec.Command(agent, "-D", "-a", socket)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := serve.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = serve.Wait() // killed
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the agent does not come up")
		}
	}
	o.env["SSH_AUTH_SOCK"] = socket
	o.refused("none of the agent's 0 keys may vote", "approve", "1.1")
	load := exec.Command(add, o.keyOf("eve", false), ada)
	load.Env = []string{"SSH_AUTH_SOCK=" + socket, "PATH=" + os.Getenv("PATH")}
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	has(t, "by the agent", o.mustType("approve", "1.1"), "ada approved plan 1.1") // the agent's first key, eve's, is not listed

	sign := func(plan string) string {
		var shown struct{ Digest string }
		if err := json.Unmarshal([]byte(o.mustType("plan", "show", plan, "--format", "json")), &shown); err != nil {
			t.Fatal(err)
		}
		o.write("digest", shown.Digest+"\n")
		if out, err := exec.Command(keygen, "-Y", "sign", "-f", ben, "-n", "staunch-plan", o.path("digest")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return o.path("digest.sig")
	}
	has(t, "by a signature", o.mustType("approve", "1.1", "--signature", sign("1.1")), "ben approved plan 1.1", "all votes are there")
	if err := os.Remove(o.path("digest.sig")); err != nil {
		t.Fatal(err)
	}
	old := sign("1.1")
	o.makes("--off", "proxyd.service")
	o.refused("signature", "approve", "1.2", "--signature", old) // over 1.1's digest
	o.write("junk.sig", "not a signature")
	o.refused("signature", "approve", "1.2", "--signature", o.path("junk.sig"))
}
