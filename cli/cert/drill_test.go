package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
)

// TestADrillTouchesNothingThatTheWorldTrusts: a drill would put a test CA's certificate in its place.
func TestADrillTouchesNothingThatTheWorldTrusts(t *testing.T) {
	leaf, ca := trustedLeaf(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	list := []cert.Key{{SPKI: cert.SPKI(leaf), Certificates: []cert.Certificate{{DER: leaf.Raw}}}}
	if err := rehearsed(list, nil, roots, time.Now()); !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "test-hosts.yaml") {
		t.Errorf("what everybody trusts: %v", err)
	}
	if err := rehearsed(list, nil, x509.NewCertPool(), time.Now()); err != nil {
		t.Errorf("what nobody trusts: %v", err)
	}
	if err := rehearsed(list, nil, roots, leaf.NotAfter.Add(time.Hour)); err != nil {
		t.Errorf("what has ended: %v", err)
	}
}

func trustedLeaf(t *testing.T) (leaf, ca *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := func(template, parent *x509.Certificate) *x509.Certificate {
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca = made(template, template)
	return made(&x509.Certificate{DNSNames: []string{"shop.example"}}, ca), ca
}
