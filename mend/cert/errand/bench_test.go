package errand_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/testbed/pebble"

	acmez "github.com/mholt/acmez/v3"
	rawacme "github.com/mholt/acmez/v3/acme"
)

const (
	benchCerts     = 200
	benchEndpoints = 3
	benchWorkers   = 32
)

// many runs one piece of work for every certificate, so many at a time.
func many(do func(i int)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, benchWorkers)
	for i := range benchCerts {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			do(i)
		})
	}
	wg.Wait()
}

// counted reports how many requests the CA got for one certificate: beside the time, which depends on what else the machine does.
type counted struct{ requests atomic.Int64 }

func (c *counted) front(http.ResponseWriter, *http.Request) bool {
	c.requests.Add(1)
	return false
}

func (c *counted) report(b *testing.B, rounds int) {
	b.Helper()
	b.ReportMetric(float64(c.requests.Load())/float64(rounds*benchCerts), "requests/certificate")
}

// BenchmarkBareACME is what the CA allows: the same orders by acmez alone.
func BenchmarkBareACME(b *testing.B) {
	var seen counted
	o := pebble.Options{HTTPPort: freePort(b), NoReuse: true, Front: seen.front}
	ca := pebble.Up(b, o)
	web := listen(b, o.HTTPPort)
	key := fresh(b)
	c := acmez.Client{
		Client:           &rawacme.Client{Directory: ca.Directory, PollInterval: 20 * time.Millisecond, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Roots}, MaxIdleConnsPerHost: 16}}},
		ChallengeSolvers: map[string]acmez.Solver{"http-01": web},
	}
	account, err := c.NewAccount(b.Context(), rawacme.Account{TermsOfServiceAgreed: true, PrivateKey: key})
	if err != nil {
		b.Fatal(err)
	}
	round := 0
	for b.Loop() {
		round++
		many(func(i int) {
			if _, err := c.ObtainCertificateForSANs(b.Context(), account, fresh(b), []string{fmt.Sprintf("b%d-%d.example", round, i)}); err != nil {
				b.Error(err)
			}
		})
	}
	seen.report(b, round)
}

// BenchmarkReplacing makes the key, orders, stores every state, places at three endpoints, and proves each by handshakes.
func BenchmarkReplacing(b *testing.B) {
	var seen counted
	o := pebble.Options{HTTPPort: freePort(b), NoReuse: true, Front: seen.front}
	ca := pebble.Up(b, o)
	web := listen(b, o.HTTPPort)
	client, err := acme.Connect(b.Context(), acme.Client{
		CA: acme.CA{Name: "pebble", Directory: ca.Directory, Roots: ca.Roots}, Account: acme.Account{Key: fresh(b)}, Solvers: map[string]acme.Solver{"http-01": web}, Poll: 20 * time.Millisecond,
	})
	if err == nil {
		_, err = client.Register(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	var servers [benchCerts][benchEndpoints]*server
	for i := range servers {
		for j := range servers[i] {
			servers[i][j] = newServer(b, tls.Certificate{})
		}
	}
	round := 0
	for b.Loop() {
		round++
		many(func(i int) { replaceOne(b, client, fmt.Sprintf("r%d-%d", round, i), servers[i][:]) })
	}
	seen.report(b, round)
}

func replaceOne(b *testing.B, client *acme.Client, name string, at []*server) {
	h := &host{made: map[string]string{}, keys: map[string]crypto.Signer{}, payloads: map[string][]byte{}, placed: map[string]bool{}}
	d := &errand.Desk{Shelf: &shelf{docs: map[string][]byte{}}, Hosts: h, Put: h.put, Lookers: []cert.Looker{errand.Here("here")}, CA: func(context.Context, string, string) (*acme.Client, error) { return client, nil }}
	make, err := act.New(act.MakeKey, &act.MakeKeyWith{Name: name, Type: "ecdsa-p256", Names: []string{name + ".example"}})
	if err != nil {
		b.Fatal(err)
	}
	do := func(s plan.Step, with any) {
		raw, err := json.Marshal(with)
		if err != nil {
			b.Error(err)
		}
		s.With = raw
		if _, err := d.Deeds()[s.Kind].Do(b.Context(), run.Work{Step: &s, Target: plan.Target{Host: "h"}}); err != nil {
			b.Error(err)
		}
	}
	do(plan.Step{ID: "key", Kind: plan.MakeKey, Act: &make}, nil)
	do(plan.Step{ID: "order", Kind: plan.OrderCertificate}, replace.Order{Key: name, Host: "h", Names: []string{name + ".example"}, By: "acme", Issuer: "pebble"})
	m, err := d.Made(b.Context(), name)
	if err != nil {
		b.Error(err)
		return
	}
	place, err := act.New(act.Place, &act.PlaceWith{Files: []act.File{{Path: "/x", Pieces: []act.Piece{{SHA256: m.Payload()}, {Key: name}}}}})
	if err != nil {
		b.Error(err)
	}
	for _, s := range at {
		h.serves = s
		do(plan.Step{ID: "place", Kind: plan.Deploy, Act: &place}, replace.At{Key: name})
		p := cert.Point{Name: name + ".example", Address: s.addr}
		step := plan.Step{Kind: plan.Gate}
		if step.With, err = json.Marshal(replace.At{Points: []cert.Point{p}}); err != nil {
			b.Error(err)
		}
		if seen := d.Facts()[plan.Serves](b.Context(), plan.Predicate{Kind: plan.Serves, Endpoint: p.String(), SPKI: m.SPKI}, run.Work{Step: &step}); seen.Truth != run.Yes {
			b.Error(seen.Says)
		}
	}
}

func fresh(b testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	return key
}

func listen(b testing.TB, port int) *acme.Standalone {
	web, err := acme.ListenHTTP(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { web.Close() })
	return web
}
