package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/testbed/pebble"
)

// office is a CA that people walk to.
type office struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func newOffice(t *testing.T) *office {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Office CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &office{t, key, root}
}

// signs certifies a request for its names.
func (o *office) signs(csr string, names ...string) string {
	o.t.Helper()
	block, _ := pem.Decode([]byte(csr))
	if block == nil {
		o.t.Fatalf("no request: %s", csr)
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		o.t.Fatal(err)
	}
	if len(names) == 0 {
		names = req.DNSNames
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, o.root, req.PublicKey, o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.root.Raw}))
}

// voted approves a plan by two people.
func (x *shop) voted(id string) {
	x.t.Helper()
	for _, name := range []string{"ada", "ben"} {
		key := x.path(name + ".key")
		if _, err := os.Stat(key); err != nil {
			key = x.keyOf(name, true)
		}
		x.must(0, "approve", id, "--key", key)
	}
}

// TestACertificateByHand: the request goes out on paper, somebody is named for it and a second person behind, wrong certificates are refused with
// the reason, and the right one lets the run go on.
func TestACertificateByHand(t *testing.T) {
	x, ca := newShop(t, pebble.Options{}), newOffice(t)
	x.settings("")
	b, err := os.ReadFile(x.path("certs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Replace(string(b), "authorities:\n", "authorities:\n  - {name: Office, hand: true, matches: Pebble}\n", 1)
	lines := strings.SplitAfter(all, "\n")
	alone := "custodians: {ada: " + strings.SplitN(strings.SplitN(lines[0], "ada: ", 2)[1], ",", 2)[0] + "}\n" + strings.Join(lines[1:], "")
	x.write("certs.yaml", alone)
	x.refuses("never one person alone", "cert", "replace", "shop.example")
	x.write("certs.yaml", all)
	out := x.must(0, "cert", "replace", "shop.example", "--urgency", "now", "--soak", "0s")
	key := "staunch-1.1-" + cert.SPKI(x.old)[:12]
	has(t, "the plan", out, "have Office certify the new key "+key, "person  ada")
	x.voted("1.1")
	has(t, "the run", x.must(3, "incident", "run", "1"), "waits", "staunch cert csr "+key)

	csr := x.must(0, "cert", "csr", key)
	good := ca.signs(csr)
	for name, bad := range map[string]string{
		"is for key":                    x.was[:strings.Index(x.was, "-----BEGIN PRIVATE")],
		"PRIVATE KEY among the":         good + x.was[strings.Index(x.was, "-----BEGIN PRIVATE"):],
		"lacks 1 names, such as shop":   ca.signs(csr, "cdn.shop.example"),
		"not a PEM chain":               "hello",
		"is not signed by the next one": good[:strings.Index(good, "-----END CERTIFICATE-----")+26] + x.was[:strings.Index(x.was, "-----END CERTIFICATE-----")+26],
		"certificate 1 cannot be read":  "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"a chain of more than 10":       strings.Repeat(good, 8),
	} {
		x.write("bad.pem", bad)
		x.refuses(name, "cert", "import", key, x.path("bad.pem"))
	}
	x.refuses("there is no certificate", "cert", "chain", key)
	x.write("good.pem", good)
	has(t, "import", x.must(0, "cert", "import", key, x.path("good.pem")), "is stored")
	x.must(0, "cert", "import", key, x.path("good.pem")) // twice is once
	x.write("other.pem", ca.signs(csr))
	x.refuses("another certificate is stored", "cert", "import", key, x.path("other.pem"))
	x.must(0, "incident", "confirm", "1", "fetch-"+key)
	has(t, "the rest", x.must(0, "incident", "run", "1"), "plan 1.1: done")
	if got := x.must(0, "cert", "chain", key); got != good {
		t.Error("another chain came out")
	}
}

// TestAPKIOfTheTeamsOwn: a program that is asked once to issue and after a crash only to fetch, so that one key gets one certificate.
func TestAPKIOfTheTeamsOwn(t *testing.T) {
	x, ca := newShop(t, pebble.Options{}), newOffice(t)
	x.settings("")
	b, err := os.ReadFile(x.path("certs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	x.write("certs.yaml", strings.Replace(string(b), "authorities:\n", fmt.Sprintf("authorities:\n  - {name: Corp, hook: %q, matches: Pebble}\n", x.path("pki.sh")), 1))
	x.write("pki.sh", fmt.Sprintf("#!/bin/sh\necho \"$1\" >>%[1]s/calls\ncase $1 in\nissue) cat >%[1]s/req.csr; echo 'the wire broke' >&2; exit 1;;\nfetch) cat >/dev/null; cat %[1]s/signed.pem;;\nesac\n", x.dir))
	if err := os.Chmod(x.path("pki.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	x.write("signed.pem", "")
	has(t, "the plan", x.must(0, "cert", "replace", "shop.example", "--urgency", "now", "--soak", "0s"), "from Corp")
	x.voted("1.1")
	done := make(chan string, 1)
	go func() {
		out, err, code := x.types("incident", "run", "1")
		done <- fmt.Sprintf("exit %d\n%s%s", code, out, err)
	}()
	x.waits("the request reaches the PKI", done, func() bool {
		csr, err := os.ReadFile(x.path("req.csr"))
		if err != nil || !strings.Contains(string(csr), "END CERTIFICATE REQUEST") {
			return false
		}
		x.write("signed.pem", ca.signs(string(csr)))
		return true
	})
	has(t, "the run", <-done, "exit 0", "the wire broke", "plan 1.1: done")
	calls, err := os.ReadFile(x.path("calls"))
	if err != nil || strings.Count(string(calls), "issue") != 1 || !strings.Contains(string(calls), "fetch") {
		t.Errorf("it was called with %q, %v", calls, err)
	}
}
