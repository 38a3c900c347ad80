package ledger_test

import (
	"iter"
	"testing"
	"time"

	"staunch/ledger"
	"staunch/ledger/promise"
)

func TestMemoryKeepsThePromises(t *testing.T) {
	promise.Check(t, promise.Subject{
		Open:  func(_ *testing.T, now func() time.Time) promise.Store { return ledger.NewMemory(now) },
		Has:   []ledger.Class{ledger.Copies(1)},
		Lacks: []ledger.Class{ledger.OnDisk, ledger.Copies(2), ledger.Majority, ledger.All},
	})
}

func TestCopiesAreReadAsWritten(t *testing.T) {
	for class, want := range map[ledger.Class]int{"copies(1)": 1, "copies(12)": 12, ledger.Copies(3): 3} {
		if n, ok := class.Count(); !ok || n != want {
			t.Errorf("%s: %d, %v", class, n, ok)
		}
	}
	for _, bad := range []ledger.Class{"", "disk", ledger.All, "copies(0)", "copies(-1)", "copies(01)", "copies(2", "copies()"} {
		if n, ok := bad.Count(); ok {
			t.Errorf("%s was read as %d copies", bad, n)
		}
	}
}

// TestTamperingShows changes one thing in a sealed log and expects Verify to point at it.
func TestTamperingShows(t *testing.T) {
	log := sealedLog(t)
	for name, c := range map[string]struct {
		change func([]ledger.Event) []ledger.Event
		at     int64
	}{
		"nothing":         {func(e []ledger.Event) []ledger.Event { return e }, 0},
		"a word":          {func(e []ledger.Event) []ledger.Event { e[16].Data = []byte(`{"n":99}`); return e }, 17},
		"who did it":      {func(e []ledger.Event) []ledger.Event { e[3].By = "nobody"; return e }, 4},
		"when it was":     {func(e []ledger.Event) []ledger.Event { e[3].At = e[3].At.Add(time.Hour); return e }, 4},
		"one removed":     {func(e []ledger.Event) []ledger.Event { return append(e[:7:7], e[8:]...) }, 8},
		"removed, closed": {func(e []ledger.Event) []ledger.Event { return renumber(append(e[:7:7], e[8:]...)) }, 8},
		"two swapped": {func(e []ledger.Event) []ledger.Event {
			e[4].Data, e[5].Data = e[5].Data, e[4].Data
			return e
		}, 5},
		"a seal":       {func(e []ledger.Event) []ledger.Event { e[25].Data = e[26].Data; return e }, 26},
		"the tail cut": {func(e []ledger.Event) []ledger.Event { return e[:27] }, 0}, // only a head kept elsewhere tells
	} {
		got, err := ledger.Verify(replay(c.change(append([]ledger.Event(nil), log...))))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case c.at == 0 && got.Broken != nil:
			t.Errorf("%s: broken at %+v", name, got.Broken)
		case c.at != 0 && (got.Broken == nil || got.Broken.Seq != c.at):
			t.Errorf("%s: found %+v, want event %d", name, got.Broken, c.at)
		}
	}
}

func renumber(events []ledger.Event) []ledger.Event {
	for i := range events {
		events[i].Seq = int64(i) + 1
	}
	return events
}

// sealedLog is 25 facts, three seals, and one fact after them.
func sealedLog(t *testing.T) []ledger.Event {
	t.Helper()
	l := ledger.NewMemory(time.Now)
	for i := range 25 {
		if _, err := l.Append(t.Context(), "x", ledger.Any, promise.Fact(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	s := ledger.Sealer{Ledger: l, Every: 10, Now: time.Now}
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	return promise.All(t, l, ledger.Query{})
}

// replay is a log as somebody hands it to us.
func replay(events []ledger.Event) iter.Seq2[ledger.Event, error] {
	return func(yield func(ledger.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}
