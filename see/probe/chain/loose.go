package chain

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"strings"
	"time"

	"staunch/fault"
	"staunch/tame"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// loose is a certificate read without the rules that crypto/x509 insists on: old servers serve some that break them.
type loose struct {
	subject, issuer, serial, signature string
	notBefore, notAfter                time.Time
	spki                               []byte
	key                                Key
	exponent1                          bool
}

// parseLoose reads a certificate. Fault Corrupt when its outline cannot be read.
func parseLoose(der []byte) (*loose, error) {
	bad := fault.New(fault.Corrupt, "the certificate cannot be read")
	in := cryptobyte.String(der)
	var cert, tbs, algorithm, issuer, validity, subject, spki cryptobyte.String
	serial := new(big.Int)
	if !in.ReadASN1(&cert, casn1.SEQUENCE) || !cert.ReadASN1(&tbs, casn1.SEQUENCE) || !cert.ReadASN1(&algorithm, casn1.SEQUENCE) {
		return nil, bad
	}
	if !tbs.SkipOptionalASN1(casn1.Tag(0).Constructed().ContextSpecific()) || !readSerial(&tbs, serial) || !tbs.SkipASN1(casn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&issuer, casn1.SEQUENCE) || !tbs.ReadASN1(&validity, casn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&subject, casn1.SEQUENCE) || !tbs.ReadASN1Element(&spki, casn1.SEQUENCE) {
		return nil, bad
	}
	l := &loose{subject: name(subject), issuer: name(issuer), serial: hex.EncodeToString(serial.Bytes()), spki: spki}
	if serial.Sign() < 0 {
		l.serial = "-" + l.serial
	}
	l.notBefore, l.notAfter = readTime(&validity), readTime(&validity)
	l.signature = signatureName(algorithm)
	l.readKey()
	return l, nil
}

// readSerial takes the serial number; serials are negative or too long in the wild, so the length is bounded here only by the message.
func readSerial(tbs *cryptobyte.String, serial *big.Int) bool {
	var element cryptobyte.String
	if !tbs.ReadASN1(&element, casn1.INTEGER) || len(element) > 64 {
		return false
	}
	serial.SetBytes(element)
	if len(element) > 0 && element[0]&0x80 != 0 {
		serial.Sub(serial, new(big.Int).Lsh(big.NewInt(1), uint(8*len(element))))
	}
	return true
}

func readTime(in *cryptobyte.String) time.Time {
	var value cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&value, &tag) {
		return time.Time{}
	}
	layouts := []string{"060102150405Z", "0601021504Z", "060102150405-0700"}
	if tag == casn1.GeneralizedTime {
		layouts = []string{"20060102150405Z", "20060102150405-0700"}
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, string(value)); err == nil {
			if tag == casn1.UTCTime && t.Year() >= 2050 {
				t = t.AddDate(-100, 0, 0) // RFC 5280 section 4.1.2.5.1
			}
			return t.UTC()
		}
	}
	return time.Time{}
}

// name prints a distinguished name; an unreadable one is said to be so.
func name(der []byte) string {
	var rdn pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &rdn); err != nil {
		return "(unreadable name)"
	}
	var n pkix.Name
	n.FillFromRDNSequence(&rdn)
	return tame.Short(n.String(), maxText)
}

func (l *loose) readKey() {
	if public, err := x509.ParsePKIXPublicKey(l.spki); err == nil {
		if k, weak := keyOf(public); k.Type != "" {
			l.key, l.exponent1 = k, weak
			return
		}
	}
	l.key = looseKey(l.spki)
}

// looseKey tells the kind by the algorithm's number, and the size by the first number inside where that is the modulus or the prime.
func looseKey(spki []byte) Key {
	in := cryptobyte.String(spki)
	var seq, algorithm, bits cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !seq.ReadASN1(&algorithm, casn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) || !seq.ReadASN1(&bits, casn1.BIT_STRING) {
		return Key{Type: "unknown"}
	}
	switch id := oid.String(); id {
	case "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10":
		return Key{Type: "RSA", Bits: firstNumber(bits[min(1, len(bits)):])}
	case "1.2.840.10040.4.1":
		return Key{Type: "DSA", Bits: firstNumber(algorithm)}
	case "1.2.840.10045.2.1":
		return Key{Type: "ECDSA", Bits: 4 * (len(bits) - 2)} // uncompressed point behind the count of unused bits
	case "1.3.101.112":
		return Key{Type: "Ed25519", Bits: 256}
	case "1.3.101.113":
		return Key{Type: "Ed448", Bits: 456}
	case "2.16.840.1.101.3.4.3.17":
		return Key{Type: "ML-DSA-44", Bits: 1312 * 8}
	case "2.16.840.1.101.3.4.3.18":
		return Key{Type: "ML-DSA-65", Bits: 1952 * 8}
	case "2.16.840.1.101.3.4.3.19":
		return Key{Type: "ML-DSA-87", Bits: 2592 * 8}
	default:
		return Key{Type: id}
	}
}

// firstNumber is the bit length of the first INTEGER in a SEQUENCE.
func firstNumber(in cryptobyte.String) int {
	var seq, number cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !seq.ReadASN1(&number, casn1.INTEGER) {
		return 0
	}
	return new(big.Int).SetBytes(number).BitLen()
}

// signatureName names a signature algorithm by its number.
func signatureName(algorithm cryptobyte.String) string {
	var oid asn1.ObjectIdentifier
	if !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return "unknown"
	}
	names := map[string]string{
		"1.2.840.113549.1.1.2": "MD2-RSA", "1.2.840.113549.1.1.4": "MD5-RSA", "1.2.840.113549.1.1.5": "SHA1-RSA", "1.3.14.3.2.29": "SHA1-RSA",
		"1.2.840.113549.1.1.10": "RSA-PSS", "1.2.840.113549.1.1.11": "SHA256-RSA", "1.2.840.113549.1.1.12": "SHA384-RSA",
		"1.2.840.113549.1.1.13": "SHA512-RSA", "1.2.840.113549.1.1.14": "SHA224-RSA", "1.2.840.10040.4.3": "SHA1-DSA", "2.16.840.1.101.3.4.3.2": "SHA256-DSA",
		"1.2.840.10045.4.1": "SHA1-ECDSA", "1.2.840.10045.4.3.1": "SHA224-ECDSA", "1.2.840.10045.4.3.2": "SHA256-ECDSA",
		"1.2.840.10045.4.3.3": "SHA384-ECDSA", "1.2.840.10045.4.3.4": "SHA512-ECDSA", "1.3.101.112": "Ed25519", "1.3.101.113": "Ed448",
		"2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
	}
	if n := names[oid.String()]; n != "" {
		return n
	}
	return oid.String()
}

// WeakHash tells whether a signature by this name rests on MD2, MD5 or SHA-1, and on which.
func WeakHash(signature string) string {
	hash, _, _ := strings.Cut(signature, "-")
	switch hash {
	case "MD2", "MD5", "SHA1":
		return hash
	}
	return ""
}
