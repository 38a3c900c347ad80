// Package promise is the suite that every ledger store must pass.
package promise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"staunch/fault"
	"staunch/ledger"
)

// Store is what a store offers as a whole.
type Store interface {
	ledger.Ledger
	ledger.Documents
	ledger.Leases
}

// Subject is a store under test.
type Subject struct {
	Open   func(t *testing.T, now func() time.Time) Store // an empty one each time, closed by the suite
	Reopen func(t *testing.T, s Store) Store              // nil: nothing survives closing
	Has    []ledger.Class                                 // classes that Wait grants
	Lacks  []ledger.Class                                 // classes that Wait refuses at once
}

// Check runs every promise as a subtest.
func Check(t *testing.T, s Subject) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Subject){
		"an append is read back as written, in one order":       readBack,
		"a writer that saw another end is refused":              expectedPosition,
		"appending the same ids again changes nothing":          idempotent,
		"an id is never used for another fact":                  sameIDOtherFact,
		"a batch is there wholly or not at all":                 atomic,
		"what cannot be kept is refused with a reason":          refusals,
		"many writers get one order without gaps":               manyWriters,
		"followers miss nothing and resume":                     follow,
		"queries select streams":                                queries,
		"a receipt promises what the store can, and no more":    classes,
		"documents keep their newest revision":                  documents,
		"a lease has one holder":                                leases,
		"a cancelled append is refused, not unsure":             cancelled,
		"a closed ledger says so":                               closed,
		"an orderly closed ledger comes back as it was":         reopen,
		"seals show what was changed and name what is unsealed": seals,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

func open(t *testing.T, s Subject) Store {
	t.Helper()
	st := s.Open(t, time.Now)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return st
}

// Fact makes an event whose data tells n.
func Fact(t testing.TB, n int) ledger.Event {
	t.Helper()
	e, err := ledger.New("test.fact", 1, time.Now(), "the suite", map[string]int{"n": n})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// All reads everything that q selects.
func All(t testing.TB, l ledger.Ledger, q ledger.Query) []ledger.Event {
	t.Helper()
	var out []ledger.Event
	for e, err := range l.Read(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func mustAppend(t *testing.T, l ledger.Ledger, stream string, after ledger.Position, events ...ledger.Event) ledger.Receipt {
	t.Helper()
	r, err := l.Append(t.Context(), stream, after, events...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readBack(t *testing.T, s Subject) {
	l := open(t, s)
	before := time.Now().Add(-time.Second)
	a := Fact(t, 1)
	a.Data = json.RawMessage("{ \"n\": 1,\n \"text\": \"<&> ü \\u0000\" }")
	a.Source, a.By = "host-1", "ada"
	b := ledger.Event{ID: Fact(t, 0).ID, At: time.Now(), Kind: "test.bare"}
	r := mustAppend(t, l, "one", ledger.Empty, a, b)
	if r.First != 1 || r.Last != 2 || r.Pos != 2 || r.Repeat {
		t.Fatalf("receipt of the first append: %+v", r)
	}
	mustAppend(t, l, "two", ledger.Empty, Fact(t, 3))
	got := All(t, l, ledger.Query{})
	if len(got) != 3 {
		t.Fatalf("%d events, want 3", len(got))
	}
	want, err := a.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	want.Stream = "one"
	if !got[0].SameFact(want) {
		t.Errorf("read back %+v, wrote %+v", got[0], want)
	}
	if len(got[1].Data) != 0 || got[1].Kind != "test.bare" {
		t.Errorf("an event without data came back as %+v", got[1])
	}
	for i, e := range got {
		if e.Seq != int64(i)+1 || e.Stored.Before(before) || e.Stored.After(time.Now().Add(time.Second)) {
			t.Errorf("event %d: seq %d, stored %v", i, e.Seq, e.Stored)
		}
	}
	if got[0].Pos != 1 || got[1].Pos != 2 || got[2].Pos != 1 {
		t.Errorf("positions %d %d %d, want 1 2 1", got[0].Pos, got[1].Pos, got[2].Pos)
	}
}

func expectedPosition(t *testing.T, s Subject) {
	l := open(t, s)
	mustAppend(t, l, "x", ledger.Empty, Fact(t, 1))
	mustAppend(t, l, "x", 1, Fact(t, 2))
	mustAppend(t, l, "x", ledger.Any, Fact(t, 3))
	for _, after := range []ledger.Position{ledger.Empty, 1, 2, 4} {
		_, err := l.Append(t.Context(), "x", after, Fact(t, 9))
		if !fault.Is(err, fault.Conflict) || ledger.OutcomeOf(err) != ledger.Refused {
			t.Errorf("append after %d of 3: %v, want a refusing conflict", after, err)
		}
	}
	if n := len(All(t, l, ledger.Query{})); n != 3 {
		t.Errorf("%d events after refused appends, want 3", n)
	}
}

func idempotent(t *testing.T, s Subject) {
	l := open(t, s)
	batch := []ledger.Event{Fact(t, 1), Fact(t, 2)}
	first := mustAppend(t, l, "x", ledger.Empty, batch...)
	mustAppend(t, l, "x", 2, Fact(t, 3))
	for _, after := range []ledger.Position{ledger.Empty, ledger.Any, 3} {
		again := mustAppend(t, l, "x", after, batch...)
		if !again.Repeat || again.First != first.First || again.Last != first.Last || again.Pos != first.Pos {
			t.Errorf("repeated after %d: %+v, the first time %+v", after, again, first)
		}
	}
	if n := len(All(t, l, ledger.Query{})); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func sameIDOtherFact(t *testing.T, s Subject) {
	l := open(t, s)
	e := Fact(t, 1)
	mustAppend(t, l, "x", ledger.Any, e)
	changed := e
	changed.Data = json.RawMessage(`{"n":2}`)
	for stream, event := range map[string]ledger.Event{"x": changed, "y": e} {
		if _, err := l.Append(t.Context(), stream, ledger.Any, event); !fault.Is(err, fault.Conflict) {
			t.Errorf("same id in %s: %v, want a conflict", stream, err)
		}
	}
}

func atomic(t *testing.T, s Subject) {
	l := open(t, s)
	old := Fact(t, 1)
	mustAppend(t, l, "x", ledger.Any, old)
	if _, err := l.Append(t.Context(), "x", ledger.Any, Fact(t, 2), Fact(t, 3), old); !fault.Is(err, fault.Conflict) {
		t.Fatalf("a batch with one known id: %v, want a conflict", err)
	}
	mustAppend(t, l, "x", 1, Fact(t, 4))
	got := All(t, l, ledger.Query{})
	if len(got) != 2 || got[1].Seq != 2 || got[1].Pos != 2 || string(got[1].Data) != `{"n":4}` {
		t.Errorf("after a refused batch: %+v", got)
	}
}

func refusals(t *testing.T, s Subject) {
	l := open(t, s)
	ok := Fact(t, 1)
	bad := func(change func(*ledger.Event)) []ledger.Event {
		e := ok
		change(&e)
		return []ledger.Event{e}
	}
	cases := map[string]struct {
		stream string
		events []ledger.Event
	}{
		"no stream":         {"", []ledger.Event{ok}},
		"escape in name":    {"a\x1b[2J", []ledger.Event{ok}},
		"no events":         {"x", nil},
		"too many":          {"x", make([]ledger.Event, ledger.MaxBatch+1)},
		"twice in one":      {"x", []ledger.Event{ok, ok}},
		"no id":             {"x", bad(func(e *ledger.Event) { e.ID = "" })},
		"id is no uuid":     {"x", bad(func(e *ledger.Event) { e.ID = strings.Repeat("z", 36) })},
		"no kind":           {"x", bad(func(e *ledger.Event) { e.Kind = "" })},
		"no time":           {"x", bad(func(e *ledger.Event) { e.At = time.Time{} })},
		"not json":          {"x", bad(func(e *ledger.Event) { e.Data = json.RawMessage("{") })},
		"data too large":    {"x", bad(func(e *ledger.Event) { e.Data = make(json.RawMessage, ledger.MaxData+1) })},
		"name not utf-8":    {"x", bad(func(e *ledger.Event) { e.By = "\xff" })},
		"name far too long": {"x", bad(func(e *ledger.Event) { e.By = strings.Repeat("a", 5000) })},
	}
	for name, c := range cases {
		if _, err := l.Append(t.Context(), c.stream, ledger.Any, c.events...); !fault.Is(err, fault.Usage) {
			t.Errorf("%s: %v, want a usage fault", name, err)
		}
	}
	if n := len(All(t, l, ledger.Query{})); n != 0 {
		t.Errorf("%d events after refusals", n)
	}
}

func manyWriters(t *testing.T, s Subject) {
	l := open(t, s)
	const writers, each = 16, 40
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			stream := fmt.Sprintf("writer/%d", w)
			for i := range each {
				e, err := ledger.New("test.fact", 1, time.Now(), "", i)
				if err == nil {
					_, err = l.Append(t.Context(), stream, int64(i), e)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
	ends := map[string]int64{}
	for i, e := range All(t, l, ledger.Query{}) {
		ends[e.Stream]++
		if e.Seq != int64(i)+1 || e.Pos != ends[e.Stream] || string(e.Data) != fmt.Sprint(e.Pos-1) {
			t.Fatalf("event %d is number %d, %d in %s with %s", i+1, e.Seq, e.Pos, e.Stream, e.Data)
		}
	}
	if len(ends) != writers {
		t.Errorf("%d streams, want %d", len(ends), writers)
	}
}

func follow(t *testing.T, s Subject) {
	l := open(t, s)
	const total = 30
	mustAppend(t, l, "x", ledger.Any, Fact(t, 1), Fact(t, 2))
	go func() {
		for i := 3; i <= total; i++ {
			e, err := ledger.New("test.fact", 1, time.Now(), "", i)
			if err == nil {
				_, err = l.Append(t.Context(), "x", ledger.Any, e)
			}
			if err != nil {
				t.Errorf("append %d: %v", i, err)
			}
		}
	}()
	last := int64(0)
	for last < total { // falls off and resumes every seven events
		for e, err := range l.Follow(t.Context(), ledger.Query{After: last, Limit: 7}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Seq != last+1 {
				t.Fatalf("after %d came %d", last, e.Seq)
			}
			if last = e.Seq; last == total {
				break
			}
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, stop)
	for e, err := range l.Follow(ctx, ledger.Query{After: total}) {
		t.Fatalf("after the end came %+v, %v", e, err)
	}
}

func queries(t *testing.T, s Subject) {
	l := open(t, s)
	for i, stream := range []string{"incident/1", "incident/2", "run/1", "incident/1", "incidental"} {
		mustAppend(t, l, stream, ledger.Any, Fact(t, i))
	}
	for q, want := range map[ledger.Query]string{
		{}:                               "1 2 3 4 5",
		{Stream: "incident/1"}:           "1 4",
		{Stream: "incident/*"}:           "1 2 4",
		{Stream: "incident/*", After: 1}: "2 4",
		{Stream: "incident/*", Limit: 2}: "1 2",
		{After: 3}:                       "4 5",
		{Stream: "none"}:                 "",
		{After: 99}:                      "",
	} {
		var got []string
		for _, e := range All(t, l, q) {
			got = append(got, fmt.Sprint(e.Seq))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%+v: %v, want %s", q, got, want)
		}
	}
}

func classes(t *testing.T, s Subject) {
	l := open(t, s)
	r := mustAppend(t, l, "x", ledger.Any, Fact(t, 1))
	for _, c := range append([]ledger.Class{ledger.Accepted}, s.Has...) {
		if err := r.Wait(t.Context(), c); err != nil {
			t.Errorf("waiting for %s: %v", c, err)
		}
	}
	for _, c := range s.Lacks {
		if err := r.Wait(t.Context(), c); !fault.Is(err, fault.Unsupported) {
			t.Errorf("waiting for %s, which the store lacks: %v, want unsupported", c, err)
		}
	}
}

func cancelled(t *testing.T, s Subject) {
	l := open(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Append(ctx, "x", ledger.Any, Fact(t, 1))
	if ledger.OutcomeOf(err) == ledger.Refused {
		if n := len(All(t, l, ledger.Query{})); n != 0 {
			t.Errorf("refused (%v), but %d events are there", err, n)
		}
	}
	for _, err := range l.Read(ctx, ledger.Query{}) {
		if !fault.Is(err, fault.Timeout) {
			t.Errorf("reading with an ended context: %v", err)
		}
	}
}

func closed(t *testing.T, s Subject) {
	l := s.Open(t, time.Now)
	mustAppend(t, l, "x", ledger.Any, Fact(t, 1))
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), "x", ledger.Any, Fact(t, 2)); !fault.Is(err, fault.Conflict) {
		t.Errorf("append to a closed ledger: %v, want a conflict", err)
	}
}

func reopen(t *testing.T, s Subject) {
	if s.Reopen == nil {
		t.Skip("left out: this store does not outlive its process")
	}
	l := s.Open(t, time.Now)
	e := Fact(t, 1)
	mustAppend(t, l, "x", ledger.Any, e, Fact(t, 2))
	if err := l.Put(t.Context(), ledger.Document{Kind: "k", ID: "d", Body: []byte("kept")}, 0); err != nil {
		t.Fatal(err)
	}
	before := All(t, l, ledger.Query{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = s.Reopen(t, l)
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i, e := range All(t, l, ledger.Query{}) {
		if e.Digest() != before[i].Digest() {
			t.Errorf("event %d was %+v, is %+v", i+1, before[i], e)
		}
	}
	if d, err := l.Get(t.Context(), "k", "d"); err != nil || string(d.Body) != "kept" {
		t.Errorf("document %+v, %v", d, err)
	}
	if r := mustAppend(t, l, "x", 0, e); !r.Repeat {
		t.Error("after reopening the ids are not known any more")
	}
	if r := mustAppend(t, l, "x", 2, Fact(t, 3)); r.Last != 3 {
		t.Errorf("the next event is number %d, want 3", r.Last)
	}
}

func seals(t *testing.T, s Subject) {
	l := open(t, s)
	for i := range 25 {
		mustAppend(t, l, "x", ledger.Any, Fact(t, i))
	}
	sealer := ledger.Sealer{Ledger: l, Every: 10, Now: time.Now, By: "the suite"}
	if err := sealer.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "x", ledger.Any, Fact(t, 26))
	report, err := ledger.Verify(l.Read(t.Context(), ledger.Query{}))
	if err != nil || report.Broken != nil || report.Sealed != 25 || report.Events != 29 || report.Seals != 3 {
		t.Errorf("verified: %+v, %v; want 29 events, 25 sealed by 3 seals", report, err)
	}
}
