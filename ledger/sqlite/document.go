package sqlite

import (
	"context"
	"iter"
	"time"

	"staunch/fault"
	"staunch/ledger"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Put implements ledger.Documents.
func (s *Store) Put(ctx context.Context, d ledger.Document, rev int64) error {
	if err := ledger.PrepareDocument(d); err != nil {
		return err
	}
	if s.write == nil {
		return readOnly()
	}
	return s.write.submit(ctx, len(d.Body), func(conn *sqlite.Conn) error {
		have, err := one(conn, "SELECT rev FROM document WHERE kind = ? AND id = ?", d.Kind, d.ID)
		if err != nil {
			return err
		}
		if rev != ledger.Any && rev != have {
			return ledger.Newer(d, rev, have)
		}
		body := d.Body
		if body == nil {
			body = []byte{}
		}
		return sqlitex.Execute(conn, `INSERT INTO document (kind, id, rev, stored, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (kind, id) DO UPDATE SET rev = excluded.rev, stored = excluded.stored, body = excluded.body`,
			&sqlitex.ExecOptions{Args: []any{d.Kind, d.ID, have + 1, s.opt.Now().UnixMilli(), body}})
	})
}

const selectDocument = `SELECT kind, id, rev, stored, body FROM document`

func scanDocument(st *sqlite.Stmt) ledger.Document {
	d := ledger.Document{
		Kind: st.ColumnText(0), ID: st.ColumnText(1), Rev: st.ColumnInt64(2), Stored: time.UnixMilli(st.ColumnInt64(3)).UTC(),
		Body: make([]byte, st.ColumnLen(4)),
	}
	st.ColumnBytes(4, d.Body)
	return d
}

// Get implements ledger.Documents.
func (s *Store) Get(ctx context.Context, kind, id string) (ledger.Document, error) {
	docs, err := s.documents(ctx, selectDocument+" WHERE kind = ? AND id = ?", kind, id)
	if err != nil {
		return ledger.Document{}, err
	}
	if len(docs) == 0 {
		return ledger.Document{}, fault.New(fault.NotFound, "there is no %s %s", kind, id)
	}
	return docs[0], nil
}

// List implements ledger.Documents, sorted by id, reading a few at a time.
func (s *Store) List(ctx context.Context, kind string) iter.Seq2[ledger.Document, error] {
	return func(yield func(ledger.Document, error) bool) {
		const few = 50
		for after := ""; ; {
			docs, err := s.documents(ctx, selectDocument+" WHERE kind = ? AND id > ? ORDER BY id LIMIT ?", kind, after, few)
			if err != nil {
				yield(ledger.Document{}, err)
				return
			}
			for _, d := range docs {
				if after = d.ID; !yield(d, nil) {
					return
				}
			}
			if len(docs) < few {
				return
			}
		}
	}
}

func (s *Store) documents(ctx context.Context, query string, args ...any) ([]ledger.Document, error) {
	conn, err := s.pool.Take(ctx)
	if err != nil {
		return nil, s.readError(ctx, err)
	}
	defer s.pool.Put(conn)
	var docs []ledger.Document
	err = sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(st *sqlite.Stmt) error {
		docs = append(docs, scanDocument(st))
		return nil
	}})
	if err != nil {
		return nil, s.readError(ctx, err)
	}
	return docs, nil
}

// Drop implements ledger.Documents.
func (s *Store) Drop(ctx context.Context, kind, id string) error {
	if s.write == nil {
		return readOnly()
	}
	return s.write.submit(ctx, 0, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "DELETE FROM document WHERE kind = ? AND id = ?", &sqlitex.ExecOptions{Args: []any{kind, id}})
	})
}

// Acquire implements ledger.Leases.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (ledger.Lease, error) {
	if s.write == nil {
		return ledger.Lease{}, readOnly()
	}
	var granted ledger.Lease
	err := s.write.submit(ctx, 0, func(conn *sqlite.Conn) error {
		held, err := leaseOf(conn, name)
		if err != nil {
			return err
		}
		granted, err = ledger.Grant(held, name, holder, s.opt.Now(), ttl)
		if err != nil {
			return err
		}
		return sqlitex.Execute(conn, "INSERT OR REPLACE INTO lease (name, holder, epoch, until) VALUES (?, ?, ?, ?)",
			&sqlitex.ExecOptions{Args: []any{name, holder, granted.Epoch, granted.Until.UnixMilli()}})
	})
	if err != nil {
		return ledger.Lease{}, err
	}
	return granted, nil
}

func leaseOf(conn *sqlite.Conn, name string) (ledger.Lease, error) {
	held := ledger.Lease{Name: name}
	err := sqlitex.Execute(conn, "SELECT holder, epoch, until FROM lease WHERE name = ?", &sqlitex.ExecOptions{
		Args: []any{name}, ResultFunc: func(st *sqlite.Stmt) error {
			held.Holder, held.Epoch, held.Until = st.ColumnText(0), st.ColumnInt64(1), time.UnixMilli(st.ColumnInt64(2)).UTC()
			return nil
		},
	})
	return held, err
}

// Release implements ledger.Leases; the epoch stays, so that the next holder's is greater.
func (s *Store) Release(ctx context.Context, l ledger.Lease) error {
	if s.write == nil {
		return readOnly()
	}
	return s.write.submit(ctx, 0, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "UPDATE lease SET holder = '', until = 0 WHERE name = ? AND holder = ? AND epoch = ?",
			&sqlitex.ExecOptions{Args: []any{l.Name, l.Holder, l.Epoch}})
	})
}
