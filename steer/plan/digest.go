package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"staunch/fault"
	"staunch/mandate"

	"github.com/gowebpki/jcs"
)

// MaxBytes bounds a plan's encoding.
const MaxBytes = 64 << 20

// Sealed is a plan that can no longer change: its canonical bytes, and the digest that people sign.
type Sealed struct {
	Digest   string         // mandate.Header.Digest: covers Document, and every (step, host, act, undo) by a Merkle root
	Document string         // lower-case hex of SHA-256 over Bytes
	Bytes    []byte         // RFC 8785 JSON
	Header   mandate.Header // what is signed, through Digest
	plan     Plan
	leaves   []mandate.Leaf
	index    map[[2]string]int // step and host to leaf
	tree     mandate.Tree
}

// Plan returns the content. It is shared: read it only.
func (s *Sealed) Plan() *Plan { return &s.plan }

// Seal fixes a plan. Times are cut to milliseconds in UTC, as everywhere in the ledger.
func Seal(p Plan) (*Sealed, error) {
	p.Schema = Schema
	p.Made, p.Expires, p.NotBefore = stamp(p.Made), stamp(p.Expires), stamp(p.NotBefore)
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, fault.New(fault.Usage, "the plan cannot be encoded: %v", err)
	}
	canonical, err := jcs.Transform(plain)
	if err != nil {
		return nil, fault.New(fault.Usage, "the plan cannot be encoded: %v", err)
	}
	return read(canonical)
}

// Open reads a sealed plan's bytes again. Bytes that are not in canonical form are refused: one digest, one text.
func Open(canonical []byte) (*Sealed, error) {
	if len(canonical) > MaxBytes {
		return nil, fault.New(fault.Full, "the plan has %d bytes, the limit is %d", len(canonical), MaxBytes)
	}
	again, err := jcs.Transform(canonical)
	if err != nil || !bytes.Equal(again, canonical) {
		return nil, fault.New(fault.Corrupt, "the plan's text is not in canonical form").Hinted("plans are written by staunch only; make a new plan instead of editing one")
	}
	return read(canonical)
}

func read(canonical []byte) (*Sealed, error) {
	s := Sealed{Bytes: bytes.Clone(canonical)}
	dec := json.NewDecoder(bytes.NewReader(canonical))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s.plan); err != nil {
		return nil, fault.New(fault.Corrupt, "not a plan: %v", err)
	}
	if s.plan.Schema != Schema {
		return nil, fault.New(fault.Unsupported, "the plan has schema %d, this program reads %d", s.plan.Schema, Schema).Hinted("use a newer staunch")
	}
	sum := sha256.Sum256(canonical)
	s.Document = hex.EncodeToString(sum[:])
	return &s, s.plant()
}

func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}
