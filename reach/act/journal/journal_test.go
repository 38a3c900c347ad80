package journal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/act"
)

func opened(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func begin(t *testing.T, j *Journal, id string) {
	t.Helper()
	if err := j.Write(Record{Event: "begun", ID: id, Hash: "h", Order: &act.Order{ID: id}}); err != nil {
		t.Fatal(err)
	}
}

func TestATornTailIsCutOffAndNothingElseIsLost(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir)
	begin(t, j, "one")
	begin(t, j, "two")
	whole, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for cut := first; cut < len(whole); cut++ {
		if err := os.WriteFile(filepath.Join(dir, journalName), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		orders, sequence, at, err := Read(dir)
		if err != nil || len(sequence) != 1 || orders["one"] == nil || at != int64(first) {
			t.Fatalf("cut at %d: %v %v %d, %v", cut, orders, sequence, at, err)
		}
	}
	begin(t, j, "three")
	if _, sequence, _, err := Read(dir); err != nil || fmt.Sprint(sequence) != "[one three]" {
		t.Errorf("after the next write: %v, %v", sequence, err)
	}
}

func TestDamageInTheMiddleStopsEverything(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir)
	begin(t, j, "one")
	begin(t, j, "two")
	path := filepath.Join(dir, journalName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := Read(dir); !fault.Is(err, fault.Corrupt) {
		t.Errorf("read: %v", err)
	}
	if err := j.Write(Record{Event: "begun", ID: "three"}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("write: %v", err)
	}
}

func TestOneOrderAtATime(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, dir); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second order got in: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	opened(t, dir)
}

func TestALargeJournalForgetsWhatCannotComeAgain(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	j := opened(t, dir)
	ended := func(id string, age time.Duration, change func(*Record)) {
		t.Helper()
		r := Record{Event: "begun", At: now.Add(-age), ID: id, Hash: "h", Order: &act.Order{ID: id}, Before: []byte(`"` + strings.Repeat("x", 2<<20) + `"`)}
		if change != nil {
			change(&r)
		}
		if err := j.Write(r); err != nil {
			t.Fatal(err)
		}
		if err := j.Write(Record{Event: "ended", ID: id, Outcome: &act.Outcome{Status: act.Done}}); err != nil {
			t.Fatal(err)
		}
	}
	year := 365 * 24 * time.Hour
	ended("old", year, nil)
	ended("older", 2*year, nil)
	ended("oldest", 3*year, nil)
	ended("mandate", year, func(r *Record) { r.Before, r.Until = nil, now.Add(time.Hour) })
	ended("waits", year, func(r *Record) { r.Before, r.UndoBy = nil, now.Add(time.Hour) })
	ended("undone", year, func(r *Record) { r.Before = nil })
	ended("undo", time.Hour, func(r *Record) { r.Before, r.Order.Undo, r.Order.Of = nil, true, "undone" })
	begin(t, j, "never-ended")
	if err := j.Forget(now); err != nil {
		t.Fatal(err)
	}
	_, sequence, _, err := Read(dir)
	if err != nil || fmt.Sprint(sequence) != "[mandate waits undone undo never-ended]" {
		t.Errorf("%v, %v", sequence, err)
	}
	begin(t, j, "next")
	if _, sequence, _, err := Read(dir); err != nil || len(sequence) != 6 {
		t.Errorf("after the next write: %v, %v", sequence, err)
	}
}

func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(context.Background(), dir)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := j.Write(Record{Event: "ended", ID: fmt.Sprint(i), Order: &act.Order{ID: fmt.Sprint(i), Undo: i == 2, Of: "0"}, Outcome: &act.Outcome{Status: act.Undone}}); err != nil {
			f.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		orders, sequence, whole, err := parse(b)
		if err == nil && (len(orders) != len(sequence) || whole > int64(len(b))) {
			t.Fatalf("%d orders, %d in sequence, %d of %d bytes", len(orders), len(sequence), whole, len(b))
		}
	})
}
