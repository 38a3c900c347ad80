package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"staunch/fault"
)

// MaxPayload bounds one payload on disk.
const MaxPayload = 1 << 30

var reSum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Put keeps a payload under its SHA-256 where acts look for it: completely and checked, or not at all.
func (l *Local) Put(ctx context.Context, sum string, r io.Reader) error {
	if err := l.open(ctx); err != nil {
		return err
	}
	if l.Engine == nil || l.Engine.Places.Payloads == "" {
		return fault.New(fault.Unsupported, "%s takes no payloads", l.Name())
	}
	if !reSum.MatchString(sum) {
		return fault.New(fault.Usage, "%.80q is not a SHA-256", sum)
	}
	dir := l.Engine.Places.Payloads
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return noRoom(dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, sum)); err == nil {
		return nil
	}
	part, err := os.CreateTemp(dir, ".part-*")
	if err != nil {
		return noRoom(dir, err)
	}
	err = keep(part, sum, r)
	if err == nil {
		err = os.Rename(part.Name(), filepath.Join(dir, sum))
	}
	if err != nil {
		return errors.Join(noRoom(dir, err), os.Remove(part.Name()))
	}
	return nil
}

// keep writes the payload to disk and checks it.
func keep(part *os.File, sum string, r io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(part, h), io.LimitReader(r, MaxPayload+1))
	if err == nil {
		err = part.Sync()
	}
	if closed := part.Close(); err == nil {
		err = closed
	}
	switch {
	case err != nil:
		return err
	case n > MaxPayload:
		return fault.New(fault.Full, "the payload is over %d bytes", MaxPayload)
	case hex.EncodeToString(h.Sum(nil)) != sum:
		return fault.New(fault.Corrupt, "the payload does not have the SHA-256 %s", sum)
	}
	return nil
}

// noRoom says what a failed write means to a person.
func noRoom(dir string, err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Full, "no room in %s", dir)
	case errors.Is(err, os.ErrPermission):
		return fault.New(fault.Denied, "%s cannot be written: %v", dir, err).Hinted("log in as root, or with sudo")
	}
	return fault.New(fault.Unreachable, "the payload could not be kept in %s: %v", dir, err)
}
