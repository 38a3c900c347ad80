package story_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/hub/news"
	"staunch/hub/steps"
	"staunch/incident"
	"staunch/inventory"
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

// tally is an advisory about the lab's library: its code leaks memory.
func tally() advisory.Advisory {
	return advisory.Advisory{
		ID: tallyBug, Names: []string{"Tallybleed"}, Severity: advisory.High, CVSS: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", CWE: []string{"CWE-125"},
		Published: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
		Affects: []advisory.Affected{
			{Name: "tally", Ranges: []advisory.Range{{Introduced: "1.0", Fixed: "1.1"}}},
			{Ecosystem: "debian:12", Name: "tally", Ranges: []advisory.Range{{Introduced: "0", Fixed: lab.Fixed}}},
		},
	}
}

func tallyCatalogue(a advisory.Advisory) *advisory.Catalogue {
	now := time.Now()
	return advisory.NewCatalogue(advisory.Set{Date: now, Ecosystems: map[string]time.Time{"debian:12": now}, Advisories: []advisory.Advisory{a}})
}

// team is a hub over the lab's example fleet.
type team struct {
	*hub.Hub
	t     *testing.T
	lab   *lab.Lab
	world lab.World
}

func newTeam(t *testing.T, webs int, troubles ...lab.Trouble) team {
	t.Helper()
	f, world := lab.Example(webs)
	world.Troubles = troubles
	return teamOf(t, f, world)
}

// teamOf is a hub over a lab.
func teamOf(t *testing.T, f *fleet.Fleet, world lab.World) team {
	t.Helper()
	l, err := lab.New(world)
	if err != nil {
		t.Fatal(err)
	}
	h := &hub.Hub{
		Store: ledger.NewMemory(time.Now), Fleet: f, Catalogue: tallyCatalogue(tally()), Now: time.Now, Who: "ada", Machine: "laptop", Patience: 5 * time.Second,
		Open: func(_ context.Context, where fleet.Host) (host.Host, error) { return l.Host(where.Name) },
	}
	if err := h.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	return team{h, t, l, world}
}

func (x team) news() *news.Desk { return &news.Desk{Hub: x.Hub} }

// opened opens an incident about the library and looks at the fleet.
func (x team) opened() *incident.Incident {
	x.t.Helper()
	a := tally()
	s, err := x.OpenIncident(x.t.Context(), incident.Open{Advisory: &a})
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.Scan(x.t.Context(), x.Fleet.Hosts, nil); err != nil {
		x.t.Fatal(err)
	}
	s, err = x.Judge(x.t.Context(), s.Opened.ID)
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

func step(t *testing.T, id, ring string, kind act.Kind, with act.Params, proves plan.Predicate, after []string, on ...plan.Target) plan.Step {
	t.Helper()
	a, err := act.New(kind, with)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Step{
		ID: id, Kind: plan.Act, Says: id, Ring: ring, Targets: on, After: after, Act: &a, Needs: []plan.Predicate{{Kind: plan.Reachable}}, Proves: []plan.Predicate{proves},
		Undo: plan.Undo{Kind: plan.Hold, Says: "hold"}, Votes: 1, Tries: 2, Repeat: true, DeadlineMS: 4_000,
	}
}

// sketch is a plan for the lab's fleet: per ring upgrade, restart, watch; and the vendor's program switched off.
func (x team) sketch() *plan.Sealed {
	x.t.Helper()
	p := plan.Plan{
		ID: "1.1", Incident: "1", Title: "fix tally", Advisories: []string{tallyBug}, Made: time.Now(), Expires: time.Now().Add(time.Hour),
		Pace: plan.Pace{Urgency: plan.Now, WidthFactor: 1, StopAfter: 1, LeaveSilent: true},
	}
	var before []string
	for _, ring := range x.Fleet.Rings {
		p.Rings = append(p.Rings, plan.Ring{Name: ring.Name, Width: 3, Quorum: 1})
		var hosts []plan.Target
		units := map[string][]plan.Target{}
		for _, h := range x.Fleet.InRing(ring.Name) {
			if h.Name == "report1" {
				continue
			}
			hosts = append(hosts, plan.Target{Host: h.Name})
			for _, m := range x.world.Machines {
				for _, u := range m.Units {
					if m.Name == h.Name && len(u.Maps) > 0 {
						units[u.Name] = append(units[u.Name], plan.Target{Host: h.Name, Unit: u.Name})
					}
				}
			}
		}
		up := step(x.t, "upgrade-"+ring.Name, ring.Name, act.Upgrade, &act.UpgradeWith{Packages: []act.Package{{Name: "libtally1", Version: lab.Fixed}}},
			plan.Predicate{Kind: plan.Installed, Package: "libtally1", Version: lab.Fixed}, before, hosts...)
		p.Steps = append(p.Steps, up)
		last := []string{up.ID}
		for _, unit := range []string{"proxyd.service", "shopd.service"} {
			if len(units[unit]) == 0 {
				continue
			}
			restart := step(x.t, "restart-"+strings.TrimSuffix(unit, ".service")+"-"+ring.Name, ring.Name, act.Restart, &act.UnitsWith{Units: []string{unit}},
				plan.Predicate{Kind: plan.OldWorkersGone}, nil, units[unit]...)
			restart.Each = []string{up.ID}
			p.Steps = append(p.Steps, restart)
			last = append(last, restart.ID)
		}
		p.Steps = append(p.Steps, plan.Step{
			ID: "watch-" + ring.Name, Kind: plan.Gate, Says: "clean", Ring: ring.Name, Targets: hosts, After: last, Needs: []plan.Predicate{{Kind: plan.Reachable}},
			Proves: []plan.Predicate{{Kind: plan.Clean, Advisory: tallyBug}}, Undo: plan.Undo{Kind: plan.Hold, Says: "hold"}, Votes: 1, Tries: 1, DeadlineMS: 4_000,
		})
		before = []string{"watch-" + ring.Name}
	}
	report := plan.Target{Host: "report1", Unit: "report.service"}
	units := &act.UnitsWith{Units: []string{"report.service"}}
	stop := step(x.t, "stop-report", "production", act.Stop, units, plan.Predicate{Kind: plan.Clean, Advisory: tallyBug, Unit: "report.service"}, before, report)
	mask := step(x.t, "mask-report", "production", act.Mask, units, plan.Predicate{Kind: plan.Stopped}, []string{stop.ID}, report)
	p.Steps = append(p.Steps, stop, mask)
	sealed, err := plan.Seal(p)
	if err != nil {
		x.t.Fatal(err)
	}
	return sealed
}

func (x team) runs(sealed *plan.Sealed) run.State {
	x.t.Helper()
	rec := x.Record(sealed.Plan().ID)
	if err := run.Tell(x.t.Context(), sealed, rec, run.Event{Kind: run.Started, By: "ada"}); err != nil {
		x.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(x.t.Context(), 90*time.Second)
	defer cancel()
	r := run.Runner{
		Plan: sealed, Name: "ada@laptop", Recorder: rec, Lease: x.Lease("ada@laptop"), Poll: 20 * time.Millisecond,
		Executor: &steps.Executor{Hub: x.Hub, Plan: sealed, Incident: sealed.Plan().Incident},
	}
	state, err := r.Run(ctx)
	if err != nil {
		x.t.Fatal(err)
	}
	return state
}

// TestTheNightOnTheLab: an advisory, a fleet with a silent host, a plan, votes, a run, and nothing affected is left on the hosts seen.
func TestTheNightOnTheLab(t *testing.T) {
	x := newTeam(t, 8, lab.Trouble{Host: "web7", Way: lab.Refuses})
	s := x.opened()
	if n := len(s.In(inventory.Affected)); n != 10 { // 7 of 8 web hosts, 2 databases, the report host
		t.Fatalf("%d hosts affected, want 10: %+v", n, s.Hosts)
	}
	if h := s.Hosts["web7"]; h.State != inventory.Unknown || h.Why == "" {
		t.Fatalf("the silent host: %+v", h)
	}
	sealed := x.sketch()
	if _, err := x.Propose(t.Context(), sealed, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Do(t.Context(), "1", incident.Cast{Vote: incident.Vote{Plan: "1.1", Digest: sealed.Digest, Voter: "ben"}}); err != nil {
		t.Fatal(err)
	}
	if state := x.runs(sealed); state != run.Complete {
		x.complain(sealed)
		t.Fatalf("the run ended %s", state)
	}
	s, _, err := x.Incident(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.In(inventory.Affected)); n != 0 {
		t.Errorf("%d hosts are still affected", n)
	}
	var reached []incident.Milestone
	for _, m := range s.Milestones {
		reached = append(reached, m.Milestone)
	}
	if fmt.Sprint(reached) != "[public_clean all_clean]" {
		t.Errorf("milestones %v", s.Milestones)
	}
	if err := x.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := x.news().Report(t.Context(), "1", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var md bytes.Buffer
	if err := r.Markdown(&md, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10 hosts ran affected code", "web7 is unknown", "public part clean", "ben approved plan 1.1", "Tallybleed", "Head of the ledger"} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if v, err := ledger.Verify(x.Store.Read(t.Context(), ledger.Query{})); err != nil || v.Broken != nil {
		t.Errorf("the ledger: %+v, %v", v, err)
	}
}

func (x team) complain(sealed *plan.Sealed) {
	x.t.Helper()
	lines, _, err := x.news().Timeline(x.t.Context(), "1")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, l := range lines {
		x.t.Log(l.At.Format("05.000"), l.Says)
	}
}

// TestTroubleOnTheWay: connections break in the middle of acts, and the run still ends with everything done once.
func TestTroubleOnTheWay(t *testing.T) {
	x := newTeam(t, 4,
		lab.Trouble{Host: "web1", On: "do upgrade", Times: 1, Way: lab.DiesLate},
		lab.Trouble{Host: "web2", On: "do restart", Times: 1, Way: lab.DiesMid},
		lab.Trouble{Host: "web3", On: "do upgrade", Times: 1, Way: lab.DiesEarly},
		lab.Trouble{Host: "db1", On: "look", Way: lab.Skewed, Delay: -7 * time.Minute},
		lab.Trouble{Host: "db2", On: "look", Way: lab.Skewed, Delay: 7 * time.Minute},
	)
	x.opened()
	sealed := x.sketch()
	if _, err := x.Propose(t.Context(), sealed, ""); err != nil {
		t.Fatal(err)
	}
	if state := x.runs(sealed); state != run.Complete {
		x.complain(sealed)
		t.Fatalf("the run ended %s", state)
	}
	s, _, err := x.Incident(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.In(inventory.Affected)) + len(s.In(inventory.Unknown)); n != 0 {
		t.Errorf("%d hosts are not clean", n)
	}
}

// A replica follows its primary when its host's hook says so; without a hook nobody knows, and the answer says what would tell.
func TestReplicasFollowWhenTheirHookSaysSo(t *testing.T) {
	x := newTeam(t, 2)
	x.opened()
	e, known := &steps.Executor{Hub: x.Hub}, *x.Fleet
	for hook, want := range map[string]run.Truth{"drain": run.Yes, "missing": run.Unknown, "": run.Unknown} {
		f := known
		f.Services = append(slices.Clone(known.Services), fleet.Service{Name: "copy", Hosts: []string{"web1"}, Units: []string{"shopd.service"}, Replica: true, Follows: hook})
		x.Hub.Fleet = &f
		seen := e.Observe(t.Context(), plan.Predicate{Kind: plan.Replicated, Host: "web1", Service: "copy"}, run.Work{})
		if seen.Truth != want || hook == "" && !strings.Contains(seen.Says, "follows:") {
			t.Errorf("with the hook %q: %s: %s", hook, seen.Truth, seen.Says)
		}
	}
}

func TestOneRunnerAtATime(t *testing.T) {
	x := newTeam(t, 1)
	_, release, err := x.Lease("one").Take(t.Context(), "run/1.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Lease("two").Take(t.Context(), "run/1.1"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "one") {
		t.Errorf("a second runner: %v", err)
	}
	release()
	_, release, err = x.Lease("two").Take(t.Context(), "run/1.1")
	if err != nil {
		t.Fatalf("after the first gave it back: %v", err)
	}
	release()
}

func TestBadNewsIsClear(t *testing.T) {
	x := newTeam(t, 2)
	if _, _, err := x.Incident(t.Context(), "9"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown incident: %v", err)
	}
	for _, id := range []string{"", "7", "7.", ".1", "x.1", "7.0"} {
		if _, err := x.Plan(t.Context(), id); err == nil {
			t.Errorf("plan %q was found", id)
		}
	}
	s := x.opened()
	a := tally()
	if _, err := x.OpenIncident(t.Context(), incident.Open{Advisory: &a}); !fault.Is(err, fault.Conflict) {
		t.Errorf("the same advisory twice: %v", err)
	}
	sealed := x.sketch()
	if _, err := x.Propose(t.Context(), sealed, ""); err != nil {
		t.Fatal(err)
	}
	other := *sealed.Plan()
	other.Title = "another"
	changed, err := plan.Seal(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Propose(t.Context(), changed, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("another plan under the same id: %v", err)
	}
	if err := x.Store.Put(t.Context(), ledger.Document{Kind: "plan", ID: "1.1", Body: changed.Bytes}, ledger.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Plan(t.Context(), "1.1"); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a plan document that was exchanged: %v", err)
	}
	withdrawn := tally()
	withdrawn.Withdrawn = true
	x.Catalogue = tallyCatalogue(withdrawn)
	if s, err = x.Judge(t.Context(), s.Opened.ID); err != nil || !s.Advisory.Withdrawn {
		t.Errorf("withdrawn in the middle: %+v, %v", s.Advisory, err)
	}
	x.Catalogue = advisory.NewCatalogue(advisory.Set{Date: time.Now()})
	if _, err := x.Judge(t.Context(), s.Opened.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the advisory is in no catalogue any more: %v", err)
	}
}

// TestManyHandsOnOneIncident: commands that race are decided one after the other, and nothing is lost.
func TestManyHandsOnOneIncident(t *testing.T) {
	x := newTeam(t, 1)
	x.opened()
	const hands = 8
	errs := make(chan error, hands)
	for i := range hands {
		go func() {
			_, err := x.Do(t.Context(), "1", incident.Remark{Says: fmt.Sprint("remark ", i)})
			errs <- err
		}()
	}
	for range hands {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	s, _, err := x.Incident(t.Context(), "1")
	if err != nil || len(s.Comments) != hands {
		t.Errorf("%d comments of %d, %v", len(s.Comments), hands, err)
	}
}

func TestWhatHostsToldComesBack(t *testing.T) {
	x := newTeam(t, 2)
	x.opened()
	again := &hub.Hub{Store: x.Store, Fleet: x.Fleet, Catalogue: x.Catalogue, Now: time.Now, Who: "ben"}
	if err := again.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := again.Judge(t.Context(), "1")
	if err != nil || s.Seen != len(x.Fleet.Hosts) {
		t.Errorf("%d hosts seen after a restart, %v", s.Seen, err)
	}
}
