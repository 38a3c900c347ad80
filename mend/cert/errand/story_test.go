package errand_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// TestTheOutageDoesNotHappen is the story that staunch was written for: the CDN says that it took the new certificate, and goes on serving the
// old one. The gate holds and names the address; a revocation by hand is refused; when the edge serves the new key, it happens by itself.
func TestTheOutageDoesNotHappen(t *testing.T) {
	x := newShop(t)
	sealed := x.rollout()
	ended := make(chan run.State, 1)
	var rec *tape
	go func() {
		var state run.State
		state, rec = x.run(sealed)
		ended <- state
	}()
	for end := time.Now().Add(60 * time.Second); !x.cdn.active(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the CDN was never activated")
		}
	}
	met := x.cdn.serves.met.Load()
	for end := time.Now().Add(60 * time.Second); x.cdn.serves.met.Load() < met+3; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody looks at the CDN")
		}
	}
	if got := x.status(); got != "Valid" {
		t.Fatalf("the old certificate is %s while the CDN serves it", got)
	}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), x.cdn.serves.addr) {
		t.Errorf("a revocation by hand: %v", err)
	}
	x.cdn.release()
	if state := <-ended; state != run.Complete {
		x.complain(rec)
		t.Fatalf("the run ended %q", state)
	}
	status, reason := x.ca.Status(t, x.old.SerialNumber.Text(16))
	if status != "Revoked" || reason != acme.KeyCompromise {
		t.Errorf("the old certificate is %s, reason %d", status, reason)
	}
	if !slices.Equal(x.host.barred, []string{cert.SPKI(x.old)}) {
		t.Errorf("after the revocation the host may still put these back: all but %v", x.host.barred)
	}
}

// TestNothingIsRevokedOnDoubt: an address that cannot be reached, one vote, an endpoint that was learned after the plan was made.
func TestNothingIsRevokedOnDoubt(t *testing.T) {
	x := newShop(t)
	sealed := x.rollout()
	x.cdn.release()
	gone := cert.Point{Name: "shop.example", Address: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	back := newServer(t, *x.origin.serves.Load()) // a host back from the dead, with the old key
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) { return []cert.Point{gone}, nil }
	if state, _ := x.run(sealed); state == run.Complete || x.status() != "Valid" {
		t.Fatalf("revoked although %s could not be seen (%s)", gone, state)
	}
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) {
		return []cert.Point{{Name: "old.example", Address: back.addr}}, nil
	}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), back.addr) {
		t.Errorf("although %s serves the old key: %v", back.addr, err)
	}
	x.desk.Points, x.voters = nil, []string{"ann", "ann"}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) {
		t.Errorf("with one person's vote: %v", err)
	}
	if x.status() != "Valid" {
		t.Error("it was revoked after all")
	}
	x.voters = []string{"ann", "ben"}
	if err := x.byHand(sealed); err != nil || x.status() != "Revoked" {
		t.Errorf("with everything proven: %v, %s", err, x.status())
	}
}

// TestKilledAtEveryStoredState: after each thing that is stored the program dies; what is run again goes on from there, and one key is
// ordered once.
func TestKilledAtEveryStoredState(t *testing.T) {
	x := newShop(t)
	for at := 1; at < 12; at++ {
		x.opts.ID = fmt.Sprintf("1.%d", at)
		sealed := x.seal(replace.NewKeys(x.keys, x.opts))
		x.shelf.saves, x.shelf.crash = 0, at
		died := x.drive(sealed)
		x.shelf.crash = 0
		if died {
			if x.drive(sealed) {
				t.Fatalf("killed at %d: it does not end", at)
			}
		}
		m, err := x.desk.Made(t.Context(), replace.KeyName(x.opts.ID, cert.SPKI(x.old), ""))
		if err != nil || m.Chain == "" || len(x.host.made) != at {
			t.Fatalf("killed at %d: %v, %d keys were made", at, err, len(x.host.made))
		}
		b, err := x.shelf.Load(t.Context(), "order/"+m.Name)
		if err != nil || strings.Count(string(b), `"url"`) != 1 {
			t.Fatalf("killed at %d: the order %s, %v", at, b, err)
		}
	}
}

// drives does a plan's steps until one fails, and tells whether that was the expected failure.
func (x *shop) drives(sealed *plan.Sealed, expected func(error) bool) bool {
	x.t.Helper()
	for i := range sealed.Plan().Steps {
		s := &sealed.Plan().Steps[i]
		if _, err := x.Do(x.t.Context(), run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]}); err != nil {
			x.t.Log(err)
			return expected(err)
		}
	}
	return false
}

// drive does a plan's steps one after the other, without the runner's own memory, and tells whether it died.
func (x *shop) drive(sealed *plan.Sealed) bool {
	x.t.Helper()
	for i := range sealed.Plan().Steps {
		s := &sealed.Plan().Steps[i]
		w := run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]}
		if x.Happened(x.t.Context(), w).Truth == run.Yes {
			continue
		}
		if _, err := x.Do(x.t.Context(), w); errors.Is(err, errCrash) {
			return true
		} else if err != nil {
			x.t.Fatal(err)
		}
	}
	return false
}

// TestWhatAPersonBrings: wrong certificates are refused with the reason, a right one is taken once.
func TestWhatAPersonBrings(t *testing.T) {
	x := newShop(t)
	made := x.certified()[0]
	chain := made.Chain
	made.Chain = ""
	raw, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.shelf.Save(t.Context(), "made/"+made.Name, raw); err != nil {
		t.Fatal(err)
	}
	old := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.old.Raw}))
	leaf := chain[:strings.Index(chain, "-----END CERTIFICATE-----")+26]
	for name, bad := range map[string]struct{ text, says string }{
		"the old key":               {old, "the certificate is for key"},
		"nothing":                   {"", "not a PEM chain"},
		"noise":                     {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"},
		"half a block":              {chain[:200], "not a PEM chain"},
		"a block that ends amiss":   {strings.Replace(chain, "-----END CERTIFICATE-----", "-----END-----", 1), ""},
		"DER":                       {string(x.old.Raw), "not a PEM chain"},
		"a private key":             {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + chain, "there is a PRIVATE KEY among the certificates"},
		"a key with a passphrase":   {chain + "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "there is a ENCRYPTED PRIVATE KEY among the certificates"},
		"the wrong issuer":          {leaf + old, "is not signed by the next one"},
		"the issuer first":          {chain[len(leaf):] + leaf, "the certificate is for key"},
		"more than a chain can be":  {strings.Repeat(leaf, 11), "more than 10 certificates"},
		"more than anybody can use": {strings.Repeat("x", 2<<20), "bytes"},
	} {
		if err := x.desk.Import(t.Context(), made.Name, bad.text); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := x.desk.Import(t.Context(), made.Name, chain); err != nil {
		t.Error(err)
	}
	if err := errand.Fits(chain, made, []string{"shop.example", "not.there"}, time.Now()); err == nil || !strings.Contains(err.Error(), "not.there") {
		t.Errorf("missing names: %v", err)
	}
	if err := errand.Fits(chain, made, nil, time.Now().Add(100*365*24*time.Hour)); err == nil {
		t.Error("an expired certificate fits")
	}
}

// TestTheCAIsDown: nothing is lost, and the next CA is asked only while nobody can have certified the key.
func TestTheCAIsDown(t *testing.T) {
	x := newShop(t)
	x.opts.Routes = []acme.Route{{CA: "down", Accounts: []string{"a"}}, {CA: "pebble", Accounts: []string{"b"}}}
	var asked []string
	x.desk.CA = func(_ context.Context, ca, _ string) (*acme.Client, error) {
		asked = append(asked, ca)
		if ca == "down" {
			return nil, fault.New(fault.Unreachable, "the CA down does not answer")
		}
		return x.client, nil
	}
	x.certified()
	if !slices.Equal(asked, []string{"down", "pebble"}) {
		t.Errorf("asked %v", asked)
	}
}
