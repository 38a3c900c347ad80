package errand_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/testbed/pebble"
)

// selfMade is a certificate that signs itself, for these names.
func selfMade(t *testing.T, names ...string) (string, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), c
}

// TestNamesThatDoNotFit: a wildcard stands for no name that was asked for, international names are compared as they stand in certificates, and ten
// thousand names are taken like one.
func TestNamesThatDoNotFit(t *testing.T) {
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("h%d.example", i))
	}
	for what, c := range map[string]struct {
		has, wants []string
		lacks      string
	}{
		"a wildcard for a name":        {[]string{"*.shop.example"}, []string{"www.shop.example"}, "www.shop.example"},
		"a name for a wildcard":        {[]string{"www.shop.example"}, []string{"*.shop.example"}, "*.shop.example"},
		"both":                         {[]string{"*.shop.example", "shop.example"}, []string{"SHOP.example", "*.shop.example"}, ""},
		"an international name":        {[]string{"xn--mnchen-3ya.example"}, []string{"xn--mnchen-3ya.example"}, ""},
		"ten thousand":                 {many, many, ""},
		"ten thousand and one missing": {many[1:], many, "h0.example"},
	} {
		chain, leaf := selfMade(t, c.has...)
		err := errand.Fits(chain, replace.Made{Name: "k", SPKI: cert.SPKI(leaf)}, c.wants, time.Now())
		if (err == nil) != (c.lacks == "") || err != nil && !strings.Contains(err.Error(), c.lacks) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c := cert.Gather(cert.Inputs{Logged: []cert.Logged{{DER: derOf(t, "xn--mnchen-3ya.example")}}})
	if len(c.Find("münchen.example")) != 1 || len(c.Find("MÜNCHEN.example.")) != 1 || len(c.Find("berlin.example")) != 0 {
		t.Error("an international name is not found as people write it")
	}
}

func derOf(t *testing.T, names ...string) []byte {
	_, c := selfMade(t, names...)
	return c.Raw
}

// TestAnAccountThatIsGone: an account that the CA deactivated is told as such, and the key stays as it is for the next try.
func TestAnAccountThatIsGone(t *testing.T) {
	x := newShop(t)
	sealed := x.seal(replace.NewKeys(x.keys, x.opts))
	if err := x.client.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !x.drives(sealed, func(err error) bool { return fault.Is(err, fault.Denied) && strings.Contains(err.Error(), "pebble") }) {
		t.Error("an account that is gone was not told")
	}
	m, err := x.desk.Made(t.Context(), replace.KeyName("1.1", cert.SPKI(x.old), ""))
	if err != nil || m.Chain != "" || m.CSR == "" {
		t.Errorf("%+v, %v", m, err)
	}
	x.client = x.account()
	x.drive(sealed)
	if m, err := x.desk.Made(t.Context(), m.Name); err != nil || m.Chain == "" || len(x.host.made) != 1 {
		t.Errorf("with another account: %v, %d keys were made", err, len(x.host.made))
	}
}

// TestTenThousandNamesOnOneKey: where a CA's limit is known the plan says so; where it is not, the host makes a request that holds all of them, and
// what the CA says of it is told in its own words, with the key kept.
func TestTenThousandNamesOnOneKey(t *testing.T) {
	var ca counter
	x := shopAt(t, pebble.Options{Front: ca.front})
	for i := range 9_998 { // and two that it has
		x.keys[0].Certificates[0].Names = append(x.keys[0].Certificates[0].Names, fmt.Sprintf("h%d.example", i))
	}
	x.opts.Routes[0].Limits = acme.LetsEncrypt()
	if _, err := replace.NewKeys(x.keys, x.opts); err == nil || !strings.Contains(err.Error(), "holds 10000 names, more than any CA here takes in one") {
		t.Errorf("%v", err)
	}
	x.opts.Routes[0].Limits = acme.Limits{}
	sealed := x.seal(replace.NewKeys(x.keys, x.opts))
	ca.meets(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/order-plz") && problem(w, http.StatusBadRequest, "rejectedIdentifier")
	})
	if !x.drives(sealed, func(err error) bool {
		return fault.Is(err, fault.Denied) && strings.Contains(err.Error(), "ordering at pebble")
	}) {
		t.Error("the CA's refusal was not told")
	}
	m, err := x.desk.Made(t.Context(), replace.KeyName("1.1", cert.SPKI(x.old), ""))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(m.CSR))
	if req, err := x509.ParseCertificateRequest(block.Bytes); err != nil || len(req.DNSNames) != 10_000 {
		t.Errorf("the request: %v", err)
	}
}

// TestAKeyThatWasSeenBefore is nothing to certify: a host whose random numbers repeat makes the leaked key once more. Nothing is ordered for it.
func TestAKeyThatWasSeenBefore(t *testing.T) {
	var ca counter
	x := shopAt(t, pebble.Options{Front: ca.front})
	sealed := x.seal(replace.NewKeys(x.keys, x.opts))
	x.desk.Known = func(context.Context, string) (bool, error) { return true, nil }
	ordered := false
	ca.meets(func(_ http.ResponseWriter, r *http.Request) bool {
		ordered = ordered || strings.HasPrefix(r.URL.Path, "/order-plz")
		return false
	})
	if !x.drives(sealed, func(err error) bool {
		return fault.Is(err, fault.Corrupt) && strings.Contains(err.Error(), "which was seen before") && strings.Contains(fault.HintOf(err), "random numbers repeat")
	}) {
		t.Error("the key was taken")
	}
	if _, err := x.desk.Made(t.Context(), replace.KeyName("1.1", cert.SPKI(x.old), "")); !fault.Is(err, fault.NotFound) || ordered {
		t.Errorf("stored all the same: %v, ordered %v", err, ordered)
	}
}

// TestAProfileOfTheCA: the order asks for it, and the certificate is as short-lived as that profile says.
func TestAProfileOfTheCA(t *testing.T) {
	x := shopAt(t, pebble.Options{Short: true})
	x.client.CA.Profile = "short"
	leaf, err := acme.Leaf([]byte(x.certified()[0].Chain))
	if err != nil || leaf.NotAfter.Sub(leaf.NotBefore) > 7*24*time.Hour {
		t.Errorf("%v to %v, %v", leaf.NotBefore, leaf.NotAfter, err)
	}
}
