package sqlite_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"staunch/ledger"
	"staunch/ledger/promise"
	"staunch/ledger/sqlite"

	zombie "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// engine is the bare one: the same table and indexes, the same pragmas, one insert that is prepared once.
type engine struct {
	conn *zombie.Conn
	n    int
}

func newEngine(b *testing.B) *engine {
	b.Helper()
	conn, err := zombie.OpenConn(filepath.Join(b.TempDir(), "bare.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := conn.Close(); err != nil {
			b.Error(err)
		}
	})
	err = sqlitex.ExecuteScript(conn, `CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
		stream TEXT NOT NULL, pos INTEGER NOT NULL, at INTEGER NOT NULL, stored INTEGER NOT NULL, who TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL,
		v INTEGER NOT NULL, data TEXT); CREATE INDEX event_stream ON event (stream);`, nil)
	for _, pragma := range []string{"PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=2000"} {
		if err == nil {
			err = sqlitex.ExecuteTransient(conn, pragma, nil)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return &engine{conn: conn}
}

// commit writes a group of events durably.
func (e *engine) commit(b *testing.B, group int) {
	if err := sqlitex.Execute(e.conn, "BEGIN IMMEDIATE", nil); err != nil {
		b.Fatal(err)
	}
	for range group {
		e.n++
		one := sample(b, e.n)
		err := sqlitex.Execute(e.conn, "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?)", &sqlitex.ExecOptions{Args: []any{
			e.n, one.ID, "x", e.n, one.At.UnixMilli(), one.At.UnixMilli(), one.By, "", one.Kind, 1, string(one.Data),
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := sqlitex.Execute(e.conn, "COMMIT", nil); err != nil {
		b.Fatal(err)
	}
}

func bare(b *testing.B, group int) {
	e := newEngine(b)
	for b.Loop() {
		e.commit(b, group)
	}
	b.ReportMetric(float64(e.n)/b.Elapsed().Seconds(), "events/s")
}

// sample is an event of about 540 bytes in all.
func sample(b *testing.B, n int) ledger.Event {
	b.Helper()
	e, err := ledger.New("run.proven", 1, time.Now(), "ada", map[string]any{"n": n, "says": fmt.Sprintf("%0300d", n)})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func BenchmarkBareEngineOneWriter(b *testing.B) { bare(b, 1) }

func BenchmarkBareEngine64PerCommit(b *testing.B) { bare(b, 64) }

func BenchmarkLedgerOneWriter(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	defer s.Close()
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Append(b.Context(), "x", ledger.Any, sample(b, n)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLedger64Producers: 64 producers append one event after the other, each waits until its event is on disk.
func BenchmarkLedger64Producers(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	defer s.Close()
	b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if _, err := s.Append(b.Context(), "x", ledger.Any, sample(b, n)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// against runs the bare engine and the ledger in turns of a few milliseconds, so that other work on the machine hits both alike, and
// reports the median of the turns' ratios: how many times as long the ledger takes for the same durable events.
func against(b *testing.B, group, events int, turn func(s *sqlite.Store)) {
	e, s := newEngine(b), open(b, filepath.Join(b.TempDir(), "ledger.db"))
	defer s.Close()
	var ratios []float64
	for b.Loop() {
		began := time.Now()
		for range events / group {
			e.commit(b, group)
		}
		bare := time.Since(began)
		began = time.Now()
		turn(s)
		ratios = append(ratios, time.Since(began).Seconds()/bare.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-bare-engine")
}

func BenchmarkAgainstBareOneWriter(b *testing.B) {
	against(b, 1, 20, func(s *sqlite.Store) {
		for n := range 20 {
			if _, err := s.Append(b.Context(), "x", ledger.Any, sample(b, n)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAgainstBare64Producers(b *testing.B) {
	const each = 10
	against(b, 64, 64*each, func(s *sqlite.Store) {
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for n := range each {
					if _, err := s.Append(b.Context(), "x", ledger.Any, sample(b, n)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// BenchmarkReadMillion reads one million events from disk.
func BenchmarkReadMillion(b *testing.B) {
	s := million(b)
	defer s.Close()
	for b.Loop() {
		n := 0
		for _, err := range s.Read(b.Context(), ledger.Query{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 1_000_000 {
			b.Fatal(n)
		}
	}
}

func million(b *testing.B) *sqlite.Store {
	b.Helper()
	s := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	batch := make([]ledger.Event, 1000)
	for range 1000 {
		for i := range batch {
			batch[i] = promise.Fact(b, i)
		}
		if _, err := s.Append(b.Context(), "run/1.1", ledger.Any, batch...); err != nil {
			b.Fatal(err)
		}
	}
	return s
}
