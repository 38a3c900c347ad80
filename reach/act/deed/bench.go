// Package deed is every act of the closed list as a machine does it: look first, do, prove, take back.
package deed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

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

	systemd *systemd.Manager
}

// Of returns the deed of an act.
func Of(a act.Act) (Deed, error) {
	params, err := a.Params()
	if err != nil {
		return nil, err
	}
	switch with := params.(type) {
	case *act.UpgradeWith:
		return upgrade{with}, nil
	case *act.UnitsWith:
		return units{a.Kind, with}, nil
	case *act.HookWith:
		return hook{with.Name, with.Params}, nil
	case *act.DrainWith:
		return drain{a.Kind, with}, nil
	case *act.PlaceWith:
		return place{with}, nil
	case *act.RebootWith:
		return reboot{with}, nil
	case *act.SignalWith:
		return signal{with}, nil
	case *act.InstallLibWith:
		return installLib{with}, nil
	case *act.MakeKeyWith:
		return makeKey{with}, nil
	case *act.UnsealWith:
		return unseal{with}, nil
	case *act.RevokeOwnWith:
		return revokeOwn{with}, nil
	}
	return nil, fault.New(fault.Unsupported, "act %s cannot be done by this version", a.Kind)
}

// Safer tells whether an act only takes exposure away: what root on the machine itself may do without anybody's vote
// (docs/decisions/local-root.md).
func Safer(d Deed) bool {
	switch does := d.(type) {
	case units:
		return does.kind == act.Stop || does.kind == act.Mask || does.kind == act.Restart
	case drain:
		return does.kind == act.Drain
	case upgrade:
		return !does.with.Downgrade
	case signal:
		switch does.with.Signal {
		case "TERM", "KILL", "INT", "QUIT", "STOP":
			return true
		}
	}
	return false
}

// ConfirmWithin tells how long an act waits for its confirmation before it undoes itself; 0: it does not.
func ConfirmWithin(d Deed) time.Duration {
	switch does := d.(type) {
	case units:
		return time.Duration(does.with.ConfirmMS) * time.Millisecond
	case place:
		return time.Duration(does.with.ConfirmMS) * time.Millisecond
	}
	return 0
}

// Tail gives the last lines that the units of a deed wrote, for an outcome that is not good.
func Tail(ctx context.Context, d Deed, b *Bench) []string {
	if u, ok := d.(units); ok {
		return u.tail(ctx, b)
	}
	return nil
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

func usage(format string, args ...any) error { return fault.New(fault.Usage, format, args...) }

func denied(format string, args ...any) *fault.Error { return fault.New(fault.Denied, format, args...) }

// Encode is for values of our own types, which always encode.
func Encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
