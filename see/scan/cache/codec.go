package cache

import "encoding/binary"

// writer builds length-prefixed texts and variable-length numbers.
type writer struct{ b []byte }

func (w *writer) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
}

// textReader reads them again; after the first thing that does not fit, everything is zero and bad is set.
type textReader struct {
	b   []byte
	bad bool
}

func (r *textReader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads a number of things that follow; each takes at least one byte.
func (r *textReader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *textReader) bytes() []byte {
	n := r.count()
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *textReader) text() string { return string(r.bytes()) }
