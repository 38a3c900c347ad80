package probe

import (
	"staunch/see/probe/chain"
	"staunch/see/probe/grade"
)

// Result is what one address showed. A field that is nil or empty was not looked at, or the endpoint does not have it: NotTested says which.
type Result struct {
	Target      string             `json:"target"`  // as the user wrote it
	Address     string             `json:"address"` // the IP address asked; empty when the name did not resolve
	Port        int                `json:"port"`
	SNI         string             `json:"sni"`
	StartTLS    string             `json:"starttls,omitempty"`
	Error       string             `json:"error,omitempty"` // why this address could not be seen
	Heartbleed  Heartbleed         `json:"heartbleed"`
	Protocols   []Protocol         `json:"protocols,omitempty"`
	Groups      []Named            `json:"groups,omitempty"` // key exchange groups, best liked first where the server chooses
	Signatures  []Named            `json:"signature_algorithms,omitempty"`
	Modern      []Named            `json:"signature_algorithms_tls13,omitempty"` // in no order: which one is preferred is encrypted
	ALPN        []string           `json:"alpn,omitempty"`
	Resumption  *Resumption        `json:"resumption,omitempty"`
	Renegotiate *Renegotiation     `json:"renegotiation,omitempty"`
	Compression *bool              `json:"compression,omitempty"` // TLS compression accepted (CRIME)
	HSTS        *HSTS              `json:"hsts,omitempty"`
	Certificate *chain.Certificate `json:"certificate,omitempty"`
	Keys        []string           `json:"keys,omitempty"`        // SPKI hashes of every key that is served, where that was asked
	ExpectSPKI  string             `json:"expect_spki,omitempty"` // "served", "different" or "unseen", when the question expected a key
	Flaws       []Flaw             `json:"flaws,omitempty"`       // intrusive tests: what they found
	Grade       *grade.Grade       `json:"grade,omitempty"`
	NotTested   []string           `json:"not_tested"`
	Connections int                `json:"connections"`
	TookMS      int64              `json:"took_ms"`
}

// Complete tells whether what was asked for was seen: no error, no inconclusive verdict, no version of which the answer is doubtful.
func (r Result) Complete() bool {
	for _, p := range r.Protocols {
		if p.Unsure != "" && !(p.Offered && p.Version == "SSLv2") { // an offered SSLv2 is bad enough whatever its ciphers
			return false
		}
	}
	return r.Error == "" && r.ExpectSPKI != "unseen" && r.Heartbleed.Verdict != Inconclusive
}

// Verdict is what the Heartbleed probe can prove.
type Verdict string

// The verdicts. Only Vulnerable and Patched are proofs by an answer.
const (
	Vulnerable   Verdict = "vulnerable"   // answered a record that every fixed code discards
	Patched      Verdict = "patched"      // heartbeats on, discards the bad record and answers the good one
	NoHeartbeat  Verdict = "no_heartbeat" // does not negotiate the extension: what is asked here cannot be exploited here
	Inconclusive Verdict = "inconclusive" // neither: Reason says why
	NotTested    Verdict = "not_tested"   // could not be asked: Reason says why
)

// Heartbleed is the verdict on CVE-2014-0160 at this address. A negative verdict never outweighs evidence from the host.
type Heartbleed struct {
	Verdict      Verdict `json:"verdict"`
	Reason       string  `json:"reason"`
	ForeignBytes int     `json:"foreign_bytes"` // bytes in the answer that were not ours; the probe makes it 0
	Version      string  `json:"version,omitempty"`
	Method       string  `json:"method,omitempty"` // "no padding" (RFC 6520 section 4) or "after the handshake"
}

// Named is a code point with the name the IANA gives it.
type Named struct {
	ID   string `json:"id"` // "0xc02f"
	Name string `json:"name"`
}

// Protocol is one version and the suites it was seen to accept, in the order in which the server chose them.
type Protocol struct {
	Version          string  `json:"version"` // SSLv2, SSLv3, TLS1.0 ... TLS1.3
	Offered          bool    `json:"offered"`
	Suites           []Named `json:"suites,omitempty"`
	ServerPreference bool    `json:"server_preference"`
	Unsure           string  `json:"unsure,omitempty"` // why Offered or Suites may be incomplete
}

// Resumption says how sessions can be taken up again.
type Resumption struct {
	Tickets    bool   `json:"tickets"`     // a session ticket is offered
	SessionIDs bool   `json:"session_ids"` // a session was resumed by its id
	TLS13      bool   `json:"tls13"`       // a TLS 1.3 session was resumed
	Unsure     string `json:"unsure,omitempty"`
}

// Renegotiation says whether RFC 5746 is spoken and whether a client may start one.
type Renegotiation struct {
	Secure          bool   `json:"secure"`
	ClientInitiated string `json:"client_initiated"` // "accepted", "refused" or "unknown"
}

// HSTS is the Strict-Transport-Security header of the root page.
type HSTS struct {
	Present bool   `json:"present"`
	MaxAge  int64  `json:"max_age"` // seconds; -1 when the header cannot be read
	Header  string `json:"header,omitempty"`
}

// Flaw is the outcome of one intrusive test.
type Flaw struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // "vulnerable", "not_seen" or "inconclusive"
	Reason  string `json:"reason"`
}
