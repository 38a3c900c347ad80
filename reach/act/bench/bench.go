// Package bench is what every act works with: the order, what was there before, programs without a shell, systemd, and a log.
package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bounds"
	"staunch/reach/act/files"
	"staunch/reach/act/systemd"
	"staunch/tame"
)

// Deed is one kind of act with its parameters. What passes between the methods is JSON, because it outlives the process.
type Deed interface {
	// Check looks, changes nothing, and fills in the preview; Finds is what Do, Verify and Undo get as Before.
	Check(ctx context.Context, b *Bench) (act.Preview, error)
	// Do does it. An error that NothingDone knows means: the machine is as it was.
	Do(ctx context.Context, b *Bench) error
	// Verify proves from the machine itself that the act has its effect; after is for the record.
	Verify(ctx context.Context, b *Bench) (after any, err error)
	// Undo brings back what Before says and proves it.
	Undo(ctx context.Context, b *Bench) (after any, err error)
}

// Bench is what a deed works with.
type Bench struct {
	Places bounds.Places
	Policy bounds.Policy
	Order  act.Order
	Before json.RawMessage
	Did    bool   // Do has just ended well: what only its own end can tell is known
	NoUndo string // Do found out that what it did cannot be undone, and why
	Chroot string // package managers work in this directory; "" on the machine itself
	Says   func(string)
	Log    []string

	// Hook runs a hook of this host by its name, and Reloadable tells whether units may be reloaded: what a bundle of files needs of other acts.
	Hook       func(ctx context.Context, name string) error
	Reloadable func(ctx context.Context, units []string) error

	systemd *systemd.Manager
	heard   []string // what the program that ran last printed
}

// Close ends what the bench opened.
func (b *Bench) Close() {
	if b.systemd != nil {
		b.systemd.Close()
		b.systemd = nil
	}
}

// Units opens systemd at the first use. The connection outlives the order's deadline, because proving comes after it.
func (b *Bench) Units(ctx context.Context) (*systemd.Manager, error) {
	if b.systemd == nil {
		m, err := systemd.Open(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		b.systemd = m
	}
	return b.systemd, nil
}

// Saved is the directory where this order (or the order that it undoes) keeps what undo needs.
func (b *Bench) Saved() string {
	id := b.Order.ID
	if b.Order.Of != "" {
		id = b.Order.Of
	}
	return SavedOf(b.Places.State, id)
}

// SavedOf is that directory of an order.
func SavedOf(state, order string) string {
	sum := sha256.Sum256([]byte(order))
	return filepath.Join(state, "undo", hex.EncodeToString(sum[:16]))
}

// MkdirSaved makes that directory.
func (b *Bench) MkdirSaved() error {
	if err := os.MkdirAll(b.Saved(), 0o700); err != nil {
		return files.NoRoom(err, b.Saved())
	}
	return nil
}

// Tell passes on what goes on to whoever waits.
func (b *Bench) Tell(text string) {
	if b.Says != nil {
		b.Says(text)
	}
}

// Say keeps lines for the outcome's log, cleaned, the last 200.
func (b *Bench) Say(lines ...string) {
	for _, line := range lines {
		if line = tame.Short(line, 1000); line != "" {
			b.Log = append(b.Log, line)
		}
	}
	if n := len(b.Log); n > 200 {
		b.Log = b.Log[n-200:]
	}
}

// Denied is a refusal: policy, or a precondition.
func Denied(format string, args ...any) *fault.Error { return fault.New(fault.Denied, format, args...) }

// Encode is for values of our own types, which always encode.
func Encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// SavedInside is the saved directory as programs inside of the chroot see it.
func (b *Bench) SavedInside() string {
	return "/" + strings.TrimPrefix(strings.TrimPrefix(b.Saved(), b.Chroot), "/")
}

var errNothing = errors.New("nothing was changed")

// Untouched marks an error after which the machine is as it was.
func Untouched(err error) error {
	return fault.New(fault.KindOf(err), "%v", err).Hinted("%s", fault.HintOf(err)).Caused(errNothing)
}

// NothingDone tells whether the machine is as it was before an error.
func NothingDone(err error) bool { return errors.Is(err, errNothing) }
