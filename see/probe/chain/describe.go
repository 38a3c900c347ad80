package chain

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"staunch/fault"
	"staunch/tame"
)

// Limits on what is kept of a served chain.
const (
	maxNames = 1000
	maxText  = 500
)

// SPKI returns the lower-case hex SHA-256 of a certificate's SubjectPublicKeyInfo, also for certificates that crypto/x509 refuses.
func SPKI(der []byte) (string, error) {
	l, err := parseLoose(der)
	if err != nil {
		return "", err
	}
	return hexSum(l.spki), nil
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Describe reads a chain as served (DER, leaf first) without judging it: see Judge. Fault Corrupt when not even the leaf can be read.
func Describe(ders [][]byte) (*Certificate, error) {
	if len(ders) == 0 {
		return nil, fault.New(fault.Corrupt, "no certificate was served")
	}
	leaf, err := parseLoose(ders[0])
	if err != nil {
		return nil, err
	}
	c := &Certificate{
		Subject: leaf.subject, Issuer: leaf.issuer, Serial: leaf.serial, NotBefore: leaf.notBefore, NotAfter: leaf.notAfter,
		Key: leaf.key, Signature: leaf.signature, SHA256: hexSum(ders[0]), SPKISHA256: hexSum(leaf.spki), RSAExponent1: leaf.exponent1,
		Names: []string{}, Problems: []string{}, Revocation: Revocation{State: "unknown", Says: "not looked up"},
	}
	for _, der := range ders {
		link, err := parseLoose(der)
		if err != nil {
			c.problem("broken", "certificate %d of the chain cannot be read", len(c.Chain)+1)
			continue
		}
		c.Chain = append(c.Chain, Link{Subject: link.subject, Issuer: link.issuer, NotAfter: link.notAfter, Key: link.key, Signature: link.signature, SPKISHA256: hexSum(link.spki)})
	}
	strict, err := x509.ParseCertificate(ders[0])
	if err != nil {
		c.problem("broken", "the certificate breaks the rules: %v", err)
		return c, nil
	}
	c.fromStrict(strict)
	return c, nil
}

// fromStrict adds what only the complete parser knows.
func (c *Certificate) fromStrict(x *x509.Certificate) {
	c.Names = append(c.Names, x.DNSNames...)
	for _, ip := range x.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	if len(c.Names) > maxNames {
		c.Names = append(c.Names[:maxNames], fmt.Sprintf("... and %d more", len(c.Names)-maxNames))
	}
	for i, n := range c.Names {
		c.Names[i] = tame.Short(n, maxText)
	}
	for _, e := range x.Extensions {
		switch {
		case e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}):
			c.SCTs += countSCTs(e.Value)
		case e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}):
			c.MustStaple = true
		}
	}
}

// countSCTs counts the entries of a SignedCertificateTimestampList inside its OCTET STRING (RFC 6962 section 3.3).
func countSCTs(value []byte) int {
	var list []byte
	if rest, err := asn1.Unmarshal(value, &list); err != nil || len(rest) > 0 || len(list) < 2 {
		return 0
	}
	n := 0
	for list = list[2:]; len(list) >= 2; n++ {
		size := int(list[0])<<8 | int(list[1])
		if len(list) < 2+size {
			return n
		}
		list = list[2+size:]
	}
	return n
}

func keyOf(public any) (Key, bool) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return Key{Type: "RSA", Bits: k.N.BitLen()}, k.E == 1
	case *ecdsa.PublicKey:
		return Key{Type: "ECDSA", Bits: k.Curve.Params().BitSize}, false
	case ed25519.PublicKey:
		return Key{Type: "Ed25519", Bits: 256}, false
	}
	return Key{}, false
}

// problem adds one finding; its code stands before the colon and is stable.
func (c *Certificate) problem(code, format string, args ...any) {
	c.Problems = append(c.Problems, code+": "+tame.Short(fmt.Sprintf(format, args...), maxText))
}

// Has tells whether a problem with this code was found.
func (c *Certificate) Has(code string) bool {
	for _, p := range c.Problems {
		if strings.HasPrefix(p, code+":") {
			return true
		}
	}
	return false
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }
