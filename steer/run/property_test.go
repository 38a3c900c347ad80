package run

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/steer/plan"

	"pgregory.net/rapid"
)

func drawShape(t *rapid.T) shape {
	urgency := rapid.SampledFrom([]plan.Urgency{plan.Now, plan.Tonight, plan.Week}).Draw(t, "urgency")
	pace, err := plan.PaceOf(urgency)
	if err != nil {
		t.Fatal(err)
	}
	return shape{
		Hosts: rapid.SliceOfN(rapid.IntRange(1, 4), 1, 3).Draw(t, "hosts"), Width: rapid.IntRange(1, 3).Draw(t, "width"), MaxDown: rapid.IntRange(1, 2).Draw(t, "down"),
		Drain: rapid.Bool().Draw(t, "drain"), Off: rapid.Bool().Draw(t, "off"), Build: rapid.Bool().Draw(t, "build"), Person: rapid.Bool().Draw(t, "person"), Quorum: rapid.IntRange(0, 3).Draw(t, "quorum"), Pace: pace,
	}
}

// night is one run without goroutines: chance decides what ends first, what fails, and when the runner is killed.
type night struct {
	*rapid.T
	world   *world
	sealed  *plan.Sealed
	m       *Machine
	events  []Event
	now     time.Time
	running []Effect
	acted   map[string]bool // running effects whose act has begun
	orders  int             // what people may still say
	kills   int
}

func TestRandomNightsKeepEveryPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sealed, err := plan.Seal(drawing(drawShape(t)))
		if err != nil {
			t.Fatal(err)
		}
		n := &night{T: t, sealed: sealed, now: sealed.Plan().Made, acted: map[string]bool{}, orders: 6, kills: 4}
		n.world = newWorld(sealed.Plan(), n.chance)
		n.misfortune()
		n.restart()
		n.record(n.grant(Event{Kind: Started, By: "ann", Until: n.ring()}))
		n.live()
		if len(n.world.wrongs) > 0 {
			n.print()
		}
		for _, wrong := range n.world.wrongs {
			t.Errorf("broken promise: %s", wrong)
		}
	})
}

func (n *night) chance(what string, of int) int { return rapid.IntRange(0, of-1).Draw(n.T, what) }

// misfortune makes some hosts silent and some units broken from the beginning.
func (n *night) misfortune() {
	for _, name := range n.sealed.Plan().Hosts() {
		n.world.hosts[name].silent = n.chance("silent", 12) == 1
		n.world.hosts[name].broken["web.service"] = n.chance("broken", 12) == 1
		n.world.hosts[name].fresh["web.service"] = false
	}
}

// grant lets an event say that some people's votes count, and maybe from when on.
func (n *night) grant(e Event) Event {
	e.Votes, e.Glass = []int{NoVotes, 0, 1, 2, 2, 3}[n.chance("votes", 6)], n.chance("glass", 8) == 1
	if n.chance("alone", 4) == 1 {
		e.From = n.now.Add(10 * time.Minute)
	}
	return e
}

func (n *night) ring() string {
	if n.chance("until", 3) != 1 {
		return ""
	}
	return n.sealed.Plan().Rings[0].Name
}

// restart is what a new runner does: fold, say so, and know nothing else.
func (n *night) restart() {
	m, err := New(n.sealed)
	if err != nil {
		n.Fatal(err)
	}
	for _, e := range n.events {
		if err := m.Apply(e); err != nil {
			n.Fatalf("recorded event does not fit: %v", err)
		}
	}
	if n.m != nil && !reflect.DeepEqual(m, n.m) {
		n.Fatalf("the folded state is not the live state after %d events", len(n.events))
	}
	n.m, n.running = m, nil
	n.record(Event{Kind: Taken, By: "runner"})
}

func (n *night) record(events ...Event) bool {
	for _, e := range events {
		e.Plan, e.Seq, e.At = n.m.digest, n.m.seq+1, n.now
		if err := n.m.Accepts(e); err != nil {
			if fault.Is(err, fault.Corrupt) {
				n.Fatal(err)
			}
			return false
		}
		n.watch(e)
		if err := n.m.Apply(e); err != nil {
			n.Fatal(err)
		}
		n.events = append(n.events, e)
	}
	return true
}

// watch holds the order of rings against the events, not against the machine's own idea.
func (n *night) watch(e Event) {
	if e.Kind != Begun {
		return
	}
	p := n.sealed.Plan()
	n.watchVotes(e)
	_, ring := p.RingOf(p.Step(e.Step).Ring)
	for i := range p.Steps {
		earlier := &p.Steps[i]
		if _, at := p.RingOf(earlier.Ring); at < 0 || at >= ring {
			continue
		}
		settled, proven := 0, 0
		for _, t := range earlier.Targets {
			switch last := n.last(earlier.ID, t.Key()); {
			case last.Kind == Proven && (earlier.SoakMS == 0 || n.soaked(earlier, t.Key())):
				settled++
				proven++
			case last.Kind == Skipped:
				settled++
				proven++
			case last.Kind == Held && last.Silent && p.Pace.LeaveSilent || last.Kind == "":
				settled++
			}
		}
		if settled < len(earlier.Targets) || proven == 0 {
			n.Errorf("%s began on %s when %s was proven on %d and settled on %d of %d", e.Step, e.Target, earlier.ID, proven, settled, len(earlier.Targets))
		}
	}
}

// watchVotes holds each beginning against what people said before it, by the events alone. A host in the middle of its turn may finish it.
func (n *night) watchVotes(e Event) {
	s := n.sealed.Plan().Step(e.Step)
	var said Event
	for _, before := range n.events {
		switch before.Kind {
		case Started, Allowed:
			said = before
		case Replaced:
			if s.Turn == "" {
				n.Errorf("%s began on %s after the plan was replaced", e.Step, e.Target)
			}
		}
	}
	if s.Turn != "" || said.Glass {
		return
	}
	if said.Votes != 0 && s.Votes > max(said.Votes, 0) {
		n.Errorf("%s began on %s with %d votes, it asks for %d", e.Step, e.Target, said.Votes, s.Votes)
	}
	if e.At.Before(said.From) {
		n.Errorf("%s began on %s at %s, nothing was to begin before %s", e.Step, e.Target, e.At, said.From)
	}
}

func (n *night) last(step, target string) Event {
	for _, e := range slices.Backward(n.events) {
		if e.Step == step && e.Target == target {
			return e
		}
	}
	return Event{}
}

func (n *night) soaked(s *plan.Step, target string) bool {
	var first time.Time
	for _, e := range n.events {
		if e.Step == s.ID && e.Target == target && e.Kind == Proven {
			if first.IsZero() {
				first = e.At
			} else if e.At.Sub(first) >= s.Soak() {
				return true
			}
		} else if e.Step == s.ID && e.Target == target {
			first = time.Time{}
		}
	}
	return false
}

// live goes on until nothing more can happen.
func (n *night) live() {
	const enough = 20_000
	for range enough {
		d := n.m.Next(n.now, n.running)
		for _, e := range d.Effects {
			if slices.ContainsFunc(n.running, func(r Effect) bool { return r.key() == e.key() }) {
				n.Fatalf("%s on %s was decided twice", e.Step, e.Target)
			}
		}
		n.running = append(n.running, d.Effects...)
		switch {
		case n.orders > 0 && n.chance("person", 15) == 1:
			n.person()
		case n.kills > 0 && n.chance("kill", 25) == 1:
			n.kill()
		case len(n.running) > 0:
			n.finish(n.chance("which", len(n.running)))
		case !d.Wake.IsZero():
			n.now = d.Wake
		case d.State == WaitsHere && n.orders > 0:
			n.person()
		case d.State == Complete || d.State == GivenUp || d.State == WaitsHere:
			n.restart() // compares the folded with the live state once more
			return
		default:
			n.Fatalf("nothing to do, but the run is %s", d.State)
		}
	}
	n.Fatal("the run does not end")
}

// kill drops the runner; acts in progress may or may not have reached their host.
func (n *night) kill() {
	n.kills--
	for _, e := range n.running {
		if e.Do == Begin && n.last(e.Step, e.Target).Kind == Begun && n.chance("reached", 2) == 1 && !n.acted[e.key()] {
			n.world.perform(n.step(e), n.work(e).Target, false)
		}
	}
	n.acted = map[string]bool{}
	n.restart()
}

func (n *night) step(e Effect) *plan.Step { return n.sealed.Plan().Step(e.Step) }

func (n *night) work(e Effect) Work {
	d := driver{m: n.m}
	return d.workOf(e)
}

// finish takes one running effect one stage further.
func (n *night) finish(i int) {
	e, w := n.running[i], n.work(n.running[i])
	n.now = n.now.Add(time.Second)
	end := func(events ...Event) {
		n.running = slices.Delete(n.running, i, i+1)
		delete(n.acted, e.key())
		n.say(e, events...)
	}
	switch e.Do {
	case Check:
		seen := n.world.Happened(context.Background(), w)
		end(Event{Kind: Checked, Truth: seen.Truth, Says: seen.Says, Silent: seen.Silent})
	case Prove:
		for _, p := range w.Step.Proves {
			if n.world.Observe(context.Background(), p.On(w.Target), w).Truth != Yes {
				end(Event{Kind: Unproven, Says: "not seen"})
				return
			}
		}
		end(Event{Kind: Proven})
	case Back:
		if n.say(e, Event{Kind: UndoBegun}) {
			n.world.perform(w.Step, w.Target, true)
			end(Event{Kind: Undone, Status: act.Done})
		} else {
			end()
		}
	case Begin:
		n.finishBegin(e, w, end)
	}
}

func (n *night) finishBegin(e Effect, w Work, end func(...Event)) {
	if n.last(e.Step, e.Target).Kind == Begun {
		n.acted[e.key()] = true
		end(n.do(w))
		return
	}
	for _, p := range w.Step.Needs {
		if seen := n.world.Observe(context.Background(), p.On(w.Target), w); seen.Truth != Yes {
			end(Event{Kind: Held, Silent: seen.Silent, Says: "needs"})
			return
		}
	}
	switch {
	case !n.m.mayBegin(e, n.now):
		end()
	case !w.Step.Changes():
		end(Event{Kind: Begun}, Event{Kind: Answered, Status: act.Done})
	case !n.say(e, Event{Kind: Begun}):
		end()
	}
}

// do lets the act happen, or fail, or stay in doubt.
func (n *night) do(w Work) Event {
	m := n.world.hosts[w.Target.Host]
	if m != nil && m.silent {
		return Event{Kind: Answered, Status: act.Unknown, Says: "no answer"}
	}
	fate := n.chance("fate", 12)
	if fate == 1 {
		return Event{Kind: Answered, Status: act.Failed, Says: "did not work"}
	}
	if fate != 2 {
		n.world.perform(w.Step, w.Target, false)
	}
	if fate == 2 || fate == 3 {
		return Event{Kind: Answered, Status: act.Unknown, Says: "connection lost"}
	}
	return Event{Kind: Answered, Status: act.Done}
}

func (n *night) say(e Effect, events ...Event) bool {
	for _, ev := range events {
		ev.Step, ev.Target, ev.Attempt = e.Step, e.Target, e.Attempt
		if !n.record(ev) {
			return false
		}
	}
	return true
}

// person says something, sensible or not.
func (n *night) person() {
	n.orders--
	p := n.sealed.Plan()
	at := p.Steps[n.chance("step", len(p.Steps))]
	target := at.Targets[n.chance("target", len(at.Targets))].Key()
	if failed := n.m.Failures(); len(failed) > 0 && n.chance("aim", 3) > 0 {
		at, target = *p.Step(failed[0].Step), failed[0].Target
	}
	switch n.chance("says", 11) {
	case 8, 9:
		n.record(n.grant(Event{Kind: Allowed, By: "ann"}))
	case 10:
		if n.chance("replace", 4) == 1 {
			n.record(Event{Kind: Replaced, By: "ann", Says: "7.2"})
		}
	case 0:
		n.record(Event{Kind: Paused, By: "ann"})
	case 1, 2:
		n.record(Event{Kind: Resumed, By: "ann", Until: n.ring()})
	case 3, 4:
		n.heal(target)
		n.record(Event{Kind: Retried, By: "ann", Step: at.ID, Target: target})
	case 5:
		n.record(Event{Kind: Skipped, By: "ann", Step: at.ID, Target: target, Says: "done by hand", Up: n.chance("up", 2) == 1 && n.world.up(target)})
	case 6:
		n.record(Event{Kind: Confirmed, By: "ann", Step: "ask", Target: "all"})
	case 7:
		if n.chance("abort", 4) == 1 {
			n.record(Event{Kind: Aborted, By: "ann", Says: "enough"})
		}
	}
}

// heal is what people do before they say "again".
func (n *night) heal(target string) {
	for name, m := range n.world.hosts {
		if name == target || fmt.Sprintf("%s/web.service", name) == target {
			m.broken["web.service"] = false
		}
	}
}

// up tells whether a host serves: a person who says so has looked.
func (w *world) up(target string) bool {
	for name, m := range w.hosts {
		if (name == target || name+"/web.service" == target) && (m.stopped["web.service"] || m.drained["web"]) {
			return false
		}
	}
	return true
}

func (n *night) print() {
	for _, e := range n.events {
		n.Logf("%3d %s %-9s %s on %s #%d %s %s %s up=%v", e.Seq, e.At.Format("15:04:05"), e.Kind, e.Step, e.Target, e.Attempt, e.Status, e.Truth, e.Says, e.Up)
	}
}
