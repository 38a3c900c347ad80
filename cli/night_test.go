package cli_test

import (
	"strings"
	"testing"

	"staunch/reach/lab"
)

// The whole night from the command line over the pretend fleet: an advisory, a plan, a vote, the run, and nothing affected is left on the hosts seen.
func TestTheNightFromAdvisoryToReport(t *testing.T) {
	o := newOperator(t, 3, lab.Trouble{Host: "web3", Way: lab.Refuses}, lab.Trouble{Host: "web1", On: "do undrain", Times: 1, Way: lab.DiesEarly})
	o.must(1, "incident", "open", "CVE-2026-0001")
	out := o.mustType("plan", "make", "1", "--urgency", "now", "--soak", "0s", "--owner", "ada")
	has(t, "plan", out, "plan 1.1:", "given up for speed", "not reached: web3", "next: staunch plan show 1.1")
	has(t, "show", o.mustType("plan", "show", "1.1"), "ring canary", "proves", "undo    hold")
	if _, err, code := o.types("plan", "make", "1", "--urgency", "now", "--soak", "0s", "--owner", "ada"); code != 2 || !strings.Contains(err, "does all of this already") {
		t.Errorf("the same plan again: exit %d, %s", code, err)
	}
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.mustType("approve", "1.1", "--key", ada)
	// the connection breaks before the host is put back into service: nobody may believe that it was
	has(t, "the canary", o.must(3, "incident", "run", "1"), "checked undrain-canary-public-proxyd web1/proxyd.service no", "proven clean-canary web1", "clean now: web1", "waits: ring production: 1 more of 2 votes")
	o.mustType("approve", "1.1", "--key", ben)
	has(t, "the rest", o.mustType("incident", "run", "1"), "plan 1.1: done")
	look, _, _ := o.types("incident", "look", "1")
	// report1 carries a copy that no package owns: the distribution's fix says nothing of it
	has(t, "a fresh look", look, "unknown: 2 hosts", "report1 (production) 1 process cannot be judged", "5 of 6 known hosts seen, 4 clean")
	has(t, "brief", o.mustType("incident", "brief", "1"), "web3")
	has(t, "report", o.mustType("incident", "report", "1"), "web3", "ben approved plan 1.1")
}
