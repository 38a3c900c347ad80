package cache

import (
	"encoding/binary"
	"unsafe"
)

// writer builds length-prefixed texts and variable-length numbers.
type writer struct{ b []byte }

func (w *writer) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
}

// textReader reads them again; after the first thing that does not fit, everything is zero and bad is set. Texts are parts of b.
type textReader struct {
	b   string
	bad bool
}

func (r *textReader) number() uint64 {
	var n uint64
	for i := 0; i < len(r.b) && i < binary.MaxVarintLen64; i++ {
		c := r.b[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.b = r.b[i+1:]
			return n
		}
	}
	r.bad, r.b = true, ""
	return 0
}

// count reads a number of things that follow; each takes at least one byte.
func (r *textReader) count() int {
	n := r.number()
	if n > uint64(len(r.b))+1 { // a list's number is one more than its things
		r.bad, r.b = true, ""
		return 0
	}
	return int(n)
}

// room is how many things to make room for: not more than there can be, of which each takes some bytes.
func (r *textReader) room(count int) int { return min(count, len(r.b)/8) }

func (r *textReader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, ""
		return ""
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// asText is bytes that nobody changes any more as a text, without a copy.
func asText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
