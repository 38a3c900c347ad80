package setup

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"strings"

	"staunch/fault"
	"staunch/mend/cert"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// secret opens a file that is encrypted to custodians. A secret in plain text is refused.
func (c *File) secret(name string) ([]byte, error) {
	b, err := os.ReadFile(c.path(name))
	if err != nil {
		return nil, fault.New(fault.Denied, "the secret %s: %v", name, err)
	}
	return c.open(b, name)
}

func (c *File) open(b []byte, name string) ([]byte, error) {
	var r io.Reader = bytes.NewReader(b)
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(b), []byte(armor.Header)):
		r = armor.NewReader(bytes.NewReader(bytes.TrimSpace(b)))
	case !bytes.HasPrefix(b, []byte("age-encryption.org/")):
		return nil, fault.New(fault.Denied, "%s is not encrypted", name).Hinted("encrypt it to the custodians: age -a -R custodians.txt -o %s.age %s, and shred the plain file", name, name)
	}
	ids, err := c.identities()
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(r, ids...)
	if err != nil {
		return nil, fault.New(fault.Denied, "%s cannot be opened with %s: %v", name, c.identity, err).Hinted("a custodian opens it: --identity FILE")
	}
	out, err := io.ReadAll(io.LimitReader(plain, maxCerts))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %v", name, err)
	}
	return out, nil
}

func (c *File) identities() ([]age.Identity, error) {
	f, err := os.Open(c.identity)
	if err != nil {
		return nil, fault.New(fault.Denied, "no age identity to open secrets with: %v", err).Hinted("--identity FILE; age-keygen makes one")
	}
	defer f.Close()
	ids, err := age.ParseIdentities(io.LimitReader(f, maxCerts))
	if err != nil {
		return nil, fault.New(fault.Usage, "%s: %v", c.identity, err)
	}
	return ids, nil
}

// signer reads a private key in PEM.
func signer(text []byte, name string) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fault.New(fault.Corrupt, "%s holds no PEM", name)
	}
	if strings.HasPrefix(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, fault.New(fault.Usage, "%s holds a private key that has a passphrase of its own", name).Hinted("staunch asks for none: take it off (openssl pkey -in KEY -out PLAIN), encrypt the plain key to the custodians with age, and shred it")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if key, err = parseOldKey(block.Bytes); err != nil {
			return nil, fault.New(fault.Corrupt, "%s holds no private key that can be read", name)
		}
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fault.New(fault.Corrupt, "%s holds a key that cannot sign", name)
	}
	return s, nil
}

func parseOldKey(der []byte) (any, error) {
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return x509.ParsePKCS1PrivateKey(der)
}

// OpenFor opens a key that was sealed for whoever carries keys to edges, and holds it to its hash.
func (c *File) OpenFor(_ context.Context, sealed, spki string) ([]byte, error) {
	text, err := c.open([]byte(sealed), "the sealed key")
	if err != nil {
		return nil, err
	}
	key, err := signer(text, "the sealed key")
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%v", err)
	}
	if got := cert.SPKI(&x509.Certificate{RawSubjectPublicKeyInfo: der}); got != spki {
		return nil, fault.New(fault.Denied, "another key came out than the one that was meant: %.12s", got)
	}
	return text, nil
}
