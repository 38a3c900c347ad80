package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"staunch/fault"

	"github.com/gowebpki/jcs"
)

// MaxBytes bounds a plan's encoding.
const MaxBytes = 64 << 20

// Sealed is a plan that can no longer change: its canonical bytes and the digest over them.
type Sealed struct {
	Digest string // lower-case hex of SHA-256 over Bytes
	Bytes  []byte // RFC 8785 JSON
	plan   Plan
}

// Plan returns the content. It is shared: read it only.
func (s *Sealed) Plan() *Plan { return &s.plan }

// Seal fixes a plan. Times are cut to milliseconds in UTC, as everywhere in the ledger.
func Seal(p Plan) (*Sealed, error) {
	p.Schema = Schema
	p.Made, p.Expires = stamp(p.Made), stamp(p.Expires)
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, fault.New(fault.Bug, "the plan cannot be encoded: %v", err)
	}
	canonical, err := jcs.Transform(plain)
	if err != nil {
		return nil, fault.New(fault.Bug, "the plan cannot be encoded: %v", err)
	}
	return Open(canonical)
}

// Open reads a sealed plan's bytes again. Bytes that are not in canonical form are refused: one digest, one text.
func Open(canonical []byte) (*Sealed, error) {
	if len(canonical) > MaxBytes {
		return nil, fault.New(fault.Full, "the plan has %d bytes, the limit is %d", len(canonical), MaxBytes)
	}
	s := Sealed{Bytes: bytes.Clone(canonical)}
	dec := json.NewDecoder(bytes.NewReader(canonical))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s.plan); err != nil {
		return nil, fault.New(fault.Corrupt, "not a plan: %v", err)
	}
	if s.plan.Schema != Schema {
		return nil, fault.New(fault.Unsupported, "the plan has schema %d, this program reads %d", s.plan.Schema, Schema).Hinted("use a newer staunch")
	}
	again, err := jcs.Transform(canonical)
	if err != nil || !bytes.Equal(again, canonical) {
		return nil, fault.New(fault.Corrupt, "the plan's text is not in canonical form").Hinted("plans are written by staunch only; make a new plan instead of editing one")
	}
	sum := sha256.Sum256(canonical)
	s.Digest = hex.EncodeToString(sum[:])
	return &s, nil
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
