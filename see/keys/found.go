// Package keys tells which keys, certificates and secrets lie on a host and which processes could read them: hashes and names, never values.
package keys

import "time"

// Schema is the version of Found's JSON. Fields are only added.
const Schema = 1

// Question says what to look at.
type Question struct {
	PIDs       []int    `json:"pids,omitempty"`        // what these processes could see; empty: every process we may look at
	Units      []string `json:"units,omitempty"`       // likewise, by unit
	Paths      []string `json:"paths,omitempty"`       // further files and directories to look through, below the host's root
	ByteBudget int64    `json:"byte_budget,omitempty"` // bytes of files read at most; 0: 64 MB
}

// Found is what one look returned. Nothing in it lets anybody use a key: private keys appear as the hash of their public half.
type Found struct {
	Schema  int       `json:"schema"`
	Host    string    `json:"host"`
	Taken   time.Time `json:"taken"`
	TookMS  int64     `json:"took_ms"`
	Keys    []Key     `json:"keys"`
	Secrets []Secret  `json:"secrets"`
	Unseen  []Unseen  `json:"unseen"` // what could not be looked at: an empty list of keys beside it proves nothing
}

// Key is one key pair, by its public half. All certificates with the same SPKI share it: the unit of compromise is the key.
type Key struct {
	SPKI string `json:"spki_sha256"` // lower-case hex of the SHA-256 of the SubjectPublicKeyInfo; "" where it cannot be told: encrypted at rest, or a kind without one (DSA)
	Type string `json:"type"`        // rsa, ecdsa, ed25519, unknown
	Bits int    `json:"bits,omitempty"`
	// Private: the private half lies on this host. Without it only a certificate was seen.
	Private      bool          `json:"private"`
	Encrypted    bool          `json:"encrypted,omitempty"`
	Files        []File        `json:"files"`
	Certificates []Certificate `json:"certificates,omitempty"`
	Readers      []Reader      `json:"readers,omitempty"`
}

// File is where key material lies.
type File struct {
	Path   string `json:"path"`
	Holds  string `json:"holds"`            // private_key, certificate, both, public_key, keystore
	Format string `json:"format,omitempty"` // pem, der, openssh, pkcs12, jks, jwk
	Mode   string `json:"mode"`             // "0640"
	Owner  string `json:"owner"`            // user name or number
	Group  string `json:"group,omitempty"`
}

// Certificate is one certificate of a key.
type Certificate struct {
	Subject  string    `json:"subject"`
	Names    []string  `json:"names,omitempty"`
	Issuer   string    `json:"issuer"`
	Serial   string    `json:"serial"` // hex
	SHA256   string    `json:"sha256"` // of the DER
	NotAfter time.Time `json:"not_after"`
	CA       bool      `json:"ca,omitempty"`
	DER      []byte    `json:"der,omitempty"` // the whole certificate, which is public: a CA wants to see what it shall revoke
}

// SecretKind says what a secret is good for, as far as its name tells.
type SecretKind string

// Kinds of secrets.
const (
	Session  SecretKind = "session"  // signs or encrypts sessions and cookies
	JWT      SecretKind = "jwt"      // signs tokens
	Password SecretKind = "password" // of an account or a database
	Token    SecretKind = "token"    // for somebody else's interface
	Other    SecretKind = "secret"   // its name does not say
)

// Secret is something that must be changed when its readers leaked memory. Only its name is kept.
type Secret struct {
	Kind    SecretKind `json:"kind"`
	Name    string     `json:"name"`  // of the variable, credential or file
	Where   string     `json:"where"` // environment, credential, file
	Path    string     `json:"path,omitempty"`
	Readers []Reader   `json:"readers"`
}

// Reader is a process that had the key or secret in reach.
type Reader struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	Unit string `json:"unit"`
	// How we know: open_file, configuration, environment, credential, host_key.
	How  string `json:"how"`
	Says string `json:"says,omitempty"` // "ssl_certificate_key in /etc/nginx/sites-enabled/shop"
}

// Unseen is what could not be looked at.
type Unseen struct {
	PID    int    `json:"pid,omitempty"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"`
}
