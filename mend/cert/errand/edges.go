package errand

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/steer/run"
)

// atEdge reads what both steps at an edge need.
func (d *Desk) atEdge(ctx context.Context, w run.Work) (at replace.At, e Edge, m replace.Made, err error) {
	if at, err = with[replace.At](w); err != nil {
		return at, e, m, err
	}
	if d.Edge == nil {
		return at, e, m, fault.New(fault.Unsupported, "no driver for %s is set up", at.Edge)
	}
	if m, err = d.Made(ctx, at.Key); err != nil {
		return at, e, m, err
	}
	e, err = d.Edge(ctx, at.Edge)
	return at, e, m, err
}

// stage brings the bundle to an edge; nothing is served from it yet.
func (d *Desk) stage(ctx context.Context, w run.Work) (act.Outcome, error) {
	at, e, m, err := d.atEdge(ctx, w)
	if err != nil {
		return act.Outcome{}, err
	}
	if e.Requesting != nil {
		var change edge.Ref
		if err := json.Unmarshal(m.Ref, &change); err != nil {
			return act.Outcome{}, fault.New(fault.Corrupt, "which change at %s this certificate is for was not stored", at.Edge)
		}
		if err := e.Requesting.Put(ctx, change, m.Chain); err != nil {
			return act.Outcome{}, err
		}
		return d.done(at.Edge + " has the certificate"), nil
	}
	if d.Open == nil {
		return act.Outcome{}, fault.New(fault.Denied, "this machine may not open the key for %s", at.Edge).Hinted("run it where the identity of the edge's courier is (certs.yaml: courier)")
	}
	ref, err := e.Keyed.Stage(ctx, edge.Bundle{Name: m.Name, Chain: m.Chain, Key: func(ctx context.Context) ([]byte, error) { return d.Open(ctx, m.Sealed, m.SPKI) }})
	if err != nil {
		return act.Outcome{}, err
	}
	if err := d.save(ctx, stagedDoc(at.Edge, at.Key), ref); err != nil {
		return act.Outcome{}, err
	}
	return d.done("staged at " + at.Edge + " as " + ref.ID), nil
}

// activate switches an edge over. That its API says so is no proof: the gate behind it looks from outside.
func (d *Desk) activate(ctx context.Context, w run.Work) (act.Outcome, error) {
	at, e, m, err := d.atEdge(ctx, w)
	if err != nil {
		return act.Outcome{}, err
	}
	if e.Requesting != nil {
		return d.progress(ctx, at.Edge, e, m)
	}
	var ref edge.Ref
	staged, err := d.load(ctx, stagedDoc(at.Edge, at.Key), &ref)
	if err != nil {
		return act.Outcome{}, err
	}
	if !staged {
		return act.Outcome{}, fault.New(fault.Conflict, "nothing is staged at %s for %s", at.Edge, at.Key)
	}
	old, err := d.before(ctx, at, e)
	if err != nil {
		return act.Outcome{}, err
	}
	if err := e.Keyed.Activate(ctx, old, ref); err != nil {
		return act.Outcome{}, err
	}
	if err := d.save(ctx, servedDoc(at.Edge, m.SPKI), ref); err != nil {
		return act.Outcome{}, err
	}
	return d.done(at.Edge + " says that it serves " + ref.ID + " from now on"), nil
}

// progress asks an edge that makes its own keys how far it is; what it waits for may be a person's decision.
func (d *Desk) progress(ctx context.Context, name string, e Edge, m replace.Made) (act.Outcome, error) {
	var change edge.Ref
	if err := json.Unmarshal(m.Ref, &change); err != nil {
		return act.Outcome{}, fault.New(fault.Corrupt, "which change at %s this certificate is for was not stored", name)
	}
	p, err := e.Requesting.Progress(ctx, change)
	switch {
	case err != nil:
		return act.Outcome{}, err
	case p.Done:
		return d.done(name + " says: " + p.State), nil
	case p.Waits != "":
		return act.Outcome{}, fault.New(fault.Denied, "%s waits for a person: %s", name, p.Waits).Hinted("do it there, then retry the step")
	}
	return act.Outcome{}, fault.New(fault.Conflict, "%s is not done: %s", name, p.State).Hinted("retry the step later")
}

// before tells what the edge serves for the old key, and stores it ahead of the first change: afterwards nobody can tell.
func (d *Desk) before(ctx context.Context, at replace.At, e Edge) (edge.Ref, error) {
	var old edge.Ref
	if had, err := d.load(ctx, beforeDoc(at.Edge, at.Key), &old); had || err != nil {
		return old, err
	}
	had, err := d.load(ctx, servedDoc(at.Edge, at.Old), &old)
	if err != nil {
		return old, err
	}
	if !had {
		old = e.Current
		if finder, can := e.Keyed.(edge.Finder); can {
			found, err := finder.Find(ctx, at.Serials)
			if err == nil {
				old = found
			} else if !fault.Is(err, fault.NotFound) || old.ID == "" {
				return old, err
			}
		}
	}
	return old, d.save(ctx, beforeDoc(at.Edge, at.Key), old)
}

// retire takes the old certificate away from an edge, after one more look at every endpoint: what still serves it would fall silent.
func (d *Desk) retire(ctx context.Context, w run.Work) (act.Outcome, error) {
	at, e, _, err := d.atEdge(ctx, w)
	if err != nil {
		return act.Outcome{}, err
	}
	if e.Keyed == nil {
		return act.Outcome{}, fault.New(fault.Usage, "%s takes its old certificates away by itself", at.Edge)
	}
	points, lookers, err := d.where(ctx, w.Target.SPKI, at)
	if err != nil {
		return act.Outcome{}, err
	}
	if o := d.against(ctx, w.Target.SPKI, points, lookers, at.Override); o != nil {
		if ctx.Err() != nil {
			return act.Outcome{}, fault.New(fault.Unsure, "the last look before the old certificate is taken away was broken off; nothing was done")
		}
		return act.Outcome{}, fault.New(fault.Denied, "the old certificate stays at %s: %s", at.Edge, o.Says)
	}
	old, err := d.before(ctx, at, e)
	if err != nil {
		return act.Outcome{}, err
	}
	if err := e.Keyed.Retire(ctx, old); err != nil {
		return act.Outcome{}, err
	}
	return d.done(at.Edge + " has the old certificate no longer"), nil
}

// against is what still stands against an old key's end, nil for nothing; it looks again where something could not be seen, as before a revocation.
func (d *Desk) against(ctx context.Context, spki string, points []cert.Point, lookers []cert.Looker, o *cert.Override) *cert.Obstacle {
	for tries := 0; ; tries++ {
		left := slices.DeleteFunc(cert.Observe(ctx, points, lookers, d.Watch).Against(spki), func(a cert.Obstacle) bool { return o.Covers(spki, a, d.now()) })
		if len(left) == 0 {
			return nil
		}
		serves := slices.IndexFunc(left, func(a cert.Obstacle) bool { return a.Kind != "unseen" })
		if serves >= 0 || tries >= len(d.Again) {
			return &left[max(serves, 0)]
		}
		select {
		case <-ctx.Done():
			return &left[0]
		case <-time.After(d.Again[tries]):
		}
	}
}
