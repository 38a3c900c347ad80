package story_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/hub/news"
	"staunch/notify"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// TestTheDeputyIsToldWhenItIsOverdue: the owner is told that their turn has come, once. When the step is overdue owner and deputy are both
// told, and again every hour, until somebody has done it.
func TestTheDeputyIsToldWhenItIsOverdue(t *testing.T) {
	x := newTeam(t, 2)
	x.opened()
	now := time.Now()
	x.Now = func() time.Time { return now }
	sealed, err := plan.Seal(plan.Plan{
		ID: "1.1", Incident: "1", Title: "a certificate by hand", Made: now, Expires: now.Add(24 * time.Hour), Pace: plan.Pace{Urgency: plan.Now, WidthFactor: 1, StopAfter: 1},
		Steps: []plan.Step{{
			ID: "fetch", Kind: plan.Person, Says: "fetch the certificate", Targets: []plan.Target{{}}, Undo: plan.Undo{Kind: plan.Hold, Says: "hold"},
			Task: &plan.Task{Owner: "cleo", Deputy: "dan", Asks: "walk to the CA", Due: now.Add(time.Hour)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Propose(t.Context(), sealed, ""); err != nil {
		t.Fatal(err)
	}
	if state := x.runs(sealed); state != run.WaitsHere {
		x.complain(sealed)
		t.Fatalf("the run ended %s", state)
	}
	var told []string
	desk := &news.Desk{Hub: x.Hub, Notify: func(_ context.Context, m notify.Message) error {
		if strings.Contains(m.Says, "walk to the CA") {
			told = append(told, m.Kind+" "+m.To)
			if m.To == "dan" && !strings.Contains(m.Says, "cleo has not done it: OVERDUE") {
				t.Errorf("the deputy is told %q", m.Says)
			}
		}
		return nil
	}}
	for _, at := range []struct {
		later time.Duration
		want  []string
	}{
		{0, []string{"waits cleo"}},
		{59 * time.Minute, nil},
		{2 * time.Minute, []string{"due cleo", "due dan"}},
		{30 * time.Minute, nil},
		{31 * time.Minute, []string{"due cleo", "due dan"}},
	} {
		now, told = now.Add(at.later), nil
		if _, err := desk.Remind(t.Context(), "1"); err != nil || !slices.Equal(told, at.want) {
			t.Errorf("%s later: told %q, want %q (%v)", at.later, told, at.want, err)
		}
	}
	if err := run.Tell(t.Context(), sealed, x.Record("1.1"), run.Event{Kind: run.Confirmed, Step: "fetch", Target: "all", By: "dan", At: now}); err != nil {
		t.Fatal(err)
	}
	now, told = now.Add(2*time.Hour), nil
	if _, err := desk.Remind(t.Context(), "1"); err != nil || len(told) > 0 {
		t.Errorf("after it was done: told %q, %v", told, err)
	}
}
