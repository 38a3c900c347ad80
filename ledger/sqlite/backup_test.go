package sqlite_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/ledger"
	"staunch/ledger/promise"
	"staunch/ledger/sqlite"

	zombie "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestBackupWhileWritingAndRestore takes a backup under load and puts it in the place of a damaged ledger.
func TestBackupWhileWritingAndRestore(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "copy.db")
	s := open(t, path)
	ctx, stop := context.WithCancel(t.Context())
	wrote := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			e, err := ledger.New("test.fact", 1, time.Now(), "", n)
			if err == nil {
				_, err = s.Append(context.WithoutCancel(ctx), "x", ledger.Any, e)
			}
			if err != nil {
				t.Error(err)
				break
			}
			n++
		}
		wrote <- n
	}()
	for len(promise.All(t, s, ledger.Query{Limit: 200})) < 200 {
		time.Sleep(time.Millisecond)
	}
	v, err := s.Backup(t.Context(), backup)
	stop()
	if n := <-wrote; err != nil || v.Events < 200 || v.Events > int64(n) {
		t.Fatalf("the backup holds %d events of %d: %v", v.Events, n, err)
	}
	if _, err := s.Backup(t.Context(), backup); !fault.Is(err, fault.Conflict) {
		t.Errorf("a backup over a backup: %v, want a conflict", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	scribble(t, path, 8192, 4096)
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); !fault.Is(err, fault.Corrupt) || !strings.Contains(fault.HintOf(err), "restore") {
		t.Fatalf("the damaged ledger: %v", err)
	}
	kept, restored, err := sqlite.Restore(t.Context(), backup, sqlite.Options{Path: path})
	if err != nil || restored.Events != v.Events {
		t.Fatalf("restored %+v, %v", restored, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the damaged ledger was not kept: %v", err)
	}
	again := open(t, path)
	defer again.Close()
	if n := len(promise.All(t, again, ledger.Query{})); int64(n) != v.Events {
		t.Errorf("%d events after the restore, want %d", n, v.Events)
	}
}

// TestChangedBySQL: somebody edits the database with the sqlite3 program.
func TestChangedBySQL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := open(t, path)
	for i := range 20 {
		if _, err := s.Append(t.Context(), "x", ledger.Any, promise.Fact(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	sealer := ledger.Sealer{Ledger: s, Now: time.Now}
	if err := sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := zombie.OpenConn(path, zombie.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(conn, "UPDATE event SET who = 'somebody else' WHERE seq = 7", nil); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := sqlite.Inspect(t.Context(), path)
	if err != nil || v.Broken == nil || v.Broken.Seq != 7 {
		t.Errorf("verified %+v (%+v), %v; want event 7", v, v.Broken, err)
	}
}

func TestExportAndImport(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "one.db"))
	defer s.Close()
	for i := range 2500 {
		if _, err := s.Append(t.Context(), []string{"a", "b", "c"}[i%7%3], ledger.Any, promise.Fact(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	sealer := ledger.Sealer{Ledger: s, Now: time.Now}
	if err := sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := ledger.Export(s.Read(t.Context(), ledger.Query{}), &out); err != nil || n != 2503 {
		t.Fatalf("exported %d, %v", n, err)
	}
	if v, err := ledger.Verify(ledger.Lines(bytes.NewReader(out.Bytes()))); err != nil || v.Broken != nil || v.Sealed < 2500 {
		t.Errorf("the export verifies as %+v, %v", v, err)
	}
	other := open(t, filepath.Join(t.TempDir(), "two.db"))
	defer other.Close()
	if _, err := other.Append(t.Context(), "b", ledger.Any, promise.Fact(t, -1)); err != nil {
		t.Fatal(err)
	}
	for round, want := range []ledger.Imported{{Added: 2500, Skipped: 3}, {Known: 2500, Skipped: 3}} {
		done, err := ledger.Import(t.Context(), other, bytes.NewReader(out.Bytes()), "host-3")
		if err != nil || done != want {
			t.Errorf("round %d: %+v, %v; want %+v", round, done, err, want)
		}
	}
	if got := promise.All(t, other, ledger.Query{}); len(got) != 2501 || got[2500].Source != "host-3" {
		t.Errorf("%d events after the import", len(got))
	}
}

func TestBadExportsNameTheirLine(t *testing.T) {
	l := ledger.NewMemory(time.Now)
	var good bytes.Buffer
	if _, err := l.Append(t.Context(), "x", ledger.Any, promise.Fact(t, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Export(l.Read(t.Context(), ledger.Query{}), &good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"{", "[]", `{"id":"x"}`, strings.Repeat("a", 3<<20)} {
		into := ledger.NewMemory(time.Now)
		done, err := ledger.Import(t.Context(), into, strings.NewReader(good.String()+"\n"+bad+"\n"), "")
		if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "line 3") || done.Added != 0 && done.Added != 1 {
			t.Errorf("%.20q: %+v, %v; want corrupt, line 3", bad, done, err)
		}
		if n := len(promise.All(t, into, ledger.Query{})); n != 1 {
			t.Errorf("%.20q: %d events before the bad line were kept, want 1", bad, n)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(`{"id":"0190a5b4-7c00-7000-8000-000000000001","stream":"x","at":"2014-04-08T01:00:00Z","kind":"k","v":1,"data":{"a":1}}`)
	f.Add("{\"id\":\"\\u001b\"}\n\n[]")
	f.Fuzz(func(t *testing.T, in string) {
		l := ledger.NewMemory(time.Now)
		done, err := ledger.Import(t.Context(), l, strings.NewReader(in), "fuzz")
		var out bytes.Buffer
		n, errOut := ledger.Export(l.Read(t.Context(), ledger.Query{}), &out)
		if errOut != nil || n != done.Added {
			t.Fatalf("imported %+v (%v), exported %d, %v", done, err, n, errOut)
		}
	})
}
