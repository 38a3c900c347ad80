package hub_test

import (
	"strings"
	"sync"
	"testing"

	"staunch/hub"
	"staunch/inventory"
	"staunch/steer/run"
)

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
	lines, _, err := x.Timeline(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if strings.Contains(l.Says, "AFFECTED now") {
			t.Errorf("in between: %s", l.Says)
		}
	}
}
