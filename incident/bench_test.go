package incident_test

import (
	"testing"

	"staunch/incident"
	"staunch/inventory"
)

// BenchmarkDecodeAndFold is one event of a look that changed one host, as the ledger keeps it.
func BenchmarkDecodeAndFold(b *testing.B) {
	host := incident.HostState{HostAnswer: inventory.HostAnswer{Host: "web1", Ring: "production", State: inventory.Affected, Affected: 3}}
	data, err := incident.Event{Says: "looked again", Looked: &incident.Looked{Known: 1000, Seen: 1000, Hosts: []incident.HostState{host}}}.Encode()
	if err != nil {
		b.Fatal(err)
	}
	s, err := incident.Fold(nil, incident.Event{Kind: incident.WasOpened, Opened: &incident.Opened{ID: "1"}})
	if err != nil {
		b.Fatal(err)
	}
	var d incident.Decoder
	for b.Loop() {
		e, err := d.Decode(incident.WasLooked, midnight, "hub", data)
		if err == nil {
			s, err = incident.Fold(s, e)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
