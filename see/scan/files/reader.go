package files

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
	catalogue *Catalogue
	since     atomic.Int64 // Unix nanoseconds; 0 when no read is under way
	hash      hash.Hash    // of the file's first bytes, taken while others read them; nil for none
	hashed    int64        // how many that are
}

// ReadAt reads like jail.File.
func (r *reader) ReadAt(b []byte, off int64) (int, error) {
	if r.hash != nil && off > r.hashed && off-r.hashed <= maxGap {
		var gap [maxGap]byte
		n, err := r.readAt(gap[:off-r.hashed], r.hashed)
		r.take(gap[:n], r.hashed)
		if err != nil && err != io.EOF {
			return 0, err
		}
	}
	n, err := r.readAt(b, off)
	r.take(b[:n], off)
	return n, err
}

// maxGap is the room between two segments that is read for the checksum alone, in bytes; what lies behind a larger one is read again.
const maxGap = 8 << 10

func (r *reader) readAt(b []byte, off int64) (int, error) {
	if r.catalogue.bounded && r.catalogue.budget.Add(-int64(len(b))) < 0 {
		return 0, errBudget
	}
	r.since.Store(time.Now().UnixNano())
	n, err := r.file.ReadAt(b, off)
	r.since.Store(0)
	r.catalogue.read.Add(int64(n))
	return n, err
}

// take adds what is new of the bytes at off to the checksum, if nothing is missing before them.
func (r *reader) take(b []byte, off int64) {
	if r.hash != nil && off <= r.hashed && off+int64(len(b)) > r.hashed {
		r.hash.Write(b[r.hashed-off:])
		r.hashed = off + int64(len(b))
	}
}

// summing begins the checksum that sum ends, so that what is read in between need not be read again.
func (r *reader) summing(kind string) {
	if newHash, ok := sums()[kind]; ok {
		r.hash = newHash()
	}
}

// sums are the checksums that package managers keep; they are compared with, never relied on against an attacker.
func sums() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New}
}

// sum is the checksum of the whole file, "" for a kind that is none.
func (r *reader) sum(ctx context.Context, kind string, size int64) (string, error) {
	if r.hash == nil {
		r.summing(kind)
	}
	if r.hash == nil {
		return "", nil
	}
	buf := make([]byte, min(256<<10, max(0, size-r.hashed)))
	for r.hashed < size {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		_, err := r.ReadAt(buf[:min(int64(len(buf)), size-r.hashed)], r.hashed)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(r.hash.Sum(nil)), nil
}
