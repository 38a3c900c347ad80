// Package sqlite keeps the ledger in one file on this machine's disk.
package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"staunch/fault"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Options say how a ledger is opened.
type Options struct {
	Path    string           // the database; beside it lie PATH-wal, PATH-shm, PATH.lock, PATH.head and PATH.reserve
	Who     string           // what the lock tells others who holds it: "staunch incident run 7"
	Now     func() time.Time // nil: the machine's clock
	Wait    time.Duration    // how long to wait for another writer; 0: not at all
	Reserve int64            // bytes kept back for a full disk; 0: 8 MB, negative: none
	// Reader opens for reading beside a writer; appends are refused.
	Reader bool
}

// Store is a ledger in a SQLite file: write-ahead log, every acknowledged append on disk, one writer.
type Store struct {
	opt   Options
	lock  *os.File
	pool  *sqlitex.Pool // readers
	write *writer       // nil: opened for reading

	mu     sync.Mutex
	more   chan struct{} // closed and replaced after each commit
	gone   chan struct{} // closed by Close
	closed bool
}

const standardReserve = 8 << 20

// Open opens or makes the ledger. It checks the file first: quickly after an orderly close, wholly otherwise.
// Errors: Conflict when another process writes to it, Corrupt when the file cannot be trusted.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Reserve == 0 {
		opt.Reserve = standardReserve
	}
	s := &Store{opt: opt, more: make(chan struct{}), gone: make(chan struct{})}
	if opt.Reader {
		return s, s.openReader()
	}
	if err := os.MkdirAll(filepath.Dir(opt.Path), 0o700); err != nil {
		return nil, fault.New(fault.Denied, "the ledger's directory: %v", err)
	}
	lock, err := takeLock(ctx, opt)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if err := s.openWriter(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (s *Store) openReader() error {
	if _, err := os.Stat(s.opt.Path); err != nil {
		return fault.New(fault.NotFound, "there is no ledger at %s", s.opt.Path).
			Hinted("`staunch incident open` makes one")
	}
	return s.openPool()
}

func (s *Store) openPool() error {
	pool, err := sqlitex.NewPool(s.opt.Path, sqlitex.PoolOptions{
		Flags: sqlite.OpenReadOnly, PoolSize: 4,
		PrepareConn: func(conn *sqlite.Conn) error {
			conn.SetBusyTimeout(5 * time.Second)
			return nil
		},
	})
	if err != nil {
		return fault.New(fault.Corrupt, "opening %s: %v", s.opt.Path, err)
	}
	s.pool = pool
	return nil
}

func (s *Store) openWriter() error {
	reserve := reserve{path: s.opt.Path + ".reserve", size: s.opt.Reserve}
	conn, err := openConn(s.opt.Path)
	if fault.Is(err, fault.Full) {
		if freed, _ := reserve.free(); freed { // what cannot be freed leaves the disk full, which the second try tells
			conn, err = openConn(s.opt.Path)
		}
	}
	if err != nil {
		return err
	}
	if err := s.check(conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := s.openPool(); err != nil {
		return errors.Join(err, conn.Close())
	}
	w, err := newWriter(conn, s.opt.Path, s.opt.Now, reserve, s.announce)
	if err != nil {
		return errors.Join(err, conn.Close(), s.pool.Close())
	}
	s.write = w
	return nil
}

// openConn opens the database for writing with its tables made, refusing what is not a ledger.
func openConn(path string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, unreadable(path, err)
	}
	conn.SetBusyTimeout(5 * time.Second)
	for _, step := range []func() error{
		func() error { return prepare(conn) },
		func() error { return migrate(conn, path) },
	} {
		if err := step(); err != nil {
			return nil, errors.Join(unreadable(path, err), conn.Close())
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fault.New(fault.Denied, "%v", err), conn.Close())
	}
	return conn, nil
}

// unreadable words an error of the engine for people.
func unreadable(path string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return fault.New(fault.Full, "no room for the ledger at %s: %v", path, err).Hinted("free some space and try again; nothing was lost")
	case sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultPerm, sqlite.ResultAuth:
		return fault.New(fault.Denied, "the ledger at %s cannot be opened: %v", path, err)
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return fault.New(fault.Conflict, "another program holds the ledger at %s: %v", path, err)
	}
	return damaged(path, err.Error())
}

func damaged(path, why string) *fault.Error {
	return fault.New(fault.Corrupt, "the ledger at %s is damaged: %s", path, why).
		Hinted("keep the file; bring back the newest backup with `staunch ledger restore FILE`, or save what is readable with `staunch ledger export`")
}

// holder is what the lock file tells about who writes.
type holder struct {
	PID   int       `json:"pid"`
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
	// Size and Changed describe the database after an orderly close.
	Size    int64 `json:"size,omitempty"`
	Changed int64 `json:"changed,omitempty"`
}

func takeLock(ctx context.Context, opt Options) (*os.File, error) {
	f, err := os.OpenFile(opt.Path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fault.New(fault.Denied, "the ledger's lock: %v", err)
	}
	deadline := time.Now().Add(opt.Wait)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, errors.Join(held(opt.Path, f), f.Close())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func held(path string, f *os.File) error {
	h := readHolder(f)
	who := "another process"
	if h.PID != 0 {
		who = fmt.Sprintf("%q (process %d, since %s)", h.Who, h.PID, h.Since.UTC().Format("15:04:05 UTC"))
	}
	return fault.New(fault.Conflict, "the ledger at %s is open for writing by %s", path, who).
		Hinted("one process writes at a time: give the command there, or wait until it ends")
}

func readHolder(f *os.File) holder {
	b := make([]byte, 4096)
	n, _ := f.ReadAt(b, 0) // a short or absent text tells nothing, which is fine
	var h holder
	if json.Unmarshal([]byte(strings.TrimSpace(string(b[:n]))), &h) != nil {
		return holder{}
	}
	return h
}

func writeHolder(f *os.File, h holder) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	return err
}

// announce wakes those who follow.
func (s *Store) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
}

// Close writes what is queued, folds the write-ahead log into the file and gives up the lock.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.gone)
	s.mu.Unlock()
	if s.write == nil {
		return s.pool.Close()
	}
	last, errWrite := s.write.close()
	errPool := s.pool.Close()
	errConn := s.write.conn.Close()
	errClean := s.leaveClean(last, errWrite)
	return errors.Join(errWrite, errPool, errConn, errClean, s.lock.Close())
}

// leaveClean notes that the file was closed in order, so that the next opening need not read it whole.
// On a full disk it cannot be noted; then the next opening reads it.
func (s *Store) leaveClean(last int64, failed error) error {
	if failed != nil {
		return nil
	}
	info, err := os.Stat(s.opt.Path)
	if err != nil {
		return err
	}
	err = errors.Join(writeHead(s.opt.Path, last), writeHolder(s.lock, holder{Size: info.Size(), Changed: info.ModTime().UnixNano()}))
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}
