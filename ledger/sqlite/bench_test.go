package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"staunch/ledger"
	"staunch/ledger/promise"
	"staunch/ledger/sqlite"

	zombie "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// The bare engine: the same table and indexes, the same pragmas, one prepared insert, one commit for each event (or for 64 of them).
func bare(b *testing.B, group int) {
	conn, err := zombie.OpenConn(filepath.Join(b.TempDir(), "bare.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if err := sqlitex.ExecuteTransient(conn, "PRAGMA synchronous=FULL", nil); err != nil {
		b.Fatal(err)
	}
	err = sqlitex.ExecuteScript(conn, `CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stream TEXT NOT NULL, pos INTEGER NOT NULL,
		at INTEGER NOT NULL, stored INTEGER NOT NULL, who TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, v INTEGER NOT NULL, data TEXT);
		CREATE INDEX event_stream ON event (stream);`, nil)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		if err := sqlitex.Execute(conn, "BEGIN IMMEDIATE", nil); err != nil {
			b.Fatal(err)
		}
		for range group {
			n++
			e := sample(b, n)
			err := sqlitex.Execute(conn, "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?)", &sqlitex.ExecOptions{Args: []any{
				n, e.ID, "x", n, e.At.UnixMilli(), e.At.UnixMilli(), e.By, "", e.Kind, 1, string(e.Data),
			}})
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := sqlitex.Execute(conn, "COMMIT", nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
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

// BenchmarkLedger64Producers: each iteration is 64 producers with one durable append each, at the same time.
func BenchmarkLedger64Producers(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	defer s.Close()
	n := 0
	for b.Loop() {
		var wg sync.WaitGroup
		for p := range 64 {
			wg.Go(func() {
				if _, err := s.Append(b.Context(), "x", ledger.Any, sample(b, p)); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		n += 64
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
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
