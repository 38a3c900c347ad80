package patch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"staunch/mend/patch"
	"staunch/reach/act"
	"staunch/see/verdict"
	"staunch/steer/plan"
)

// runs tells whether something affected for sure, or that only a restart can tell, runs as a unit.
func runs(doc *verdict.Document, unit string) bool {
	return slices.ContainsFunc(doc.Findings, func(f verdict.Finding) bool { return f.Unit == unit && f.State != verdict.Fixed })
}

// Every program of the table gets what the table says, whichever of its names the unit has.
func TestEveryProgramGetsItsCare(t *testing.T) {
	for _, care := range patch.Cares() {
		for _, program := range care.Programs {
			for _, unit := range []string{program + ".service", program + "@main.service"} {
				p := make1(t, patch.Wish{Fleet: street(3), Hosts: []patch.Host{seen("web0", finding(unit, verdict.FixUpgrade, "internal"))}})
				at := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Act != nil && (s.Act.Kind == act.Restart || s.Act.Kind == act.Reload) })
				if at < 0 {
					t.Errorf("%s: neither restarted nor reloaded: %v", unit, steps(p))
					continue
				}
				s := p.Steps[at]
				if string(s.Act.Kind) != care.How || !strings.Contains(s.Says, care.Says) || s.Deadline() < care.Deadline {
					t.Errorf("%s: %s within %s, says %q", unit, s.Act.Kind, s.Deadline(), s.Says)
				}
				proven := map[plan.Fact]bool{}
				for _, f := range s.Proves {
					proven[f.Kind] = true
				}
				if !proven[plan.Running] || !proven[plan.UnitMapsNew] {
					t.Errorf("%s: proves only %v", unit, s.Proves)
				}
				for _, f := range care.Proves {
					if care.How == "restart" && !proven[f] {
						t.Errorf("%s: does not prove %s", unit, f)
					}
				}
			}
		}
	}
}

// The listener of sshd is restarted; sessions keep the old code, and each is named for a person.
func TestSessionsOfSSHAreNamed(t *testing.T) {
	list := []verdict.Finding{finding("ssh.service", verdict.FixUpgrade, "public")}
	for i, session := range []string{"session-3.scope", "session-5.scope"} {
		f := finding(session, verdict.FixUpgrade, "internal")
		f.Process, f.PID, f.Fix.Restart = "sshd", 100+i, "process"
		f.Fix.What = fmt.Sprintf("upgrade libssl1.0.0, then end sshd (pid %d) or its session", f.PID)
		list = append(list, f)
	}
	p := make1(t, patch.Wish{Fleet: street(3), Hosts: []patch.Host{seen("web0", list...)}})
	if s := p.Step("restart-canary-public-ssh"); s == nil || !strings.Contains(s.Says, "running sessions keep the old code") {
		t.Errorf("%v", steps(p))
	}
	at := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Kind == plan.Person })
	if at < 0 || !strings.Contains(p.Steps[at].Task.Asks, "pid 100") || !strings.Contains(p.Steps[at].Task.Asks, "pid 101") {
		t.Errorf("the sessions are not named: %v", steps(p))
	}
}

// A reload that an owner asks for is taken only where it brings new library code in.
func TestAReloadThatKeepsOldCodeIsARestart(t *testing.T) {
	for how, want := range map[string]map[string]act.Kind{"reload": {"nginx.service": act.Restart, "haproxy.service": act.Reload, "varnish.service": act.Restart}, "restart": {"haproxy.service": act.Restart}} {
		for unit, kind := range want {
			f := street(3)
			f.Services[0].Units, f.Services[0].Restart.How = []string{unit}, how
			p := make1(t, patch.Wish{Fleet: f, Hosts: []patch.Host{seen("web0", finding(unit, verdict.FixUpgrade, "public"))}})
			if !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Act != nil && s.Act.Kind == kind && s.Targets[0].Unit == unit }) {
				t.Errorf("%s asked to %s: %v", unit, how, steps(p))
			}
		}
	}
}

// Where a host says that a unit cannot be masked it is stopped all the same, and a person keeps it off, with a proof; other hosts mask it.
func TestAUnitThatCannotBeMaskedIsKeptOffByAPerson(t *testing.T) {
	fax := finding("fax.service", verdict.FixOff, "public")
	noMask := func(host, _ string) string {
		if host == "web2" {
			return "fax.service cannot be masked: its file lies in /etc/systemd/system itself"
		}
		return ""
	}
	p := make1(t, patch.Wish{Fleet: street(4), Hosts: []patch.Host{seen("web2", fax), seen("web3", fax)}, NoMask: noMask, Owner: "carol"})
	stop, mask, keep, gate := p.Step("stop-production-public-fax"), p.Step("mask-production-public-fax"), p.Step("keep-off-production-public-fax-web2"), p.Step("off-production-public-fax-web2")
	if stop == nil || mask == nil || keep == nil || gate == nil {
		t.Fatalf("%v", steps(p))
	}
	if len(stop.Targets) != 2 || len(mask.Targets) != 1 || mask.Targets[0].Host != "web3" || keep.Task.Owner != "carol" || !strings.Contains(keep.Task.Asks, "/etc/systemd/system") || gate.Proves[0].Kind != plan.Stopped {
		t.Errorf("stop %v, mask %v, keep %+v, gate %v", stop.Targets, mask.Targets, keep.Task, gate.Proves)
	}
	p = make1(t, patch.Wish{Fleet: street(4), Hosts: []patch.Host{seen("web2", fax)}, NoMask: noMask})
	if p.Step("mask-production-public-fax") != nil || p.Step("keep-off-production-public-fax-web2") == nil {
		t.Errorf("nothing can be masked: %v", steps(p))
	}
}

// A choice that fits nothing is said: it must not look as if it had been followed.
func TestChoicesThatFitNothingAreRefused(t *testing.T) {
	for says, c := range map[string]patch.Choices{
		"nothing to switch off":                         {Off: []string{"ngnix.service"}},
		"nothing to mitigate":                           {Mitigate: map[string]patch.Mitigation{"ngnix.service": {Hook: "x"}}},
		"nothing to install the built library for":      {Built: map[string]patch.Built{"libssl9": {Path: "/usr/lib/libssl.so"}}},
		"there is nothing to switch off":                {Off: []string{"nginx"}},
		"no process of unit ngnix.service is affected ": {Off: []string{"ngnix.service"}},
	} {
		w := patch.Wish{ID: "7.1", Incident: "7", Advisories: []string{bug}, Now: start, Fleet: street(2), Hosts: []patch.Host{seen("web0", finding("nginx.service", verdict.FixUpgrade, "public"))}, Choices: c}
		if _, _, err := patch.Plan(w); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	// a library for another architecture is a person's work, not a file that cannot be loaded
	doc := seen("web0", finding("nginx.service", verdict.FixUpgrade, "public"))
	doc.Doc.Machine.Arch = "aarch64"
	built := patch.Built{SHA256: object(9), Object: object(10), Path: "/usr/local/lib/libssl.so.1.0.0", Arch: "x86_64"}
	w := patch.Wish{ID: "7.1", Incident: "7", Title: "x", Advisories: []string{bug}, Now: start, Fleet: street(2), Hosts: []patch.Host{doc, seen("web1", finding("nginx.service", verdict.FixUpgrade, "public"))}, Choices: patch.Choices{Built: map[string]patch.Built{"libssl1.0.0": built}}}
	w.Hosts[1].Doc.Machine.Arch = "x86_64"
	p, _, err := patch.Plan(w)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Steps, func(s plan.Step) bool {
		return s.Kind == plan.Person && strings.Contains(s.Task.Asks, "for x86_64, this host is aarch64") && s.Targets[0].Host == "web0"
	}) {
		t.Errorf("%v", steps(p))
	}
}
