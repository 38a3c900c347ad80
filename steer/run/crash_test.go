package run

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/steer/plan"
)

// fine is a world in which nothing goes wrong by itself.
func fine(string, int) int { return 0 }

func sealedOf(t *testing.T, s shape) *plan.Sealed {
	t.Helper()
	sealed, err := plan.Seal(drawing(s))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func usual() shape {
	return shape{Hosts: []int{1, 2, 3}, Width: 2, MaxDown: 1, Drain: true, Off: true, Build: true, Pace: plan.Pace{Urgency: plan.Now, SoakMS: 60_000, WidthFactor: 1, StopAfter: 1}}
}

// The runner is killed at every single write, once just before and once just after it was kept, with acts in flight at that moment
// having reached their host or not; the next runner finishes the night.
func TestKilledAtEveryWriteAndResumed(t *testing.T) {
	writes := 0
	synctest.Test(t, func(t *testing.T) { writes = len(nightWith(t, nil)) })
	if writes < 50 {
		t.Fatalf("a night of %d events proves little", writes)
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	for at := 0; at < writes; at += step {
		for _, after := range []bool{false, true} {
			killed := false
			synctest.Test(t, func(t *testing.T) {
				nightWith(t, func(n int, done bool) bool {
					if killed || n < at || done != after {
						return false
					}
					killed = true
					return true
				})
			})
			if !killed {
				t.Errorf("nobody was killed at write %d", at)
			}
		}
	}
}

// nightWith runs the usual plan to its end, with a new runner after each death, and gives the events.
func nightWith(t *testing.T, dies func(int, bool) bool) []Event {
	t.Helper()
	sealed, w := sealedOf(t, usual()), &world{}
	*w = *newWorld(sealed.Plan(), fine)
	for _, m := range w.hosts {
		m.fresh["web.service"] = false
	}
	rec := &tape{}
	if err := Tell(t.Context(), sealed, rec, Event{Kind: Started, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	rec.dies = dies
	var lease key
	for deaths := 0; ; deaths++ {
		r := Runner{Plan: sealed, Name: "runner", Recorder: rec, Executor: w, Lease: &lease}
		state, err := r.Run(t.Context())
		switch {
		case err == nil && state == Complete:
			checkNight(t, sealed, w, rec)
			return rec.events
		case err == nil:
			t.Fatalf("the night ended %s after %d deaths: %v", state, deaths, rec.events[len(rec.events)-1])
		case deaths > 2:
			t.Fatalf("the runner died again: %v", err)
		}
	}
}

func checkNight(t *testing.T, sealed *plan.Sealed, w *world, rec *tape) {
	t.Helper()
	for _, wrong := range w.wrongs {
		t.Errorf("broken promise: %s", wrong)
	}
	for name, m := range w.hosts {
		if !m.installed || !m.fresh["web.service"] || m.stopped["web.service"] || m.drained["web"] || !m.stopped["daemon.service"] {
			t.Errorf("%s ends as %+v", name, *m)
		}
	}
	m, err := Load(t.Context(), sealed, rec)
	if err != nil {
		t.Fatal(err)
	}
	if d := m.Next(time.Now(), nil); d.State != Complete {
		t.Errorf("folded again, the run is %s", d.State)
	}
}

func TestTwoRunnersNeverRunOnePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealed, lease := sealedOf(t, usual()), &key{}
		_, release, err := lease.Take(t.Context(), "run/7.1")
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		r := Runner{Plan: sealed, Recorder: &tape{}, Executor: newWorld(sealed.Plan(), fine), Lease: lease}
		if _, err := r.Run(t.Context()); !fault.Is(err, fault.Conflict) {
			t.Fatalf("a second runner got %v", err)
		}
	})
}

// While a runner works, another process pauses the run: what is in progress ends, nothing new begins; resumed, it goes on to the end.
func TestPauseFromAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealed := sealedOf(t, usual())
		w, rec := newWorld(sealed.Plan(), fine), &tape{}
		tell(t, sealed, rec, Event{Kind: Started, By: "ann"})
		r := Runner{Plan: sealed, Name: "runner", Recorder: rec, Executor: w, Lease: &key{}, Stay: true}
		ended := make(chan State, 1)
		go func() {
			state, err := r.Run(t.Context())
			if err != nil {
				t.Error(err)
			}
			ended <- state
		}()
		time.Sleep(3 * time.Second)
		tell(t, sealed, rec, Event{Kind: Paused, By: "bob"})
		time.Sleep(time.Minute)
		before := begun(rec)
		time.Sleep(time.Hour)
		if again := begun(rec); again != before {
			t.Errorf("%d steps began during the pause", again-before)
		}
		tell(t, sealed, rec, Event{Kind: Resumed, By: "bob"})
		time.Sleep(24 * time.Hour)
		if state := <-ended; state != Complete {
			t.Errorf("ended %s", state)
		}
	})
}

func tell(t *testing.T, sealed *plan.Sealed, rec Recorder, e Event) {
	t.Helper()
	if err := Tell(t.Context(), sealed, rec, e); err != nil {
		t.Fatal(err)
	}
}

func begun(rec *tape) (n int) {
	events, _ := rec.Since(context.Background(), 0)
	for _, e := range events {
		if e.Kind == Begun {
			n++
		}
	}
	return n
}

// A person presses Ctrl-C while an act is in progress: it may end, and is recorded, but nothing else begins.
func TestAskedToEndTheRunnerLetsActsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealed := sealedOf(t, usual())
		w, rec := newWorld(sealed.Plan(), fine), &tape{}
		tell(t, sealed, rec, Event{Kind: Started, By: "ann"})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel) // the build takes a second
		r := Runner{Plan: sealed, Name: "runner", Recorder: rec, Executor: w, Lease: &key{}}
		if _, err := r.Run(ctx); err == nil {
			t.Error("the runner did not say that it was asked to end")
		}
		last := rec.events[len(rec.events)-1]
		if last.Kind != Answered || last.Status != act.Done || begun(rec) != 1 {
			t.Errorf("after %d begins the last event is %+v", begun(rec), last)
		}
	})
}

func TestFullDiskStopsTheRunnerBeforeTheAct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealed := sealedOf(t, usual())
		w, rec := newWorld(sealed.Plan(), fine), &tape{}
		tell(t, sealed, rec, Event{Kind: Started, By: "ann"})
		rec.dies = func(n int, after bool) bool { return n >= 2 && !after }
		r := Runner{Plan: sealed, Name: "runner", Recorder: rec, Executor: w, Lease: &key{}}
		if _, err := r.Run(t.Context()); !fault.Is(err, fault.Unsure) {
			t.Errorf("got %v", err)
		}
		if len(w.effects) != 0 {
			t.Errorf("something was done without a record: %v", w.effects)
		}
	})
}
