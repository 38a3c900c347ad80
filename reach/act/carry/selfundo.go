package carry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/files"
	"staunch/reach/act/journal"
)

func timerName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "staunch-undo-" + hex.EncodeToString(sum[:8])
}

// undoLater arranges that the act is undone unless it is confirmed: a timer of systemd runs a copy of this very program, which
// lies in the order's own directory, so that neither a lost connection nor a cleaned cache nor a reboot stops it. lasts is false on a
// machine where a reboot would forget the timer.
func (b *job) undoLater(ctx context.Context, begun journal.Record) (lasts bool, err error) {
	if len(b.Self) == 0 {
		return false, fault.New(fault.Unsupported, "this program does not know how to call itself again")
	}
	if !begun.CanUndo {
		return false, denied("the act cannot be undone, so it cannot undo itself")
	}
	if err := b.MkdirSaved(); err != nil {
		return false, err
	}
	exe := filepath.Join(b.Saved(), "program")
	if err := copyProgram(b.Self[0], exe); err != nil {
		return false, err
	}
	m, err := b.Units(ctx)
	if err != nil {
		return false, err
	}
	command := append(append([]string{exe}, b.Self[1:]...), begun.ID)
	return m.Later(ctx, timerName(begun.ID), begun.UndoBy, begun.UndoBy.Sub(b.now()), command)
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fault.New(fault.Denied, "%s: %v", from, err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		return files.NoRoom(err, to)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return files.NoRoom(err, to)
	}
	return nil
}

// cancelLater stops the timer. The journal is what decides: a timer that fires after a confirmation finds it there.
func (b *job) cancelLater(ctx context.Context, id string) {
	m, err := b.Units(ctx)
	if err == nil {
		err = m.NotLater(ctx, timerName(id))
	}
	if err != nil {
		b.Say("the timer that would undo it goes on, but will find the confirmation: " + err.Error())
	}
	if err := os.Remove(filepath.Join(bench.SavedOf(b.Engine.Places.State, id), "program")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.Say("the copy of this program for the timer stays: " + err.Error())
	}
}

// SelfUndo undoes an order that nobody confirmed. It does nothing for one that was confirmed, undone, or never waited.
func (e *Engine) SelfUndo(ctx context.Context, id string) (act.Outcome, error) {
	orders, _, _, err := journal.Read(e.Places.State)
	if err != nil {
		return act.Outcome{}, err
	}
	of := orders[id]
	if of == nil || of.Begun == nil || of.Begun.Order == nil || of.Begun.UndoBy.IsZero() {
		return act.Outcome{}, fault.New(fault.NotFound, "no order %.80s waits for a confirmation", id)
	}
	undo := *of.Begun.Order
	undo.ID, undo.Undo, undo.Of = id+"/unconfirmed", true, id
	b, d, err := e.job(undo)
	if err != nil {
		return act.Outcome{}, err
	}
	defer b.Close()
	j, err := journal.Open(ctx, e.Places.State)
	if err != nil {
		return act.Outcome{}, err
	}
	out, err := b.selfUndo(ctx, j, d)
	return out, errors.Join(err, j.Close())
}

// selfUndo decides under the lock: a confirmation that came first wins.
func (b *job) selfUndo(ctx context.Context, j *journal.Journal, d bench.Deed) (act.Outcome, error) {
	orders, _, _, err := journal.Read(b.Engine.Places.State)
	if err != nil {
		return act.Outcome{}, err
	}
	of := orders[b.order.Of]
	refused := of.Ended != nil && of.Ended.Status == act.Refused
	if of.Confirmed || of.Undone || refused {
		b.cancelLater(ctx, b.order.Of)
		return act.Outcome{Order: b.order.ID, Status: act.Already, Says: "nothing to do: it was confirmed, undone, or refused before", Began: b.now(), Ended: b.now()}, nil
	}
	hash, err := b.order.Hash()
	if err != nil {
		return act.Outcome{}, err
	}
	return b.undoOf(ctx, j, d, journal.Record{At: b.now(), Event: "begun", ID: b.order.ID, Hash: hash, Order: b.bare()}, orders)
}
