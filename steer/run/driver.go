package run

import (
	"context"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/steer/plan"
)

// Executor carries out steps and looks at the world. It must honour its context, and may be called from several goroutines.
type Executor interface {
	// Do carries out one attempt of a step on one target, or its undo. An error of kind denied, usage, unsupported or conflict means
	// that nothing was done; any other error means that it may have been.
	Do(ctx context.Context, w Work) (act.Outcome, error)
	// Happened finds out whether an attempt whose outcome is unknown took effect. It never does anything.
	Happened(ctx context.Context, w Work) Seen
	// Observe looks at one fact.
	Observe(ctx context.Context, p plan.Predicate, w Work) Seen
}

// Recorder keeps a run's events. Only what it has kept has happened.
type Recorder interface {
	// Record keeps events whose Seq begin at after+1, durably, all or none. If somebody else recorded past after, it is a fault of kind conflict.
	Record(ctx context.Context, after int64, events ...Event) error
	// Since gives the run's events with a Seq greater than after, in order.
	Since(ctx context.Context, after int64) ([]Event, error)
}

// Lease makes sure that two runners never run one plan.
type Lease interface {
	// Take gets the lease or says who has it (kind conflict). The context ends when the lease is lost; release gives it back.
	Take(ctx context.Context, name string) (held context.Context, release func(), err error)
}

// Runner drives one run.
type Runner struct {
	Plan     *plan.Sealed
	Name     string // who runs, for the record: person@machine
	Recorder Recorder
	Executor Executor
	Lease    Lease
	// Stay keeps the runner waiting for people (votes, confirmations, a word on what failed) instead of returning when nothing can be done
	// without them. It ends nevertheless when the run is done, aborted or replaced, and when the plan has expired.
	Stay bool
	// Poll is how often events from elsewhere (a pause, a confirmation) are looked for; default half a second.
	Poll time.Duration
	// Grace is how long acts in progress may end after ctx was cancelled; default 30 s. Nothing new begins then.
	Grace time.Duration
	// Show is called after every change, in the runner's own goroutine; nil for none. It must be quick.
	Show func(*Machine, Decision)
}

// Run carries the plan on until it is done, aborted, or waits for a person, and tells which. It returns an error when it cannot record, or lost its lease:
// what was in progress then is found out by the next runner.
func (r *Runner) Run(ctx context.Context) (State, error) {
	held, release, err := r.Lease.Take(ctx, "run/"+r.Plan.Plan().ID)
	if err != nil {
		return "", err
	}
	defer release()
	m, err := Load(held, r.Plan, r.Recorder)
	if err != nil {
		return "", err
	}
	d := &driver{Runner: r, m: m, results: make(chan report), running: map[string]Effect{}}
	defer d.abandon()
	return d.loop(ctx, held)
}

// Load folds the recorded events of a plan's run.
func Load(ctx context.Context, sealed *plan.Sealed, from Recorder) (*Machine, error) {
	m, err := New(sealed)
	if err != nil {
		return nil, err
	}
	return m, m.catchUp(ctx, from)
}

func (m *Machine) catchUp(ctx context.Context, from Recorder) error {
	events, err := from.Since(ctx, m.seq)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := m.Apply(e); err != nil {
			return fault.New(fault.Corrupt, "event %d of the run of plan %s does not fit: %v", e.Seq, m.plan.ID, err).Hinted("verify the ledger: staunch ledger verify")
		}
	}
	return nil
}

// Tell records an event from a person: start, pause, resume, retry, skip, confirm, abort. Another runner may be at work meanwhile.
func Tell(ctx context.Context, sealed *plan.Sealed, rec Recorder, e Event) error {
	const tries = 20
	m, err := New(sealed)
	if err != nil {
		return err
	}
	for range tries {
		if err := m.catchUp(ctx, rec); err != nil {
			return err
		}
		e.Plan, e.Seq = m.digest, m.seq+1
		if e.At.IsZero() {
			e.At = time.Now()
		}
		if err := m.Accepts(e); err != nil {
			return err
		}
		err = rec.Record(ctx, m.seq, e)
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return err
}

// report is what a worker wants recorded; the answer says whether it was.
type report struct {
	effect Effect
	events []Event
	last   bool // the effect has ended
	answer chan error
}

type driver struct {
	*Runner
	m       *Machine
	results chan report
	running map[string]Effect
	work    context.Context // of acts
	cancel  context.CancelFunc
	looks   context.Context // of looks: they change nothing, and end as soon as the runner is asked to
	blind   context.CancelFunc
	ending  bool // begin nothing new, let what is running end
}

func (e Effect) key() string { return e.Step + "\x00" + e.Target }

func (d *driver) loop(ctx, held context.Context) (State, error) {
	d.work, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d.looks, d.blind = context.WithCancel(d.work)
	if err := d.record(held, Event{Kind: Taken, By: d.Name}); err != nil {
		return "", err
	}
	poll := time.NewTicker(orDefault(d.Poll, 500*time.Millisecond))
	defer poll.Stop()
	stop := ctx.Done()
	for {
		decision := d.decide()
		if d.over(decision) {
			return decision.State, context.Cause(ctx)
		}
		wake := timerFor(decision.Wake)
		select {
		case rep := <-d.results:
			if err := d.take(held, rep); err != nil {
				return "", err
			}
		case <-wake:
		case <-poll.C:
			if err := d.m.catchUp(held, d.Recorder); err != nil {
				return "", err
			}
		case <-stop:
			stop, d.ending = nil, true
			d.blind()
			time.AfterFunc(orDefault(d.Grace, 30*time.Second), d.cancel)
		case <-held.Done():
			if ctx.Err() == nil {
				return "", fault.New(fault.Conflict, "this runner lost its lease on plan %s", d.m.plan.ID).Hinted("another runner may have taken over; see: staunch incident brief")
			}
			held = context.WithoutCancel(ctx) // the lease's context ended only because ours did
		}
	}
}

// decide asks the machine and starts what it wants started.
func (d *driver) decide() Decision {
	running := make([]Effect, 0, len(d.running))
	for _, e := range d.running {
		running = append(running, e)
	}
	decision := d.m.Next(time.Now(), running)
	if d.Show != nil {
		d.Show(d.m, decision)
	}
	if d.ending {
		decision.Effects = nil
		return decision
	}
	for _, e := range decision.Effects {
		d.running[e.key()] = e
		go d.worker(e, d.workOf(e))
	}
	return decision
}

// over tells whether the runner should return: nothing is running, and nothing will without a person.
func (d *driver) over(decision Decision) bool {
	if len(d.running) > 0 {
		return false
	}
	switch decision.State {
	case Complete, GivenUp:
		return true
	case WaitsHere, NotBegun:
		return !d.Stay || d.ending || !time.Now().Before(d.m.plan.Expires)
	}
	return d.ending
}

// take records what a worker reports, and answers it.
func (d *driver) take(held context.Context, rep report) error {
	err := d.recordFor(held, rep)
	if rep.last || err != nil {
		delete(d.running, rep.effect.key())
	}
	rep.answer <- err
	if fault.Is(err, fault.Conflict) {
		return nil // the event no longer fits: somebody decided otherwise meanwhile
	}
	return err
}

func (d *driver) recordFor(held context.Context, rep report) error {
	if len(rep.events) == 0 {
		return nil
	}
	if rep.events[0].Kind == Begun {
		if err := d.m.catchUp(held, d.Recorder); err != nil {
			return err
		}
		if d.ending || !d.m.mayBegin(rep.effect, time.Now()) {
			return fault.New(fault.Conflict, "the run was paused, stopped or aborted meanwhile")
		}
	}
	for i := range rep.events {
		rep.events[i].Step, rep.events[i].Target, rep.events[i].Attempt = rep.effect.Step, rep.effect.Target, rep.effect.Attempt
	}
	return d.record(held, rep.events...)
}

// record writes events down, then applies them: what is not kept has not happened.
func (d *driver) record(ctx context.Context, events ...Event) error {
	const tries = 20
	var err error
	for range tries {
		now := time.Now()
		for i := range events {
			events[i].Plan, events[i].At, events[i].Seq = d.m.digest, now, d.m.seq+1+int64(i)
		}
		if err = d.m.Accepts(events[0]); err != nil {
			return err
		}
		if err = d.Recorder.Record(ctx, d.m.seq, events...); err == nil {
			return d.apply(events)
		}
		if !fault.Is(err, fault.Conflict) {
			return fault.New(fault.Unsure, "cannot record what happens, so nothing more is done: %v", err).Hinted("what was in progress is found out by the next `staunch incident run`")
		}
		if err := d.m.catchUp(ctx, d.Recorder); err != nil {
			return err
		}
	}
	return fault.New(fault.Unsure, "somebody else keeps recording into this run: %v", err)
}

func (d *driver) apply(events []Event) error {
	for _, e := range events {
		if err := d.m.Apply(e); err != nil {
			return fault.New(fault.Bug, "a recorded event does not fit: %v", err)
		}
	}
	return nil
}

// abandon ends the workers without recording anything more.
func (d *driver) abandon() {
	if d.cancel == nil {
		return
	}
	d.cancel()
	gone := fault.New(fault.Conflict, "the runner has ended")
	for len(d.running) > 0 {
		rep := <-d.results
		delete(d.running, rep.effect.key())
		rep.answer <- gone
	}
}

func timerFor(t time.Time) <-chan time.Time {
	if t.IsZero() {
		return nil
	}
	return time.After(time.Until(t))
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
