package steps_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/hub/steps"
	"staunch/ledger"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/lab"
	"staunch/see/advisory"
	"staunch/steer/plan"
	"staunch/steer/run"
)

const tallyBug = "CVE-2026-0001"

// tallybleed is an advisory about the source package tally of Debian 12, fixed in 1.1-1.
func tallybleed() *advisory.Catalogue {
	now := time.Now()
	return advisory.NewCatalogue(advisory.Set{Date: now, Ecosystems: map[string]time.Time{"debian:12": now}, Advisories: []advisory.Advisory{{
		ID: tallyBug, Severity: advisory.High, Published: now.Add(-24 * time.Hour),
		Affects: []advisory.Affected{
			{Name: "tally", Ranges: []advisory.Range{{Introduced: "1.0", Fixed: "1.1"}}},
			{Ecosystem: "debian:12", Name: "tally", Ranges: []advisory.Range{{Introduced: "0", Fixed: lab.Fixed}}},
		},
	}}})
}

// bench is an executor with the plan that it carries out.
type bench struct {
	*steps.Executor
	t   *testing.T
	lab *lab.Lab
}

// onLab is an executor over pretend machines.
func onLab(t *testing.T, all ...plan.Step) bench {
	t.Helper()
	f, world := lab.Example(2)
	l, err := lab.New(world)
	if err != nil {
		t.Fatal(err)
	}
	f.Hosts = append(f.Hosts, fleet.Host{Name: "gate", System: "devuan", Hook: "drain", Ring: "production"})
	b := over(t, f, func(_ context.Context, h fleet.Host) (host.Host, error) { return l.Host(h.Name) }, all...)
	b.lab = l
	return b
}

func over(t *testing.T, f *fleet.Fleet, open func(context.Context, fleet.Host) (host.Host, error), all ...plan.Step) bench {
	t.Helper()
	h := &hub.Hub{
		Store: ledger.NewMemory(time.Now), Fleet: f, Catalogue: tallybleed(), Now: time.Now, Who: "ada", Machine: "laptop", Patience: 30 * time.Second, Open: open,
	}
	if err := h.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	sealed, err := plan.Seal(plan.Plan{ID: "7.1", Incident: "7", Title: "t", Made: now, Expires: now.Add(time.Hour), Steps: all})
	if err != nil {
		t.Fatal(err)
	}
	return bench{Executor: &steps.Executor{Hub: h, Plan: sealed}, t: t}
}

// step is an act on hosts; id names it.
func step(t *testing.T, id string, kind act.Kind, with act.Params, hosts ...string) plan.Step {
	t.Helper()
	a, err := act.New(kind, with)
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Step{ID: id, Kind: plan.Act, Says: id, Act: &a, DeadlineMS: 60_000, Tries: 1, Votes: 1, Undo: plan.Undo{Kind: plan.Reverse, Says: "back"}}
	for _, h := range hosts {
		s.Targets = append(s.Targets, plan.Target{Host: h})
	}
	return s
}

// work is one attempt of a step of the plan on a host.
func (b bench) work(id, host string, attempt int) run.Work {
	b.t.Helper()
	s := b.Plan.Plan().Step(id)
	if s == nil {
		b.t.Fatalf("no step %s", id)
	}
	return run.Work{ID: act.OrderID(b.Plan.Digest, id, host, attempt), Plan: b.Plan.Plan(), Step: s, Target: plan.Target{Host: host}, Attempt: attempt, Began: time.Now()}
}

func (b bench) does(w run.Work, want act.Status) act.Outcome {
	b.t.Helper()
	out, err := b.Do(b.t.Context(), w)
	if err != nil || out.Status != want {
		b.t.Fatalf("%s on %s: %s (%s), %v; want %s", w.Step.ID, w.Target.Host, out.Status, out.Says, err, want)
	}
	return out
}

// sees holds one look at a fact to its truth.
func (b bench) sees(want run.Truth, p plan.Predicate, w run.Work) run.Seen {
	b.t.Helper()
	seen := b.Observe(b.t.Context(), p, w)
	if seen.Truth != want {
		b.t.Errorf("%s is seen as %s (%s), want %s", p, seen.Truth, seen.Says, want)
	}
	return seen
}

func upgrade(t *testing.T, hosts ...string) plan.Step {
	return step(t, "upgrade", act.Upgrade, &act.UpgradeWith{Packages: []act.Package{{Name: "libtally1", Version: lab.Fixed}}}, hosts...)
}

// TestAFactIsSeenOnlyOnceItIsSo goes through an upgrade and looks at every fact before, between and after.
func TestAFactIsSeenOnlyOnceItIsSo(t *testing.T) {
	units := func(names ...string) *act.UnitsWith { return &act.UnitsWith{Units: names} }
	b := onLab(t, upgrade(t, "web1"), step(t, "reload", act.Reload, units("proxyd.service"), "web1"), step(t, "restart", act.Restart, units("proxyd.service", "shopd.service"), "web1"),
		step(t, "stop", act.Stop, units("shopd.service"), "web1"), step(t, "mask", act.Mask, units("shopd.service"), "web1"))
	web := func(f plan.Fact) plan.Predicate { return plan.Predicate{Kind: f, Host: "web1"} }
	proxy := func(f plan.Fact) plan.Predicate {
		return plan.Predicate{Kind: f, Host: "web1", Unit: "proxyd.service", Object: b.object("web1", lab.Library)}
	}
	old := proxy(plan.UnitMapsNew)
	installed := plan.Predicate{Kind: plan.Installed, Host: "web1", Package: "libtally1", Version: lab.Fixed}
	clean := plan.Predicate{Kind: plan.Clean, Host: "web1", Advisory: tallyBug}
	up, reload, restart := b.work("upgrade", "web1", 1), b.work("reload", "web1", 1), b.work("restart", "web1", 1)

	b.sees(run.Yes, web(plan.Reachable), up)
	b.sees(run.No, installed, up)
	b.sees(run.No, clean, up)
	b.sees(run.No, old, up)
	b.does(up, act.Done)
	b.sees(run.Yes, installed, up)
	b.sees(run.No, clean, up) // the old code runs on
	b.sees(run.No, old, up)

	b.does(reload, act.Done)
	b.sees(run.No, old, reload) // this proxy keeps an old worker when it reloads
	b.does(restart, act.Done)
	b.sees(run.Yes, old, restart)
	b.sees(run.Yes, clean, restart)
	b.sees(run.Yes, proxy(plan.Running), restart)
	b.sees(run.Yes, plan.Predicate{Kind: plan.Healthy, Host: "web1", Service: "proxy"}, restart)
	b.sees(run.No, plan.Predicate{Kind: plan.Clean, Host: "web2", Advisory: tallyBug}, restart) // another host's clean is its own
	b.sees(run.Unknown, plan.Predicate{Kind: plan.Clean, Host: "web1", Advisory: "CVE-1999-0001"}, restart)

	shop := plan.Predicate{Kind: plan.Stopped, Host: "web1", Unit: "shopd.service"}
	b.sees(run.No, shop, b.work("stop", "web1", 1))
	b.does(b.work("stop", "web1", 1), act.Done)
	b.does(b.work("mask", "web1", 1), act.Done)
	b.sees(run.Yes, shop, b.work("mask", "web1", 1))
	b.sees(run.No, plan.Predicate{Kind: plan.Running, Host: "web1", Unit: "shopd.service"}, restart)
	b.sees(run.No, plan.Predicate{Kind: plan.Healthy, Host: "web1", Service: "shop"}, restart)
}

// object is the id of what a path of a host holds.
func (b bench) object(name, path string) string {
	b.t.Helper()
	h, _ := b.Hub.Fleet.Host(name)
	r, err := b.Hub.Look(b.t.Context(), h)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range r.Processes {
		for _, o := range p.Objects {
			if o.Path == path {
				return o.ID
			}
		}
	}
	b.t.Fatalf("nothing on %s maps %s", name, path)
	return ""
}

// TestAfterALostEndTheHostIsAsked: what an attempt did is told by what is there, never by hope.
func TestAfterALostEndTheHostIsAsked(t *testing.T) {
	for way, want := range map[lab.Way]run.Truth{lab.DiesEarly: run.No, lab.DiesLate: run.Yes, lab.DiesMid: run.No} {
		s := upgrade(t, "db1")
		s.Proves = []plan.Predicate{{Kind: plan.Installed, Package: "libtally1", Version: lab.Fixed}, {Kind: plan.Clean, Advisory: tallyBug}}
		b := onLab(t, s)
		b.lab.Trouble(lab.Trouble{Host: "db1", On: "do", Way: way, Times: 1})
		w := b.work("upgrade", "db1", 1)
		if _, err := b.Do(t.Context(), w); err == nil {
			t.Fatalf("%v: the end was seen", way)
		}
		if seen := b.Happened(t.Context(), w); seen.Truth != want {
			t.Errorf("%v: it is believed to be %s (%s), want %s", way, seen.Truth, seen.Says, want)
		}
	}
}

// TestSilenceIsNeverAnAnswer: a host that does not answer, lies or cannot see proves nothing.
func TestSilenceIsNeverAnAnswer(t *testing.T) {
	b := onLab(t, upgrade(t, "web1", "db1", "db2"))
	b.lab.Trouble(lab.Trouble{Host: "web1", Way: lab.Refuses})
	b.lab.Trouble(lab.Trouble{Host: "db1", On: "look scan", Way: lab.Blind})
	b.lab.Trouble(lab.Trouble{Host: "db2", On: "do", Way: lab.Lies})
	w := b.work("upgrade", "web1", 1)
	for _, f := range []plan.Predicate{
		{Kind: plan.Clean, Advisory: tallyBug},
		{Kind: plan.Reachable},
		{Kind: plan.Running, Unit: "ssh.service"},
		{Kind: plan.Stopped, Unit: "nothing.service"},
		{Kind: plan.Installed, Package: "libtally1", Version: lab.Fixed},
		{Kind: plan.Booted},
		{Kind: plan.OldWorkersGone, Unit: "ssh.service"},
		{Kind: plan.Healthy, Service: "proxy"},
	} {
		f.Host = "web1"
		if seen := b.sees(run.Unknown, f, w); !seen.Silent || seen.Final {
			t.Errorf("%s on a host that refuses: %+v", f, seen)
		}
	}
	if seen := b.Happened(t.Context(), w); seen.Truth != run.Unknown || !seen.Silent {
		t.Errorf("happened on a host that refuses: %+v", seen)
	}
	b.sees(run.Unknown, plan.Predicate{Kind: plan.Stopped, Host: "db1", Unit: "nothing.service"}, b.work("upgrade", "db1", 1))
	lied := b.work("upgrade", "db2", 1)
	b.does(lied, act.Done)
	b.sees(run.No, plan.Predicate{Kind: plan.Installed, Host: "db2", Package: "libtally1", Version: lab.Fixed}, lied)
	if seen := b.sees(run.Unknown, plan.Predicate{Kind: plan.Reachable, Host: "gone"}, w); !seen.Final {
		t.Errorf("a host that left the fleet is looked for again: %+v", seen)
	}
	b.sees(run.Unknown, plan.Predicate{Kind: plan.Serves, Endpoint: "x@192.0.2.1:443"}, w) // nobody here probes
}

// TestAHostThatIsNotCoveredTakesItsOwnHookOnly holds the rule where steps are carried out, whoever made the plan.
func TestAHostThatIsNotCoveredTakesItsOwnHookOnly(t *testing.T) {
	b := onLab(t, upgrade(t, "gate"), step(t, "other", act.Hook, &act.HookWith{Name: "undrain"}, "gate"), step(t, "own", act.Hook, &act.HookWith{Name: "drain"}, "gate"))
	for _, id := range []string{"upgrade", "other"} {
		if _, err := b.Do(t.Context(), b.work(id, "gate", 1)); !fault.Is(err, fault.Unsupported) || !strings.Contains(fault.HintOf(err), "staunch do hook drain --on gate") {
			t.Errorf("%s on a host that is not covered: %v", id, err)
		}
	}
	if _, err := b.Do(t.Context(), b.work("own", "gate", 1)); !fault.Is(err, fault.NotFound) { // it got as far as the lab, which has no such machine
		t.Errorf("its own hook: %v", err)
	}
}

// TestOthersCarryOutWhatNoHostDoes: deeds and facts of others come first, a step of nobody is an error that says so.
func TestOthersCarryOutWhatNoHostDoes(t *testing.T) {
	revoke := plan.Step{ID: "revoke", Kind: plan.Revoke, Says: "r", Targets: []plan.Target{{SPKI: "ab"}}, Tries: 1, Votes: 1}
	b := onLab(t, revoke, plan.Step{ID: "build", Kind: plan.Build, Says: "b", Targets: []plan.Target{{Host: "web1"}}, Tries: 1, Votes: 1})
	ca := &office{}
	b.Deeds = map[plan.Kind]steps.Deed{plan.Revoke: ca}
	b.Facts = map[plan.Fact]func(context.Context, plan.Predicate, run.Work) run.Seen{
		plan.Revoked: func(_ context.Context, p plan.Predicate, _ run.Work) run.Seen {
			return run.Seen{Truth: run.Yes, Says: p.SPKI}
		},
	}
	b.does(b.work("revoke", "", 1), act.Done)
	if seen := b.Happened(t.Context(), b.work("revoke", "", 1)); ca.asked != 2 || seen.Says != "the office knows" {
		t.Errorf("asked %d times: %+v", ca.asked, seen)
	}
	if seen := b.sees(run.Yes, plan.Predicate{Kind: plan.Revoked, SPKI: "ab"}, b.work("revoke", "", 1)); seen.Says != "ab" {
		t.Errorf("%+v", seen)
	}
	if _, err := b.Do(t.Context(), b.work("build", "web1", 1)); !fault.Is(err, fault.Unsupported) || !strings.Contains(fault.HintOf(err), "confirm") {
		t.Errorf("a step of nobody: %v", err)
	}
}

// office is a deed of others.
type office struct{ asked int }

func (o *office) Do(context.Context, run.Work) (act.Outcome, error) {
	o.asked++
	return act.Outcome{Status: act.Done}, nil
}

func (o *office) Happened(context.Context, run.Work) run.Seen {
	o.asked++
	return run.Seen{Truth: run.Yes, Says: "the office knows"}
}
