package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ledger"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const selectEvent = `SELECT seq, id, stream, pos, at, stored, who, source, kind, v, data FROM event`

// page is how many events one read transaction gives: long ones would keep the write-ahead log from being folded in.
const page = 2000

// elsewhere is how often followers look for events that another process wrote.
const elsewhere = 250 * time.Millisecond

func scanEvent(st *sqlite.Stmt) ledger.Event {
	var s shelf
	return s.event(st)
}

// shelf is what the events of one page share: names that come again and again are kept once, and small data lies in common pieces of memory.
type shelf struct {
	words map[string]string
	piece []byte
}

// pieceSize is what an event that is kept alone may keep alive with it.
const pieceSize = 32 << 10

func (s *shelf) event(st *sqlite.Stmt) ledger.Event {
	e := ledger.Event{
		Seq: st.ColumnInt64(0), ID: st.ColumnText(1), Stream: s.text(st, 2), Pos: st.ColumnInt64(3),
		At: time.UnixMilli(st.ColumnInt64(4)).UTC(), Stored: time.UnixMilli(st.ColumnInt64(5)).UTC(),
		By: s.text(st, 6), Source: s.text(st, 7), Kind: s.text(st, 8), V: st.ColumnInt(9),
	}
	if n := st.ColumnLen(10); n > 0 {
		e.Data = s.room(n)
		st.ColumnBytes(10, e.Data)
	}
	return e
}

// room gives n bytes that nobody else writes to.
func (s *shelf) room(n int) json.RawMessage {
	if n > pieceSize/8 || s.words == nil {
		return make(json.RawMessage, n)
	}
	if n > len(s.piece) {
		s.piece = make([]byte, pieceSize)
	}
	given := s.piece[:n:n]
	s.piece = s.piece[n:]
	return given
}

func (s *shelf) text(st *sqlite.Stmt, column int) string {
	var buf [256]byte // names are at most 200 bytes
	if n := st.ColumnLen(column); n > len(buf) || s.words == nil {
		return st.ColumnText(column)
	}
	raw := buf[:st.ColumnBytes(column, buf[:])]
	if known, ok := s.words[string(raw)]; ok {
		return known
	}
	word := string(raw)
	s.words[word] = word
	return word
}

// Read implements ledger.Ledger.
func (s *Store) Read(ctx context.Context, q ledger.Query) iter.Seq2[ledger.Event, error] {
	return func(yield func(ledger.Event, error) bool) {
		if _, _, err := s.read(ctx, q, yield); err != nil {
			yield(ledger.Event{}, err)
		}
	}
}

// Follow implements ledger.Ledger.
func (s *Store) Follow(ctx context.Context, q ledger.Query) iter.Seq2[ledger.Event, error] {
	return func(yield func(ledger.Event, error) bool) {
		tick := time.NewTicker(elsewhere)
		defer tick.Stop()
		for {
			s.mu.Lock()
			more := s.more
			s.mu.Unlock()
			next, going, err := s.read(ctx, q, yield)
			if ctx.Err() != nil || !going {
				return
			}
			if err != nil {
				yield(ledger.Event{}, err)
				return
			}
			q = next
			select {
			case <-ctx.Done():
				return
			case <-s.gone:
				return
			case <-more:
			case <-tick.C:
			}
		}
	}
}

// read yields page after page; it returns where to go on, and whether the caller still wants more.
func (s *Store) read(ctx context.Context, q ledger.Query, yield func(ledger.Event, error) bool) (ledger.Query, bool, error) {
	for room := 64; ; room = page { // most reads are short; after a full page another full one is likely
		events, err := s.page(ctx, q, room)
		if err != nil {
			return q, true, err
		}
		for _, e := range events {
			q.After = e.Seq
			if !yield(e, nil) {
				return q, false, nil
			}
		}
		if q.Limit > 0 {
			if q.Limit -= len(events); q.Limit == 0 {
				return q, false, nil
			}
		}
		if len(events) < page {
			return q, true, nil
		}
	}
}

// page reads the next events in one short transaction.
func (s *Store) page(ctx context.Context, q ledger.Query, room int) ([]ledger.Event, error) {
	conn, err := s.pool.Take(ctx)
	if err != nil {
		return nil, s.readError(ctx, err)
	}
	defer s.pool.Put(conn)
	query, args := where(q)
	events, known := make([]ledger.Event, 0, room), shelf{words: map[string]string{}}
	err = sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(st *sqlite.Stmt) error {
		events = append(events, known.event(st))
		return nil
	}})
	if err != nil {
		return nil, s.readError(ctx, err)
	}
	return events, nil
}

func where(q ledger.Query) (string, []any) {
	limit := page
	if q.Limit > 0 {
		limit = min(limit, q.Limit)
	}
	clause, args := " WHERE seq > ?", []any{q.After}
	if prefix, many := strings.CutSuffix(q.Stream, "*"); many {
		clause += " AND +stream >= ? AND +stream < ?" // the plus keeps the engine on the order of seq, page after page
		args = append(args, prefix, prefix+"\U0010ffff")
	} else if q.Stream != "" {
		clause += " AND stream = ?"
		args = append(args, q.Stream)
	}
	return selectEvent + clause + " ORDER BY seq LIMIT ?", append(args, limit)
}

func (s *Store) readError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fault.New(fault.Timeout, "reading the ledger: %v", ctx.Err())
	case s.isClosed():
		return ledger.Closed()
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Timeout, "reading the ledger was interrupted")
	}
	return unreadable(s.opt.Path, err)
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
