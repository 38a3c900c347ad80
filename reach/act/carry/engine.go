// Package carry carries out orders on this machine: once each, by the right authority, with a record before and after.
package carry

import (
	"bytes"
	"context"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/bounds"
	"staunch/reach/act/hooks"
	"staunch/reach/act/journal"
	"staunch/reach/act/units"
	"staunch/reach/act/vault"
)

// Engine carries out orders on this machine. A nil Now is the machine's own clock.
type Engine struct {
	Places bounds.Places
	// Local means: root typed it on this very machine. Only then is making safer possible without a mandate.
	Local bool
	// Self is the command that, with an order id behind it, calls SelfUndo: what a timer runs when nobody confirms.
	Self []string
	// Chroot runs package managers in a directory instead of on this machine; for tests and for images that do not run.
	Chroot string
	Now    func() time.Time
	// Says is told what goes on; may be nil.
	Says func(string)
}

// job is one order being carried out.
type job struct {
	*Engine
	*bench.Bench
	order act.Order
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC().Truncate(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

// job prepares one order's work.
func (e *Engine) job(o act.Order) (*job, bench.Deed, error) {
	if err := o.Validate(); err != nil {
		return nil, nil, err
	}
	d, err := deedOf(o.Act)
	if err != nil {
		return nil, nil, err
	}
	policy, err := e.Places.ReadPolicy()
	if err != nil {
		return nil, nil, err
	}
	b := &bench.Bench{Places: e.Places, Policy: policy, Order: o, Chroot: e.Chroot, Says: e.Says}
	b.Hook = func(ctx context.Context, name string) error { return hooks.Hook{Name: name}.Exec(ctx, b, name) }
	b.Reloadable = func(ctx context.Context, names []string) error {
		_, err := units.Units{Kind: act.Reload, With: &act.UnitsWith{Units: names}}.Check(ctx, b)
		return err
	}
	return &job{Engine: e, Bench: b, order: o}, d, nil
}

// Check previews an order: it reads, it changes nothing, and it says what Do would refuse. The error is for orders that make no sense.
func (e *Engine) Check(ctx context.Context, o act.Order) (act.Preview, error) {
	b, d, err := e.job(o)
	if err != nil {
		return refusal(err)
	}
	defer b.Close()
	orders, sequence, _, err := journal.Read(e.Places.State)
	if err != nil && !fault.Is(err, fault.Denied) {
		return refusal(err)
	}
	if _, err := e.authority(b, d, orders); err != nil {
		refused, err := refusal(err)
		// Looking needs no authority: whoever asks learns what is there, and whether anything is left to do, also where the mandate is missing.
		if p, looked := b.preview(ctx, d, orders); looked == nil || p.Finds != nil {
			refused.Already, refused.Finds = p.Already, p.Finds
		}
		return refused, err
	}
	p, err := b.preview(ctx, d, orders)
	if err != nil {
		refused, err := refusal(err)
		refused.Finds = p.Finds // what was found is of use where the act is not: the age recipient of a host, for one
		return refused, err
	}
	p.Warns = append(p.Warns, unfinished(orders, sequence, o.ID)...)
	return p, nil
}

// refusal turns what Do would refuse into a preview, and keeps real errors.
func refusal(err error) (act.Preview, error) {
	switch fault.KindOf(err) {
	case fault.Usage, fault.Bug:
		return act.Preview{}, err
	}
	says := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		says += " (" + hint + ")"
	}
	return act.Preview{Says: []string{}, Warns: []string{}, Refused: says, Undo: "nothing is done"}, nil
}

func (b *job) preview(ctx context.Context, d bench.Deed, orders map[string]*journal.Entry) (act.Preview, error) {
	if b.order.Of != "" {
		return b.previewOf(orders)
	}
	p, err := d.Check(ctx, b.Bench)
	if p.Says == nil {
		p.Says = []string{}
	}
	if p.Warns == nil {
		p.Warns = []string{}
	}
	return p, err
}

// previewOf is for orders that undo or confirm another one.
func (b *job) previewOf(orders map[string]*journal.Entry) (act.Preview, error) {
	of, err := b.target(orders)
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Says: []string{"undo " + of.Begun.Order.ID + ": " + string(of.Begun.Order.Act.Kind)}, Warns: []string{}, Undo: "cannot be undone: an undo is final", Finds: of.Begun.Before, Already: of.Undone}
	if b.order.Confirm {
		p.Says, p.Undo, p.Already = []string{"keep what " + of.Begun.Order.ID + " did: it will not undo itself"}, "order an undo of it", of.Confirmed
	}
	return p, nil
}

// target finds the order that this one undoes or confirms.
func (b *job) target(orders map[string]*journal.Entry) (*journal.Entry, error) {
	of := orders[b.order.Of]
	if of == nil || of.Begun == nil || of.Begun.Order == nil {
		return nil, fault.New(fault.NotFound, "this host has no record of order %.80s", b.order.Of)
	}
	mine, err := mandate.Canonical(b.order.Act)
	if err != nil {
		return nil, err
	}
	its, err := mandate.Canonical(of.Begun.Order.Act)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(mine, its) {
		return nil, denied("order %.80s did another act than the one named here", b.order.Of)
	}
	if b.order.Undo && (!of.Begun.CanUndo || of.Ended != nil && !of.Ended.CanUndo) {
		return nil, denied("order %.80s cannot be undone", b.order.Of)
	}
	if b.order.Undo && of.Dropped {
		return nil, denied("order %.80s cannot be undone any more: what that needs was thrown away after %d days, or for room", b.order.Of, undoDays)
	}
	if b.order.Undo && of.Ended != nil && of.Ended.Status == act.Refused {
		return nil, denied("order %.80s was refused: there is nothing to undo", b.order.Of)
	}
	return of, nil
}

// unfinished names orders that were begun and never ended: a crash, a cut, a reboot. They must not stay unnoticed.
func unfinished(orders map[string]*journal.Entry, sequence []string, except string) []string {
	var found []string
	for _, id := range sequence {
		if e := orders[id]; id != except && e.Begun != nil && e.Ended == nil && e.Begun.Order != nil {
			found = append(found, "order "+id+" ("+string(e.Begun.Order.Act.Kind)+") was begun at "+e.Begun.At.Format(time.RFC3339)+" and its end was never seen")
		}
	}
	return found
}

// Unfinished tells of orders that were begun on this host and never ended, one sentence each.
func (e *Engine) Unfinished() ([]string, error) {
	orders, sequence, _, err := journal.Read(e.Places.State)
	if err != nil {
		return nil, err
	}
	return unfinished(orders, sequence, ""), nil
}

// Recipient returns this host's age recipient, to which other hosts seal keys for it. It is made at the first call.
func (e *Engine) Recipient() (string, error) {
	return vault.Vault{State: e.Places.State}.Recipient()
}
