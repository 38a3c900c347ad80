package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

// material is one file with what it holds.
type material struct {
	file    File
	keys    []Key
	readers []Reader
}

// maxBlocks bounds the PEM blocks of one file.
const maxBlocks = 500

// parse reads key material of any form. What cannot be read holds nothing; an encrypted key is told as one.
func parse(b []byte) *material {
	m := &material{}
	rest := b
	for range maxBlocks {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		m.block(block)
	}
	if len(m.keys) == 0 {
		m.binary(b)
	}
	m.both()
	return m
}

func (m *material) block(block *pem.Block) {
	switch {
	case block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" || block.Type == "X509 CERTIFICATE":
		m.certificate(block.Bytes, "pem")
	case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		m.locked("pem", "private_key")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		m.private(block)
	}
}

func (m *material) private(block *pem.Block) {
	format := "pem"
	if block.Type == "OPENSSH PRIVATE KEY" {
		format = "openssh"
	}
	key, err := ssh.ParseRawPrivateKey(pem.EncodeToMemory(block))
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked) && locked.PublicKey != nil:
		if public, ok := locked.PublicKey.(ssh.CryptoPublicKey); ok {
			m.put(public.CryptoPublicKey(), format, true)
			m.keys[len(m.keys)-1].Encrypted = true
			return
		}
		m.locked(format, "private_key")
	case errors.As(err, &locked):
		m.locked(format, "private_key")
	case err == nil:
		m.put(publicOf(key), format, true)
	}
}

// publicOf is the public half; nothing else of the key is kept.
func publicOf(private any) any {
	switch k := private.(type) {
	case *rsa.PrivateKey:
		return &k.PublicKey
	case *ecdsa.PrivateKey:
		return &k.PublicKey
	case *ed25519.PrivateKey:
		return k.Public()
	case crypto.Signer:
		return k.Public()
	}
	return nil
}

// put adds a key by its public half.
func (m *material) put(public any, format string, private bool) {
	k := Key{Private: private, Files: []File{{Holds: "private_key", Format: format}}}
	k.Type, k.Bits = KindOf(public)
	if der, err := x509.MarshalPKIXPublicKey(public); err == nil {
		sum := sha256.Sum256(der)
		k.SPKI = hex.EncodeToString(sum[:])
	}
	m.keys = append(m.keys, k)
}

// KindOf names the type of a public key, and its size in bits: rsa, ecdsa, ed25519, or unknown and 0.
func KindOf(public any) (kind string, bits int) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return "rsa", k.N.BitLen()
	case *ecdsa.PublicKey:
		return "ecdsa", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return "ed25519", 256
	}
	return "unknown", 0
}

// locked adds a private key that is encrypted at rest: which one it is cannot be told.
func (m *material) locked(format, holds string) {
	m.keys = append(m.keys, Key{Type: "unknown", Private: true, Encrypted: true, Files: []File{{Holds: holds, Format: format}}})
}

func (m *material) certificate(der []byte, format string) bool {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return false
	}
	spki, sum := sha256.Sum256(c.RawSubjectPublicKeyInfo), sha256.Sum256(c.Raw)
	k := Key{SPKI: hex.EncodeToString(spki[:]), Files: []File{{Holds: "certificate", Format: format}}}
	k.Type, k.Bits = KindOf(c.PublicKey)
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	k.Certificates = []Certificate{{
		Subject: c.Subject.String(), Names: names, Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16), SHA256: hex.EncodeToString(sum[:]), NotAfter: c.NotAfter.UTC(), CA: c.IsCA, DER: c.Raw,
	}}
	m.keys = append(m.keys, k)
	return true
}

// binary reads DER, PKCS #12 and Java key stores; stores need a password to be opened, which we never ask for.
func (m *material) binary(b []byte) {
	switch {
	case m.certificate(b, "der"), m.jwk(b):
	case bytes.HasPrefix(b, []byte{0xfe, 0xed, 0xfe, 0xed}) || bytes.HasPrefix(b, []byte{0xce, 0xce, 0xce, 0xce}):
		m.jks(b)
	default:
		if key, err := x509.ParsePKCS8PrivateKey(b); err == nil {
			m.put(publicOf(key), "der", true)
		} else if key, err := x509.ParsePKCS1PrivateKey(b); err == nil {
			m.put(publicOf(key), "der", true)
		} else if pkcs12(b) {
			m.locked("pkcs12", "keystore")
		}
	}
}

// pkcs12 tells a PFX: a SEQUENCE that begins with version 3 and goes on with PKCS #7 data (RFC 7292).
func pkcs12(b []byte) bool {
	head := b[:min(len(b), 40)]
	return len(b) > 2 && b[0] == 0x30 && bytes.Contains(head, []byte{0x02, 0x01, 0x03, 0x30}) &&
		bytes.Contains(head, []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07})
}

// both marks keys whose private half and certificate lie in the same file.
func (m *material) both() {
	private := map[string]bool{}
	certified := map[string]bool{}
	for _, k := range m.keys {
		private[k.SPKI] = private[k.SPKI] || k.Private
		certified[k.SPKI] = certified[k.SPKI] || len(k.Certificates) > 0
	}
	for i := range m.keys {
		if id := m.keys[i].SPKI; id != "" && private[id] && certified[id] {
			m.keys[i].Files[0].Holds = "both"
		}
	}
}
