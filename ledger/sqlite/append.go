package sqlite

import (
	"context"

	"staunch/fault"
	"staunch/ledger"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const insertEvent = `INSERT INTO event (seq, id, stream, pos, at, stored, who, source, kind, v, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`

// Append implements ledger.Ledger: when it returns nil the events are on disk.
func (s *Store) Append(ctx context.Context, stream string, after ledger.Position, events ...ledger.Event) (ledger.Receipt, error) {
	batch, err := ledger.PrepareAll(stream, events)
	if err != nil {
		return ledger.Receipt{}, err
	}
	if s.write == nil {
		return ledger.Receipt{}, readOnly()
	}
	size := 0
	for _, e := range batch {
		size += len(e.Data) + 200
	}
	var r ledger.Receipt
	err = s.write.submit(ctx, size, func(conn *sqlite.Conn) error {
		var err error
		r, err = s.write.append(conn, stream, after, batch)
		return err
	})
	if err != nil {
		return ledger.Receipt{}, err
	}
	r.Promise = promise
	return r, nil
}

func readOnly() error {
	return fault.New(fault.Denied, "the ledger is open for reading only")
}

// promise: an acknowledged append is on this disk, and that is all one file can promise.
func promise(_ context.Context, c ledger.Class) error {
	if n, ok := c.Count(); c == ledger.OnDisk || ok && n == 1 {
		return nil
	}
	return ledger.Lacks("a ledger on one disk", c)
}

// append runs inside the group's transaction; when it returns an error of its own it has left no trace in it.
func (w *writer) append(conn *sqlite.Conn, stream string, after ledger.Position, batch []ledger.Event) (ledger.Receipt, error) {
	end, err := w.end(conn, stream)
	if err != nil {
		return ledger.Receipt{}, err
	}
	if after != ledger.Any && after != end {
		return w.repeat(conn, batch, ledger.Moved(stream, after, end))
	}
	first, stored := w.last+1, w.now().UnixMilli()
	for i, e := range batch {
		e.Seq, e.Pos = first+int64(i), end+int64(i)+1
		fresh, err := insert(conn, e, stored)
		if err != nil {
			return ledger.Receipt{}, err
		}
		if fresh {
			continue
		}
		if i > 0 {
			if err := sqlitex.Execute(conn, "DELETE FROM event WHERE seq >= ?", &sqlitex.ExecOptions{Args: []any{first}}); err != nil {
				return ledger.Receipt{}, err
			}
		}
		return w.repeat(conn, batch, nil)
	}
	n := int64(len(batch))
	w.last, w.ends[stream], w.dirty = w.last+n, end+n, true
	return ledger.Receipt{First: first, Last: w.last, Pos: end + n}, nil
}

func insert(conn *sqlite.Conn, e ledger.Event, stored int64) (fresh bool, err error) {
	st, err := conn.Prepare(insertEvent)
	if err != nil {
		return false, err
	}
	bind(st, e, stored)
	if _, err := st.Step(); err != nil {
		return false, err
	}
	return conn.Changes() == 1, st.Reset()
}

func bind(st *sqlite.Stmt, e ledger.Event, stored int64) {
	st.BindInt64(1, e.Seq)
	st.BindText(2, e.ID)
	st.BindText(3, e.Stream)
	st.BindInt64(4, e.Pos)
	st.BindInt64(5, e.At.UnixMilli())
	st.BindInt64(6, stored)
	st.BindText(7, e.By)
	st.BindText(8, e.Source)
	st.BindText(9, e.Kind)
	st.BindInt64(10, int64(e.V))
	if e.Data == nil {
		st.BindNull(11)
		return
	}
	st.BindText(11, string(e.Data))
}

// repeat answers an append that was there before; when none of it was, otherwise is the answer.
func (w *writer) repeat(conn *sqlite.Conn, batch []ledger.Event, otherwise error) (ledger.Receipt, error) {
	var found []ledger.Event
	for _, e := range batch {
		err := sqlitex.Execute(conn, selectEvent+" WHERE id = ?", &sqlitex.ExecOptions{
			Args: []any{e.ID}, ResultFunc: func(st *sqlite.Stmt) error {
				found = append(found, scanEvent(st))
				return nil
			},
		})
		if err != nil {
			return ledger.Receipt{}, err
		}
	}
	r, err := ledger.Repeated(batch, found)
	if err == nil && !r.Repeat {
		return r, otherwise
	}
	return r, err
}

// end returns how many events a stream holds.
func (w *writer) end(conn *sqlite.Conn, stream string) (ledger.Position, error) {
	if end, known := w.ends[stream]; known {
		return end, nil
	}
	if len(w.ends) > 100_000 { // hosts come and go for years
		clear(w.ends)
	}
	end, err := one(conn, "SELECT pos FROM event WHERE stream = ? ORDER BY seq DESC LIMIT 1", stream)
	if err == nil {
		w.ends[stream] = end
	}
	return end, err
}
