package run

import (
	"strings"
	"testing"

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
	want := "canary       canary0>\nstaging      staging0. staging1.\nproduction   production0. production1.\n             production2.\n             ask.\n"
	if got := strings.Join(m.Board(40), "\n"); !strings.HasPrefix(got, want) || !strings.Contains(got, "now: canary-upgrade on canary0: doing") {
		t.Errorf("in progress:\n%s", got)
	}
	say(Event{Kind: Answered, Step: "canary-upgrade", Target: "canary0", Attempt: 1, Status: act.Refused, Says: "held back"})
	if got := strings.Join(m.Board(80), "\n"); !strings.Contains(got, "canary0!") || !strings.Contains(got, "failed: canary-upgrade on canary0: held back") {
		t.Errorf("failed:\n%s", got)
	}
}
