package scan

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync/atomic"
	"time"

	"staunch/see/scan/jail"
)

var errBudget = errors.New("the byte budget was used up before it")

// reader reads a content within the look's byte budget and shows since when a read is under way.
type reader struct {
	file      jail.File
	catalogue *catalogue
	since     atomic.Int64 // Unix nanoseconds; 0 when no read is under way
}

// ReadAt reads like jail.File.
func (r *reader) ReadAt(b []byte, off int64) (int, error) {
	if r.catalogue.bounded && r.catalogue.budget.Add(-int64(len(b))) < 0 {
		return 0, errBudget
	}
	r.since.Store(time.Now().UnixNano())
	n, err := r.file.ReadAt(b, off)
	r.since.Store(0)
	r.catalogue.read.Add(int64(n))
	return n, err
}

// sums are the checksums that package managers keep; they are compared with, never relied on against an attacker.
func sums() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New}
}

// sum is the checksum of the whole file, "" for a kind that is none.
func (r *reader) sum(ctx context.Context, kind string, size int64) (string, error) {
	newHash, ok := sums()[kind]
	if !ok {
		return "", nil
	}
	h := newHash()
	buf := make([]byte, 256<<10)
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		h.Write(buf[:n])
		off += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
