package files

import (
	"bytes"
	"crypto/tls"
	"io"
	"os"

	"staunch/fault"

	"golang.org/x/sys/unix"
)

// Pair is a certificate file and the file of its key; they may be the same.
type Pair struct{ Cert, Key string }

// Fits tells whether the first certificate and the key belong together. A key that is locked by a passphrase cannot be held against
// anything and is let through.
func (p Pair) Fits() error {
	cert, err := Small(p.Cert, 1<<20)
	if err != nil {
		return err
	}
	key, err := Small(p.Key, 1<<20)
	if err != nil {
		return err
	}
	if bytes.Contains(key, []byte("ENCRYPTED")) {
		return nil
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return fault.New(fault.Conflict, "the certificate in %s and the key in %s: %v", p.Cert, p.Key, err)
	}
	return nil
}

// Small reads a regular file of at most so many bytes.
func Small(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%s cannot be read: %v", path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fault.New(fault.Denied, "%s is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %v", path, err)
	}
	if int64(len(b)) > most {
		return nil, fault.New(fault.Full, "%s is larger than %d bytes", path, most)
	}
	return b, nil
}
