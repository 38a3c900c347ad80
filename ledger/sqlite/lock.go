package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
)

// holder is what the lock file tells about who has the ledger open.
type holder struct {
	PID   int       `json:"pid"`
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
	// Size and Changed describe the database after an orderly close.
	Size    int64 `json:"size,omitempty"`
	Changed int64 `json:"changed,omitempty"`
}

// lockFile is PATH.lock: shared by all who have the ledger open for writing, or held by one alone.
type lockFile struct {
	*os.File
	first bool // nobody else had it open when we came
}

// takeLock takes the lock alone if that is possible, so that the first who opens can check the file in peace; settle lets others in.
func takeLock(ctx context.Context, opt Options) (*lockFile, error) {
	f, err := os.OpenFile(opt.Path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fault.New(fault.Denied, "the ledger's lock: %v", err)
	}
	l := &lockFile{File: f}
	deadline := time.Now().Add(opt.Wait)
	for {
		if l.try(syscall.LOCK_EX) {
			l.first = true
			return l, nil
		}
		if !opt.Alone && l.try(syscall.LOCK_SH) {
			return l, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, errors.Join(l.held(opt.Path), f.Close())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *lockFile) try(how int) bool {
	return syscall.Flock(int(l.Fd()), how|syscall.LOCK_NB) == nil
}

// settle lets others in, unless the opener wants to be alone.
func (l *lockFile) settle(alone bool) error {
	if alone {
		return nil
	}
	// The change is not atomic: another opener may hold it alone for the moment of its own check.
	for range 500 {
		if l.try(syscall.LOCK_SH) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fault.New(fault.Conflict, "the ledger's lock was lost")
}

// alone tells whether nobody else has the ledger open now; then nobody else gets in until the lock is given up.
func (l *lockFile) alone() bool { return l.try(syscall.LOCK_EX) }

func (l *lockFile) held(path string) error {
	h := l.read()
	who := "another process"
	if h.PID != 0 {
		who = fmt.Sprintf("%q (process %d, since %s)", h.Who, h.PID, h.Since.UTC().Format("15:04:05 UTC"))
	}
	return fault.New(fault.Conflict, "the ledger at %s is open for writing by %s", path, who).
		Hinted("give the command there, or wait until it ends")
}

func (l *lockFile) read() holder {
	b := make([]byte, 4096)
	n, _ := l.ReadAt(b, 0) // a short or absent text tells nothing, which is fine
	var h holder
	if json.Unmarshal([]byte(strings.TrimSpace(string(b[:n]))), &h) != nil {
		return holder{}
	}
	return h
}

func (l *lockFile) write(h holder) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := l.Truncate(0); err != nil {
		return err
	}
	_, err = l.WriteAt(append(b, '\n'), 0)
	return err
}
