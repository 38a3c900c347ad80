// Package journal is a host's own small record of orders: what was begun, what was seen to end, and what undo needs.
package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/files"

	"golang.org/x/sys/unix"
)

// Journal is the host's own small record of orders: one line a record, a checksum before it, on disk before anything is done.
// A torn last line is what a crash leaves: it is cut off. Damage anywhere else stops everything, because a host that has
// forgotten what it did may do it twice.
type Journal struct {
	dir  string
	lock *os.File
}

// Record is one line. Begun records carry the order without its mandate; ended records the outcome.
type Record struct {
	V       int             `json:"v"`
	At      time.Time       `json:"at"`
	Event   string          `json:"event"` // begun, ended, confirmed, dropped
	ID      string          `json:"id"`
	Hash    string          `json:"hash,omitempty"` // of the order without its mandate
	Order   *act.Order      `json:"order,omitempty"`
	Plan    string          `json:"plan,omitempty"`   // digest
	People  []string        `json:"people,omitempty"` // who signed
	Local   bool            `json:"local,omitempty"`  // root on the host itself, without a mandate
	Before  json.RawMessage `json:"before,omitempty"` // what undo needs
	CanUndo bool            `json:"can_undo,omitempty"`
	UndoBy  time.Time       `json:"undo_by,omitzero"` // undoes itself then, unless confirmed
	Until   time.Time       `json:"until,omitzero"`   // with a mandate: when it expires
	Outcome *act.Outcome    `json:"outcome,omitempty"`
}

// Entry is everything the journal knows of one order.
type Entry struct {
	Begun     *Record
	Ended     *act.Outcome
	Hash      string
	Confirmed bool
	Undone    bool // a later order undid it
	Dropped   bool // what its undo would need was thrown away
}

// Open tells that an order must not be forgotten, nor anything that its undo needs: its end was never seen, or it waits for a
// confirmation.
func (e *Entry) Open() bool {
	return e.Ended == nil || e.Begun != nil && !e.Begun.UndoBy.IsZero() && !e.Confirmed && !e.Undone && e.Ended.Status != act.Refused
}

const (
	journalName = "orders.jsonl"
	ballastName = "ballast" // space kept free so that the end of an order can be written on a full disk
	ballastSize = 256 << 10
	maxRecord   = 8 << 20
	maxJournal  = 512 << 20
)

// Open makes the state directory and takes the host's lock: one order at a time, over all ways in.
func Open(ctx context.Context, dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, files.NoRoom(err, dir)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, files.NoRoom(err, dir)
	}
	for {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(fault.New(fault.Conflict, "another order is being carried out on this host").Hinted("try again when it has ended"), lock.Close())
		}
	}
	j := &Journal{dir: dir, lock: lock}
	if err := j.ballast(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return j, nil
}

// Close lets the next order in.
func (j *Journal) Close() error { return j.lock.Close() }

func (j *Journal) path() string { return filepath.Join(j.dir, journalName) }

// ballast keeps some blocks for the record that ends an order.
func (j *Journal) ballast() error {
	f, err := os.OpenFile(filepath.Join(j.dir, ballastName), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return files.NoRoom(err, j.dir)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, ballastSize); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return files.NoRoom(err, j.dir)
	}
	return nil
}

// Read reads everything and returns the orders in order of their first record, and how many bytes of it are whole.
func Read(dir string) (map[string]*Entry, []string, int64, error) {
	f, err := os.Open(filepath.Join(dir, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]*Entry{}, nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, files.NoRoom(err, dir)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err != nil {
		return nil, nil, 0, fault.New(fault.Corrupt, "the host's journal of orders: %v", err)
	}
	return parse(b)
}

func parse(b []byte) (orders map[string]*Entry, sequence []string, whole int64, err error) {
	orders = map[string]*Entry{}
	for rest := b; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		r, ok := parseRecord(line)
		if !ended || !ok {
			if bytes.IndexByte(after, '\n') >= 0 {
				return nil, nil, 0, fault.New(fault.Corrupt, "the host's journal of orders is damaged at byte %d", whole).
					Hinted("look at what this host did last, move the journal aside, and know that old orders could then be repeated")
			}
			return orders, sequence, whole, nil // torn by a crash: cut off at the next write
		}
		whole += int64(len(line)) + 1
		rest = after
		if orders[r.ID] == nil {
			orders[r.ID] = &Entry{}
			sequence = append(sequence, r.ID)
		}
		orders[r.ID].take(r, orders)
	}
	return orders, sequence, whole, nil
}

func (e *Entry) take(r Record, orders map[string]*Entry) {
	if r.Hash != "" {
		e.Hash = r.Hash
	}
	switch r.Event {
	case "begun":
		e.Begun = &r
	case "confirmed":
		e.Confirmed = true
	case "dropped":
		e.Dropped = true
	case "ended":
		e.Ended = r.Outcome
		if r.Order != nil && e.Begun == nil {
			e.Begun = &r
		}
		if e.Begun != nil && e.Begun.Order != nil && e.Begun.Order.Undo && r.Outcome != nil && r.Outcome.Status == act.Undone && orders[e.Begun.Order.Of] != nil {
			orders[e.Begun.Order.Of].Undone = true
		}
	}
}

func parseRecord(line []byte) (Record, bool) {
	var r Record
	sum, body, found := bytes.Cut(line, []byte{' '})
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !found || err != nil || crc32.ChecksumIEEE(body) != uint32(want) {
		return r, false
	}
	return r, json.Unmarshal(body, &r) == nil && r.ID != ""
}

// Write appends a record and returns when it is on disk. When it cannot, the journal is as before.
func (j *Journal) Write(r Record) error {
	r.V = 1
	body, err := json.Marshal(r)
	if err != nil {
		return fault.New(fault.Bug, "journal: %v", err)
	}
	if len(body) > maxRecord {
		return fault.New(fault.Full, "the record of order %.60s has %d bytes", r.ID, len(body))
	}
	_, _, whole, err := Read(j.dir)
	if err != nil {
		return err
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(body), body)
	err = j.writeAt(line, whole)
	if errors.Is(err, unix.ENOSPC) && r.Event == "ended" {
		if dropped := os.Remove(filepath.Join(j.dir, ballastName)); dropped == nil {
			err = j.writeAt(line, whole)
		}
	}
	if err != nil {
		return files.NoRoom(err, j.dir)
	}
	return nil
}

func (j *Journal) writeAt(line []byte, at int64) error {
	f, err := os.OpenFile(j.path(), os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err = f.Truncate(at); err == nil {
		_, err = f.WriteAt(line, at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(at))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return files.SyncDir(j.dir)
}
