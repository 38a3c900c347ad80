package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
)

// ErrShort says that the file ends before what its headers promise.
var ErrShort = errors.New("truncated while it was read")

// How a pass cuts a segment.
const (
	// Chunk is how many bytes are looked at together: they stay in the second level cache between hashing and searching.
	Chunk = 256 << 10
	// Margin is the bytes kept on both sides of a chunk, so that matches and their surroundings are whole.
	Margin = 1 << 10
)

// Window is a piece of a segment that a search looks at: occurrences that begin in Text[From:To] belong to it.
type Window struct {
	Text     []byte
	From, To int
	Base     uint64 // file offset of Text[0]
	Exec     bool   // the segment holds code
}

// Pass reads each segment once in chunks, hashes it, and shows every chunk with its surroundings to look.
// It uses reads and no mapping: a file that is cut while it is read gives an error, not a signal that ends the scan.
func (im *Image) Pass(ctx context.Context, look func(Window)) (id string, err error) {
	sum := sha256.New()
	var largest uint64
	for _, s := range im.Constant() {
		largest = max(largest, s.Size)
	}
	buf := make([]byte, min(Chunk+2*Margin, largest))
	for _, s := range im.Constant() {
		if err := im.passSegment(ctx, s, buf, sum, look); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (im *Image) passSegment(ctx context.Context, s Segment, buf []byte, sum io.Writer, look func(Window)) error {
	have, base := 0, s.Off // buf[:have] holds the file from base on
	for at, end := s.Off, s.Off+s.Size; at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(uint64(len(buf)-have), end-base-uint64(have))
		fresh := buf[have : have+int(n)]
		if err := im.Read(fresh, base+uint64(have)); err != nil {
			return err
		}
		if _, err := sum.Write(im.unstripped(fresh, base+uint64(have))); err != nil {
			return err
		}
		have += int(n)
		to := have
		if base+uint64(have) < end {
			to -= Margin
		}
		look(Window{Text: buf[:have], From: int(at - base), To: to, Base: base, Exec: s.flags&flagExec != 0})
		at = base + uint64(to)
		keep := max(0, to-Margin)
		copy(buf, buf[keep:have])
		have, base = have-keep, base+uint64(keep)
	}
	return nil
}

// unstripped returns the bytes as they are hashed: the fields of the ELF header that stripping rewrites (place, number and size of
// the section table) count as zero, so that a stripped copy keeps its identity. The bytes given are changed only by copy.
func (im *Image) unstripped(b []byte, off uint64) []byte {
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
