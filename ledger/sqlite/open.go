// Package sqlite keeps the ledger in one file on this machine's disk.
package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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
	// Reader opens for reading beside writers; appends are refused.
	Reader bool
	// Alone refuses to open while another process has it open, and keeps others out. Without it several processes may write in turn.
	Alone bool
}

// Store is a ledger in a SQLite file: write-ahead log, every acknowledged append on disk, one writing goroutine in each process.
type Store struct {
	opt   Options
	lock  *lockFile
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
	return s, lock.settle(opt.Alone)
}

func (s *Store) openReader() error {
	if _, err := os.Stat(s.opt.Path); err != nil {
		return fault.New(fault.NotFound, "there is no ledger at %s", s.opt.Path).
			Hinted("`staunch incident open` makes one")
	}
	if cramped(s.opt.Path) {
		reserve{path: s.opt.Path + ".reserve"}.give() // also who only reads needs room for the engine's shared memory
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
	if fault.Is(err, fault.Full) && reserve.give() {
		conn, err = openConn(s.opt.Path)
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
	code := sqlite.ErrCode(err).ToPrimary()
	if code == sqlite.ResultIOErr && cramped(path) {
		code = sqlite.ResultFull // the engine cannot make its shared memory, and calls that an input/output error
	}
	switch code {
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
	if failed != nil || !s.lock.alone() {
		return nil
	}
	info, err := os.Stat(s.opt.Path)
	if err != nil {
		return err
	}
	err = errors.Join(writeHead(s.opt.Path, last), s.lock.write(holder{Size: info.Size(), Changed: info.ModTime().UnixNano()}))
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}
