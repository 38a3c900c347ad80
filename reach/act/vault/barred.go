package vault

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"staunch/fault"
	"staunch/reach/act/files"
)

// Bar notes that a key is put nowhere on this host any more; on disk when it returns.
func (v Vault) Bar(spki string) error {
	dir := filepath.Dir(v.barred(spki))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files.NoRoom(err, dir)
	}
	if err := writeNew(v.barred(spki), nil); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return nil
}

func (v Vault) barred(spki string) string { return filepath.Join(v.State, "barred", spki) }

// Barred tells whether a key is.
func (v Vault) Barred(spki string) (bool, error) {
	_, err := os.Lstat(v.barred(spki))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// BarredIn is the first barred key, or key of a certificate, that stands in a text; "" without one.
func (v Vault) BarredIn(text []byte) (string, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		spki := spkiOf(block)
		if spki == "" {
			continue
		}
		if is, err := v.Barred(spki); is || err != nil {
			return spki, err
		}
	}
	return "", nil
}

// spkiOf is "" for what holds no key that can be told.
func spkiOf(block *pem.Block) string {
	if block.Type == "CERTIFICATE" {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return ""
		}
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		return hex.EncodeToString(sum[:])
	}
	if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return ""
	}
	key := Signer(block.Bytes)
	if key == nil {
		return ""
	}
	spki, err := SPKI(key)
	if err != nil {
		return ""
	}
	return spki
}

// Signer reads the three forms in which servers keep private keys; nil for anything else.
func Signer(der []byte) crypto.Signer {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, can := key.(crypto.Signer); can {
			return s
		}
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	return nil
}
