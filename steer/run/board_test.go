package run

import (
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
)

func TestBoardShowsRingsAndWhatWaits(t *testing.T) {
	s := usual()
	s.Build, s.Off, s.Person, s.Drain = false, false, true, false
	sealed := sealedOf(t, s)
	m, err := New(sealed)
	if err != nil {
		t.Fatal(err)
	}
	say := func(e Event) {
		t.Helper()
		e.Plan, e.Seq, e.At = m.digest, m.seq+1, sealed.Plan().Made
		if err := m.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	say(Event{Kind: Started, By: "ann"})
	say(Event{Kind: Begun, Step: "canary-upgrade", Target: "canary0", Attempt: 1})
	now := sealed.Plan().Made.Add(3 * time.Second)
	b := m.Board(now)
	if got := drawn(b); got != "canary: canary0>\nstaging: staging0. staging1.\nproduction: production0. production1. production2.\n: ask.\n" {
		t.Errorf("in progress:\n%s", got)
	}
	if len(b.Now) != 1 || b.Now[0] != "canary-upgrade on canary0: being done for 3s" {
		t.Errorf("now: %q", b.Now)
	}
	say(Event{Kind: Answered, Step: "canary-upgrade", Target: "canary0", Attempt: 1, Status: act.Refused, Says: "held back"})
	b = m.Board(now)
	if len(b.Failed) != 1 || b.Failed[0].Says != "held back" || !strings.HasPrefix(drawn(b), "canary: canary0!") || !slices.Contains(b.Waits, "a failure in ring canary stopped the run: staunch incident retry 7 canary-upgrade canary0, or skip it with a --reason") {
		t.Errorf("failed: %+v", b)
	}
	say(Event{Kind: Retried, Step: "canary-upgrade", Target: "canary0", By: "ann"})
	say(Event{Kind: Allowed, Votes: 1, From: now.Add(time.Minute)})
	if b = m.Board(now); len(b.Waits) != 1 || !strings.Contains(b.Waits[0], "1m0s to go") || b.State != Working {
		t.Errorf("before its time: %+v", b)
	}
}

func drawn(b Board) string {
	var out strings.Builder
	for _, r := range b.Rows {
		out.WriteString(r.Ring + ":")
		for _, c := range r.Cells {
			out.WriteString(" " + c.Name + c.Mark())
		}
		out.WriteString("\n")
	}
	return out.String()
}
