package errand_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/testbed/pebble"
)

// mortal is a tape whose writer dies after some events: right before the last of them is stored, or right after; or in the middle of a step, at one of the
// things that the step stores. Once dead it writes nothing.
type mortal struct {
	*tape
	before bool
	left   int
	saves  atomic.Int64 // until it dies at one of them
	dead   atomic.Bool
	kill   func() // ends whatever the life is in the middle of

	died   map[string]int // at which events
	passed map[string]int // how often they were recorded at all
	key    string         // taken out of steps' names, so that runs can be compared
}

func (r *mortal) Record(ctx context.Context, after int64, events ...run.Event) error {
	if r.dead.Load() {
		return errCrash
	}
	dies := false
	for _, e := range events {
		if e.Kind == run.Taken { // that a life began is no progress
			continue
		}
		at := fmt.Sprintf("%s %s %t", e.Kind, strings.ReplaceAll(e.Step, r.key, "KEY"), r.before)
		r.passed[at]++
		if r.left--; r.left <= 0 {
			dies = true
			r.died[at]++
		}
	}
	if dies {
		r.die()
	}
	if dies && r.before {
		return errCrash
	}
	if err := r.tape.Record(ctx, after, events...); err != nil {
		return err
	}
	if dies {
		return errCrash
	}
	return nil
}

// fate of a step's save: dead people store nothing, and some die right before or right after they stored something.
func (r *mortal) fate() (dies, stored bool) {
	if r.dead.Load() {
		return true, false
	}
	if r.saves.Add(-1) != 0 {
		return false, true
	}
	r.die()
	return true, !r.before
}

func (r *mortal) die() {
	r.dead.Store(true)
	r.kill()
}

// lives carries a plan out over as many lives as it takes, each of one to six events, and tells how many these were.
func (x *shop) lives(sealed *plan.Sealed, rec *mortal, chance *rand.Rand, each func()) int {
	x.t.Helper()
	rec.tape = &tape{}
	if err := run.Tell(x.t.Context(), sealed, rec.tape, run.Event{Kind: run.Started, By: "ann", At: time.Now()}); err != nil {
		x.t.Fatal(err)
	}
	for life := 1; life < 400; life++ {
		rec.left = 1 + chance.IntN(6)
		rec.saves.Store(1 + chance.Int64N(12))
		rec.dead.Store(false)
		each()
		ctx, cancel := context.WithTimeout(x.t.Context(), 60*time.Second)
		rec.kill = cancel
		r := run.Runner{Plan: sealed, Name: "ann@here", Recorder: rec, Executor: x, Lease: alone{}, Poll: 5 * time.Millisecond}
		state, err := r.Run(ctx)
		cancel()
		if state == run.Complete && err == nil && !rec.dead.Load() {
			return life
		}
		if !rec.dead.Load() {
			x.complain(rec.tape)
			x.t.Fatalf("life %d ended %q, %v", life, state, err)
		}
	}
	x.complain(rec.tape)
	x.t.Fatal("it never ends")
	return 0
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestKilledAtEveryEvent: both plans are carried out by runners that die at random events, before or after these are stored: twelve shops, or as
// many as STAUNCH_SHOPS says (make soak: thousands), and there until each kind of event of each step was somebody's last as well. One key is made, one order is sent, and nobody asks for a revocation while the old key is served anywhere.
func TestKilledAtEveryEvent(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 6))
	died, passed, shops, orders := map[string]int{}, map[string]int{}, 12, int64(0)
	if s := os.Getenv("STAUNCH_SHOPS"); s != "" {
		var err error
		if shops, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for round := 0; round < shops || os.Getenv("STAUNCH_LONG") == "1" && spared(died, passed) > 0; round++ {
		if round == max(300, shops) {
			t.Fatalf("%d of %d events were nobody's last", spared(died, passed), len(passed))
		}
		t.Run("shop", func(t *testing.T) { // its CA and its servers end with it
			var ca counter
			x := shopAt(t, pebble.Options{Front: ca.front})
			ca.meets(func(http.ResponseWriter, *http.Request) bool { return false }) // from here on it counts
			rec := &mortal{before: round%2 == 0, died: died, passed: passed, key: cert.SPKI(x.old)[:12]}
			x.shelf.fate = rec.fate
			x.killed(rec, chance)
			if n := ca.requests.Load(); n != 1 {
				t.Errorf("%d requests for one key reached the CA", n)
			}
			orders = max(orders, ca.orders.Load())
		})
		if t.Failed() {
			return // the seed and one failure tell more than many
		}
	}
	t.Logf("%d shops; %d of %d events were somebody's last; at most %d orders were opened for one key, and one was handed its request", shops, len(died), len(passed), orders)
}

// spared counts the events that were nobody's last, though they came often: what comes once in hundreds of shops, on a starved machine, need not be.
func spared(died, passed map[string]int) (n int) {
	for at, times := range passed {
		if times >= 8 && died[at] == 0 {
			n++
		}
	}
	return n
}

// killed takes one shop through both plans.
func (x *shop) killed(rec *mortal, chance *rand.Rand) {
	x.t.Helper()
	old, early := cert.SPKI(x.old), 0
	x.desk.Again = []time.Duration{time.Second, time.Second, time.Second, time.Second, time.Second} // on a starved machine some looks see nothing
	x.desk.Revoker = func(context.Context, *x509.Certificate) (cert.Revoker, error) {
		for _, s := range []*server{x.origin, x.cdn.serves} {
			if leaf, err := x509.ParseCertificate(s.serves.Load().Certificate[0]); err != nil || cert.SPKI(leaf) == old {
				early++
			}
		}
		return errand.Own{Client: x.client}, nil
	}
	x.lives(x.seal(replace.NewKeys(x.keys, x.opts)), rec, chance, func() {})
	m, err := x.desk.Made(x.t.Context(), replace.KeyName("1.1", old, ""))
	if err != nil || m.Chain == "" {
		x.t.Fatal(m, err)
	}
	x.opts.ID = "1.2"
	late := make(chan struct{})
	go func() { // the CDN changes over some time after it said so
		defer close(late)
		for !x.cdn.active() && x.t.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		x.cdn.release()
	}()
	x.lives(x.seal(replace.RollOut(x.keys, []replace.Made{m}, x.opts)), rec, chance, func() {})
	<-late
	b, err := x.shelf.Load(x.t.Context(), "order/"+m.Name)
	if err != nil || strings.Count(string(b), `"url"`) != 1 || len(x.host.made) != 1 || len(x.host.keys) != 1 {
		x.t.Errorf("order %s, %v; %d keys were made", b, err, len(x.host.made))
	}
	if status, reason := x.ca.Status(x.t, x.old.SerialNumber.Text(16)); status != "Revoked" || reason != acme.KeyCompromise || early > 0 {
		x.t.Errorf("the old certificate is %s (%d); asked %d times while the old key was served", status, reason, early)
	}
}
