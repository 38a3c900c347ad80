package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"staunch/fault"
	"staunch/ledger"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Backup writes a consistent copy of the ledger to path while it is in use, checks the copy, and only then gives it its name.
// An existing file is refused.
func (s *Store) Backup(ctx context.Context, path string) (ledger.Verified, error) {
	if _, err := os.Lstat(path); err == nil {
		return ledger.Verified{}, fault.New(fault.Conflict, "%s exists", path).Hinted("a backup never replaces a file: name another")
	}
	part := path + ".part"
	if err := errors.Join(discard(part), s.copyTo(ctx, part)); err != nil {
		return ledger.Verified{}, errors.Join(err, discard(part))
	}
	v, err := Inspect(ctx, part)
	if err == nil && v.Broken != nil {
		err = fault.New(fault.Corrupt, "the ledger does not verify: %s", v.Broken.Says).Hinted("the copy is kept as %s: look with `staunch ledger verify`", part)
		return v, err
	}
	if err != nil {
		return v, errors.Join(err, discard(part))
	}
	return v, settle(part, path)
}

// copyTo makes one read transaction's view of the database into a new file.
func (s *Store) copyTo(ctx context.Context, path string) error {
	conn, err := s.pool.Take(ctx)
	if err != nil {
		return s.readError(ctx, err)
	}
	defer s.pool.Put(conn)
	dst, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return fault.New(fault.Denied, "the backup cannot be written: %v", err)
	}
	err = errors.Join(copyPages(dst, conn), os.Chmod(path, 0o600))
	if err == nil {
		err = sqlitex.ExecuteTransient(dst, "PRAGMA journal_mode=DELETE", nil) // one file, without a log beside it
	}
	err = errors.Join(err, dst.Close())
	if isFull(err) {
		return fault.New(fault.Full, "no room for the backup %s", path)
	}
	if err != nil {
		return fault.New(fault.Denied, "the backup cannot be written: %v", err)
	}
	return nil
}

func copyPages(dst, src *sqlite.Conn) error {
	b, err := sqlite.NewBackup(dst, "main", src, "main")
	if err != nil {
		return err
	}
	_, err = b.Step(-1)
	return errors.Join(err, b.Close())
}

// settle gives a finished file its name and makes both survive a power loss.
func settle(part, path string) error {
	for _, step := range []func() error{
		func() error { return syncFile(part) },
		func() error { return os.Rename(part, path) },
		func() error { return syncFile(filepath.Dir(path)) },
	} {
		if err := step(); err != nil {
			return fault.New(fault.Denied, "%v", err)
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// discard removes a database that was not finished, with what the engine laid beside it.
func discard(path string) error {
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.Denied, "%v", err)
		}
	}
	return nil
}

// Inspect reads a ledger file wholly (pages, indexes, numbering, seals) without changing it.
func Inspect(ctx context.Context, path string) (ledger.Verified, error) {
	s := &Store{opt: Options{Path: path, Now: time.Now}, more: make(chan struct{}), gone: make(chan struct{})}
	if err := s.openReader(); err != nil {
		return ledger.Verified{}, err
	}
	v, err := s.inspect(ctx)
	return v, errors.Join(err, s.Close())
}

func (s *Store) inspect(ctx context.Context) (ledger.Verified, error) {
	conn, err := s.pool.Take(ctx)
	if err != nil {
		return ledger.Verified{}, s.readError(ctx, err)
	}
	err = ours(conn, s.opt.Path)
	if err == nil {
		err = intact(conn, s.opt.Path)
	}
	if err == nil {
		err = reaches(conn, s.opt.Path)
	}
	s.pool.Put(conn)
	if err != nil {
		return ledger.Verified{}, err
	}
	return ledger.Verify(s.Read(ctx, ledger.Query{}))
}

// Verify reads the open ledger wholly: pages, indexes, numbering and seals.
func (s *Store) Verify(ctx context.Context) (ledger.Verified, error) { return s.inspect(ctx) }

// Restore puts a checked copy of the backup at opt.Path. What was there is kept beside it under the returned name ("" if there was nothing).
func Restore(ctx context.Context, backup string, opt Options) (kept string, v ledger.Verified, err error) {
	if v, err = Inspect(ctx, backup); err != nil {
		return "", v, err
	}
	if v.Broken != nil {
		return "", v, fault.New(fault.Corrupt, "the backup %s does not verify: %s", backup, v.Broken.Says)
	}
	if err := os.MkdirAll(filepath.Dir(opt.Path), 0o700); err != nil {
		return "", v, fault.New(fault.Denied, "%v", err)
	}
	opt.Alone = true
	lock, err := takeLock(ctx, opt)
	if err != nil {
		return "", v, err
	}
	defer lock.Close() // gives up the lock; nothing was written through it that could be lost
	part := opt.Path + ".part"
	if err := errors.Join(discard(part), clone(ctx, backup, part)); err != nil {
		return "", v, errors.Join(err, discard(part))
	}
	now := time.Now
	if opt.Now != nil {
		now = opt.Now
	}
	if kept, err = setAside(opt.Path, now()); err != nil {
		return kept, v, err
	}
	if err := lock.Truncate(0); err != nil {
		return kept, v, fault.New(fault.Denied, "%v", err)
	}
	return kept, v, settle(part, opt.Path)
}

// clone copies the backup through the engine, so that a log beside it is taken along.
func clone(ctx context.Context, backup, to string) error {
	s := &Store{opt: Options{Path: backup, Now: time.Now}, more: make(chan struct{}), gone: make(chan struct{})}
	if err := s.openReader(); err != nil {
		return err
	}
	return errors.Join(s.copyTo(ctx, to), s.Close())
}

// setAside renames a database with its log and head, so that nothing is thrown away.
func setAside(path string, now time.Time) (string, error) {
	kept := path + ".before-" + now.UTC().Format("20060102T150405Z")
	moved := ""
	for _, end := range []string{"-wal", "-shm", ".head", ""} {
		err := os.Rename(path+end, kept+end)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fault.New(fault.Denied, "%v", err)
		}
		if err == nil {
			moved = kept
		}
	}
	return moved, nil
}
