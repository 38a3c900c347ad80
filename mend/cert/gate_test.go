package cert_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/testbed/real"
)

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(mrand.Int64()), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
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

// street is a world of endpoints that change while they are looked at.
type street struct {
	random *mrand.Rand
	serves map[cert.Point][]string // what each serves now; nil: unreachable
}

func (s *street) looker(from string) cert.Looker {
	return cert.Looker{From: from, See: func(_ context.Context, p cert.Point) ([]string, error) {
		keys := s.serves[p]
		if keys == nil {
			return nil, errors.New("no answer")
		}
		return keys, nil
	}}
}

// TestNothingIsRevokedWhileAnythingMayServeIt holds the gate against thousands of random worlds: the right to revoke is given only when
// every known endpoint was seen without the key, by two people, on a fresh look; an override has to name every obstacle.
func TestNothingIsRevokedWhileAnythingMayServeIt(t *testing.T) {
	leaf := certificate(t)
	old, now := cert.SPKI(leaf), time.Now()
	random := mrand.New(mrand.NewPCG(real.Seed(t, 7), 7))
	allowed, refused := 0, 0
	for round := range 5000 {
		world := &street{random: random, serves: map[cert.Point][]string{}}
		var known []cert.Point
		bad := map[string]bool{}
		for i := range random.IntN(6) {
			p := cert.Point{Name: fmt.Sprintf("e%d.example", i), Address: fmt.Sprintf("192.0.2.%d:443", i)}
			known = append(known, p)
			switch random.IntN(12) {
			case 0:
				world.serves[p] = []string{"new", old} // RSA new, ECDSA old
				bad[p.String()] = true
			case 1:
				bad[p.String()] = true // unreachable
			default:
				world.serves[p] = []string{"new"}
			}
		}
		looked := slices.Clone(known)
		forgot := len(known) > 0 && random.IntN(6) == 0
		if forgot {
			looked = looked[1:]
		}
		proof := cert.Observe(context.Background(), looked, []cert.Looker{world.looker("here")}, cert.Watch{Times: 1 + random.IntN(2)})
		people := []string{"ann", "bob", "ann", ""}[:1+random.IntN(4)]
		at := now.Add(time.Duration(random.IntN(400)) * time.Second)
		override := randomOverride(random, old, known, now)
		right, err := cert.Allow(old, []*x509.Certificate{leaf}, known, proof, cert.Consent{People: people, Override: override}, at)
		excused := override != nil && len(override.By) > 1 && override.By[0] != override.By[1] && override.Custodians[1] == "bob" && override.Until.After(at) && override.Reason != "" && override.SPKI == old
		for name := range bad {
			excused = excused && slices.Contains(override.Points, name)
		}
		mayRevoke := len(known) > 0 && !forgot && (len(bad) == 0 || excused) && slices.Contains(people, "bob") && at.Sub(proof.Ended()) <= 2*time.Minute
		if (right != nil) != mayRevoke {
			t.Fatalf("round %d: right %v (%v), want %v; bad %v, forgot %v, people %v, override %+v", round, right != nil, err, mayRevoke, bad, forgot, people, override)
		}
		if right != nil {
			allowed++
		} else {
			refused++
		}
	}
	if allowed < 100 || refused < 100 {
		t.Errorf("%d allowed, %d refused: the worlds are too alike", allowed, refused)
	}
}

func randomOverride(random *mrand.Rand, old string, known []cert.Point, now time.Time) *cert.Override {
	if random.IntN(2) == 0 {
		return nil
	}
	o := &cert.Override{SPKI: old, Reason: "the vendor is gone", Until: now.Add(time.Duration(random.IntN(600)) * time.Second), By: []string{"ann", "bob", "bob"}[random.IntN(2):][:2], Custodians: [][]string{{"ann", "bob"}, {"ann", "cid"}}[random.IntN(2)]}
	for _, p := range known {
		if random.IntN(5) > 0 {
			o.Points = append(o.Points, p.String())
		}
	}
	return o
}

func TestARevocationWithoutAnyEndpointIsRefusedEvenWithAnOverride(t *testing.T) {
	leaf := certificate(t)
	proof := cert.Observe(t.Context(), nil, nil, cert.Watch{})
	o := &cert.Override{SPKI: cert.SPKI(leaf), Reason: "x", Until: time.Now().Add(time.Hour), By: []string{"ann", "bob"}, Custodians: []string{"ann", "bob"}}
	_, err := cert.Allow(cert.SPKI(leaf), []*x509.Certificate{leaf}, nil, proof, cert.Consent{People: []string{"ann", "bob"}, Override: o}, time.Now())
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
}

// ca answers as told.
type ca struct{ err error }

func (c ca) Revoke(_ context.Context, leaf *x509.Certificate) (acme.Accepted, error) {
	return acme.Accepted{Serial: leaf.SerialNumber.Text(16)}, c.err
}

func TestOneRefusingCAStopsNoOther(t *testing.T) {
	leaf := certificate(t)
	p := cert.Point{Name: "a", Address: "192.0.2.1:443"}
	world := &street{serves: map[cert.Point][]string{p: {"new"}}}
	proof := cert.Observe(t.Context(), []cert.Point{p}, []cert.Looker{world.looker("here")}, cert.Watch{Times: 3})
	right, err := cert.Allow(cert.SPKI(leaf), []*x509.Certificate{leaf, leaf}, []cert.Point{p}, proof, cert.Consent{People: []string{"ann", "bob"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	answers := []cert.Revoker{ca{err: fault.New(fault.Unreachable, "the CA is down")}, ca{}}
	done, failed := cert.Revoke(t.Context(), right, func(*x509.Certificate) (cert.Revoker, error) {
		next := answers[0]
		answers = answers[1:]
		return next, nil
	}, time.Now())
	if len(done) != 1 || len(failed) != 1 || !strings.Contains(failed[0].Error(), "the CA is down") {
		t.Errorf("done %v, failed %v", done, failed)
	}
	if done, failed := cert.Revoke(t.Context(), right, nil, time.Now().Add(time.Hour)); len(done) != 0 || len(failed) != 1 {
		t.Errorf("a stale right was used: %v %v", done, failed)
	}
	if done, _ := cert.Revoke(t.Context(), nil, nil, time.Now()); len(done) != 0 {
		t.Error("revoked without a right")
	}
}
