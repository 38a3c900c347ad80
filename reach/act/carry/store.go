package carry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"staunch/fault"
	"staunch/pattern"
	"staunch/reach/act"
	"staunch/reach/act/files"
	"staunch/reach/act/journal"

	"golang.org/x/sys/unix"
)

const (
	// MaxPayload is the largest payload that a host takes, in bytes.
	MaxPayload = 1 << 30
	// payloadDays is how long a payload is kept after it was last put.
	payloadDays = 7
)

var reSum = pattern.New(`^[0-9a-f]{64}$`)

// Put takes a payload by its content: it lies there under its SHA-256 when Put returns without an error, whole, or not at all.
func (e *Engine) Put(ctx context.Context, sum string, r io.Reader) error {
	if !reSum.MatchString(sum) {
		return fault.New(fault.Usage, "a payload is named by 64 lower-case hex digits")
	}
	dir := e.Places.Payloads
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files.NoRoom(err, dir)
	}
	prune(dir, e.now())
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return files.NoRoom(err, dir)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(stopped{ctx, r}, MaxPayload+1))
	switch {
	case err != nil:
		err = files.NoRoom(err, dir)
	case n > MaxPayload:
		err = fault.New(fault.Full, "payload larger than %d bytes", int64(MaxPayload))
	case hex.EncodeToString(h.Sum(nil)) != sum:
		err = fault.New(fault.Corrupt, "the payload is not what its name says")
	default:
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = unix.Rename(f.Name(), filepath.Join(dir, sum))
	}
	if err != nil {
		return errors.Join(fault.From(err, fault.Denied), os.Remove(f.Name()))
	}
	return nil
}

// stopped ends reading when its context ends.
type stopped struct {
	ctx context.Context
	r   io.Reader
}

func (s stopped) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// prune drops payloads that nobody came back for. What cannot be dropped now is dropped another time.
func prune(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && now.Sub(info.ModTime()) > payloadDays*24*time.Hour {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// Past is one order that this host remembers.
type Past struct {
	Order   act.Order    `json:"order"` // without its mandate
	Began   time.Time    `json:"began"`
	Ended   *act.Outcome `json:"ended,omitempty"` // nil: its end was never seen
	CanUndo bool         `json:"can_undo"`
	Undone  bool         `json:"undone,omitempty"`
	UndoBy  time.Time    `json:"undo_by,omitzero"` // undoes itself then, unless confirmed
	Kept    bool         `json:"confirmed,omitempty"`
	People  []string     `json:"people,omitempty"` // who signed
	Local   bool         `json:"local,omitempty"`  // root on this machine, without a mandate
}

// History lists what this host remembers, oldest first.
func (e *Engine) History() ([]Past, error) {
	orders, sequence, _, err := journal.Read(e.Places.State)
	if err != nil {
		return nil, err
	}
	var past []Past
	for _, id := range sequence {
		known := orders[id]
		if known.Begun == nil || known.Begun.Order == nil {
			continue
		}
		past = append(past, Past{
			Order: *known.Begun.Order, Began: known.Begun.At, Ended: known.Ended, CanUndo: known.Begun.CanUndo && !known.Undone && !known.Dropped, Undone: known.Undone,
			UndoBy: known.Begun.UndoBy, Kept: known.Confirmed, People: known.Begun.People, Local: known.Begun.Local,
		})
	}
	return past, nil
}

// Recorded finds an order in the host's journal.
func (e *Engine) Recorded(id string) (Past, error) {
	past, err := e.History()
	if err != nil {
		return Past{}, err
	}
	for _, p := range past {
		if p.Order.ID == id {
			return p, nil
		}
	}
	return Past{}, fault.New(fault.NotFound, "this host has no record of order %.80s", id).Hinted("staunch do list")
}
