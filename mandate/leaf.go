// Package mandate is the signed right to do exactly one thing: leaves, their Merkle root, signatures, quorum and expiry.
package mandate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"staunch/fault"
)

// Leaf is one act for one host as a plan's signatures cover it. A plan's leaves are in the order that its author chose;
// (step, host) is unique within a plan.
type Leaf struct {
	Plan string          `json:"plan"` // name of the plan: "7.2"
	Step string          `json:"step"` // id of the step within the plan
	Host string          `json:"host"` // the host's name; one leaf a host
	Ring string          `json:"ring,omitempty"`
	Act  json.RawMessage `json:"act"`            // reach/act.Act as JSON
	Undo bool            `json:"undo,omitempty"` // the signatures also cover undoing the act from the host's own record
}

// Header is what is signed, through its digest: it covers every leaf by the root.
type Header struct {
	Schema    int            `json:"schema"` // 1
	Plan      string         `json:"plan"`
	Incident  string         `json:"incident,omitempty"`
	Root      string         `json:"root"`   // Root of the leaves, lower-case hex
	Leaves    int            `json:"leaves"` // how many
	Quorum    map[string]int `json:"quorum,omitempty"`
	NotBefore time.Time      `json:"not_before,omitzero"`
	Expires   time.Time      `json:"expires"`
	Document  string         `json:"document,omitempty"` // SHA-256 of the whole plan document (conditions, proofs, text), lower-case hex
}

// Mandate is what an order carries: the plan's header, its own leaf, the leaf's way to the root, and the signatures.
type Mandate struct {
	Header     Header   `json:"header"`
	Leaf       Leaf     `json:"leaf"`
	Index      int      `json:"index"` // of the leaf, from 0
	Path       []string `json:"path"`  // audit path from leaf to root, lower-case hex
	Signatures []string `json:"signatures"`
}

// Schema is the version of Header that this package writes and understands.
const Schema = 1

// Bounds on what a mandate may hold; hosts read mandates from strangers.
const (
	MaxMandate    = 1 << 20 // bytes of JSON
	MaxLeaves     = 1 << 20
	MaxSignatures = 64
	maxName       = 256
)

// Digest names a plan: lower-case hex of SHA-256 over "staunch-plan-v1" NUL and the header's canonical JSON.
func (h Header) Digest() (string, error) {
	h.NotBefore, h.Expires = milliseconds(h.NotBefore), milliseconds(h.Expires)
	b, err := Canonical(h)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte("staunch-plan-v1\x00"), b...))
	return hex.EncodeToString(sum[:]), nil
}

// Message returns the bytes that people sign for a plan: its digest and a newline, as `staunch` prints it, so that
// `echo DIGEST | ssh-keygen -Y sign -n staunch-plan -f KEY` makes a valid vote by hand.
func Message(digest string) []byte { return []byte(digest + "\n") }

// milliseconds gives times one spelling: UTC, whole milliseconds.
func milliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// Validate says what is wrong with a header on its face.
func (h Header) Validate() error {
	root, err := hex.DecodeString(h.Root)
	switch {
	case h.Schema != Schema:
		return fault.New(fault.Unsupported, "mandate schema %d, this version understands %d", h.Schema, Schema)
	case !name(h.Plan):
		return fault.New(fault.Corrupt, "mandate names no plan")
	case err != nil || len(root) != sha256.Size || strings.ToLower(h.Root) != h.Root:
		return fault.New(fault.Corrupt, "the plan's root is not a lower-case SHA-256")
	case h.Leaves < 1 || h.Leaves > MaxLeaves:
		return fault.New(fault.Corrupt, "a plan has between 1 and %d leaves, this one says %d", MaxLeaves, h.Leaves)
	case h.Expires.IsZero():
		return fault.New(fault.Corrupt, "the plan never expires: refused")
	}
	return nil
}

// Validate says what is wrong with a leaf on its face.
func (l Leaf) Validate() error {
	for _, field := range []struct{ what, value string }{{"plan", l.Plan}, {"step", l.Step}, {"host", l.Host}} {
		if !name(field.value) {
			return fault.New(fault.Usage, "leaf without a proper %s: %.40q", field.what, field.value)
		}
	}
	if len(bytes.TrimSpace(l.Act)) == 0 {
		return fault.New(fault.Usage, "leaf of step %s without an act", l.Step)
	}
	return nil
}

// name tells whether s can stand in an order id: not empty, short, printable ASCII, no slash.
func name(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '/' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// Parse reads a mandate from a stranger: bounded, unknown fields refused.
func Parse(b []byte) (Mandate, error) {
	var m Mandate
	if len(b) > MaxMandate {
		return m, fault.New(fault.Full, "mandate of %d bytes, at most %d", len(b), MaxMandate)
	}
	if _, err := Canonical(json.RawMessage(b)); err != nil { // keys that appear twice
		return m, fault.New(fault.Corrupt, "mandate: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, fault.New(fault.Corrupt, "mandate: %v", err)
	}
	if len(m.Signatures) > MaxSignatures {
		return m, fault.New(fault.Full, "%d signatures, at most %d", len(m.Signatures), MaxSignatures)
	}
	return m, nil
}
