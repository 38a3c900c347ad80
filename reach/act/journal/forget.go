package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"time"

	"staunch/reach/act/files"
)

const (
	// Remembered is how long an order is remembered at least, whatever became of it.
	Remembered = 90 * 24 * time.Hour
	// forgetAbove is the size, in bytes, from which on a journal forgets old orders.
	forgetAbove = 4 << 20
)

// Forget writes a large journal anew without the orders that can neither be repeated nor undone any more: ended, older than
// Remembered, their mandate expired, and not the target of an order that stays. It is atomic: a crash leaves the old or the new one.
func (j *Journal) Forget(now time.Time) error {
	info, err := os.Stat(j.path())
	if err != nil || info.Size() < forgetAbove {
		return nil
	}
	text, err := os.ReadFile(j.path())
	if err != nil {
		return files.NoRoom(err, j.dir)
	}
	orders, _, whole, err := parse(text)
	if err != nil {
		return err
	}
	shorter := without(text[:whole], orders, now)
	if len(shorter) > int(whole)/2 { // not worth the writing
		return nil
	}
	staged := filepath.Join(j.dir, journalName+".new")
	if err := writeWhole(staged, shorter); err != nil {
		return errors.Join(files.NoRoom(err, j.dir), os.Remove(staged))
	}
	if err := os.Rename(staged, j.path()); err != nil {
		return files.NoRoom(err, j.dir)
	}
	return files.SyncDir(j.dir)
}

// without leaves out the lines of old orders.
func without(text []byte, orders map[string]*Entry, now time.Time) []byte {
	stays := map[string]bool{}
	for id, e := range orders {
		if !old(e, now) {
			stays[id] = true
			if e.Begun != nil && e.Begun.Order != nil {
				stays[e.Begun.Order.Of] = true
			}
		}
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(text) {
		if r, ok := parseRecord(bytes.TrimSuffix(line, []byte{'\n'})); ok && stays[r.ID] {
			kept.Write(line)
		}
	}
	return kept.Bytes()
}

func old(e *Entry, now time.Time) bool {
	return e.Begun != nil && !e.Open() && now.Sub(e.Begun.At) > Remembered && now.After(e.Begun.Until)
}

func writeWhole(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
