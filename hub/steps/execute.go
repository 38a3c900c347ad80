// Package steps carries out a plan's steps on hosts, and looks at the world for what they prove.
package steps

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// Executor carries out a plan's steps on the fleet and looks at the world for its proofs. It is steer/run's Executor.
type Executor struct {
	Hub *hub.Hub
	// Incident is judged anew after each look that changed something, so that milestones come when they happen; "" for none.
	Incident string
	Plan     *plan.Sealed
	// Signatures are the votes under the plan, as armoured SSH signatures; hosts that keep a list of signers ask for them. Nil: the login is the authority.
	Signatures func(ctx context.Context) ([]string, error)
	// Facts are observed and kinds of steps carried out by others: certificates, revocations, probes.
	Facts map[plan.Fact]func(ctx context.Context, p plan.Predicate, w run.Work) run.Seen
	Deeds map[plan.Kind]Deed
	// Payload gives what an act brings to its host, by checksum; nil: nothing is brought.
	Payload func(ctx context.Context, sha256 string) ([]byte, error)
}

// Deed is how steps of one kind are carried out where no host does it.
type Deed interface {
	Do(ctx context.Context, w run.Work) (act.Outcome, error)
	Happened(ctx context.Context, w run.Work) run.Seen
}

// Do carries out one attempt on one target.
func (x *Executor) Do(ctx context.Context, w run.Work) (act.Outcome, error) {
	if deed := x.Deeds[w.Step.Kind]; deed != nil {
		return deed.Do(ctx, w)
	}
	o, err := x.order(ctx, w)
	if err != nil {
		return act.Outcome{}, err
	}
	where, err := x.where(w.Target.Host, o.Act.HookName())
	if err != nil {
		return act.Outcome{}, err
	}
	at, err := x.Hub.Open(ctx, where)
	if err != nil {
		return act.Outcome{}, err
	}
	defer at.Close() // the outcome is here; how the connection ends does not matter
	if err := x.bring(ctx, at, o.Act); err != nil {
		return act.Outcome{}, err
	}
	return at.Do(ctx, o, nil)
}

// bring puts the payload of an act onto its host. Nothing is done by that: what was put is held to its checksum by the act that uses it.
func (x *Executor) bring(ctx context.Context, at host.Host, a act.Act) error {
	if a.Kind != act.InstallLib || x.Payload == nil {
		return nil
	}
	params, err := a.Params()
	if err != nil {
		return err
	}
	with, ok := params.(*act.InstallLibWith)
	if !ok {
		return nil
	}
	body, err := x.Payload(ctx, with.SHA256)
	if err != nil {
		return err
	}
	store, ok := at.(host.Store)
	if !ok {
		return fault.New(fault.Unsupported, "%s takes no payloads", at.Name())
	}
	return store.Put(ctx, with.SHA256, bytes.NewReader(body))
}

// find finds a host of the fleet.
func (x *Executor) find(name string) (fleet.Host, error) {
	where, known := x.Hub.Fleet.Host(name)
	if !known {
		return where, fault.New(fault.NotFound, "%s is not in the fleet any more", name).Hinted("was it renamed? make a new plan")
	}
	return where, nil
}

// where finds a step's host; hook is what the step runs there, because a host that is not covered takes nothing but its own restart hook.
func (x *Executor) where(name, hook string) (fleet.Host, error) {
	where, err := x.find(name)
	if err != nil {
		return where, err
	}
	if err := where.OnlyBy(hook); err != nil {
		return where, err
	}
	return where, nil
}

// order is the order that a host gets for a piece of work.
func (x *Executor) order(ctx context.Context, w run.Work) (act.Order, error) {
	if w.Step.Act == nil || w.Target.Host == "" {
		return act.Order{}, fault.New(fault.Unsupported, "nobody here can carry out a step of kind %s", w.Step.Kind).Hinted("confirm it when a person has done it, or skip it with a reason")
	}
	var signatures []string
	if x.Signatures != nil {
		var err error
		if signatures, err = x.Signatures(ctx); err != nil {
			return act.Order{}, err
		}
	}
	return x.Plan.Order(w.Step, w.Target.Host, w.Attempt, w.Undo, signatures)
}

// Happened finds out whether an attempt took effect, without doing anything: its proofs hold, or the host says that there is nothing left to do.
func (x *Executor) Happened(ctx context.Context, w run.Work) run.Seen {
	if deed := x.Deeds[w.Step.Kind]; deed != nil {
		return deed.Happened(ctx, w)
	}
	proven, asked := len(w.Step.Proves) > 0, w // what proves nothing is asked about below
	asked.Began = time.Time{}                  // nothing that is only believed because the act was answered counts here: it was not
	for _, p := range w.Step.Proves {
		seen := x.Observe(ctx, p.On(w.Target), believing(p, w, asked))
		if seen.Silent {
			return seen
		}
		proven = proven && seen.Truth == run.Yes
	}
	if proven {
		return run.Seen{Truth: run.Yes, Says: "its proofs hold"}
	}
	o, err := x.order(ctx, w)
	if err != nil {
		return run.Seen{Truth: run.Unknown, Says: err.Error()}
	}
	preview, seen := x.check(ctx, w.Target.Host, o)
	switch {
	case seen.Truth != run.Yes:
		return seen
	case preview.Already:
		return run.Seen{Truth: run.Yes, Says: "the host says that nothing is left to do"}
	case preview.Refused != "" && !w.Step.Repeat:
		return run.Seen{Truth: run.Unknown, Says: "its proofs do not hold, and the host does not say: " + preview.Refused}
	}
	return run.Seen{Truth: run.No, Says: "its proofs do not hold, and the host would still do it"}
}

// believing picks how a fact is looked at after an unknown outcome: draining shows nowhere but in its hook's own answer.
func believing(p plan.Predicate, w, asked run.Work) run.Work {
	if p.Kind == plan.Drained || p.Kind == plan.Undrained {
		return asked
	}
	return w
}

// check previews an order. The truth is Yes when the host answered.
func (x *Executor) check(ctx context.Context, name string, o act.Order) (act.Preview, run.Seen) {
	o.Mandate = nil // looking needs no authority; the host says itself what it would refuse
	where, err := x.where(name, o.Act.HookName())
	if err != nil {
		return act.Preview{}, silence(err)
	}
	a, err := x.Hub.Ask(ctx, where, host.Question{Check: &o})
	if err != nil {
		return act.Preview{}, silence(err)
	}
	if a.Check == nil {
		return act.Preview{}, run.Seen{Truth: run.Unknown, Says: name + " answered something else"}
	}
	return *a.Check, run.Seen{Truth: run.Yes}
}

// silence words a look that failed: nobody answered, or the answer was no use.
func silence(err error) run.Seen {
	switch fault.KindOf(err) {
	case fault.Unreachable, fault.Timeout, fault.Unsure:
		return run.Seen{Truth: run.Unknown, Silent: true, Says: err.Error()}
	}
	return run.Seen{Truth: run.Unknown, Says: err.Error(), Final: fault.Is(err, fault.NotFound)}
}

func no(format string, args ...any) run.Seen {
	return run.Seen{Truth: run.No, Says: fmt.Sprintf(format, args...)}
}

func yes(format string, args ...any) run.Seen {
	return run.Seen{Truth: run.Yes, Says: fmt.Sprintf(format, args...)}
}

func unsure(format string, args ...any) run.Seen {
	return run.Seen{Truth: run.Unknown, Says: fmt.Sprintf(format, args...)}
}
