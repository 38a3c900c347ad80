package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/reach/lab"
)

// A step fails in the canary. People say again, leave out with a reason, and end it; each word is held to what it may say.
func TestPeopleSteerARunThatFailed(t *testing.T) {
	o := planned(t, 2, lab.Trouble{Host: "web1", On: "do restart", Times: 1, Way: lab.Fails, Text: "start limit hit"},
		lab.Trouble{Host: "web1", On: "do undrain", Times: 1, Way: lab.Fails, Text: "the balancer is busy"})
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.mustType("approve", "1.1", "--key", ben)
	step, target := "restart-canary-public-proxyd", "web1/proxyd.service"
	out := o.must(1, "incident", "run", "1")
	has(t, "the failure", out, "failed: "+step+" on "+target+": start limit hit", "staunch incident retry 1 "+step+" "+target)
	if strings.Contains(out, "begun upgrade-production") {
		t.Errorf("production began after a failure:\n%s", out)
	}
	has(t, "the brief", o.mustType("incident", "brief", "1"), "FAILED: "+step)
	o.refused("has no step", "incident", "retry", "1", "restart-everything", "web1")
	o.refused("has no target", "incident", "retry", "1", step, "web9")
	o.refused("it cannot be retried now", "incident", "retry", "1", "upgrade-canary", "web1")
	o.refused("needs a reason", "incident", "skip", "1", step, target)
	o.refused("was given 2 arguments", "incident", "pause", "1", step)
	has(t, "retry", o.mustType("incident", "retry", "1", step, target), "goes again", "nobody is carrying it out now")
	step = "undrain-canary-public-proxyd"
	has(t, "the next failure", o.must(1, "incident", "run", "1"), "failed: "+step, "the balancer is busy")
	has(t, "skip", o.mustType("incident", "skip", "1", step, target, "--reason", "put back by hand", "--up"), "left out")
	has(t, "the rest", o.mustType("incident", "run", "1"), "plan 1.1: done")
	has(t, "the report", o.mustType("incident", "report", "1", "--all"), "put back by hand", "start limit hit")
}

func TestAnAbortedRunIsOver(t *testing.T) {
	o := planned(t, 1)
	ada := o.keyOf("ada", true)
	o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.must(3, "incident", "run", "1", "--until", "canary")
	o.mustType("incident", "abort", "1", "--reason", "the vendor took it back")
	o.refused("the run was aborted", "incident", "run", "1")
	o.refused("the run was aborted", "incident", "resume", "1")
	has(t, "the brief", o.mustType("incident", "brief", "1"), "plan 1.1 was aborted")
	has(t, "a new plan", o.makes("--because", "the vendor changed its mind"), "plan 1.2")
}

// Two people sign different plans: the second is told, and nothing is lost of the first vote.
func TestTwoPeopleWhoReadDifferentPlans(t *testing.T) {
	o := planned(t, 1)
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.makes("--off", "proxyd.service", "--because", "the proxy goes off")
	o.refused("plan 1.1 was replaced by 1.2: votes for it count for nothing", "approve", "1.1", "--key", ben)
	has(t, "plan show", o.mustType("plan", "show", "1.1"), "plan 1.1 was replaced by plan 1.2")
	has(t, "the second", o.mustType("approve", "1.2", "--key", ben), "approved by ben", "1 more of 2")
	o.refused("is no plan", "approve", "17", "--key", ben)
	o.refused("there is no plan 1.9", "approve", "1.9", "--key", ben)
}

// Somebody is taken off the list in the middle of the night: their vote no longer counts, and the tally says why.
func TestAVoterWhoLeftNoLongerCounts(t *testing.T) {
	o := planned(t, 1)
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.mustType("approve", "1.1", "--key", ben)
	list, err := os.ReadFile(o.path("allowed_signers"))
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(list), "ben ")
	o.write("allowed_signers", before)
	has(t, "plan show", o.mustType("plan", "show", "1.1"), "approved by ada", "does not count", "1 more of 2 votes")
}

// The advisory is corrected, then withdrawn, while the night goes on.
func TestAnAdvisoryThatChangesInTheMiddle(t *testing.T) {
	o := planned(t, 1)
	ada := o.keyOf("ada", true)
	o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.amend(func(a map[string]any) { a["modified"] = "2026-11-20T05:00:00Z"; affected(a)["fixed"] = "1.2-1" })
	has(t, "the look", o.must(1, "incident", "look", "1"), "affected:")
	has(t, "the timeline", o.mustType("timeline", "--incident", "1"), "what is affected or fixed was corrected")
	has(t, "a new plan", o.makes("--because", "the fix was no fix"), "plan 1.2 against plan 1.1", "upgrade-canary: other")
	o.amend(func(a map[string]any) { a["withdrawn"] = "2026-11-20T06:00:00Z" })
	o.types("incident", "look", "1")
	has(t, "the timeline", o.mustType("timeline", "--incident", "1"), "IT WAS WITHDRAWN")
	o.refused("was withdrawn by its source", "plan", "make", "1")
	if out, err, code := o.types("incident", "brief", "1"); code != 0 {
		t.Errorf("the brief of a withdrawn advisory: exit %d\n%s%s", code, out, err)
	}
}

func affected(a map[string]any) map[string]any {
	list, _ := a["affected"].([]any)
	one, _ := list[0].(map[string]any)
	ranges, _ := one["ranges"].([]any)
	r, _ := ranges[0].(map[string]any)
	events, _ := r["events"].([]any)
	fixed, _ := events[1].(map[string]any)
	return fixed
}

// amend changes the advisory at its source and takes it in again.
func (o operator) amend(change func(map[string]any)) {
	o.t.Helper()
	text, err := os.ReadFile(o.path("tally.json"))
	if err != nil {
		o.t.Fatal(err)
	}
	var a map[string]any
	if err := json.Unmarshal(text, &a); err != nil {
		o.t.Fatal(err)
	}
	change(a)
	text, err = json.Marshal(a)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write("tally.json", string(text))
	o.mustType("advisories", "add", o.path("tally.json"))
}

// A host gets another name in the inventory in the middle: its story stays together, and a run that still means the old name says so.
func TestAHostIsRenamedInTheMiddle(t *testing.T) {
	o := planned(t, 2)
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.mustType("approve", "1.1", "--key", ben)
	o.must(3, "incident", "run", "1", "--until", "canary")
	text, err := os.ReadFile(o.path("staunch.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o.write("staunch.yaml", strings.Replace(string(text), "web2:", "www2:", 1))
	o.lab.Rename("web2", "www2")
	o.mustType("incident", "renamed", "1", "web2", "www2")
	o.refused("knows no host web7", "incident", "renamed", "1", "web7", "www7")
	out := o.must(1, "incident", "run", "1")
	has(t, "the run", out, "web2 is not in the fleet any more")
	o.must(1, "incident", "look", "1")
	has(t, "a new plan", o.makes("--because", "web2 is www2 now"), "also on www2", "no longer on")
	o.mustType("approve", "1.2", "--key", ada)
	o.mustType("approve", "1.2", "--key", ben)
	has(t, "the new run", o.mustType("incident", "run", "1"), "plan 1.2: done")
	has(t, "the report", o.mustType("incident", "report", "1"), "web2 is called www2 now")
}

// Clocks of hosts are wrong by minutes, some ahead, some behind: proofs that something is new still hold, and the order is the ledger's.
func TestClocksThatDisagreeByMinutes(t *testing.T) {
	o := planned(t, 2, lab.Trouble{Host: "web1", Way: lab.Skewed, Delay: 7 * time.Minute}, lab.Trouble{Host: "web2", Way: lab.Skewed, Delay: -9 * time.Minute})
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	o.mustType("approve", "1.1", "--key", ben)
	has(t, "the run", o.mustType("incident", "run", "1"), "plan 1.1: done", "proven restart-canary-public-proxyd", "proven restart-production-public-proxyd")
	has(t, "verify", o.mustType("ledger", "verify"), "unchanged")
}

// What was heard before there was an id becomes an incident, and later the advisory's.
func TestFromHearsayToAnIncident(t *testing.T) {
	o := newOperator(t, 1)
	note := map[string]any{"id": "0190a5b4-0000-7000-8000-000000000000", "says": "something in tally, a friend calls", "component": "tally", "heard": time.Now().UTC()}
	text, err := json.Marshal(note)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "staunch", "heard"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.write("staunch/heard/0190a5b4-0000-7000-8000-000000000000.json", string(text))
	has(t, "open", o.must(3, "incident", "open", "--from-heard", "0190a5b4"), "incident 1: something in tally, a friend calls (heard")
	o.refused("0 notes of `staunch heard` begin with", "incident", "open", "--from-heard", "ffff")
	o.refused("was opened by words", "plan", "make", "1")
	has(t, "the advisory", o.must(1, "incident", "open", "CVE-2026-0001", "--from-heard", "0190a5b4"), "incident 2")
}

// Two terminals: what is said in the second takes effect on the runner that is at work in the first.
func TestASecondTerminalSteersTheRunner(t *testing.T) {
	o := planned(t, 2, lab.Trouble{On: "do", Way: lab.Slow, Delay: 300 * time.Millisecond})
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes()
	o.mustType("approve", "1.1", "--key", ada)
	type ended struct {
		out, err string
		code     int
	}
	first := make(chan ended, 1)
	go func() {
		out, err, code := o.types("incident", "run", "1", "--stay")
		first <- ended{out, err, code}
	}()
	o.until("begun upgrade-canary")
	o.mustType("incident", "pause", "1", "--reason", "a call comes in")
	if _, err, code := o.types("incident", "run", "1"); code != 2 || !strings.Contains(err, "paused the run") {
		t.Errorf("a second runner: exit %d, %s", code, err)
	}
	time.Sleep(2 * time.Second) // long enough for several steps, were it not for the pause
	before := strings.Count(o.mustType("timeline", "--stream", "run/1.1"), "begun")
	if before > 3 {
		t.Errorf("%d steps began although it was paused", before)
	}
	has(t, "resume", o.mustType("incident", "resume", "1"), "resumed")
	if out := o.mustType("incident", "resume", "1"); strings.Contains(out, "nobody is carrying it out") {
		t.Errorf("a runner is at work: %s", out)
	}
	o.until("proven clean-canary")
	if _, err, code := o.types("incident", "run", "1"); code != 2 || !strings.Contains(err, "is being done by") {
		t.Errorf("a second runner: exit %d, %s", code, err)
	}
	o.mustType("approve", "1.1", "--key", ben) // the runner counts it without being started again
	select {
	case e := <-first:
		if e.code != 0 || !strings.Contains(e.out, "plan 1.1: done") {
			t.Errorf("the first terminal: exit %d\n%s%s", e.code, e.out, e.err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the runner did not go on with the second vote")
	}
}

// until waits for a line of the run.
func (o operator) until(line string) {
	o.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if out, _, code := o.types("timeline", "--stream", "run/1.1"); code == 0 && strings.Contains(out, line) {
			return
		}
	}
	o.t.Fatalf("%q does not come", line)
}
