package fleet_test

import (
	"testing"

	"staunch/reach/fleet"
)

func TestWhatStrangersReachIsWhatTheFleetSays(t *testing.T) {
	f, err := fleet.Read([]byte(`
hosts:
  lb1: {address: 10.0.0.1, labels: [front]}
  web[1-2]: {labels: [web]}
  db1: {labels: [db]}
services:
  front: {on: front, units: [haproxy.service], public: true}
  shop: {on: web, units: [nginx.service]}
  orders: {on: db, units: [postgresql.service]}
endpoints:
  shop.example: {addresses: ["192.0.2.1:443"], service: shop}
  stats.example: {addresses: ["10.0.0.1:8404"]}
  inner.example: {addresses: ["db1:5432"], internal: true}
`), "staunch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o := f.Outside()
	for _, c := range []struct {
		host, unit string
		port       int
		reached    bool
	}{
		{"lb1", "haproxy.service", 0, true},
		{"lb1", "exporter.service", 8404, true}, // a public endpoint is that very address
		{"lb1", "exporter.service", 9100, false},
		{"web2", "nginx.service", 80, true}, // a public endpoint leads to its service
		{"web2", "ssh.service", 22, false},
		{"db1", "postgresql.service", 5432, false},
	} {
		if got := o[c.host].Reaches(c.unit, c.port); got != c.reached {
			t.Errorf("%s on %s, port %d: reached %v, want %v", c.unit, c.host, c.port, got, c.reached)
		}
	}
}
