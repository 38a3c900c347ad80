package act

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/url"
)

// RevokeOwnWith asks a CA to revoke certificates of a key that lies on this host, signed by that key itself (RFC 8555 section 7.6), with the
// reason that the key may have leaked. The key does not leave the host: it is found in the host's store, or among the old files that undo keeps.
type RevokeOwnWith struct {
	SPKI         string   `json:"spki_sha256"`     // of the key, lower-case hex
	Certificates [][]byte `json:"certificates"`    // DER, all of this key
	Directory    string   `json:"directory"`       // of the CA: an https URL
	Roots        string   `json:"roots,omitempty"` // PEM: whom to trust for that URL, where this host does not by itself
}

// Validate holds every certificate to the key: nothing else can be revoked by this act.
func (w *RevokeOwnWith) Validate() error {
	if !reHex.MatchString(w.SPKI) || len(w.Certificates) == 0 || len(w.Certificates) > 100 || len(w.Roots) > 256<<10 {
		return usage("revoke_own needs the key's spki_sha256 and between 1 and 100 certificates of it")
	}
	for _, der := range w.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return usage("a certificate to be revoked cannot be read: %v", err)
		}
		if sum := sha256.Sum256(c.RawSubjectPublicKeyInfo); hex.EncodeToString(sum[:]) != w.SPKI {
			return usage("certificate %s is of another key", c.SerialNumber.Text(16))
		}
	}
	at, err := url.Parse(w.Directory)
	if err != nil || at.Scheme != "https" || at.Host == "" || len(w.Directory) > 1000 {
		return usage("the CA's directory %.80q is no https URL", w.Directory)
	}
	if w.Roots != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(w.Roots)) {
		return usage("the roots hold no certificate")
	}
	return nil
}
