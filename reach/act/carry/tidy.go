package carry

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/files"
	"staunch/reach/act/journal"
)

const (
	// undoDays is how long what an undo needs is kept after an order's end.
	undoDays = 30
	// undoRoom is how much all of that may take on disk, in bytes; the oldest goes first.
	undoRoom = 2 << 30
)

// saved is the directory of one order with what its undo needs.
type saved struct {
	path  string
	id    string // "" where the journal knows no such order
	entry *journal.Entry
	at    time.Time
	size  int64
}

// tidy throws away what no undo needs any more, and makes the journal forget old orders. It never touches what an order needs that has
// no end yet or waits for its confirmation. That something is thrown away is written down first, so that an undo is refused and not half done.
func (e *Engine) tidy(j *journal.Journal, orders map[string]*journal.Entry) error {
	all, err := e.saved(orders)
	if err != nil {
		return err
	}
	now := e.now()
	var errs []error
	total := int64(0)
	for _, s := range all { // the youngest first
		total += s.size
		age := now.Sub(s.at)
		switch {
		case s.entry != nil && s.entry.Open():
			continue
		case age < undoDays*24*time.Hour && total <= undoRoom && (s.entry == nil || !s.entry.Undone || age < 24*time.Hour):
			continue
		}
		errs = append(errs, drop(j, s, now))
		total -= s.size
	}
	return errors.Join(append(errs, j.Forget(now))...)
}

// sweep takes away files that were staged by acts which were killed before they gave them their names: they may hold anything.
func sweep(orders map[string]*journal.Entry) error {
	var errs []error
	for _, e := range orders {
		if e.Ended != nil || e.Begun == nil || e.Begun.Order == nil || e.Begun.Order.Act.Kind != act.Place && e.Begun.Order.Act.Kind != act.InstallLib {
			continue
		}
		var cut files.Bundle
		if err := json.Unmarshal(e.Begun.Before, &cut); err != nil {
			continue // an undo has no files of its own
		}
		errs = append(errs, cut.Sweep())
	}
	return errors.Join(errs...)
}

func drop(j *journal.Journal, s saved, now time.Time) error {
	if s.entry != nil && !s.entry.Dropped {
		if err := j.Write(journal.Record{At: now, Event: "dropped", ID: s.id}); err != nil {
			return err
		}
		s.entry.Dropped = true
	}
	return os.RemoveAll(s.path)
}

// saved lists what is kept for undo, the youngest first.
func (e *Engine) saved(orders map[string]*journal.Entry) ([]saved, error) {
	dir := filepath.Join(e.Places.State, "undo")
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Denied, "%s: %v", dir, err)
	}
	whose := map[string]string{}
	for id := range orders {
		whose[bench.SavedOf(e.Places.State, id)] = id
	}
	var all []saved
	for _, name := range names {
		s := saved{path: filepath.Join(dir, name.Name())}
		s.id = whose[s.path]
		s.entry = orders[s.id]
		if info, err := name.Info(); err == nil {
			s.at = info.ModTime()
		}
		if s.entry != nil && s.entry.Ended != nil {
			s.at = s.entry.Ended.Ended
		}
		s.size = sizeOf(s.path)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b saved) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.path, b.path)) })
	return all, nil
}

// sizeOf adds up the files below a directory; what vanishes meanwhile has no size.
func sizeOf(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // its only error would be ours
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
