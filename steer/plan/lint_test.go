package plan

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/testbed/real"
)

const bug = "CVE-2014-0160"

var made = time.Date(2026, 4, 7, 20, 0, 0, 0, time.UTC)

func does(t *testing.T, kind act.Kind, with act.Params) *act.Act {
	t.Helper()
	a, err := act.New(kind, with)
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

// heartbleed is a good plan: upgrade and restart in two rings, a new key after the proof, the old one revoked after every endpoint was seen without it.
func heartbleed(t *testing.T) Plan {
	t.Helper()
	hold := Undo{Kind: Hold, Says: "the old version is affected"}
	p := Plan{
		Schema: Schema, ID: "7.1", Incident: "7", Title: "Heartbleed", Advisories: []string{bug}, Made: made, Expires: made.Add(time.Hour), Pace: Pace{Urgency: Now, StopAfter: 1},
		Rings:    []Ring{{"canary", 1, 1}, {"production", 2, 2}},
		Services: []Service{{Name: "shop", Units: []string{"nginx.service"}, MaxDown: 1, Hosts: 3}},
		Keys:     []Key{{SPKI: "old", Endpoints: []string{"shop@192.0.2.1:443", "cdn@192.0.2.2:443"}}},
	}
	ring := func(name string, votes int, before []string, hosts ...string) {
		var bare, units []Target
		for _, h := range hosts {
			bare, units = append(bare, Target{Host: h}), append(units, Target{Host: h, Unit: "nginx.service"})
		}
		up := Step{
			ID: "upgrade-" + name, Kind: Act, Ring: name, Targets: bare, After: before, Votes: votes, Tries: 1, DeadlineMS: 1000, Undo: hold,
			Act: does(t, act.Upgrade, &act.UpgradeWith{Packages: []act.Package{{Name: "libssl1.0.0", Version: "1.0.1e-2+deb7u5"}}}), Proves: []Predicate{{Kind: Installed, Package: "libssl1.0.0", Version: "1.0.1e-2+deb7u5"}},
		}
		restart := Step{
			ID: "restart-" + name, Kind: Act, Ring: name, Targets: units, Each: []string{up.ID}, Votes: votes, Tries: 2, Repeat: true, DeadlineMS: 1000, Undo: hold, Harm: Harm{Down: []string{"shop"}},
			Act: does(t, act.Restart, &act.UnitsWith{Units: []string{"nginx.service"}}), Proves: []Predicate{{Kind: UnitMapsNew, Object: "0123"}},
		}
		gate := Step{ID: "clean-" + name, Kind: Gate, Ring: name, Targets: bare, After: []string{restart.ID}, Votes: 1, Tries: 1, DeadlineMS: 1000, SoakMS: 1000, Proves: []Predicate{{Kind: Clean, Advisory: bug}}}
		p.Steps = append(p.Steps, up, restart, gate)
	}
	ring("canary", 1, nil, "web1")
	ring("production", 2, []string{"clean-canary"}, "web2", "web3")
	none := Undo{Kind: NoUndo, Says: "there is no way back"}
	p.Steps = append(p.Steps,
		Step{
			ID: "key", Kind: MakeKey, Targets: []Target{{Host: "web2"}}, After: []string{"clean-production"}, Votes: 2, Tries: 1, DeadlineMS: 1000, Undo: hold,
			Act: does(t, act.MakeKey, &act.MakeKeyWith{Name: "shop", Type: "ecdsa-p256", Names: []string{"shop.example"}}), Proves: []Predicate{{Kind: KeyExists, Name: "shop"}},
		},
		Step{ID: "new-key-seen", Kind: Gate, Targets: []Target{{Endpoint: "shop@192.0.2.1:443"}, {Endpoint: "cdn@192.0.2.2:443"}}, After: []string{"key"}, Votes: 1, Tries: 1, DeadlineMS: 1000, Proves: []Predicate{{Kind: NotServed, SPKI: "old"}}},
		Step{
			ID: "revoke", Kind: Revoke, Targets: []Target{{SPKI: "old"}}, After: []string{"new-key-seen"}, Votes: 2, Tries: 1, DeadlineMS: 1000, Undo: none,
			Needs:  []Predicate{{Kind: NotServed, SPKI: "old", Endpoint: "shop@192.0.2.1:443"}, {Kind: NotServed, SPKI: "old", Endpoint: "cdn@192.0.2.2:443"}},
			Proves: []Predicate{{Kind: Revoked, SPKI: "old"}},
		},
		Step{ID: "tokens", Kind: InvalidateTokens, Targets: []Target{{Service: "shop"}}, After: []string{"clean-production"}, Votes: 1, Tries: 1, DeadlineMS: 1000, Undo: none, Proves: []Predicate{{Kind: TokensInvalid, Service: "shop"}}},
		Step{
			ID: "app", Kind: Person, Targets: []Target{{}}, After: []string{"clean-production"}, Votes: 1, Tries: 1, Proves: []Predicate{{Kind: Confirmed}},
			Task: &Task{Owner: "ann", Asks: "does the mobile app work", Due: made.Add(time.Hour)},
		},
	)
	return p
}

func known() World {
	return World{
		Now: made.Add(time.Minute), Rings: map[string]string{"web1": "canary", "web2": "production", "web3": "production"},
		Services:  map[string]KnownService{"shop": {Units: []string{"nginx.service"}, Hosts: []string{"web1", "web2", "web3"}, MaxDown: 1}},
		Endpoints: map[string][]string{"old": {"shop@192.0.2.1:443"}},
		Affected:  func(v Version) (bool, bool) { return v.Version == "1.0.1e-2", true },
	}
}

// breaks lists, for every rule, one way to break it and nothing that stands beside it.
func breaks(t *testing.T) map[string]func(*Plan, *World) {
	at := func(p *Plan, id string) *Step { return p.Step(id) }
	return map[string]func(*Plan, *World){
		"unique-ids":           func(p *Plan, _ *World) { at(p, "app").ID = "tokens" },
		"known-steps":          func(p *Plan, _ *World) { at(p, "app").After = []string{"nowhere"} },
		"no-cycle":             func(p *Plan, _ *World) { at(p, "upgrade-canary").After = []string{"clean-canary"} },
		"vocabulary":           func(p *Plan, _ *World) { at(p, "clean-canary").Proves[0].Kind = "looks_fine" },
		"targets":              func(p *Plan, _ *World) { s := at(p, "upgrade-canary"); s.Targets = append(s.Targets, s.Targets[0]) },
		"proof":                func(p *Plan, _ *World) { at(p, "restart-canary").Proves = nil },
		"known-hosts":          func(_ *Plan, w *World) { delete(w.Rings, "web3") },
		"ring":                 func(_ *Plan, w *World) { w.Rings["web1"] = "production" },
		"same-host":            func(p *Plan, _ *World) { at(p, "restart-production").Each = []string{"upgrade-canary"} },
		"canary-first":         func(p *Plan, _ *World) { at(p, "upgrade-production").After = nil },
		"clean-before-keys":    func(p *Plan, _ *World) { at(p, "key").After = []string{"restart-production"} },
		"clean-before-tokens":  func(p *Plan, _ *World) { at(p, "tokens").After = []string{"clean-canary"} },
		"serves-before-revoke": func(_ *Plan, w *World) { w.Endpoints["old"] = append(w.Endpoints["old"], "forgotten@192.0.2.3:443") },
		"revoke-looks-again":   func(p *Plan, _ *World) { at(p, "revoke").Needs = at(p, "revoke").Needs[:1] },
		"down-limit":           func(p *Plan, _ *World) { p.Services[0].MaxDown = 2 },
		"no-way-back": func(p *Plan, _ *World) {
			at(p, "upgrade-canary").Undo = Undo{Kind: Reverse, Says: "the package before", Restores: []Version{{"libssl1.0.0", "1.0.1e-2"}}}
		},
		"way-up": func(p *Plan, _ *World) {
			at(p, "restart-canary").Undo = Undo{Kind: RunAct, Says: "drain", Act: does(t, act.Drain, &act.DrainWith{Service: "shop", Hook: "out"})}
		},
		"undo":   func(p *Plan, _ *World) { at(p, "restart-canary").Undo = Undo{} },
		"person": func(p *Plan, _ *World) { at(p, "app").Task.Owner = "" },
		"waiver": func(p *Plan, _ *World) {
			p.Waivers = []Waiver{{Host: "web1", Advisory: bug, By: "ann", Until: made.Add(time.Hour)}}
		},
		"expiry":   func(_ *Plan, w *World) { w.Now = made.Add(2 * time.Hour) },
		"quorum":   func(p *Plan, _ *World) { at(p, "upgrade-production").Votes = 1 },
		"safer":    func(p *Plan, _ *World) { at(p, "upgrade-canary").Safer = true },
		"retries":  func(p *Plan, _ *World) { at(p, "upgrade-canary").Tries = 2 },
		"deadline": func(p *Plan, _ *World) { at(p, "upgrade-canary").DeadlineMS = 0 },
		"soak":     func(p *Plan, _ *World) { at(p, "restart-canary").SoakMS = 1000 },
		"turn": func(p *Plan, _ *World) {
			at(p, "upgrade-canary").Turn, at(p, "restart-canary").Turn = "t", "t"
		},
	}
}

func TestEachRuleRefusesWhatItSays(t *testing.T) {
	good := heartbleed(t)
	if problems := Lint(&good, known()); len(problems) > 0 {
		t.Fatalf("the good plan is refused: %v", problems)
	}
	broken := breaks(t)
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			spoil := broken[rule.Name]
			if spoil == nil {
				t.Fatal("nothing shows that this rule ever refuses")
			}
			p, w := heartbleed(t), known()
			spoil(&p, &w)
			problems := Lint(&p, w)
			if !slices.ContainsFunc(problems, func(found Problem) bool { return found.Rule == rule.Name }) {
				t.Errorf("not refused; found %v", problems)
			}
		})
	}
}

// What a rule must not refuse is as much a promise as what it must.
func TestWhatTheRulesLetPass(t *testing.T) {
	for name, change := range map[string]func(*Plan, *World){
		"a key whose host is looked at right before, instead of by a step before": func(p *Plan, _ *World) {
			p.Step("key").After, p.Step("key").Needs = []string{"restart-production"}, []Predicate{{Kind: Clean, Advisory: bug}}
		},
		"a way back to an affected version that people signed for": func(p *Plan, _ *World) {
			p.Step("upgrade-canary").Undo = Undo{Kind: Reverse, Says: "the package before", Restores: []Version{{"libssl1.0.0", "1.0.1e-2"}}}
			p.Waivers = []Waiver{{Host: "web1", Advisory: bug, By: "ann", Until: made.Add(time.Hour), Reason: "the shop cannot be down tonight"}}
		},
		"a switch-off in production that waits for no canary": func(p *Plan, _ *World) {
			p.Steps = append(p.Steps, Step{
				ID: "off", Kind: Act, Ring: "production", Safer: true, Targets: []Target{{Host: "web3", Unit: "ftpd.service"}}, Votes: 1, Tries: 1, DeadlineMS: 1000,
				Act: does(t, act.Stop, &act.UnitsWith{Units: []string{"ftpd.service"}}), Proves: []Predicate{{Kind: Stopped}}, Undo: Undo{Kind: ByPerson, Says: "start it by hand"},
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, w := heartbleed(t), known()
			change(&p, &w)
			if problems := Lint(&p, w); len(problems) > 0 {
				t.Errorf("refused: %v", problems)
			}
		})
	}
}

// The page of rules is the rules.
func TestRulesPageIsTheRules(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The rules of plans\n\nA plan that breaks one of these is refused before anybody may vote on it. This page is held equal to the program by a test.\n\n| rule | what it says |\n|---|---|\n")
	for _, rule := range Rules() {
		b.WriteString("| `" + rule.Name + "` | " + rule.Says + " |\n")
	}
	page := real.Top(t) + "/docs/plan-rules.md"
	if os.Getenv("STAUNCH_UPDATE") == "1" {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/plan-rules.md is not what the rules say; STAUNCH_UPDATE=1 writes it anew")
	}
}

func TestSealedPlanIsOneText(t *testing.T) {
	p := heartbleed(t)
	sealed, err := Seal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(sealed.Bytes)
	if err != nil || again.Digest != sealed.Digest {
		t.Fatalf("opened again: %v", err)
	}
	p.Steps[0].Says = "x"
	other, err := Seal(p)
	if err != nil || other.Digest == sealed.Digest {
		t.Errorf("another text has the same digest (%v)", err)
	}
	if _, err := Open([]byte(strings.Replace(string(sealed.Bytes), `{"advisories"`, `{ "advisories"`, 1))); err == nil {
		t.Error("another spelling of the same plan was opened")
	}
	var loose map[string]any
	if err := json.Unmarshal(sealed.Bytes, &loose); err != nil {
		t.Fatal(err)
	}
	loose["surprise"] = true
	text, err := json.Marshal(loose)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(text); err == nil {
		t.Error("a field that this program does not know was let pass")
	}
}

func TestRePlanShowsWhatIsNew(t *testing.T) {
	from, to := heartbleed(t), heartbleed(t)
	to.ID = "7.2"
	if d := Compare(&from, &to); !d.Same() {
		t.Errorf("the same plan differs: %+v", d)
	}
	for _, id := range []string{"upgrade-production", "clean-production"} {
		to.Step(id).Targets = append(to.Step(id).Targets, Target{Host: "web4"})
	}
	d := Compare(&from, &to)
	if !d.OnlyWidened() || d.Same() || !slices.Equal(d.NewHosts(), []string{"web4"}) {
		t.Errorf("one more host: %+v", d)
	}
	to.Step("upgrade-canary").Votes = 5
	to.Rings[1].Quorum = 1
	if d := Compare(&from, &to); d.OnlyWidened() || len(d.Changed) != 1 || !slices.Contains(d.Frame, "rings") {
		t.Errorf("other votes and another quorum: %+v", d)
	}
}

// TestAnotherKeyDoesNotProveThatTheOldOneIsGone: an endpoint may serve two keys, so only a look for the old one ends it, by a revocation or by taking it away.
func TestAnotherKeyDoesNotProveThatTheOldOneIsGone(t *testing.T) {
	breaks := func(kind Kind, proof Predicate) bool {
		p, w := heartbleed(t), known()
		p.Step("new-key-seen").Proves[0] = proof
		p.Step("revoke").Kind = kind
		return slices.ContainsFunc(Lint(&p, w), func(x Problem) bool { return x.Rule == "serves-before-revoke" })
	}
	for _, kind := range []Kind{Revoke, Retire} {
		if !breaks(kind, Predicate{Kind: Serves, SPKI: "new"}) {
			t.Errorf("%s although the endpoints may serve both keys", kind)
		}
		if breaks(kind, Predicate{Kind: NotServed, SPKI: "old"}) {
			t.Errorf("%s is refused although the old key was seen gone", kind)
		}
	}
}
