// Package sieve finds many byte patterns in one pass, without a per-pattern cost.
//
// Only every stride-th position of the text is looked at: four bytes there are hashed into a bit table that holds the four-byte
// grams of every pattern at stride consecutive offsets, so that each occurrence is met by exactly one looked-at position.
// The shortest pattern bounds the stride: patterns of eight bytes or more give five.
package sieve

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

const (
	gram       = 4
	maxStride  = 5
	filterBits = 17
	multiplier = 0x9E3779B1
)

// ErrShort is returned for a pattern without four fixed bytes in a row: it would match nearly everywhere.
var ErrShort = errors.New("pattern has fewer than four fixed bytes in a row")

// Pattern is a byte string to find. Where Wild is not nil it has the length of Bytes, and a true there stands for any byte.
type Pattern struct {
	Bytes []byte
	Wild  []bool
}

// Set is a compiled group of patterns. It is safe for concurrent use. A nil Set finds nothing.
type Set struct {
	filter   [1 << (filterBits - 6)]uint64
	grams    map[uint32][]place
	patterns []Pattern
	stride   int
	longest  int
}

// place says: this gram lies at offset off of pattern id.
type place struct{ id, off int }

// New compiles patterns; the index of a pattern is its id in hits.
func New(patterns []Pattern) (*Set, error) {
	s := &Set{grams: map[uint32][]place{}, patterns: patterns, stride: maxStride}
	for _, p := range patterns {
		n := len(runs(p))
		if n == 0 {
			return nil, ErrShort
		}
		s.stride = min(s.stride, longestRun(p)-gram+1)
		s.longest = max(s.longest, len(p.Bytes))
	}
	for id, p := range patterns {
		s.add(id, p)
	}
	return s, nil
}

// Longest is the length of the longest pattern in bytes: what consecutive windows must overlap by.
func (s *Set) Longest() int {
	if s == nil {
		return 0
	}
	return s.longest
}

// Scan calls hit for each occurrence that lies wholly inside text, in no particular order among those that begin close together.
func (s *Set) Scan(text []byte, hit func(id, at int)) {
	if s == nil || len(s.patterns) == 0 {
		return
	}
	i, step := 0, s.stride
	switch step {
	case 5:
		i = s.scan5(text, hit)
	case 2:
		i = s.scan2(text, hit)
	}
	for ; i+gram <= len(text); i += step {
		s.check(text, i, load(text, i), hit)
	}
}

// scan5 looks at eight positions at once, with offsets that the compiler knows to lie inside, and returns where it stopped.
func (s *Set) scan5(text []byte, hit func(id, at int)) int {
	i := 0
	for ; i+39 <= len(text); i += 40 {
		t := text[i : i+39 : i+39]
		first := s.bit(load(t, 0)) | s.bit(load(t, 5)) | s.bit(load(t, 10)) | s.bit(load(t, 15))
		if first|s.bit(load(t, 20))|s.bit(load(t, 25))|s.bit(load(t, 30))|s.bit(load(t, 35)) != 0 {
			for at := i; at < i+40; at += 5 {
				s.check(text, at, load(text, at), hit)
			}
		}
	}
	return i
}

// scan2 is scan5 for the shorter patterns of code.
func (s *Set) scan2(text []byte, hit func(id, at int)) int {
	i := 0
	for ; i+18 <= len(text); i += 16 {
		t := text[i : i+18 : i+18]
		first := s.bit(load(t, 0)) | s.bit(load(t, 2)) | s.bit(load(t, 4)) | s.bit(load(t, 6))
		if first|s.bit(load(t, 8))|s.bit(load(t, 10))|s.bit(load(t, 12))|s.bit(load(t, 14)) != 0 {
			for at := i; at < i+16; at += 2 {
				s.check(text, at, load(text, at), hit)
			}
		}
	}
	return i
}

func load(text []byte, i int) uint32 { return binary.LittleEndian.Uint32(text[i:]) }

func (s *Set) bit(g uint32) uint64 {
	h := g * multiplier >> (32 - filterBits)
	return s.filter[h>>6] >> (h & 63) & 1
}

// check looks the gram up exactly and compares the patterns that hold it.
func (s *Set) check(text []byte, i int, g uint32, hit func(id, at int)) {
	if s.bit(g) == 0 {
		return
	}
	for _, p := range s.grams[g] {
		if at := i - p.off; at >= 0 && s.patterns[p.id].At(text, at) {
			hit(p.id, at)
		}
	}
}

// At tells whether the pattern lies at text[at:].
func (p Pattern) At(text []byte, at int) bool {
	if at < 0 || at > len(text)-len(p.Bytes) {
		return false
	}
	for i, b := range p.Bytes {
		if text[at+i] != b && (p.Wild == nil || !p.Wild[i]) {
			return false
		}
	}
	return true
}

// add puts stride consecutive grams of the pattern's rarest part into the table.
func (s *Set) add(id int, p Pattern) {
	width := s.stride + gram - 1
	best, bestCost := -1, 0
	for _, r := range runs(p) {
		for at := r.from; at+width <= r.to; at++ {
			if c := cost(p.Bytes[at : at+width]); best < 0 || c < bestCost {
				best, bestCost = at, c
			}
		}
	}
	for off := best; off < best+s.stride; off++ {
		g := load(p.Bytes, off)
		h := g * multiplier >> (32 - filterBits)
		s.filter[h>>6] |= 1 << (h & 63)
		s.grams[g] = append(s.grams[g], place{id, off})
	}
}

// cost guesses how common bytes are in programs: zeros most, then lower-case letters and blanks.
func cost(b []byte) int {
	sum := 0
	for _, c := range b {
		switch {
		case c == 0 || c == 0xff:
			sum += 8
		case c >= 'a' && c <= 'z' || c == ' ':
			sum += 3
		case bits.OnesCount8(c) == 1:
			sum += 2
		default:
			sum++
		}
	}
	return sum
}

type run struct{ from, to int }

// runs returns the stretches of at least four fixed bytes.
func runs(p Pattern) []run {
	var out []run
	from := 0
	for i := 0; i <= len(p.Bytes); i++ {
		if i < len(p.Bytes) && (p.Wild == nil || !p.Wild[i]) {
			continue
		}
		if i-from >= gram {
			out = append(out, run{from, i})
		}
		from = i + 1
	}
	return out
}

func longestRun(p Pattern) int {
	longest := 0
	for _, r := range runs(p) {
		longest = max(longest, r.to-r.from)
	}
	return longest
}
