package elf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
)

var errShort = errors.New("truncated while it was read")

const (
	chunkSize = 256 << 10 // stays in the second level cache between hashing and searching
	margin    = 1 << 10   // bytes kept on both sides of a chunk, so that matches and their surroundings are whole
)

// window is a piece of a segment that a search looks at: occurrences that begin in text[from:to] belong to it.
type window struct {
	text     []byte
	from, to int
	base     uint64 // file offset of text[0]
	exec     bool
}

// pass reads each segment once in chunks, hashes it, and shows every chunk with its surroundings to look.
// It uses reads and no mapping: a file that is cut while it is read gives an error, not a signal that ends the scan.
func (im *image) pass(ctx context.Context, look func(window)) (id string, err error) {
	sum := sha256.New()
	var largest uint64
	for _, s := range im.constant() {
		largest = max(largest, s.size)
	}
	buf := make([]byte, min(chunkSize+2*margin, largest))
	for _, s := range im.constant() {
		if err := im.passSegment(ctx, s, buf, sum, look); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (im *image) passSegment(ctx context.Context, s segment, buf []byte, sum io.Writer, look func(window)) error {
	have, base := 0, s.off // buf[:have] holds the file from base on
	for at, end := s.off, s.off+s.size; at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(uint64(len(buf)-have), end-base-uint64(have))
		fresh := buf[have : have+int(n)]
		if err := im.read(fresh, base+uint64(have)); err != nil {
			return err
		}
		if _, err := sum.Write(im.unstripped(fresh, base+uint64(have))); err != nil {
			return err
		}
		have += int(n)
		to := have
		if base+uint64(have) < end {
			to -= margin
		}
		look(window{text: buf[:have], from: int(at - base), to: to, base: base, exec: s.flags&flagExec != 0})
		at = base + uint64(to)
		keep := max(0, to-margin)
		copy(buf, buf[keep:have])
		have, base = have-keep, base+uint64(keep)
	}
	return nil
}

// unstripped returns the bytes as they are hashed: the fields of the ELF header that stripping rewrites (place, number and size of
// the section table) count as zero, so that a stripped copy keeps its identity. The bytes given are changed only by copy.
func (im *image) unstripped(b []byte, off uint64) []byte {
	if off >= 64 {
		return b
	}
	fields := [][2]uint64{{32, 36}, {46, 52}}
	if im.wide {
		fields = [][2]uint64{{40, 48}, {58, 64}}
	}
	c := append([]byte(nil), b...)
	for _, f := range fields {
		for i := f[0]; i < f[1]; i++ {
			if i >= off && i-off < uint64(len(c)) {
				c[i-off] = 0
			}
		}
	}
	return c
}
