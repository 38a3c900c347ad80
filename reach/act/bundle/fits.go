package bundle

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"slices"

	"staunch/reach/act/bench"
	"staunch/reach/act/vault"
)

// fits refuses a bundle whose certificate is not of its key, before anything is placed: many programs have no check of their own that would
// say so. A bundle with keys only, or with certificates only, is held against nothing, and a CA's certificate goes with every key.
func (p Place) fits(b *bench.Bench) error {
	var keys, names []string
	for _, f := range p.With.Files {
		for _, piece := range f.Pieces {
			if piece.Key == "" || slices.Contains(names, piece.Key) {
				continue
			}
			_, fact, err := vault.Vault{State: b.Places.State}.Read(piece.Key)
			if err != nil {
				return err
			}
			keys, names = append(keys, fact.SPKI), append(names, piece.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	for _, f := range p.With.Files {
		for _, piece := range f.Pieces {
			if piece.SHA256 == "" {
				continue
			}
			leaf, err := leafOf(b, piece.SHA256)
			if err != nil {
				return err
			}
			if leaf == nil || leaf.IsCA {
				continue
			}
			sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
			if got := hex.EncodeToString(sum[:]); !slices.Contains(keys, got) {
				return bench.Denied("the certificate for %s is of key %.12s, and the bundle's key %s is %.12s: they do not belong together", f.Path, got, names[0], keys[0])
			}
		}
	}
	return nil
}

// leafOf is the first certificate of a payload; nil where it holds none.
func leafOf(b *bench.Bench, sum string) (*x509.Certificate, error) {
	file, err := payload(b, sum)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBarred))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, bench.Denied("the certificate of the bundle cannot be read: %v", err)
	}
	return leaf, nil
}
