// Package chain says what a chain of certificates is worth: names, dates, keys, trust and revocation.
package chain

import "time"

// Certificate is the leaf that was served, with what can be said about its chain.
type Certificate struct {
	Subject      string     `json:"subject"`
	Names        []string   `json:"names"`
	Issuer       string     `json:"issuer"`
	Serial       string     `json:"serial"` // lower-case hex
	NotBefore    time.Time  `json:"not_before"`
	NotAfter     time.Time  `json:"not_after"`
	Key          Key        `json:"key"`
	Signature    string     `json:"signature"`
	SHA256       string     `json:"sha256"`      // of the certificate, lower-case hex
	SPKISHA256   string     `json:"spki_sha256"` // of the SubjectPublicKeyInfo, lower-case hex
	Trusted      bool       `json:"trusted"`
	Problems     []string   `json:"problems"`
	Chain        []Link     `json:"chain"` // as served, leaf first
	SCTs         int        `json:"scts"`  // signed certificate timestamps: embedded, in the handshake and in the staple
	Staple       string     `json:"ocsp_staple,omitempty"`
	Revocation   Revocation `json:"revocation"`
	MustStaple   bool       `json:"must_staple,omitempty"`
	RSAExponent1 bool       `json:"rsa_exponent_1,omitempty"`
}

// Key is a public key's kind and strength.
type Key struct {
	Type string `json:"type"` // RSA, ECDSA, Ed25519 ...
	Bits int    `json:"bits"`
}

// Link is one certificate of the served chain.
type Link struct {
	Subject    string    `json:"subject"`
	Issuer     string    `json:"issuer"`
	NotAfter   time.Time `json:"not_after"`
	Key        Key       `json:"key"`
	Signature  string    `json:"signature"`
	SPKISHA256 string    `json:"spki_sha256"`
}

// Revocation is what could be learned about the leaf's revocation.
// State is "good", "revoked", "unknown" (a source exists but gave no usable answer) or "unverifiable" (the certificate names no source).
type Revocation struct {
	State   string     `json:"state"`
	Source  string     `json:"source,omitempty"` // "crl", "ocsp" or "staple"
	Says    string     `json:"says,omitempty"`
	Reason  int        `json:"reason,omitempty"` // CRL reason code; 1 is key compromise
	At      *time.Time `json:"at,omitempty"`     // when it was revoked
	Updated *time.Time `json:"updated,omitempty"`
	Next    *time.Time `json:"next,omitempty"` // when the source will say more
}
