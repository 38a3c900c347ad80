package hub_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"staunch/hub"
	"staunch/incident"
	"staunch/inventory"
	"staunch/ledger"
	"staunch/ledger/sqlite"
)

// BenchmarkFoldMillion reads and folds an incident of one million events from disk.
func BenchmarkFoldMillion(b *testing.B) {
	s, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "ledger.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	h := hub.Hub{Store: s, Now: time.Now, Who: "ada"}
	if _, err := h.OpenIncident(b.Context(), incident.Open{Title: "a long night"}); err != nil {
		b.Fatal(err)
	}
	batch := make([]ledger.Event, 1000)
	for n := range 1000 {
		for i := range batch {
			state := []inventory.State{inventory.Affected, inventory.Clean}[(n+i)%2]
			host := incident.HostState{HostAnswer: inventory.HostAnswer{Host: fmt.Sprintf("host%d", i), Ring: "production", State: state, Affected: i % 3}}
			batch[i], err = ledger.New("incident.looked", 1, time.Now(), "hub", incident.Event{Says: "looked again", Looked: &incident.Looked{Known: 1000, Seen: 1000, Hosts: []incident.HostState{host}}})
			if err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.Append(b.Context(), "incident/1", ledger.Any, batch...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		state, _, err := h.Incident(b.Context(), "1")
		if err != nil || state.Events < 1_000_000 {
			b.Fatal(state, err)
		}
	}
}
