package plan

import (
	"bytes"
	"testing"
	"time"
)

// FuzzOpen holds the reader of plans to its promise: what it takes is in canonical form and gives the same digest again, and nothing breaks it.
func FuzzOpen(f *testing.F) {
	made := time.Date(2026, 4, 7, 20, 0, 0, 0, time.UTC)
	for _, p := range []Plan{
		{ID: "7.1", Incident: "7", Title: "empty", Made: made, Expires: made.Add(time.Hour)},
		{
			ID: "7.2", Incident: "7", Parent: "7.1", Title: "two steps", Made: made, Expires: made.Add(time.Hour), DelayMS: 5, Rings: []Ring{{Name: "canary", Width: 1, Quorum: 1}},
			Steps: []Step{
				{ID: "look", Kind: Gate, Ring: "canary", Targets: []Target{{Host: "web1"}}, Votes: 1, Tries: 1, DeadlineMS: 1, Proves: []Predicate{{Kind: Reachable}}},
				{ID: "ask", Kind: Person, After: []string{"look"}, Targets: []Target{{}}, Votes: 1, Tries: 1, Task: &Task{Owner: "ann", Asks: "?", Due: made}, Proves: []Predicate{{Kind: Confirmed}}},
			},
		},
	} {
		sealed, err := Seal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sealed.Bytes)
		f.Add(append([]byte(" "), sealed.Bytes...))
		f.Add(bytes.ReplaceAll(sealed.Bytes, []byte(`"schema":1`), []byte(`"schema":1,"schema":1`)))
	}
	f.Add([]byte(`{"schema":1e0}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		sealed, err := Open(text)
		if err != nil {
			return
		}
		if !bytes.Equal(sealed.Bytes, text) {
			t.Fatal("the text changed on the way in")
		}
		again, err := Open(sealed.Bytes)
		if err != nil || again.Digest != sealed.Digest {
			t.Fatalf("opened again: %v", err)
		}
		Lint(sealed.Plan(), World{Now: time.Unix(0, 0)}) // any plan may be held to the rules
		Compare(sealed.Plan(), sealed.Plan())
	})
}
