package act

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"staunch/fault"
)

// proofTime is how long proving may take after the act's own deadline.
const proofTime = 30 * time.Second

// Do carries out an order, once. A repeated id is answered from the journal; an order that was begun and whose end was not seen is
// answered as unknown, or as done where the machine itself proves it. Refusals change nothing and are outcomes, not errors; an
// error means that the order makes no sense, or that the journal cannot be trusted.
func (e *Engine) Do(ctx context.Context, o Order) (Outcome, error) {
	b, d, err := e.bench(o)
	if err != nil {
		return e.refuse(o, err)
	}
	defer b.close()
	wait, cancel := context.WithTimeout(ctx, o.deadline())
	defer cancel()
	j, err := openJournal(wait, e.Places.State)
	if err != nil {
		return e.refuse(o, err)
	}
	out, err := e.locked(ctx, j, b, d)
	if closed := j.close(); closed != nil && err == nil {
		err = fault.New(fault.Bug, "the journal's lock: %v", closed)
	}
	return out, err
}

// refuse makes an outcome of an error that means: nothing was done.
func (e *Engine) refuse(o Order, err error) (Outcome, error) {
	switch fault.KindOf(err) {
	case fault.Usage, fault.Corrupt, fault.Bug, fault.Unsure:
		return Outcome{}, err
	}
	says := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		says += " (" + hint + ")"
	}
	return Outcome{Order: o.ID, Status: Refused, Says: says, Began: e.now(), Ended: e.now()}, nil
}

func (e *Engine) locked(ctx context.Context, j *journal, b *bench, d deed) (Outcome, error) {
	orders, _, _, err := readJournal(e.Places.State)
	if err != nil {
		return Outcome{}, err
	}
	hash, err := b.order.hash()
	if err != nil {
		return Outcome{}, err
	}
	if known := orders[b.order.ID]; known != nil {
		return b.again(ctx, j, d, known, hash)
	}
	grant, err := e.authority(b, d, orders)
	if err != nil {
		return e.refuse(b.order, err)
	}
	begun := record{At: e.now(), Event: "begun", ID: b.order.ID, Hash: hash, Order: b.bare(), Plan: grant.plan, People: grant.people, Local: grant.local}
	switch {
	case b.order.Confirm:
		return b.confirm(ctx, j, begun, orders)
	case b.order.Undo:
		return b.undoOf(ctx, j, d, begun, orders)
	}
	return b.fresh(ctx, j, d, begun)
}

func (b *bench) bare() *Order {
	o := b.order
	o.Mandate = nil
	return &o
}

// again answers an order whose id the journal knows.
func (b *bench) again(ctx context.Context, j *journal, d deed, known *entry, hash string) (Outcome, error) {
	if known.Hash != hash {
		return b.refuse(b.order, fault.New(fault.Conflict, "order id %.80s was used for another order", b.order.ID))
	}
	if known.Ended != nil {
		out := *known.Ended
		out.Repeat = true
		return out, nil
	}
	b.before = known.Begun.Before
	out := Outcome{Order: b.order.ID, Status: Unknown, Began: known.Begun.At, Ended: b.now(), Before: b.before, CanUndo: known.Begun.CanUndo, Repeat: true}
	if b.order.Undo || b.order.Confirm {
		out.Says = "this was begun before and its end was not seen: look, then order it again under a new attempt"
		return out, nil
	}
	proof, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	after, err := d.verify(proof, b)
	if err != nil {
		out.Says = "this was begun before and its end was not seen; the machine does not show its effect: " + err.Error()
		return out, nil
	}
	out.Status, out.Says, out.After, out.Log = Done, "this was begun before and its end was not seen; the machine shows its effect", encode(after), b.log
	return b.end(j, out)
}

// fresh does an act for the first time.
func (b *bench) fresh(ctx context.Context, j *journal, d deed, begun record) (Outcome, error) {
	p, err := d.check(ctx, b)
	if err == nil && p.Refused != "" {
		err = denied("%s", p.Refused)
	}
	if err != nil {
		return b.refuse(b.order, err)
	}
	begun.Before, begun.CanUndo = p.Finds, canUndo(p)
	out := Outcome{Order: b.order.ID, Began: begun.At, Before: p.Finds, CanUndo: begun.CanUndo}
	if p.Already {
		out.Status, out.Says, out.Ended, out.CanUndo = Already, "nothing to do: "+first(p.Says), b.now(), false
		b.before = p.Finds
		if after, err := d.verify(ctx, b); err == nil {
			out.After = encode(after)
		}
		begun.Event, begun.Outcome, begun.CanUndo = "ended", &out, false
		return out, j.write(begun)
	}
	if within := confirmWithin(d); within > 0 {
		begun.UndoBy = b.now().Add(within)
	}
	if err := j.write(begun); err != nil {
		return b.refuse(b.order, err)
	}
	b.before = p.Finds
	return b.carryOut(ctx, j, d, out, begun)
}

// carryOut does, then looks. What it cannot see it calls unknown. From here on the caller may go away: what was begun goes on to its
// own deadline, because half an act is worse than one that nobody waits for, and the repeated order tells how it ended.
func (b *bench) carryOut(ctx context.Context, j *journal, d deed, out Outcome, begun record) (Outcome, error) {
	if !begun.UndoBy.IsZero() {
		if err := b.undoLater(ctx, begun); err != nil {
			out.Status, out.Says, out.Ended = Refused, "nothing was done, because it could not be arranged that it undoes itself: "+err.Error(), b.now()
			return b.end(j, out)
		}
	}
	limit := b.order.deadline()
	acting, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	didErr := d.do(acting, b)
	b.did = didErr == nil
	late := acting.Err() != nil
	cancel()
	proof, cancel := context.WithTimeout(context.WithoutCancel(ctx), proofTime)
	defer cancel()
	after, proofErr := d.verify(proof, b)
	out.After, out.Ended = encode(after), b.now()
	switch {
	case nothing(didErr):
		out.Status, out.Says, out.CanUndo = Refused, didErr.Error(), false
	case proofErr == nil && didErr == nil:
		out.Status, out.Says = Done, "done and seen"
	case proofErr == nil:
		out.Status, out.Says = Done, "done and seen, although: "+didErr.Error()
	case late || fault.Is(proofErr, fault.Unsure):
		out.Status, out.Says = Unknown, "its end was not seen: "+errors.Join(didErr, proofErr).Error()
	case didErr != nil:
		out.Status, out.Says = Failed, didErr.Error()
	default:
		out.Status, out.Says = Failed, "done, but the machine does not show its effect: "+proofErr.Error()
	}
	if !begun.UndoBy.IsZero() && out.Status != Refused {
		out.Says += "; undoes itself at " + begun.UndoBy.Format(time.RFC3339) + " unless confirmed"
	}
	if logs, ok := d.(interface {
		tail(context.Context, *bench) []string
	}); ok && out.Status != Done {
		b.say(logs.tail(proof, b)...)
	}
	out.Log = b.log
	return b.end(j, out)
}

// end records an outcome. An outcome that cannot be recorded is still answered, as unsure: the next look will find it begun.
func (b *bench) end(j *journal, out Outcome) (Outcome, error) {
	out.Order, out.Says = b.order.ID, Clean(out.Says)
	stored := out
	stored.Repeat = false
	if out.Status == Unknown {
		return out, nil // stays begun, so that it is looked at again
	}
	if err := j.write(record{At: b.now(), Event: "ended", ID: b.order.ID, Outcome: &stored}); err != nil {
		return out, fault.New(fault.Unsure, "order %.80s ended as %s, but that could not be recorded: %v", b.order.ID, out.Status, err)
	}
	return out, nil
}

// undoOf undoes what another order did, from the journal's record of it.
func (b *bench) undoOf(ctx context.Context, j *journal, d deed, begun record, orders map[string]*entry) (Outcome, error) {
	of, err := b.target(orders)
	if err != nil {
		return b.refuse(b.order, err)
	}
	out := Outcome{Order: b.order.ID, Began: begun.At}
	if of.Undone {
		out.Status, out.Says, out.Ended = Already, "it was undone before", b.now()
		begun.Event, begun.Outcome = "ended", &out
		return out, j.write(begun)
	}
	if err := j.write(begun); err != nil {
		return b.refuse(b.order, err)
	}
	b.before = of.Begun.Before
	acting, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.order.deadline())
	defer cancel()
	after, err := d.undo(acting, b)
	out.After, out.Log, out.Ended = encode(after), b.log, b.now()
	switch {
	case err == nil:
		out.Status, out.Says = Undone, "as it was before "+of.Begun.Order.ID
	case acting.Err() != nil:
		out.Status, out.Says = Unknown, "the time was over before the end was seen: "+err.Error()
	default:
		out.Status, out.Says = Failed, err.Error()
	}
	if err == nil && !of.Begun.UndoBy.IsZero() {
		b.cancelLater(ctx, of.Begun.ID)
	}
	return b.end(j, out)
}

// confirm keeps what another order did.
func (b *bench) confirm(ctx context.Context, j *journal, begun record, orders map[string]*entry) (Outcome, error) {
	of, err := b.target(orders)
	if err == nil && of.Undone {
		err = fault.New(fault.Conflict, "too late: it has been undone")
	}
	if err == nil && of.Begun.UndoBy.IsZero() {
		err = fault.New(fault.Conflict, "order %.80s does not wait for a confirmation", b.order.Of)
	}
	if err != nil {
		return b.refuse(b.order, err)
	}
	if err := j.write(record{At: b.now(), Event: "confirmed", ID: b.order.Of}); err != nil {
		return b.refuse(b.order, err)
	}
	b.cancelLater(ctx, of.Begun.ID)
	out := Outcome{Order: b.order.ID, Status: Done, Says: "confirmed: it stays", Began: begun.At, Ended: b.now()}
	begun.Event, begun.Outcome = "ended", &out
	return out, j.write(begun)
}

func canUndo(p Preview) bool { return len(p.Undo) > 0 && !cannot(p.Undo) }

func cannot(undo string) bool {
	const word = "cannot be undone"
	return len(undo) >= len(word) && undo[:len(word)] == word
}

func first(says []string) string {
	if len(says) == 0 {
		return "the wanted state is there"
	}
	return says[0]
}

// encode is for values of our own types, which always encode.
func encode(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
