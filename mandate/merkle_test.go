package mandate

import (
	"crypto/sha256"
	"encoding/json"
	"testing"
)

// A leaf's hash is that of its canonical JSON, however it was computed: hosts compute it from the leaf alone.
func TestLeafHashIsOfItsCanonicalJSON(t *testing.T) {
	for _, l := range []Leaf{
		{Plan: "7.1", Step: "restart", Host: "web1", Ring: "canary", Act: json.RawMessage(`{ "with":{"units":["nginx.service"]}, "kind":"restart"}`)},
		{Plan: "7.1", Step: "restart", Host: `we"b\1`, Act: json.RawMessage(`{"kind":"none"}`), Undo: true},
		{Plan: "7.1", Step: "other", Host: "web2", Ring: "production", Act: json.RawMessage(`{"kind":"none"}`)},
	} {
		text, err := Canonical(l)
		if err != nil {
			t.Fatal(err)
		}
		want := sha256.Sum256(append([]byte{0}, text...))
		if got, err := l.hash(); err != nil || got != want {
			t.Errorf("leaf %s on %s hashes otherwise (%v)", l.Step, l.Host, err)
		}
		tree, err := Plant([]Leaf{l})
		if err != nil || tree.hashes[0] != want {
			t.Errorf("leaf %s on %s hashes otherwise in a tree (%v)", l.Step, l.Host, err)
		}
	}
}
