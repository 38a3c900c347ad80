package replace_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/see/keys"
	"staunch/steer/plan"
)

// TestPinsAndTLSAComeBeforeTheNewKey: whoever names the old key is named, with what has to be published, and nothing is placed before that was done.
func TestPinsAndTLSAComeBeforeTheNewKey(t *testing.T) {
	leaf, fresh := issued(t, "shop.example"), issued(t, "shop.example")
	old := cert.SPKI(leaf)
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Quorum: 1}}, Hosts: []fleet.Host{{Name: "web1", Ring: "canary"}}}
	point := cert.Point{Name: "shop.example", Address: "192.0.2.1:443"}
	for what, d := range map[string]cert.Declared{
		"(pin)": {Point: cert.Point{Name: "app.example"}, Pins: []string{old}}, "(TLSA)": {Point: cert.Point{Name: "mail.example"}, TLSA: []string{"3 1 1 " + old}}, "": {Point: cert.Point{Name: "app.example"}, Pins: []string{strings.Repeat("0", 64)}},
	} {
		c := cert.Gather(cert.Inputs{
			Hosts:  []keys.Found{{Host: "web1", Keys: []keys.Key{{SPKI: old, Type: "ecdsa", Bits: 256, Private: true, Files: []keys.File{{Path: "/etc/tls/a.pem", Format: "pem", Holds: "both"}}}}}},
			Served: []cert.Served{{Sighting: cert.Sighting{Point: point, Keys: []string{old}}, Chain: [][]byte{leaf.Raw}}}, Declared: []cert.Declared{d},
		})
		o := replace.Options{Fleet: f, Incident: "7", ID: "7.2", Now: time.Now(), Points: []cert.Point{point}, Routes: []acme.Route{{CA: "le", Accounts: []string{"a"}}}, Custodians: []string{"ann", "ben"}}
		p, err := replace.RollOut(c.Find(old), []replace.Made{{Old: old, Name: "made", SPKI: cert.SPKI(fresh), Host: "web1", Chain: text(fresh)}}, o)
		if err != nil {
			t.Fatal(err)
		}
		s := p.Step("pins-" + old[:12])
		if what == "" {
			if s != nil {
				t.Errorf("a pin of another key: %+v", s)
			}
			continue
		}
		if s == nil || !strings.Contains(s.Says, d.Point.Name) || !strings.Contains(s.Says, strings.Trim(what, "()")) || !strings.Contains(s.Task.Asks, cert.SPKI(fresh)) || s.Task.Deputy != "ben" {
			t.Fatalf("%s: %+v", what, s)
		}
		at := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Act != nil && s.Act.Kind == act.Place })
		if at < 0 || !slices.Contains(p.Steps[at].After, s.ID) {
			t.Errorf("%s: the new key is served before that: %+v", what, p.Steps[at])
		}
	}
}
