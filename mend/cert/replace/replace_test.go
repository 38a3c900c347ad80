package replace_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/replace"
	"staunch/reach/fleet"
	"staunch/see/keys"
	"staunch/steer/plan"
	"staunch/testbed/real"

	"filippo.io/age"
)

// issued makes a self-signed certificate for a new key.
func issued(t testing.TB, names ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(mrand.Int64()), DNSNames: names, Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	if mrand.IntN(2) == 0 {
		tmpl.CRLDistributionPoints = []string{"http://crl.example/1"}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// town is a random fleet with its keys and endpoints.
type town struct {
	fleet     *fleet.Fleet
	catalogue cert.Catalogue
	points    []cert.Point
	options   replace.Options
}

func recipient(t testing.TB) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String()
}

func randomTown(t testing.TB, r *mrand.Rand, leaves []*x509.Certificate, age string) town {
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Quorum: 1}, {Name: "staging", Quorum: 1 + r.IntN(3)}, {Name: "production", Quorum: 1 + r.IntN(3)}}}
	edges := map[string]replace.Edge{"cdn": {Driver: []string{"", "fastly", "hook", "akamai"}[r.IntN(4)], Recipient: age}}
	recipients := map[string]string{}
	for i := range 1 + r.IntN(8) {
		h := fleet.Host{Name: fmt.Sprintf("web%d", i), Address: fmt.Sprintf("192.0.2.%d", i), Ring: f.Rings[r.IntN(3)].Name}
		if r.IntN(10) == 0 {
			h.System = "openbsd"
		}
		if r.IntN(6) > 0 {
			recipients[h.Name] = age
		}
		f.Hosts = append(f.Hosts, h)
	}
	var on []string
	for _, h := range f.Hosts {
		on = append(on, h.Name)
	}
	f.Services = []fleet.Service{{Name: "shop", Hosts: on, Units: []string{"shopd.service"}, Restart: fleet.Restart{How: "restart"}, MaxDown: fleet.Width{Hosts: 1}, Public: true}}
	w := town{fleet: f}
	in := cert.Inputs{Edges: map[string][]string{}}
	for n, leaf := range leaves[:1+r.IntN(len(leaves))] {
		name := leaf.DNSNames[0]
		spki := cert.SPKI(leaf)
		for i := range r.IntN(4) {
			e := fleet.Endpoint{Name: name, Service: []string{"", "shop"}[r.IntN(2)], Behind: []string{"", "cdn"}[r.IntN(2)]}
			p := cert.Point{Name: name, Address: fmt.Sprintf("192.0.2.%d:%d", i, 443+n)}
			f.Endpoints = append(f.Endpoints, e)
			w.points = append(w.points, p)
			in.Served = append(in.Served, cert.Served{Sighting: cert.Sighting{Point: p, Keys: []string{spki}}, Chain: [][]byte{leaf.Raw}})
		}
		if r.IntN(5) == 0 {
			in.Declared = append(in.Declared, cert.Declared{Point: cert.Point{Name: name}, Pins: []string{spki}})
		}
		for _, h := range f.Hosts {
			if r.IntN(3) == 0 {
				continue
			}
			unit := []string{"nginx.service", "shopd.service", "user session"}[r.IntN(3)]
			in.Hosts = append(in.Hosts, keys.Found{Host: h.Name, Keys: []keys.Key{{
				SPKI: spki, Type: "ecdsa", Bits: 256, Private: true, Readers: []keys.Reader{{PID: 1, Name: "x", Unit: unit}},
				Files:        []keys.File{{Path: "/etc/tls/" + name + ".key", Holds: "private_key", Format: "pem"}, {Path: "/etc/tls/" + name + ".pem", Holds: []string{"certificate", "both", "keystore"}[r.IntN(3)], Format: "pem"}},
				Certificates: []keys.Certificate{{Serial: leaf.SerialNumber.Text(16), Names: leaf.DNSNames, SHA256: fmt.Sprint(n), NotAfter: leaf.NotAfter, DER: leaf.Raw}},
			}}})
		}
		if r.IntN(3) == 0 {
			in.Edges[spki] = []string{"cdn"}
		}
	}
	w.catalogue = cert.Gather(in)
	w.options = replace.Options{
		Fleet: f, Incident: "7", ID: "7.1", Advisories: []string{"CVE-2014-0160", "CVE-2026-0001"}[:r.IntN(3)], Now: time.Now(), Points: w.points, Recipients: recipients,
		Routes: []acme.Route{{CA: "le", Accounts: []string{"a"}, Limits: acme.LetsEncrypt()}}, Custodians: []string{"ann", "ben"}[:r.IntN(3)], Edges: edges, Drill: r.IntN(4) == 0,
	}
	if r.IntN(4) == 0 {
		w.options.Routes, w.options.Issuers = nil, []replace.Issuer{{Name: "Corp CA", By: []string{"hand", "hook"}[r.IntN(2)]}}
	}
	return w
}

// TestPlansAreAlwaysLawful: over thousands of random fleets every plan that the planners write passes the lint, and a revocation always
// comes after a look at every known endpoint of its key.
func TestPlansAreAlwaysLawful(t *testing.T) {
	r := mrand.New(mrand.NewPCG(real.Seed(t, 6), 6))
	var leaves, fresh []*x509.Certificate
	for i := range 4 {
		name := fmt.Sprintf("n%d.example", i)
		leaves, fresh = append(leaves, issued(t, name)), append(fresh, issued(t, name))
	}
	who := recipient(t)
	first, second, revokes := 0, 0, 0
	for round := range 2000 {
		w := randomTown(t, r, leaves, who)
		world := replace.World(w.fleet, w.catalogue, w.points, w.options.Now)
		a, err := replace.NewKeys(w.catalogue.Keys, w.options)
		if err == nil {
			first++
			if problems := plan.Lint(&a, world); len(problems) > 0 {
				t.Fatalf("round %d, plan A: %v", round, problems)
			}
		}
		var made []replace.Made
		for _, s := range a.Steps {
			if s.Kind != plan.MakeKey {
				continue
			}
			old := a.Step("order-" + strings.TrimPrefix(s.ID, "key-")).Targets[0].SPKI
			i := slices.IndexFunc(leaves, func(c *x509.Certificate) bool { return cert.SPKI(c) == old })
			made = append(made, replace.Made{Old: old, Name: replace.KeyName("7.1", old, ""), SPKI: cert.SPKI(fresh[i]), Host: s.Targets[0].Host, Sealed: "sealed", Chain: text(fresh[i])})
		}
		w.options.ID = "7.2"
		b, err := replace.RollOut(w.catalogue.Keys, made, w.options)
		if err != nil {
			continue
		}
		second++
		if problems := plan.Lint(&b, world); len(problems) > 0 {
			t.Fatalf("round %d, plan B: %v", round, problems)
		}
		revokes += revocations(t, &b, world)
	}
	if first < 500 || second < 500 || revokes < 300 {
		t.Errorf("%d first plans, %d second ones, %d revocations: the property was hardly tried", first, second, revokes)
	}
}

// revocations holds each revocation to its walls by a reading of the plan of its own, apart from the lint.
func revocations(t *testing.T, p *plan.Plan, world plan.World) (n int) {
	t.Helper()
	for _, s := range p.Steps {
		if s.Kind != plan.Revoke {
			continue
		}
		n++
		before := map[string]bool{}
		var walk func(id string)
		walk = func(id string) {
			if !before[id] {
				before[id] = true
				for _, a := range p.Step(id).After {
					walk(a)
				}
			}
		}
		for _, a := range s.After {
			walk(a)
		}
		old := s.Targets[0].SPKI
		for _, e := range world.Endpoints[old] {
			seen := false
			for _, g := range p.Steps {
				seen = seen || before[g.ID] && g.Kind == plan.Gate && slices.Contains(g.Targets, plan.Target{Endpoint: e}) && slices.Contains(g.Proves, plan.Predicate{Kind: plan.NotServed, SPKI: old})
			}
			if !seen || !slices.Contains(s.Needs, plan.Predicate{Kind: plan.NotServed, Endpoint: e, SPKI: old}) {
				t.Fatalf("%s is revoked without a look at %s", old, e)
			}
		}
		if s.Votes < 2 || len(world.Endpoints[old]) == 0 {
			t.Fatalf("a revocation with %d votes and %d endpoints", s.Votes, len(world.Endpoints[old]))
		}
	}
	return n
}

// TestAccountsAreRolledOver: the key of an ACME account is nothing to order a certificate for; somebody changes it, and somebody else stands behind.
func TestAccountsAreRolledOver(t *testing.T) {
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Quorum: 1}}, Hosts: []fleet.Host{{Name: "web1", Ring: "canary"}}}
	k := cert.Key{SPKI: strings.Repeat("a", 64), Type: "rsa", Bits: 2048, Files: []cert.FileAt{{Host: "web1", File: keys.File{Path: "/x", Format: "jwk"}, Private: true}}}
	for account, want := range map[string]string{"certbot": "certbot unregister", "acme.sh": "--deactivate-account", "caddy": "move its directory", "dehydrated": "--account-rollover", "lego": "new account", "le/le-1.age": "staunch cert account le le-1.age --rollover"} {
		k.Account = account
		p, err := replace.NewKeys([]cert.Key{k}, replace.Options{Fleet: f, Incident: "7", ID: "7.1", Now: time.Now(), Custodians: []string{"ann", "ben"}})
		if err != nil || len(p.Steps) != 1 || p.Steps[0].Kind != plan.Person || !strings.Contains(p.Steps[0].Task.Asks, want) || p.Steps[0].Task.Owner != "ann" || p.Steps[0].Task.Deputy != "ben" {
			t.Errorf("%s: %+v %v", account, p.Steps, err)
		}
		if problems := plan.Lint(&p, replace.World(f, cert.Catalogue{}, nil, time.Now())); len(problems) > 0 {
			t.Error(problems)
		}
	}
}
