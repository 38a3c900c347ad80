package errand_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/testbed/stepca"
)

// second is a real second CA with an account of ours.
type second struct {
	*testing.T
	client *acme.Client
}

func newSecond(t *testing.T, o stepca.Options) *second {
	t.Helper()
	o.HTTPPort = freePort(t)
	ca := stepca.Up(t, o)
	web := listen(t, o.HTTPPort)
	client, err := acme.Connect(t.Context(), acme.Client{
		CA: acme.CA{Name: "second", Directory: ca.Directory, Roots: ca.Roots}, Account: acme.Account{Key: fresh(t)}, Solvers: map[string]acme.Solver{"http-01": web}, Poll: 50 * time.Millisecond,
	})
	if err == nil {
		_, err = client.Register(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return &second{t, client}
}

// obtain orders a certificate and returns its chain as DER, leaf first.
func (s *second) obtain(key crypto.Signer, names ...string) [][]byte {
	s.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		s.Fatal(err)
	}
	o, err := acme.NewOrder(csr, nil)
	if err != nil {
		s.Fatal(err)
	}
	if o, err = s.client.Run(s.Context(), o, func(acme.Order) error { return nil }); err != nil {
		s.Fatal(err)
	}
	var chain [][]byte
	for block, rest := pem.Decode([]byte(o.Chain)); block != nil; block, rest = pem.Decode(rest) {
		chain = append(chain, block.Bytes)
	}
	return chain
}

func (s *second) revoke(leaf []byte, own crypto.Signer) {
	s.Helper()
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := (errand.Own{Client: s.client, Key: own}).Revoke(s.Context(), c); err != nil {
		s.Fatal(err)
	}
}

func (s *second) stands(chain [][]byte) errand.Standing {
	s.Helper()
	got := errand.Verify(s.Context(), chain[:1], chain[1:], nil, time.Now())
	if len(got) != 1 {
		s.Fatalf("%+v", got)
	}
	return got[0]
}

// TestARevocationIsSeenOnTheCAsList: by the account and by the certificate's own key; what the list does not hold is never called revoked.
func TestARevocationIsSeenOnTheCAsList(t *testing.T) {
	s := newSecond(t, stepca.Options{})
	key := fresh(t)
	byAccount, byKey, left := s.obtain(fresh(t), "a.example"), s.obtain(key, "b.example"), s.obtain(fresh(t), "c.example")
	s.revoke(byAccount[0], nil)
	if got := s.stands(byKey); got.State != errand.NotRevoked || !strings.Contains(got.Says, "is not on its list yet") {
		t.Errorf("before its revocation: %+v", got)
	}
	s.revoke(byKey[0], key)
	for name, chain := range map[string][][]byte{"by the account": byAccount, "by the certificate's own key": byKey} {
		if got := s.stands(chain); got.State != errand.Listed || got.Reason != acme.KeyCompromise || !strings.Contains(got.Says, "browsers may still accept it until") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := s.stands(left); got.State != errand.NotRevoked {
		t.Errorf("a certificate that nobody revoked: %+v", got)
	}
	s.revoke(byKey[0], key) // a second time does no more than once
	if _, err := s.client.Rollover(t.Context(), fresh(t)); !fault.Is(err, fault.Unsupported) {
		t.Errorf("this CA cannot change an account's key, and says: %v", err)
	}
}

// TestACAThatRevokesButPublishesNothing: accepted, and never more than that; the day on which it ends is told.
func TestACAThatRevokesButPublishesNothing(t *testing.T) {
	s := newSecond(t, stepca.Options{NoList: true})
	chain := s.obtain(fresh(t), "a.example")
	s.revoke(chain[0], nil)
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("until %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	if got := s.stands(chain); got.State != errand.Unverifiable || !strings.Contains(got.Says, want) {
		t.Errorf("%+v, want %q", got, want)
	}
}
