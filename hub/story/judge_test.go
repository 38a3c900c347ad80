package story_test

import (
	"strings"
	"sync"
	"testing"

	"staunch/hub"
	"staunch/inventory"
	"staunch/reach/lab"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// The repository no longer has the first good version, only a newer one: the plan names what can be had. Where nothing good is offered it stays with the first good one.
func TestPlansNameVersionsThatExist(t *testing.T) {
	f, world := lab.Example(2)
	const newer = "1.1-2"
	for _, b := range world.Builds {
		if b.Path == lab.Library && b.Version == lab.Fixed {
			b.Version = newer
			world.Builds = append(world.Builds, b)
			break
		}
	}
	for i := range world.Machines {
		switch world.Machines[i].Name {
		case "web1":
			world.Machines[i].Mirror = map[string][]string{"libtally1": {lab.Old, "1.1-3", newer}}
		case "db1", "db2":
			world.Machines[i].Mirror = map[string][]string{"libtally1": {lab.Old}}
		}
	}
	x := teamOf(t, f, world)
	x.opened()
	sealed, _, err := x.MakePlan(t.Context(), "1", hub.Making{Urgency: plan.Now})
	if err != nil {
		t.Fatal(err)
	}
	for step, version := range map[string]string{"upgrade-canary": newer, "upgrade-production": lab.Fixed} {
		s := sealed.Plan().Step(step)
		if s == nil || !strings.Contains(string(s.Act.With), `"version":"`+version+`"`) || s.Proves[0].Version != version {
			t.Errorf("%s: %+v", step, s)
		}
	}
}

// Two processes work on one incident. What one was told long ago must not contradict what the other has seen since: a clean host stays clean.
func TestTwoProcessesJudgeWithoutFlapping(t *testing.T) {
	x := newTeam(t, 4) // one of them in staging
	x.opened()
	other := hub.Hub{Store: x.Store, Fleet: x.Fleet, Catalogue: x.Catalogue, Open: x.Open, Now: x.Now, Who: "ben", Machine: "desk"}
	if err := other.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	sealed := x.sketch()
	if _, err := x.Propose(t.Context(), sealed, ""); err != nil {
		t.Fatal(err)
	}
	if state := x.runs(sealed); state != run.Complete {
		x.complain(sealed)
		t.Fatalf("the run ended %s", state)
	}
	var all sync.WaitGroup
	for range 5 {
		for _, h := range []*hub.Hub{x.Hub, &other} {
			all.Go(func() {
				if _, err := h.Judge(t.Context(), "1"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	s, _, err := other.Incident(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.In(inventory.Affected)); n != 0 {
		t.Errorf("%d hosts are affected again", n)
	}
	lines, _, err := x.news().Timeline(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if strings.Contains(l.Says, "AFFECTED now") {
			t.Errorf("in between: %s", l.Says)
		}
	}
}
