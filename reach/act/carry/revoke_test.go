package carry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/testbed/pebble"
	"staunch/testbed/real"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// nobody shows no proof: the CA of the test believes every one.
type nobody struct{}

func (nobody) Present(context.Context, acme.Challenge) error { return nil }
func (nobody) CleanUp(context.Context, acme.Challenge) error { return nil }

// certified has the test's CA certify a new key, by an account that is lost afterwards.
func certified(t *testing.T, ca *pebble.Server, name string) (bundle string, leaf *x509.Certificate) {
	t.Helper()
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	key := newKey()
	c := acmez.Client{
		Client:           &acme.Client{Directory: ca.Directory, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}}}},
		ChallengeSolvers: map[string]acmez.Solver{"http-01": nobody{}},
	}
	account, err := c.NewAccount(t.Context(), acme.Account{TermsOfServiceAgreed: true, PrivateKey: newKey()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.ObtainCertificateForSANs(t.Context(), account, key, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(got[0].ChainPEM)
	if leaf, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(got[0].ChainPEM) + string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), leaf
}

func spkiOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// TestAKeyAsksForItsOwnRevocation: the account is lost and the key was replaced, but the host keeps the old bundle for undo. The key in it
// signs, and does not leave the host; no other certificate can be revoked by it.
func TestAKeyAsksForItsOwnRevocation(t *testing.T) {
	real.Slow(t)
	ca := pebble.Up(t, pebble.Options{Trusting: true})
	s := newSite(t)
	bundle, leaf := certified(t, ca, "shop.example")
	_, other := certified(t, ca, "other.example")
	path := s.write("srv/shop.pem", bundle, 0o600)
	ask := &act.RevokeOwnWith{SPKI: spkiOf(leaf), Certificates: [][]byte{leaf.Raw}, Directory: ca.Directory, Roots: string(ca.RootsPEM())}

	s.want(newOrder(t, "nobody", act.RevokeOwn, ask), act.Refused, "only where people signed for it")
	s.want(newOrder(t, "place", act.Place, &act.PlaceWith{Files: []act.File{{Path: path, Pieces: []act.Piece{{Text: "the new bundle\n"}}, Mode: "0600"}}}), act.Done, "")
	s.write("etc/policy.json", `{"schema": 1, "names": ["here"]}`, 0o644)
	who, signers := people(t, "ann", "ben")
	s.write("etc/allowed_signers", signers, 0o644)
	s.want(newOrder(t, "alone", act.RevokeOwn, ask), act.Refused, "demands a mandate")
	signed := func(with *act.RevokeOwnWith, within time.Duration) act.Order {
		return signedOrders(t, newOrder(t, "revoke", act.RevokeOwn, with).Act, false, time.Now().Add(within), []string{"here"}, who...)
	}
	missing := *ask
	missing.Certificates, missing.SPKI = [][]byte{other.Raw}, spkiOf(other)
	s.want(signed(&missing, time.Hour), act.Refused, "neither in this host's store nor among")
	p, err := s.Check(t.Context(), signed(ask, time.Hour))
	if err != nil || p.Refused != "" || !strings.Contains(strings.Join(p.Says, " "), "kept for undo and stays there") {
		t.Errorf("%+v, %v", p, err)
	}
	if status, _ := ca.Status(t, leaf.SerialNumber.Text(16)); status != "Valid" {
		t.Fatalf("a look made it %s", status)
	}
	s.want(signed(ask, 2*time.Hour), act.Done, "")
	if status, reason := ca.Status(t, leaf.SerialNumber.Text(16)); status != "Revoked" || reason != 1 {
		t.Errorf("the certificate is %s, reason %d", status, reason)
	}
	s.want(signed(ask, 3*time.Hour), act.Done, "") // the CA has it revoked already
	if _, err := act.New(act.RevokeOwn, &act.RevokeOwnWith{SPKI: spkiOf(leaf), Certificates: [][]byte{other.Raw}, Directory: ca.Directory}); err == nil {
		t.Error("a certificate of another key was taken")
	}
	journal, err := os.ReadFile(filepath.Join(s.dir, "state/orders.jsonl"))
	if err != nil || strings.Contains(string(journal), "PRIVATE") {
		t.Errorf("the journal: %v", err)
	}
	untrusted := *ask
	untrusted.Roots = ""
	if out, err := s.Do(t.Context(), signed(&untrusted, time.Hour)); err != nil || out.Status == act.Done {
		t.Errorf("a CA that nobody trusts was asked: %+v, %v", out, err)
	}
}

// TestARevokedKeyIsPutBackByNothing: what undo keeps holds the old key still. Once that is barred, neither an undo nor a bundle puts it, or its
// certificate, anywhere; other bundles and their undo go on.
func TestARevokedKeyIsPutBackByNothing(t *testing.T) {
	real.Slow(t)
	ca := pebble.Up(t, pebble.Options{Trusting: true})
	s := newSite(t)
	old, leaf := certified(t, ca, "shop.example")
	fresh, _ := certified(t, ca, "shop.example")
	path, plain := s.write("srv/shop.pem", old, 0o600), s.write("srv/shop.conf", "one\n", 0o600)
	place := func(id, path, text string) act.Order {
		return newOrder(t, id, act.Place, &act.PlaceWith{Files: []act.File{{Path: path, Pieces: []act.Piece{{Text: text}}, Mode: "0600"}}})
	}
	rollout, other := place("rollout", path, fresh), place("other", plain, "two\n")
	s.want(rollout, act.Done, "")
	s.want(other, act.Done, "")
	bar := newOrder(t, "bar", act.BarKey, &act.BarKeyWith{SPKI: spkiOf(leaf)})
	s.want(bar, act.Done, "")
	s.want(newOrder(t, "again", act.BarKey, &act.BarKeyWith{SPKI: spkiOf(leaf)}), act.Already, "")
	out, err := s.Do(t.Context(), undoOf(rollout))
	if err != nil || out.Status == act.Undone || !strings.Contains(out.Says, "which was revoked") {
		t.Errorf("the undo: %+v, %v", out, err)
	}
	if s.read("srv/shop.pem") != fresh {
		t.Error("the undo put the old key back")
	}
	s.want(place("byhand", path, old), act.Refused, "which was revoked")
	chain, _, _ := strings.Cut(old, "-----BEGIN EC PRIVATE KEY")
	s.want(place("chain", path, chain), act.Refused, "which was revoked")
	s.want(undoOf(other), act.Undone, "")
	if out, err := s.Do(t.Context(), undoOf(bar)); err != nil || out.Status == act.Undone {
		t.Errorf("the bar was taken away: %+v, %v", out, err)
	}
}
