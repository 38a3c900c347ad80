package acme_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert/acme"
	"staunch/testbed/pebble"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func request(t *testing.T, key crypto.Signer, names ...string) []byte {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// desk is a CA, an account and a way to prove names.
type desk struct {
	*acme.Client
	ca *pebble.Server
}

func open(t *testing.T, o pebble.Options) *desk {
	t.Helper()
	o.HTTPPort = freePort(t)
	web, err := acme.ListenHTTP(fmt.Sprintf("127.0.0.1:%d", o.HTTPPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { web.Close() })
	return openAt(t, o, web)
}

// openAt is open with another way to prove names to the CA over HTTP.
func openAt(t *testing.T, o pebble.Options, web acme.Solver) *desk {
	t.Helper()
	ca := pebble.Up(t, o)
	c, err := acme.Connect(t.Context(), acme.Client{
		CA: acme.CA{Name: "pebble", Directory: ca.Directory, Roots: ca.Roots}, Account: acme.Account{Key: newKey(t)},
		Solvers: map[string]acme.Solver{"http-01": web}, Poll: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &desk{Client: c, ca: ca}
}

func (d *desk) obtain(t *testing.T, key crypto.Signer, replaces *x509.Certificate, names ...string) (acme.Order, *x509.Certificate) {
	t.Helper()
	o, err := acme.NewOrder(request(t, key, names...), replaces)
	if err != nil {
		t.Fatal(err)
	}
	done, err := d.Run(t.Context(), o, func(acme.Order) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := acme.Leaf([]byte(done.Chain))
	if err != nil {
		t.Fatal(err)
	}
	return done, leaf
}

func TestACertificateForOurKey(t *testing.T) {
	d := open(t, pebble.Options{})
	key := newKey(t)
	order, leaf := d.obtain(t, key, nil, "shop.example", "www.shop.example")
	if !key.PublicKey.Equal(leaf.PublicKey) || order.Stage != acme.Issued || order.NotAfter.IsZero() || len(leaf.DNSNames) != 2 {
		t.Errorf("%+v", order)
	}
}

// TestAProfileIsAskedFor: a CA that offers several gives the one that was named, and refuses what it does not offer.
func TestAProfileIsAskedFor(t *testing.T) {
	d := open(t, pebble.Options{Short: true})
	d.CA.Profile = "short"
	if _, leaf := d.obtain(t, newKey(t), nil, "shop.example"); time.Until(leaf.NotAfter) > 7*24*time.Hour {
		t.Errorf("asked for six days, got until %s", leaf.NotAfter)
	}
	d.CA.Profile = "of the moon"
	o, err := acme.NewOrder(request(t, newKey(t), "shop.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Run(t.Context(), o, func(acme.Order) error { return nil }); err == nil || !strings.Contains(err.Error(), "of the moon") {
		t.Errorf("a profile that nobody offers: %v", err)
	}
}

func TestAMisbehavingCAIsSurvived(t *testing.T) {
	d := open(t, pebble.Options{Misbehave: true})
	d.obtain(t, newKey(t), nil, "shop.example")
}

// TestACrashNeverOrdersTwice ends the run after every single stored state, in turn, and goes on from what was stored.
func TestACrashNeverOrdersTwice(t *testing.T) {
	d := open(t, pebble.Options{NoReuse: true})
	crash := errors.New("crash")
	for at := 1; ; at++ {
		stored, err := acme.NewOrder(request(t, newKey(t), fmt.Sprintf("h%d.example", at)), nil)
		if err != nil {
			t.Fatal(err)
		}
		urls := map[string]bool{}
		saves, crashed := 0, false
		for {
			done, err := d.Run(t.Context(), stored, func(o acme.Order) error {
				if o.URL != "" {
					urls[o.URL] = true
				}
				saves++
				stored = o
				if saves == at {
					crashed = true
					return crash
				}
				return nil
			})
			if errors.Is(err, crash) {
				continue
			}
			if err != nil {
				t.Fatalf("crash after state %d: %v", at, err)
			}
			if done.Stage != acme.Issued || len(urls) != 1 {
				t.Errorf("crash after state %d: %d orders, stage %s", at, len(urls), done.Stage)
			}
			break
		}
		if !crashed {
			return
		}
	}
}

// TestALostAnswerIsLookedUp hands the CSR in, loses the answer, and must find the certificate instead of ordering again.
func TestALostAnswerIsLookedUp(t *testing.T) {
	d := open(t, pebble.Options{})
	o, err := acme.NewOrder(request(t, newKey(t), "shop.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for o.Stage != acme.Sent {
		if o, err = d.Advance(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	first, err := d.Advance(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Advance(t.Context(), o) // as if first had never been stored
	if err != nil || again.Chain != first.Chain {
		t.Errorf("the second look gave another certificate, or %v", err)
	}
}

func TestReplacingAndItsRefusals(t *testing.T) {
	d := open(t, pebble.Options{})
	_, old := d.obtain(t, newKey(t), nil, "shop.example")
	next, _ := d.obtain(t, newKey(t), old, "shop.example")
	if !next.Replacing {
		t.Errorf("not taken as a replacement: %+v", next.Says)
	}
	again, _ := d.obtain(t, newKey(t), old, "shop.example")
	if again.Replacing || again.Says == "" {
		t.Errorf("a second replacement of one certificate: %+v", again)
	}
}

// TestAnotherAccountsCertificate: a CA holds replacements to the account which ordered the first certificate (403). The order goes on as one
// like any other, and is known to count towards the limits.
func TestAnotherAccountsCertificate(t *testing.T) {
	d := open(t, pebble.Options{})
	_, old := d.obtain(t, newKey(t), nil, "shop.example")
	other, err := acme.Connect(t.Context(), acme.Client{CA: d.CA, Account: acme.Account{Key: newKey(t)}, Solvers: d.Solvers, Poll: d.Poll})
	if err == nil {
		_, err = other.Register(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	next, _ := (&desk{Client: other, ca: d.ca}).obtain(t, newKey(t), old, "shop.example")
	if next.Replacing || next.Opened.IsZero() || !strings.Contains(next.Says, "does not take it as a replacement") {
		t.Errorf("%+v", next)
	}
}

// TestACAThatStumblesOverAReplacement: pebble answers 500 for a certificate that it does not find. That costs the exemption from limits, and never
// the order.
func TestACAThatStumblesOverAReplacement(t *testing.T) {
	d := open(t, pebble.Options{})
	_, known := d.obtain(t, newKey(t), nil, "shop.example")
	serial := known.SerialNumber.Bytes()
	other := append(bytes.Clone(serial[:len(serial)-1]), serial[len(serial)-1]^1)
	old, err := x509.ParseCertificate(bytes.Replace(known.Raw, serial, other, 1))
	if err != nil {
		t.Fatal(err)
	}
	if next, _ := d.obtain(t, newKey(t), old, "shop.example"); next.Replacing || next.Says == "" {
		t.Errorf("%+v", next)
	}
}

func TestRevocationByAccountAndByKey(t *testing.T) {
	d := open(t, pebble.Options{})
	key := newKey(t)
	_, leaf := d.obtain(t, key, nil, "a.example")
	got, err := d.Revoke(t.Context(), leaf, nil)
	if err != nil || got.Already || got.By != "account" {
		t.Fatalf("%+v %v", got, err)
	}
	if status, reason := d.ca.Status(t, got.Serial); status != "Revoked" || reason != acme.KeyCompromise {
		t.Errorf("status %s, reason %d", status, reason)
	}
	if got, err = d.Revoke(t.Context(), leaf, nil); err != nil || !got.Already {
		t.Errorf("a second time: %+v %v", got, err)
	}
	_, other := d.obtain(t, key, nil, "b.example")
	if _, err = d.Revoke(t.Context(), other, newKey(t)); err == nil {
		t.Error("a stranger's key revoked the certificate")
	}
	if got, err = d.Revoke(t.Context(), other, key); err != nil || got.By != "certificate_key" {
		t.Errorf("by its own key: %+v %v", got, err)
	}
}

func TestAccountKeyRolloverAndRetirement(t *testing.T) {
	d := open(t, pebble.Options{})
	before := d.Account.Location
	if _, err := d.Rollover(t.Context(), newKey(t)); err != nil || d.Account.Location != before {
		t.Fatalf("%v, account %s was %s", err, d.Account.Location, before)
	}
	d.obtain(t, newKey(t), nil, "shop.example")
	if err := d.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := acme.NewOrder(request(t, newKey(t), "shop.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Advance(t.Context(), o); !fault.Is(err, fault.Denied) {
		t.Errorf("a retired account ordered: %v", err)
	}
}

func TestTheCAsWishToReplace(t *testing.T) {
	d := open(t, pebble.Options{})
	_, leaf := d.obtain(t, newKey(t), nil, "shop.example")
	if w, err := d.RenewalInfo(t.Context(), leaf); err != nil || w.Now(time.Now()) {
		t.Fatalf("%+v %v", w, err)
	}
	d.ca.Want(t, leaf, `{"suggestedWindow":{"start":"2020-01-01T00:00:00Z","end":"2020-01-02T00:00:00Z"},"explanationURL":"https://ca.example/incident"}`)
	w, err := d.RenewalInfo(t.Context(), leaf)
	if err != nil || !w.Now(time.Now()) || w.Says != "https://ca.example/incident" {
		t.Errorf("%+v %v", w, err)
	}
}

func TestACAThatIsDown(t *testing.T) {
	d := open(t, pebble.Options{})
	d.ca.Stop()
	o, err := acme.NewOrder(request(t, newKey(t), "shop.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Advance(t.Context(), o); !fault.Is(err, fault.Unreachable) {
		t.Errorf("%v", err)
	}
}

func TestAProofThatCannotBeShown(t *testing.T) {
	d := open(t, pebble.Options{NoReuse: true})
	d.Solvers = map[string]acme.Solver{"http-01": acme.Hook{Program: "/bin/true"}}
	o, err := acme.NewOrder(request(t, newKey(t), "shop.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if o, err = d.Run(t.Context(), o, func(acme.Order) error { return nil }); err == nil || o.Stage == acme.Sent {
		t.Errorf("stage %q, %v", o.Stage, err)
	}
	if o, err = d.Advance(t.Context(), o); err != nil || o.Stage != acme.Wanted {
		t.Errorf("a failed proof does not start over: %q %v", o.Stage, err)
	}
	d.Solvers = nil
	o, err = acme.NewOrder(request(t, newKey(t), "*.shop.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = d.Run(t.Context(), o, func(acme.Order) error { return nil }); !fault.Is(err, fault.Unsupported) || !strings.Contains(fault.HintOf(err), "dns-01") {
		t.Errorf("%v", err)
	}
}

func TestRequestsThatCannotBeOrdered(t *testing.T) {
	if _, err := acme.NewOrder([]byte("x"), nil); !fault.Is(err, fault.Corrupt) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := acme.NewOrder(request(t, newKey(t)), nil); !fault.Is(err, fault.Usage) {
		t.Errorf("no names: %v", err)
	}
	csr := request(t, newKey(t), "a.example")
	csr[len(csr)-1] ^= 1
	if _, err := acme.NewOrder(csr, nil); !fault.Is(err, fault.Corrupt) {
		t.Errorf("broken signature: %v", err)
	}
}
