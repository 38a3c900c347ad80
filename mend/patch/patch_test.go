package patch_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/patch"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/see/scan"
	"staunch/see/verdict"
	"staunch/steer/plan"
	"staunch/testbed/real"
)

const bug = "CVE-2014-0160"

var start = time.Date(2026, 4, 7, 20, 0, 0, 0, time.UTC)

// object is a made-up object id.
func object(n int) string { return strings.Repeat(fmt.Sprintf("%02x", n%256), 32) }

// finding is an affected process of a unit.
func finding(unit string, kind verdict.FixKind, in string) verdict.Finding {
	f := verdict.Finding{
		Advisory: bug, State: verdict.Affected, Component: "openssl", Version: "1.0.1e", PID: 7, Process: strings.TrimSuffix(unit, ".service"), Unit: unit, Object: object(1),
		Package: "deb libssl1.0.0 1.0.1e-2", Exposure: verdict.Exposure{In: in, Out: "none"}, Fix: verdict.Fix{Kind: kind, What: "cure " + unit, Unit: unit, Restart: "unit"},
	}
	if kind == verdict.FixUpgrade {
		f.Fix.Package, f.Fix.Version = "libssl1.0.0", "1.0.1e-2+deb7u5"
	}
	return f
}

func seen(name string, findings ...verdict.Finding) patch.Host {
	return patch.Host{Name: name, Doc: &verdict.Document{Findings: findings, Report: scan.Report{Machine: scan.Machine{BootID: "11111111-2222-3333-4444-555555555555"}}}}
}

// street is a fleet of three rings with a public web service, a replicated database and the rest.
func street(n int) *fleet.Fleet {
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Order: 0, Quorum: 1}, {Name: "staging", Order: 1, Quorum: 1}, {Name: "production", Order: 2, Quorum: 2, Width: fleet.Width{Percent: 50}}}}
	var all []string
	for i := range n {
		ring := []string{"canary", "staging"}[min(i, 1)]
		if i >= 2 {
			ring = "production"
		}
		name := fmt.Sprintf("web%d", i)
		f.Hosts = append(f.Hosts, fleet.Host{Name: name, Ring: ring})
		all = append(all, name)
	}
	f.Services = []fleet.Service{
		{Name: "shop", Hosts: all, Units: []string{"nginx.service"}, Drain: "out", Undrain: "in", MaxDown: fleet.Width{Hosts: 1}, Owner: "ann", Public: true, Health: &fleet.Health{Unit: "nginx.service"}},
		{Name: "db", Hosts: all, Units: []string{"postgresql.service"}, MaxDown: fleet.Width{Hosts: 1}, Owner: "bob"},
	}
	f.Endpoints = []fleet.Endpoint{{Name: "shop.example", Service: "shop", Public: true}}
	return f
}

func make1(t *testing.T, w patch.Wish) plan.Plan {
	t.Helper()
	w.ID, w.Incident, w.Title, w.Advisories, w.Now = "7.1", "7", "fix it", []string{bug}, start
	p, world, err := patch.Plan(w)
	if err != nil {
		t.Fatal(err)
	}
	if problems := plan.Lint(&p, world); len(problems) > 0 {
		t.Fatalf("the plan breaks its own rules: %v", problems)
	}
	if _, err := plan.Seal(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// steps renders a plan as lines, for comparison.
func steps(p plan.Plan) []string {
	var out []string
	for _, s := range p.Steps {
		var hosts []string
		for _, t := range s.Targets {
			hosts = append(hosts, t.Key())
		}
		out = append(out, s.ID+" on "+strings.Join(hosts, ","))
	}
	return out
}

func TestTheNightOfThreeHosts(t *testing.T) {
	f := street(3)
	nginx, db := finding("nginx.service", verdict.FixUpgrade, "public"), finding("postgresql.service", verdict.FixUpgrade, "internal")
	p := make1(t, patch.Wish{Fleet: f, Hosts: []patch.Host{seen("web0", nginx, db), seen("web1", nginx), {Name: "web2", Silent: "no answer"}}})
	want := []string{
		"upgrade-canary on web0",
		"drain-canary-public-nginx on web0/nginx.service", "restart-canary-public-nginx on web0/nginx.service", "undrain-canary-public-nginx on web0/nginx.service",
		"restart-canary-postgresql on web0/postgresql.service", "clean-canary-public-nginx on web0", "clean-canary on web0",
		"upgrade-staging on web1",
		"drain-staging-public-nginx on web1/nginx.service", "restart-staging-public-nginx on web1/nginx.service", "undrain-staging-public-nginx on web1/nginx.service",
		"clean-staging on web1",
	}
	if got := steps(p); !slices.Equal(got, want) {
		t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(p.Unseen) != 1 || p.Unseen[0].Host != "web2" {
		t.Errorf("unseen %+v", p.Unseen)
	}
	restart := p.Step("restart-canary-public-nginx")
	if restart.Act.Kind != act.Restart || !restart.Public || restart.Turn == "" || !slices.Contains(restart.Harm.Down, "shop") {
		t.Errorf("%+v", restart)
	}
	for _, fact := range []plan.Fact{plan.Running, plan.UnitMapsNew, plan.OldWorkersGone, plan.Healthy} {
		if !slices.ContainsFunc(restart.Proves, func(p plan.Predicate) bool { return p.Kind == fact }) {
			t.Errorf("restart does not prove %s", fact)
		}
	}
	if up := p.Step("upgrade-staging"); !slices.Contains(up.After, "clean-canary") || up.Undo.Kind != plan.Hold {
		t.Errorf("%+v", up)
	}
}

func TestWhatOnlyPeopleCanDoHoldsUpNobody(t *testing.T) {
	static := finding("agent.service", verdict.FixReplace, "none")
	image := finding("shop.service", verdict.FixImage, "public")
	image.Fix.Restart = "workload"
	logind := finding("systemd-logind.service", verdict.FixUpgrade, "none")
	logind.Fix.Restart = "reboot"
	f := street(3)
	hosts := []patch.Host{seen("web0", static, image, logind, finding("nginx.service", verdict.FixUpgrade, "public")), seen("web2", finding("nginx.service", verdict.FixUpgrade, "public"))}
	p := make1(t, patch.Wish{Fleet: f, Hosts: hosts, Owner: "carol"})
	people := 0
	for _, s := range p.Steps {
		if s.Kind == plan.Person {
			people++
			if s.Task.Owner != "carol" || s.Task.Due.IsZero() {
				t.Errorf("%+v", s.Task)
			}
		}
	}
	if people != 3 || p.Step("clean-canary") != nil || p.Step("clean-canary-nginx") == nil {
		t.Errorf("%d people, steps %v", people, steps(p))
	}
	for _, id := range p.Step("upgrade-production").After {
		if strings.HasPrefix(id, "person") {
			t.Error("production waits for a person's task in canary")
		}
	}
	again := make1(t, patch.Wish{Fleet: f, Hosts: hosts, Choices: patch.Choices{Reboot: true}})
	if s := again.Step("reboot-web0"); s == nil || !slices.Contains(s.After, "upgrade-canary") {
		t.Errorf("no reboot in %v", steps(again))
	}
}

func TestSwitchingOffIsSaferAndWaitsForNobody(t *testing.T) {
	f := street(3)
	p := make1(t, patch.Wish{Fleet: f, Hosts: []patch.Host{seen("web2", finding("fax.service", verdict.FixOff, "public"), finding("agent.service", verdict.FixReplace, "none"))}, Choices: patch.Choices{Off: []string{"agent.service"}}})
	for _, unit := range []string{"public-fax", "agent"} {
		stop := p.Step("stop-production-" + unit)
		if stop == nil || !stop.Safer || stop.Votes != 1 || len(stop.After) != 0 || stop.Undo.Kind != plan.ByPerson {
			t.Errorf("%s: %+v", unit, stop)
		}
	}
	if len(p.Watches) != 2 || p.Watches[0].Contact == "" || p.Watches[0].Due.IsZero() {
		t.Errorf("watches %+v", p.Watches)
	}
}

func TestALibraryBuiltElsewhereAndAMitigation(t *testing.T) {
	built := patch.Built{SHA256: object(9), Object: object(10), Path: "/usr/lib/x86_64-linux-gnu/libssl.so.1.0.0", Recipe: "openssl 1.0.1g from openssl.org, sha256 ..., on build1"}
	p := make1(t, patch.Wish{
		Fleet: street(3), Hosts: []patch.Host{seen("web0", finding("nginx.service", verdict.FixUpgrade, "public")), seen("web2", finding("smtp.service", verdict.FixReplace, "public"))},
		Choices: patch.Choices{Built: map[string]patch.Built{"libssl1.0.0": built}, Mitigate: map[string]patch.Mitigation{"smtp.service": {Hook: "no-starttls"}}},
	})
	if s := p.Step("install-canary"); s == nil {
		for _, id := range steps(p) {
			if strings.HasPrefix(id, "install-canary") {
				s = p.Step(strings.Fields(id)[0])
			}
		}
		if s == nil || s.Act.Kind != act.InstallLib || s.Proves[0].Kind != plan.ObjectOnDisk {
			t.Errorf("%v", steps(p))
		}
	}
	if s := p.Step("mitigate-production-public-smtp"); s == nil || len(p.Watches) != 1 {
		t.Errorf("%v", steps(p))
	}
}

func TestAHostThatIsNotCoveredIsRestartedByItsNamedHookOnly(t *testing.T) {
	f := street(3)
	f.Hosts = append(f.Hosts, fleet.Host{Name: "gate", Ring: "production", System: "openbsd", Via: fleet.ViaNone, Hook: "kick", HookOn: "web0", Address: "192.0.2.9"})
	f.Endpoints = append(f.Endpoints, fleet.Endpoint{Name: "gate.example", Addresses: []string{"192.0.2.9:443"}, Public: true})
	wish := patch.Wish{Fleet: f, Hosts: []patch.Host{seen("web0", finding("cron.service", verdict.FixUpgrade, "none"))}, Probed: func(string) bool { return true }}
	p := make1(t, wish)
	if i := slices.IndexFunc(p.Unseen, func(u plan.Unseen) bool { return u.Host == "gate" }); i < 0 || !strings.Contains(p.Unseen[i].Why, "restarted only by the hook kick on web0") {
		t.Errorf("unseen: %+v", p.Unseen)
	}
	if p.Step("restart-gate") != nil {
		t.Error("it is restarted although nobody chose that")
	}
	wish.Choices.Uncovered = []string{"gate"}
	p = make1(t, wish)
	mend, restart, outside := p.Step("mend-gate"), p.Step("restart-gate"), p.Step("outside-gate-gate.example-"+bug)
	if mend == nil || restart == nil || outside == nil {
		t.Fatalf("%v", steps(p))
	}
	if restart.Act.Kind != act.Hook || string(restart.Act.With) != `{"name":"kick","params":{"HOST":"gate"}}` || restart.Targets[0].Host != "web0" || restart.After[0] != "mend-gate" || outside.After[0] != "restart-gate" {
		t.Errorf("%+v with %s, %+v", restart, restart.Act.With, outside)
	}
	for _, wrong := range []string{"web0", "nobody"} {
		wish.Choices.Uncovered = []string{wrong}
		wish.ID, wish.Incident, wish.Title, wish.Advisories, wish.Now = "7.1", "7", "x", []string{bug}, start
		if _, _, err := patch.Plan(wish); err == nil {
			t.Errorf("%s was planned", wrong)
		}
	}
}

func TestReplicasComeBeforeTheirPrimary(t *testing.T) {
	f := street(4)
	f.Services = []fleet.Service{
		{Name: "db", Hosts: []string{"web2"}, Units: []string{"postgresql.service"}, MaxDown: fleet.Width{Hosts: 1}},
		{Name: "db-replica", Hosts: []string{"web3"}, Units: []string{"postgresql.service"}, MaxDown: fleet.Width{Hosts: 1}, Replica: true},
	}
	f.Endpoints = nil
	db := finding("postgresql.service", verdict.FixUpgrade, "internal")
	p := make1(t, patch.Wish{Fleet: f, Hosts: []patch.Host{seen("web2", db), seen("web3", db)}})
	var order []string
	for _, s := range p.Steps {
		if strings.HasPrefix(s.ID, "restart") {
			order = append(order, s.Targets[0].Host)
			if s.Targets[0].Host == "web2" && len(s.After) == 0 {
				t.Error("the primary does not wait for its replica")
			}
		}
	}
	if !slices.Equal(order, []string{"web3", "web2"}) {
		t.Errorf("order %v in %v", order, steps(p))
	}
	asked, primary := p.Step("follows-production-postgresql-db-replica"), p.Step("restart-production-postgresql-db")
	if asked == nil || asked.Kind != plan.Person || primary == nil || !slices.Contains(primary.After, asked.ID) {
		t.Errorf("nobody is asked whether the replica follows before the primary's turn: %v", steps(p))
	}
	f.Services[1].Follows = "follows"
	p = make1(t, patch.Wish{Fleet: f, Hosts: []patch.Host{seen("web2", db), seen("web3", db)}})
	replica := p.Step("restart-production-postgresql-db-replica")
	if replica == nil || !slices.ContainsFunc(replica.Proves, func(x plan.Predicate) bool { return x.Kind == plan.Replicated && x.Service == "db-replica" }) {
		t.Errorf("with a hook that tells, it is no proof: %v", steps(p))
	}
	if slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Kind == plan.Person }) {
		t.Error("a person is asked although a hook tells")
	}
}

func TestUrgencyIsDataAndSaysWhatItGaveUp(t *testing.T) {
	hosts := []patch.Host{seen("web0", finding("nginx.service", verdict.FixUpgrade, "public"))}
	now := make1(t, patch.Wish{Fleet: street(3), Hosts: hosts, Urgency: plan.Now})
	week := make1(t, patch.Wish{Fleet: street(3), Hosts: hosts, Urgency: plan.Week})
	if now.Step("clean-canary").SoakMS >= week.Step("clean-canary").SoakMS || len(now.Pace.GaveUp) == 0 || len(week.Pace.GaveUp) != 0 {
		t.Errorf("now %+v, week %+v", now.Pace, week.Pace)
	}
}

func TestNothingToDoAndUnknownHosts(t *testing.T) {
	w := patch.Wish{ID: "1.1", Incident: "1", Advisories: []string{bug}, Now: start, Fleet: street(2), Hosts: []patch.Host{seen("web0"), seen("web1")}}
	if _, _, err := patch.Plan(w); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	w.Hosts = append(w.Hosts, seen("gone"))
	if _, _, err := patch.Plan(w); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v", err)
	}
}

// TestEveryPlanKeepsTheRules makes plans for random fleets with random findings: the lint never refuses one, whatever the mixture.
func TestEveryPlanKeepsTheRules(t *testing.T) {
	random := rand.New(rand.NewPCG(real.Seed(t, 4), 7))
	kinds := []verdict.FixKind{verdict.FixUpgrade, verdict.FixRestart, verdict.FixReplace, verdict.FixImage, verdict.FixOff}
	units := []string{"nginx.service", "haproxy.service", "postgresql.service", "dbus.service", "app@1.service", "ssh.service", ""}
	for round := range 400 {
		f := street(2 + random.IntN(6))
		if random.IntN(2) == 0 {
			f.Services[1].Replica = true
		}
		var hosts []patch.Host
		for _, h := range f.Hosts {
			var list []verdict.Finding
			for range random.IntN(5) {
				x := finding(units[random.IntN(len(units))], kinds[random.IntN(len(kinds))], []string{"public", "internal", "none"}[random.IntN(3)])
				x.Object, x.Fix.Restart = object(random.IntN(3)), []string{"unit", "unit", "reboot", "process", "workload"}[random.IntN(5)]
				x.State = []verdict.State{verdict.Affected, verdict.Stale, verdict.Unknown, verdict.Fixed}[random.IntN(4)]
				if x.Unit == "" {
					x.Fix.Restart, x.Process = "process", "worker"
				}
				list = append(list, x)
			}
			if random.IntN(6) == 0 {
				hosts = append(hosts, patch.Host{Name: h.Name, Silent: "no answer"})
				continue
			}
			hosts = append(hosts, seen(h.Name, list...))
		}
		w := patch.Wish{ID: "7.1", Incident: "7", Advisories: []string{bug}, Now: start, Fleet: f, Hosts: hosts, Urgency: []plan.Urgency{plan.Now, plan.Tonight, plan.Week}[random.IntN(3)], Probed: func(string) bool { return true }}
		w.Choices.Reboot = random.IntN(2) == 0
		if random.IntN(3) == 0 && slices.ContainsFunc(hosts, func(h patch.Host) bool { return h.Doc != nil && runs(h.Doc, "app@1.service") }) {
			w.Choices.Off = []string{"app@1.service"}
		}
		if random.IntN(2) == 0 {
			w.NoMask = func(host, unit string) string {
				return []string{"", "its file lies in /etc/systemd/system"}[len(host+unit)%2]
			}
		}
		p, world, err := patch.Plan(w)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if problems := plan.Lint(&p, world); len(problems) > 0 {
			t.Fatalf("round %d: %v\n%s", round, problems, strings.Join(steps(p), "\n"))
		}
	}
}

// TestTheDocsHoldTheCareTable keeps docs/patching.md equal to the table in the code.
func TestTheDocsHoldTheCareTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/patching.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range patch.Cares() {
		row := fmt.Sprintf("| %s | %s | %s |", strings.Join(c.Programs, ", "), c.How, c.Says)
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/patching.md lacks the row\n%s", row)
		}
	}
}

// BenchmarkPlan10000Hosts plans for ten thousand hosts with five affected units each.
func BenchmarkPlan10000Hosts(b *testing.B) {
	f := street(10_000)
	var hosts []patch.Host
	for _, h := range f.Hosts {
		var list []verdict.Finding
		for i, unit := range []string{"nginx.service", "postgresql.service", "postfix.service", "ssh.service", "app.service"} {
			x := finding(unit, verdict.FixUpgrade, []string{"public", "internal"}[i%2])
			x.Object = object(i)
			list = append(list, x)
		}
		hosts = append(hosts, seen(h.Name, list...))
	}
	w := patch.Wish{ID: "7.1", Incident: "7", Advisories: []string{bug}, Now: start, Fleet: f, Hosts: hosts}
	for b.Loop() {
		p, world, err := patch.Plan(w)
		if err != nil {
			b.Fatal(err)
		}
		if problems := plan.Lint(&p, world); len(problems) > 0 {
			b.Fatal(problems)
		}
		if _, err := plan.Seal(p); err != nil {
			b.Fatal(err)
		}
	}
}
