package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/steer/plan"
)

// world is a pretend fleet that knows what really happened on it, whatever the run believes.
type world struct {
	mu      sync.Mutex
	plan    *plan.Plan
	hosts   map[string]*machine
	effects map[string]int // step/target to how often the act took effect
	wrongs  []string       // broken promises, seen at the moment they broke
	// chance decides about misbehaviour: 0 is never asked for in a well-behaved world.
	chance func(what string, n int) int
}

// machine is one pretend host.
type machine struct {
	installed bool            // the fixed library lies on disk
	fresh     map[string]bool // unit to whether it runs on fixed code
	stopped   map[string]bool
	drained   map[string]bool // service
	broken    map[string]bool // unit: does not come up
	silent    bool
}

func newWorld(p *plan.Plan, chance func(string, int) int) *world {
	w := &world{plan: p, hosts: map[string]*machine{}, effects: map[string]int{}, chance: chance}
	for _, name := range p.Hosts() {
		w.hosts[name] = &machine{fresh: map[string]bool{}, stopped: map[string]bool{}, drained: map[string]bool{}, broken: map[string]bool{}}
	}
	return w
}

func (w *world) wrong(format string, args ...any) {
	w.wrongs = append(w.wrongs, fmt.Sprintf(format, args...))
}

// perform lets an act take effect and watches the promises.
func (w *world) perform(step *plan.Step, t plan.Target, undo bool) {
	key := step.ID + "/" + t.Key()
	m := w.hosts[t.Host]
	does := step.Act
	if undo {
		key, does = "undo/"+key, step.Undo.Act
	}
	if w.effects[key]++; w.effects[key] > 1 && !step.Repeat && !undo {
		w.wrong("%s took effect %d times", key, w.effects[key])
	}
	if undo && step.Act != nil && step.Act.Kind == act.Upgrade {
		w.wrong("%s brought the affected version back", key)
	}
	if does == nil || m == nil {
		return
	}
	switch does.Kind {
	case act.Upgrade:
		m.installed = true
	case act.Restart:
		m.stopped[t.Unit] = m.broken[t.Unit]
		if m.fresh[t.Unit] && !m.installed {
			w.wrong("%s put %s back onto affected code", key, t.Unit)
		}
		m.fresh[t.Unit] = m.installed
	case act.Stop:
		m.stopped[t.Unit] = true
	case act.Drain:
		m.drained[step.Harm.Down[0]] = true
	case act.Undrain:
		delete(m.drained, step.Harm.Down[0])
	}
	w.countDown()
}

// countDown holds every service to what it allows.
func (w *world) countDown() {
	for _, s := range w.plan.Services {
		n := 0
		for _, m := range w.hosts {
			out := m.drained[s.Name]
			for _, unit := range s.Units {
				out = out || m.stopped[unit]
			}
			if out {
				n++
			}
		}
		if n > s.MaxDown {
			w.wrong("%d hosts of %s down, %d allowed", n, s.Name, s.MaxDown)
		}
	}
}

// holds tells whether a fact is true.
func (w *world) holds(p plan.Predicate, done func(step, target string) bool, work Work) Seen {
	m := w.hosts[p.Host]
	if m != nil && m.silent {
		return Seen{Truth: Unknown, Silent: true, Says: "no answer"}
	}
	ok := true
	switch p.Kind {
	case plan.Reachable:
	case plan.Clean:
		ok = m.installed
		for unit := range m.fresh {
			ok = ok && (m.fresh[unit] || m.stopped[unit])
		}
	case plan.Installed:
		ok = m.installed
	case plan.UnitMapsNew:
		ok = m.fresh[p.Unit] && !m.stopped[p.Unit]
	case plan.Stopped:
		ok = m.stopped[p.Unit]
	case plan.Healthy, plan.Running:
		for unit, down := range m.stopped {
			ok = ok && (!down || !strings.HasPrefix(unit, p.Service))
		}
	case plan.Drained:
		ok = m.drained[p.Service]
	case plan.Undrained:
		ok = !m.drained[p.Service]
	case plan.Built, plan.KeyExists:
		ok = done(work.Step.ID, work.Target.Key())
	default:
		ok = false
	}
	if ok {
		return Seen{Truth: Yes}
	}
	return Seen{Truth: No, Says: "seen otherwise"}
}

func (w *world) took(step, target string) bool { return w.effects[step+"/"+target] > 0 }

// Do, Happened and Observe make the world an executor that may fail, hang up or lie low.
func (w *world) Do(ctx context.Context, work Work) (act.Outcome, error) {
	w.mu.Lock()
	fate := w.chance("do", 20)
	if m := w.hosts[work.Target.Host]; m != nil && m.silent {
		w.mu.Unlock()
		return act.Outcome{}, fault.New(fault.Unreachable, "no answer")
	}
	if fate != 1 {
		w.perform(work.Step, work.Target, work.Undo)
	}
	w.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return act.Outcome{}, fault.New(fault.Unsure, "hung up")
	}
	switch fate {
	case 1:
		return act.Outcome{Status: act.Failed, Says: "did not work"}, nil
	case 2:
		return act.Outcome{}, fault.New(fault.Unsure, "connection lost after the act")
	case 3:
		return act.Outcome{Status: act.Unknown, Says: "somewhere in between"}, nil
	}
	return act.Outcome{Status: act.Done}, nil
}

func (w *world) Happened(_ context.Context, work Work) Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.hosts[work.Target.Host]; m != nil && m.silent {
		return Seen{Truth: Unknown, Silent: true, Says: "no answer"}
	}
	if w.took(work.Step.ID, work.Target.Key()) {
		return Seen{Truth: Yes}
	}
	return Seen{Truth: No}
}

func (w *world) Observe(_ context.Context, p plan.Predicate, work Work) Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holds(p, w.took, work)
}

// tape is a recorder in memory that can be told to die.
type tape struct {
	mu     sync.Mutex
	events []Event
	// dies, if set, is asked before (after=false) and after each write; true kills the writer there.
	dies func(n int, after bool) bool
}

var errKilled = fault.New(fault.Bug, "killed")

func (t *tape) Record(_ context.Context, after int64, events ...Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dies != nil && t.dies(len(t.events), false) {
		return errKilled
	}
	if after != int64(len(t.events)) {
		return fault.New(fault.Conflict, "somebody recorded event %d", len(t.events))
	}
	t.events = append(t.events, events...)
	if t.dies != nil && t.dies(len(t.events), true) {
		return errKilled
	}
	return nil
}

func (t *tape) Since(_ context.Context, after int64) ([]Event, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Event(nil), t.events[after:]...), nil
}

// key is a lease in memory.
type key struct{ mu sync.Mutex }

func (k *key) Take(ctx context.Context, name string) (context.Context, func(), error) {
	if !k.mu.TryLock() {
		return nil, nil, fault.New(fault.Conflict, "%s is being run by somebody else", name)
	}
	return ctx, k.mu.Unlock, nil
}

// shape is what a random plan is made from.
type shape struct {
	Hosts   []int // per ring
	Width   int
	MaxDown int
	Drain   bool
	Off     bool // a daemon without a fix is switched off
	Build   bool // a step that must never happen twice comes first
	Person  bool
	Quorum  int // votes that production asks for; 0: 1
	Pace    plan.Pace
}

func (s shape) votes(ring string) int {
	if ring == "production" && s.Quorum > 0 {
		return s.Quorum
	}
	return 1
}

func with(params any) json.RawMessage {
	b, err := json.Marshal(params)
	if err != nil {
		panic(err)
	}
	return b
}

func units(kind act.Kind, unit string) *act.Act {
	return &act.Act{Kind: kind, With: with(act.UnitsWith{Units: []string{unit}})}
}

const advisory = "CVE-2014-0160"

// drawing makes the kind of plan that mend/patch makes, in the given shape.
func drawing(s shape) plan.Plan {
	made := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	p := plan.Plan{
		ID: "7.1", Incident: "7", Title: "test", Advisories: []string{advisory}, Made: made, Expires: made.Add(30 * 24 * time.Hour), Pace: s.Pace,
		Services: []plan.Service{{Name: "web", Units: []string{"web.service"}, MaxDown: s.MaxDown}},
	}
	var before []string
	if s.Build {
		p.Steps = append(p.Steps, stepOf("build", plan.Build, nil, plan.Predicate{Kind: plan.Built, Name: "lib"}, plan.Target{}))
		before = []string{"build"}
	}
	for r, n := range s.Hosts {
		ring := []string{"canary", "staging", "production"}[r]
		p.Rings = append(p.Rings, plan.Ring{Name: ring, Width: s.Width, Quorum: 1})
		before = addRing(&p, ring, n, s, before)
	}
	if s.Person {
		ask := stepOf("ask", plan.Person, nil, plan.Predicate{Kind: plan.Confirmed}, plan.Target{})
		ask.After, ask.Task = before, &plan.Task{Owner: "ann", Asks: "does the app work", Due: made.Add(time.Hour)}
		p.Steps = append(p.Steps, ask)
	}
	return p
}

func stepOf(id string, kind plan.Kind, does *act.Act, proves plan.Predicate, on ...plan.Target) plan.Step {
	return plan.Step{
		ID: id, Kind: kind, Says: id, Act: does, Targets: on, Proves: []plan.Predicate{proves}, Undo: plan.Undo{Kind: plan.Hold, Says: "hold"},
		Votes: 1, Tries: 1, DeadlineMS: 60_000,
	}
}

// addRing adds one ring's steps and returns what the next ring waits for.
func addRing(p *plan.Plan, ring string, hosts int, s shape, before []string) []string {
	var on, web, daemon []plan.Target
	for h := range hosts {
		name := fmt.Sprintf("%s%d", ring, h)
		on = append(on, plan.Target{Host: name})
		web = append(web, plan.Target{Host: name, Unit: "web.service"})
		daemon = append(daemon, plan.Target{Host: name, Unit: "daemon.service"})
	}
	reachable := []plan.Predicate{{Kind: plan.Reachable}}
	add := func(st plan.Step, repeat bool) {
		st.Ring, st.Needs = ring, reachable
		if repeat {
			st.Repeat, st.Tries = true, 3
		}
		p.Steps = append(p.Steps, st)
	}
	up := stepOf(ring+"-upgrade", plan.Act, &act.Act{Kind: act.Upgrade, With: with(act.UpgradeWith{Packages: []act.Package{{Name: "libssl3", Version: "2"}}})},
		plan.Predicate{Kind: plan.Installed, Package: "libssl3", Version: "2"}, on...)
	up.After, up.Votes = before, s.votes(ring)
	// The way back of an upgrade exists (people may take it), but no machine may ever take it by itself.
	up.Undo = plan.Undo{Kind: plan.Reverse, Says: "the former version", Restores: []plan.Version{{Name: "libssl3", Version: "1"}}}
	add(up, false)
	last := up.ID
	turn := func(st plan.Step) {
		st.Votes = s.votes(ring)
		st.Turn, st.Harm, st.Each = ring+"-web", plan.Harm{Down: []string{"web"}}, []string{last}
		if s.Drain {
			st.Undo = plan.Undo{Kind: plan.RunAct, Says: "drain", Act: &act.Act{Kind: act.Drain, With: with(act.DrainWith{Service: "web", Hook: "drain"})}, Auto: true}
		}
		add(st, true)
		last = st.ID
	}
	if s.Drain {
		turn(stepOf(ring+"-drain", plan.Act, &act.Act{Kind: act.Drain, With: with(act.DrainWith{Service: "web", Hook: "drain"})}, plan.Predicate{Kind: plan.Drained, Service: "web"}, on...))
	}
	turn(stepOf(ring+"-restart", plan.Act, units(act.Restart, "web.service"), plan.Predicate{Kind: plan.UnitMapsNew, Object: "old"}, web...))
	if s.Drain {
		turn(stepOf(ring+"-undrain", plan.Act, &act.Act{Kind: act.Undrain, With: with(act.DrainWith{Service: "web", Hook: "undrain"})}, plan.Predicate{Kind: plan.Undrained, Service: "web"}, on...))
	}
	watched := []string{last}
	if s.Off {
		off := stepOf(ring+"-off", plan.Act, units(act.Stop, "daemon.service"), plan.Predicate{Kind: plan.Stopped}, daemon...)
		off.After, off.Safer = before, true
		add(off, true)
		watched = append(watched, off.ID)
	}
	gate := stepOf(ring+"-watch", plan.Gate, nil, plan.Predicate{Kind: plan.Clean, Advisory: advisory}, on...)
	gate.After, gate.SoakMS = watched, s.Pace.SoakMS
	add(gate, false)
	return []string{gate.ID}
}
