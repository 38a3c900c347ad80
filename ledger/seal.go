package ledger

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"iter"
	"time"

	"staunch/fault"
)

// SealStream holds the seals, SealKind is their kind.
const (
	SealStream = "ledger"
	SealKind   = "ledger.sealed"
)

// Seal fixes what the events From..To said when it was made. Each seal holds the one before it, so the past cannot be changed
// without changing every later seal, and a seal that left the machine (in a report, a backup, a vote) vouches for all before it.
type Seal struct {
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	SHA256 string `json:"sha256"` // over Prev and the digests of the events From..To, hex
	Prev   string `json:"prev"`   // SHA256 of the seal before, "" for the first
	Each   string `json:"each"`   // the first 4 bytes of each event's digest, base64: finds the event that was changed
}

const prefix = 4

// ring gathers the digests of one seal.
type ring struct {
	seal Seal
	sum  []byte // all digests, whole
	each []byte
}

func (r *ring) add(e Event) {
	if r.seal.From == 0 {
		r.seal.From = e.Seq
	}
	d := e.Digest()
	r.seal.To = e.Seq
	r.sum = append(r.sum, d[:]...)
	r.each = append(r.each, d[:prefix]...)
}

func (r *ring) close(prev string) Seal {
	h := sha256.New()
	h.Write([]byte(prev))
	h.Write(r.sum)
	s := r.seal
	s.Prev, s.SHA256, s.Each = prev, hex.EncodeToString(h.Sum(nil)), base64.RawStdEncoding.EncodeToString(r.each)
	return s
}

// Sealer appends seals to a ledger. One holder at a time seals: the one who writes, or who holds the lease.
type Sealer struct {
	Ledger Ledger
	Every  int           // events per seal, at most MaxBatch; 0: 1,000
	Within time.Duration // an event is sealed at latest so long after it came; 0: 10 s
	Now    func() time.Time
	By     string

	started bool
	last    Seal // the newest seal
	end     Position
}

// Seal seals everything that is there now, its own seals aside.
func (s *Sealer) Seal(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	every := s.Every
	if every <= 0 || every > MaxBatch {
		every = MaxBatch
	}
	var open ring
	facts := 0
	for e, err := range s.Ledger.Read(ctx, Query{After: s.last.To}) {
		if err != nil {
			return err
		}
		open.add(e)
		if e.Kind != SealKind {
			facts++
		}
		if len(open.each) == every*prefix {
			if err := s.put(ctx, open.close(s.last.SHA256)); err != nil {
				return err
			}
			open, facts = ring{}, 0
		}
	}
	if facts == 0 {
		return nil // only seals are unsealed
	}
	return s.put(ctx, open.close(s.last.SHA256))
}

// Run seals in time until ctx ends, then seals what is left.
func (s *Sealer) Run(ctx context.Context) error {
	within := s.Within
	if within <= 0 {
		within = 10 * time.Second
	}
	tick := time.NewTicker(within)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
			defer cancel()
			return s.Seal(last)
		case <-tick.C:
			if err := s.Seal(ctx); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Conflict) {
				return err // a conflict: somebody else sealed
			}
		}
	}
}

// start finds the newest seal.
func (s *Sealer) start(ctx context.Context) error {
	if s.started {
		return nil
	}
	for e, err := range s.Ledger.Read(ctx, Query{Stream: SealStream}) {
		if err != nil {
			return err
		}
		s.end = e.Pos
		if e.Kind != SealKind {
			continue
		}
		s.last = Seal{}
		if err := e.Decode(&s.last); err != nil {
			return err
		}
	}
	s.started = true
	return nil
}

func (s *Sealer) put(ctx context.Context, seal Seal) error {
	e, err := New(SealKind, 1, s.Now(), s.By, seal)
	if err != nil {
		return err
	}
	r, err := s.Ledger.Append(ctx, SealStream, s.end, e)
	if err != nil {
		s.started = false // somebody else sealed, or it is unsure: look again next time
		return err
	}
	s.last, s.end = seal, r.Pos
	return nil
}

// Verified is what Verify found.
type Verified struct {
	Events int64   `json:"events"`
	Seals  int     `json:"seals"`
	Sealed int64   `json:"sealed"` // events up to this number are covered by seals
	Head   string  `json:"head"`   // the newest seal's hash: compare it with one that was kept elsewhere
	Broken *Broken `json:"broken,omitempty"`
}

// Broken is the first place where the log is not what was sealed.
type Broken struct {
	Seq  int64  `json:"seq"` // the event, or the first that is missing
	Says string `json:"says"`
}

// Unsealed is the number of events that no seal covers yet: a change of them would not show.
func (v Verified) Unsealed() int64 { return v.Events - v.Sealed }

// verifier walks the log with the digests that no seal has covered yet.
type verifier struct {
	Verified
	open []Event // not yet covered
}

// maxOpen bounds what a log without seals makes Verify keep.
const maxOpen = 4 << 20

// Verify compares a whole log (Read of the zero Query) with its seals. The error is about reading; what was tampered with is in Broken.
func Verify(log iter.Seq2[Event, error]) (Verified, error) {
	var v verifier
	for e, err := range log {
		if err != nil {
			return v.Verified, err
		}
		if e.Seq != v.Events+1 {
			v.Broken = &Broken{Seq: v.Events + 1, Says: fmt.Sprintf("event %d is missing: after %d comes %d", v.Events+1, v.Events, e.Seq)}
			return v.Verified, nil
		}
		v.Events = e.Seq
		if e.Kind == SealKind && e.Stream == SealStream {
			if v.Broken = v.covers(e); v.Broken != nil {
				return v.Verified, nil
			}
		}
		if v.open = append(v.open, e); len(v.open) > maxOpen {
			return v.Verified, fault.New(fault.Full, "more than %d events stand without a seal: not verified beyond event %d", maxOpen, v.Sealed)
		}
	}
	return v.Verified, nil
}

// covers checks one seal against the events before it.
func (v *verifier) covers(e Event) *Broken {
	var s Seal
	if err := e.Decode(&s); err != nil {
		return &Broken{Seq: e.Seq, Says: err.Error()}
	}
	n := s.To - v.Sealed
	if s.From != v.Sealed+1 || n <= 0 || n > int64(len(v.open)) {
		return &Broken{Seq: e.Seq, Says: fmt.Sprintf("seal %d covers %d to %d, but %d follows the seal before it", e.Seq, s.From, s.To, v.Sealed+1)}
	}
	if s.Prev != v.Head {
		return &Broken{Seq: e.Seq, Says: fmt.Sprintf("seal %d does not continue the seal before it: a seal was changed, removed or put in between", e.Seq)}
	}
	var r ring
	for _, covered := range v.open[:n] {
		r.add(covered)
	}
	if again := r.close(s.Prev); subtle.ConstantTimeCompare([]byte(again.SHA256), []byte(s.SHA256)) != 1 {
		return changed(e, s, v.open[:n])
	}
	v.open, v.Sealed, v.Head = v.open[n:], s.To, s.SHA256
	v.Seals++
	return nil
}

// changed names the first event whose digest is not the sealed one.
func changed(e Event, s Seal, covered []Event) *Broken {
	each, err := base64.RawStdEncoding.DecodeString(s.Each)
	if err == nil && len(each) == len(covered)*prefix {
		for i, c := range covered {
			if d := c.Digest(); string(d[:prefix]) != string(each[i*prefix:(i+1)*prefix]) {
				return &Broken{Seq: c.Seq, Says: fmt.Sprintf("event %d (%s in %s) is not what seal %d saw", c.Seq, c.Kind, c.Stream, e.Seq)}
			}
		}
	}
	return &Broken{Seq: s.From, Says: fmt.Sprintf("seal %d does not fit the events %d to %d, nor the list it holds itself: the seal was changed", e.Seq, s.From, s.To)}
}
