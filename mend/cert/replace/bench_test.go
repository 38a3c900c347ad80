package replace_test

import (
	"fmt"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/replace"
	"staunch/reach/fleet"
	"staunch/see/keys"
	"staunch/steer/plan"
)

// crowd is a fleet with n keys on a thousand hosts.
func crowd(n int) ([]cert.Key, replace.Options) {
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Quorum: 1}, {Name: "production", Quorum: 2}}}
	for i := range 1000 {
		f.Hosts = append(f.Hosts, fleet.Host{Name: fmt.Sprintf("web%d", i), Ring: []string{"canary", "production"}[min(i/50, 1)]})
	}
	var list []cert.Key
	for i := range n {
		name := fmt.Sprintf("h%d.d%d.example", i, i/30)
		host := f.Hosts[i%1000].Name
		list = append(list, cert.Key{
			SPKI: fmt.Sprintf("%08x%056x", i*104729, i+1), Type: "ecdsa", Bits: 256, Certificates: []cert.Certificate{{Serial: fmt.Sprint(i), Names: []string{name}, NotAfter: time.Now().Add(30 * 24 * time.Hour)}},
			Files: []cert.FileAt{{Host: host, File: keys.File{Path: "/etc/tls/" + name, Holds: "both", Format: "pem"}, Private: true}}, Served: []cert.Point{{Name: name, Address: "192.0.2.1:443"}},
		})
	}
	return list, replace.Options{
		Fleet: f, Incident: "1", ID: "1.1", Now: time.Now(), Advisories: []string{"CVE-2014-0160"},
		Routes: []acme.Route{{CA: "le", Accounts: []string{"a", "b"}, Limits: acme.LetsEncrypt()}, {CA: "other", Accounts: []string{"c"}}},
	}
}

// BenchmarkPlanning plans new keys for 30,000 certificates within the CAs' limits.
func BenchmarkPlanning(b *testing.B) {
	list, o := crowd(30_000)
	for b.Loop() {
		if _, err := replace.NewKeys(list, o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlanningAndLint holds that plan to its rules as well.
func BenchmarkPlanningAndLint(b *testing.B) {
	list, o := crowd(30_000)
	world := replace.World(o.Fleet, cert.Catalogue{Keys: list}, nil, o.Now)
	for b.Loop() {
		p, err := replace.NewKeys(list, o)
		if err != nil {
			b.Fatal(err)
		}
		if problems := plan.Lint(&p, world); len(problems) > 0 {
			b.Fatal(problems[0])
		}
	}
}

// TestTheBudgetStandsInThePlan: with a limit of 300 orders in three hours, 700 certificates of one account take until the third window.
func TestTheBudgetStandsInThePlan(t *testing.T) {
	list, o := crowd(700)
	o.Routes = []acme.Route{{CA: "le", Accounts: []string{"a"}, Limits: acme.Limits{Account: acme.Rate{N: 300, Per: 3 * time.Hour}}}}
	p, err := replace.NewKeys(list, o)
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, s := range p.Steps {
		if s.Kind == plan.OrderCertificate && s.Deadline() > 6*time.Hour {
			late++
		}
	}
	if late != 100 {
		t.Errorf("%d orders wait for the third window, want 100: %s", late, p.Title)
	}
}
