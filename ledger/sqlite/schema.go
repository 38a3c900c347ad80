package sqlite

import (
	"fmt"

	"staunch/fault"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// format is the version of the tables, kept in the database's user_version.
const format = 1

// application marks the file as ours (PRAGMA application_id): "stnc".
const application = 0x73746e63

const schema = `
CREATE TABLE IF NOT EXISTS event (
	seq    INTEGER PRIMARY KEY,
	id     TEXT NOT NULL UNIQUE,
	stream TEXT NOT NULL,
	pos    INTEGER NOT NULL,
	at     INTEGER NOT NULL,
	stored INTEGER NOT NULL,
	who    TEXT NOT NULL,
	source TEXT NOT NULL,
	kind   TEXT NOT NULL,
	v      INTEGER NOT NULL,
	data   TEXT
);
CREATE INDEX IF NOT EXISTS event_stream ON event (stream);
CREATE TABLE IF NOT EXISTS document (
	kind TEXT NOT NULL, id TEXT NOT NULL, rev INTEGER NOT NULL, stored INTEGER NOT NULL, body BLOB NOT NULL,
	PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS lease (
	name TEXT PRIMARY KEY, holder TEXT NOT NULL, epoch INTEGER NOT NULL, until INTEGER NOT NULL
);
`

// prepare makes a connection that writes: WAL, and a commit is on disk before it is acknowledged.
func prepare(conn *sqlite.Conn) error {
	for _, pragma := range []string{
		"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=2000", "PRAGMA journal_size_limit=16777216",
	} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return err
		}
	}
	return nil
}

// migrate makes the tables of an empty file, and refuses files that are somebody else's or newer.
func migrate(conn *sqlite.Conn, path string) error {
	id, err := pragma(conn, "application_id")
	if err != nil {
		return err
	}
	version, err := pragma(conn, "user_version")
	if err != nil {
		return err
	}
	tables, err := one(conn, "SELECT count(*) FROM sqlite_master")
	if err != nil {
		return err
	}
	switch {
	case tables == 0:
		return sqlitex.ExecuteScript(conn, schema+fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d;", application, format), nil)
	case id != application:
		return fault.New(fault.Corrupt, "%s is a database, but not a ledger of staunch", path)
	case version > format:
		return fault.New(fault.Unsupported, "%s was written by a newer staunch (tables of version %d, this one knows %d)", path, version, format).
			Hinted("use that newer staunch, or `staunch ledger export` with it and import here")
	}
	return nil
}

func pragma(conn *sqlite.Conn, name string) (int64, error) { return one(conn, "PRAGMA "+name) }

// one runs a query whose single value is an integer; no row gives 0.
func one(conn *sqlite.Conn, query string, args ...any) (int64, error) {
	var n int64
	err := sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(s *sqlite.Stmt) error {
		n = s.ColumnInt64(0)
		return nil
	}})
	return n, err
}
