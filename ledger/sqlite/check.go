package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"staunch/fault"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// check decides at opening whether the file can be trusted, and takes note of who has it open now.
// Who comes while others have it open relies on their check.
func (s *Store) check(conn *sqlite.Conn) error {
	if s.lock.first {
		if err := s.checkAll(conn); err != nil {
			return err
		}
	}
	err := s.lock.write(holder{PID: os.Getpid(), Who: s.opt.Who, Since: s.opt.Now().UTC()})
	if errors.Is(err, syscall.ENOSPC) {
		return nil // others will be told less, that is all
	}
	return err
}

func (s *Store) checkAll(conn *sqlite.Conn) error {
	info, err := os.Stat(s.opt.Path)
	if err != nil {
		return fault.New(fault.Corrupt, "%v", err)
	}
	left := s.lock.read()
	if left.Size != info.Size() || left.Changed != info.ModTime().UnixNano() { // not closed in order
		if err := intact(conn, s.opt.Path); err != nil {
			return err
		}
		if err := gapless(conn, s.opt.Path); err != nil {
			return err
		}
	}
	if err := reaches(conn, s.opt.Path); err != nil {
		return err
	}
	// Nobody else has the file open, so whoever held a lease in it is gone.
	if err := sqlitex.ExecuteTransient(conn, "UPDATE lease SET holder = '', until = 0 WHERE holder <> ''", nil); err != nil {
		return unreadable(s.opt.Path, err)
	}
	return nil
}

// intact reads every page and lets the engine compare tables with their indexes.
func intact(conn *sqlite.Conn, path string) error {
	var says []string
	err := sqlitex.ExecuteTransient(conn, "PRAGMA integrity_check(5)", &sqlitex.ExecOptions{ResultFunc: func(st *sqlite.Stmt) error {
		says = append(says, st.ColumnText(0))
		return nil
	}})
	if err != nil {
		return damaged(path, err.Error())
	}
	if len(says) != 1 || says[0] != "ok" {
		return damaged(path, strings.Join(says, "; "))
	}
	return nil
}

// ours refuses a database that is not a ledger.
func ours(conn *sqlite.Conn, path string) error {
	id, err := pragma(conn, "application_id")
	if err != nil {
		return unreadable(path, err)
	}
	if id != application {
		return fault.New(fault.Corrupt, "%s is a database, but not a ledger of staunch", path)
	}
	return nil
}

// reaches checks that the log does not end before what was acknowledged, as far as PATH.head knows.
func reaches(conn *sqlite.Conn, path string) error {
	last, err := one(conn, "SELECT coalesce(max(seq), 0) FROM event")
	if err != nil {
		return unreadable(path, err)
	}
	acknowledged, err := readHead(path)
	if err != nil {
		return err
	}
	if acknowledged > last {
		return fault.New(fault.Corrupt, "the ledger at %s ends at event %d, but %d were acknowledged: it is an old or torn copy", path, last, acknowledged).
			Hinted("copy %s-wal along with it, or restore a backup; if the rest is really gone, remove %s.head to go on with what is there", path, path)
	}
	return nil
}

// gapless checks that the numbering has no hole; Verify finds the place of one.
func gapless(conn *sqlite.Conn, path string) error {
	last, err := one(conn, "SELECT coalesce(max(seq), 0) FROM event")
	if err != nil {
		return unreadable(path, err)
	}
	count, err := one(conn, "SELECT count(*) FROM event")
	if err != nil {
		return unreadable(path, err)
	}
	if count != last {
		return damaged(path, fmt.Sprintf("it holds %d events, but the last is number %d", count, last))
	}
	return nil
}

func readHead(path string) (int64, error) {
	b, err := os.ReadFile(path + ".head")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fault.New(fault.Denied, "%v", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, nil // torn by a crash while it was written: it knows nothing
	}
	return n, nil
}

// writeHead notes how far the log reached. It is written after the commit that it speaks of, so it never promises too much.
func writeHead(path string, last int64) error {
	return os.WriteFile(path+".head", []byte(strconv.FormatInt(last, 10)+"\n"), 0o600)
}
