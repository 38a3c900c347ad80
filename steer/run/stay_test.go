package run

import (
	"testing"
	"testing/synctest"
	"time"
)

// stays runs a plan whose canary never comes up with a runner that stays, says something after a while, and gives how it ended and when.
func stays(t *testing.T, after time.Duration, said ...Event) (state State, took time.Duration) {
	t.Helper()
	sealed := sealedOf(t, usual())
	w, rec := newWorld(sealed.Plan(), fine), &tape{}
	for _, m := range w.hosts {
		m.broken["web.service"] = true
	}
	tell(t, sealed, rec, Event{Kind: Started, By: "ann"})
	begins := time.Now()
	r := Runner{Plan: sealed, Name: "runner", Recorder: rec, Executor: w, Lease: &key{}, Stay: true, Poll: time.Minute}
	ended := make(chan error, 1)
	go func() {
		var err error
		state, err = r.Run(t.Context())
		ended <- err
	}()
	time.Sleep(after)
	for _, e := range said {
		tell(t, sealed, rec, e)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return state, time.Since(begins)
}

// A runner that stays waits for a word on what failed; it does not wait for ever: a newer plan or an abort ends it, and so does the plan's own end.
func TestStayingEndsWithThePlan(t *testing.T) {
	for name, c := range map[string]struct {
		said []Event
		want State
	}{
		"replaced": {[]Event{{Kind: Replaced, By: "ann", Says: "7.2"}}, GivenUp},
		"aborted":  {[]Event{{Kind: Aborted, By: "ann", Says: "enough"}}, GivenUp},
	} {
		synctest.Test(t, func(t *testing.T) {
			if state, took := stays(t, time.Hour, c.said...); state != c.want || took > 3*time.Hour {
				t.Errorf("%s: ended %s after %s", name, state, took)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		state, took := stays(t, time.Hour)
		if state != WaitsHere || took < 29*24*time.Hour || took > 31*24*time.Hour {
			t.Errorf("left alone: ended %s after %s", state, took)
		}
	})
}
