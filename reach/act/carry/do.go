package carry

import (
	"context"
	"errors"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/journal"
	"staunch/tame"
)

// proofTime is how long proving may take after the act's own deadline.
const proofTime = 30 * time.Second

// Do carries out an order, once. A repeated id is answered from the journal; an order that was begun and whose end was not seen is
// answered as unknown, or as done where the machine itself proves it. Refusals change nothing and are outcomes, not errors; an
// error means that the order makes no sense, or that the journal cannot be trusted.
func (e *Engine) Do(ctx context.Context, o act.Order) (act.Outcome, error) {
	b, d, err := e.job(o)
	if err != nil {
		return e.refuse(o, err)
	}
	defer b.Close()
	wait, cancel := context.WithTimeout(ctx, o.Deadline())
	defer cancel()
	j, err := journal.Open(wait, e.Places.State)
	if err != nil {
		return e.refuse(o, err)
	}
	out, err := e.locked(ctx, j, b, d)
	if closed := j.Close(); closed != nil && err == nil {
		err = fault.New(fault.Bug, "the journal's lock: %v", closed)
	}
	return out, err
}

// refuse makes an outcome of an error that means: nothing was done.
func (e *Engine) refuse(o act.Order, err error) (act.Outcome, error) {
	switch fault.KindOf(err) {
	case fault.Usage, fault.Corrupt, fault.Bug, fault.Unsure:
		return act.Outcome{}, err
	}
	says := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		says += " (" + hint + ")"
	}
	return act.Outcome{Order: o.ID, Status: act.Refused, Says: says, Began: e.now(), Ended: e.now()}, nil
}

func (e *Engine) locked(ctx context.Context, j *journal.Journal, b *job, d bench.Deed) (act.Outcome, error) {
	orders, _, _, err := journal.Read(e.Places.State)
	if err != nil {
		return act.Outcome{}, err
	}
	hash, err := b.order.Hash()
	if err != nil {
		return act.Outcome{}, err
	}
	if err := errors.Join(sweep(orders), e.tidy(j, orders)); err != nil {
		b.Say("what old orders left could not be tidied up: " + err.Error())
	}
	if known := orders[b.order.ID]; known != nil {
		return b.again(ctx, j, d, known, hash)
	}
	grant, err := e.authority(b, d, orders)
	if err != nil {
		return e.refuse(b.order, err)
	}
	begun := journal.Record{At: e.now(), Event: "begun", ID: b.order.ID, Hash: hash, Order: b.bare(), Plan: grant.plan, People: grant.people, Until: grant.until, Local: grant.local}
	switch {
	case b.order.Confirm:
		return b.confirm(ctx, j, begun, orders)
	case b.order.Undo:
		return b.undoOf(ctx, j, d, begun, orders)
	}
	return b.fresh(ctx, j, d, begun)
}

func (b *job) bare() *act.Order {
	o := b.Order
	o.Mandate = nil
	return &o
}

// again answers an order whose id the journal knows.
func (b *job) again(ctx context.Context, j *journal.Journal, d bench.Deed, known *journal.Entry, hash string) (act.Outcome, error) {
	if known.Hash != hash {
		return b.refuse(b.order, fault.New(fault.Conflict, "order id %.80s was used for another order", b.order.ID))
	}
	if known.Ended != nil {
		out := *known.Ended
		out.Repeat = true
		return out, nil
	}
	b.Before = known.Begun.Before
	out := act.Outcome{Order: b.order.ID, Status: act.Unknown, Began: known.Begun.At, Ended: b.now(), Before: b.Before, CanUndo: known.Begun.CanUndo, Repeat: true}
	if b.order.Undo || b.order.Confirm {
		out.Says = "this was begun before and its end was not seen: look, then order it again under a new attempt"
		return out, nil
	}
	proof, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	after, err := d.Verify(proof, b.Bench)
	if err != nil {
		out.Says = "this was begun before and its end was not seen; the machine does not show its effect: " + err.Error()
		return out, nil
	}
	out.Status, out.Says, out.After, out.Log = act.Done, "this was begun before and its end was not seen; the machine shows its effect", bench.Encode(after), b.Log
	return b.end(j, out)
}

// fresh does an act for the first time.
func (b *job) fresh(ctx context.Context, j *journal.Journal, d bench.Deed, begun journal.Record) (act.Outcome, error) {
	p, err := d.Check(ctx, b.Bench)
	if err == nil && p.Refused != "" {
		err = denied("%s", p.Refused)
	}
	if err != nil {
		return b.refuse(b.order, err)
	}
	begun.Before, begun.CanUndo = p.Finds, canUndo(p)
	out := act.Outcome{Order: b.order.ID, Began: begun.At, Before: p.Finds, CanUndo: begun.CanUndo}
	if p.Already {
		out.Status, out.Says, out.Ended, out.CanUndo = act.Already, "nothing to do: "+first(p.Says), b.now(), false
		b.Before = p.Finds
		if after, err := d.Verify(ctx, b.Bench); err == nil {
			out.After = bench.Encode(after)
		}
		begun.Event, begun.Outcome, begun.CanUndo = "ended", &out, false
		return out, j.Write(begun)
	}
	if within := confirmWithin(d); within > 0 {
		begun.UndoBy = b.now().Add(within)
	}
	if err := j.Write(begun); err != nil {
		return b.refuse(b.order, err)
	}
	b.Before = p.Finds
	return b.carryOut(ctx, j, d, out, begun)
}

// carryOut does, then looks. What it cannot see it calls unknown. From here on the caller may go away: what was begun goes on to its
// own deadline, because half an act is worse than one that nobody waits for, and the repeated order tells how it ended.
func (b *job) carryOut(ctx context.Context, j *journal.Journal, d bench.Deed, out act.Outcome, begun journal.Record) (act.Outcome, error) {
	waits, err := b.arranged(ctx, begun)
	if err != nil {
		out.Status, out.Says, out.Ended = act.Refused, "nothing was done, because it could not be arranged that it undoes itself: "+err.Error(), b.now()
		return b.end(j, out)
	}
	acting, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.order.Deadline())
	didErr := d.Do(acting, b.Bench)
	b.Did = didErr == nil
	late := acting.Err() != nil
	cancel()
	proof, cancel := context.WithTimeout(context.WithoutCancel(ctx), proofTime)
	defer cancel()
	after, proofErr := d.Verify(proof, b.Bench)
	out.After, out.Ended = bench.Encode(after), b.now()
	out.Status, out.Says = judged(didErr, proofErr, late)
	if out.Status == act.Refused {
		out.CanUndo = false
	}
	if b.NoUndo != "" {
		out.CanUndo = false
		out.Says += "; cannot be undone: " + b.NoUndo
	}
	switch {
	case waits != "" && out.Status == act.Refused: // nothing was done, so there is nothing to wait for
		b.cancelLater(ctx, begun.ID)
	case waits != "":
		out.Says += waits
	}
	if out.Status != act.Done {
		b.Say(tailOf(proof, d, b.Bench)...)
	}
	out.Log = b.Log
	return b.end(j, out)
}

// arranged sees to it that an order which waits for a confirmation undoes itself, and says so.
func (b *job) arranged(ctx context.Context, begun journal.Record) (waits string, err error) {
	if begun.UndoBy.IsZero() {
		return "", nil
	}
	lasts, err := b.undoLater(ctx, begun)
	if err != nil {
		return "", err
	}
	waits = "; undoes itself at " + begun.UndoBy.Format(time.RFC3339) + " unless confirmed"
	if !lasts {
		waits += " (a reboot before that would forget it: /etc cannot be written here)"
	}
	return waits, nil
}

// judged weighs what the act said of itself against what the machine shows.
func judged(did, proof error, late bool) (act.Status, string) {
	switch {
	case bench.NothingDone(did):
		return act.Refused, did.Error()
	case proof == nil && did == nil:
		return act.Done, "done and seen"
	case proof == nil:
		return act.Done, "done and seen, although: " + did.Error()
	case late || fault.Is(proof, fault.Unsure):
		return act.Unknown, "its end was not seen: " + strings.ReplaceAll(errors.Join(did, proof).Error(), "\n", "; ")
	case did != nil:
		return act.Failed, did.Error()
	}
	return act.Failed, "done, but the machine does not show its effect: " + proof.Error()
}

// end records an outcome. An outcome that cannot be recorded is still answered, as unsure: the next look will find it begun.
func (b *job) end(j *journal.Journal, out act.Outcome) (act.Outcome, error) {
	out.Order, out.Says = b.order.ID, tame.Short(out.Says, 1000)
	stored := out
	stored.Repeat = false
	if out.Status == act.Unknown {
		return out, nil // stays begun, so that it is looked at again
	}
	if err := j.Write(journal.Record{At: b.now(), Event: "ended", ID: b.order.ID, Outcome: &stored}); err != nil {
		return out, fault.New(fault.Unsure, "order %.80s ended as %s, but that could not be recorded: %v", b.order.ID, out.Status, err)
	}
	return out, nil
}

// undoOf undoes what another order did, from the journal's record of it.
func (b *job) undoOf(ctx context.Context, j *journal.Journal, d bench.Deed, begun journal.Record, orders map[string]*journal.Entry) (act.Outcome, error) {
	of, err := b.target(orders)
	if err != nil {
		return b.refuse(b.order, err)
	}
	out := act.Outcome{Order: b.order.ID, Began: begun.At}
	if of.Undone {
		out.Status, out.Says, out.Ended = act.Already, "it was undone before", b.now()
		begun.Event, begun.Outcome = "ended", &out
		return out, j.Write(begun)
	}
	if err := j.Write(begun); err != nil {
		return b.refuse(b.order, err)
	}
	b.Before = of.Begun.Before
	acting, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.order.Deadline())
	defer cancel()
	after, err := d.Undo(acting, b.Bench)
	out.After, out.Log, out.Ended = bench.Encode(after), b.Log, b.now()
	switch {
	case err == nil:
		out.Status, out.Says = act.Undone, "as it was before "+of.Begun.Order.ID
	case acting.Err() != nil:
		out.Status, out.Says = act.Unknown, "the time was over before the end was seen: "+err.Error()
	default:
		out.Status, out.Says = act.Failed, err.Error()
	}
	if err == nil && !of.Begun.UndoBy.IsZero() {
		b.cancelLater(ctx, of.Begun.ID)
	}
	return b.end(j, out)
}

// confirm keeps what another order did.
func (b *job) confirm(ctx context.Context, j *journal.Journal, begun journal.Record, orders map[string]*journal.Entry) (act.Outcome, error) {
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
	if err := j.Write(journal.Record{At: b.now(), Event: "confirmed", ID: b.order.Of}); err != nil {
		return b.refuse(b.order, err)
	}
	b.cancelLater(ctx, of.Begun.ID)
	out := act.Outcome{Order: b.order.ID, Status: act.Done, Says: "confirmed: it stays", Began: begun.At, Ended: b.now()}
	begun.Event, begun.Outcome = "ended", &out
	return out, j.Write(begun)
}

func canUndo(p act.Preview) bool { return len(p.Undo) > 0 && !cannot(p.Undo) }

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
