// Package ssh reaches hosts over ssh: as the user's own ssh would, many at once, without a shell once the host part runs.
package ssh

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"

	"staunch/fault"

	"golang.org/x/crypto/blake2b"
)

// arches are the machines that there are host parts for: what uname -m says, and Go's name.
func arches() map[string]string { return map[string]string{"x86_64": "amd64", "aarch64": "arm64"} }

// Part is the program that travels to hosts, for one architecture.
type Part struct {
	Sum   string // lower-case hex SHA-256 of the program: its name on hosts
	Quick string // lower-case hex BLAKE2b-512 of the program: for hosts that can check it
	pack  func() ([]byte, error)
}

// Parts finds host parts: embedded ones first (build tag release), else files staunch-host-linux-ARCH in Dir. It is safe for concurrent use.
type Parts struct {
	Dir string

	mu    sync.Mutex
	known map[string]Part
}

// For returns the host part of an architecture in Go's words.
func (p *Parts) For(arch string) (Part, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if part, ok := p.known[arch]; ok {
		return part, nil
	}
	part, err := p.load("staunch-host-linux-" + arch)
	if err != nil {
		return Part{}, err
	}
	if p.known == nil {
		p.known = map[string]Part{}
	}
	p.known[arch] = part
	return part, nil
}

func (p *Parts) load(name string) (Part, error) {
	if packed, sum, quick, ok := embedded(name); ok {
		return Part{Sum: sum, Quick: quick, pack: func() ([]byte, error) { return packed, nil }}, nil
	}
	program, err := os.ReadFile(filepath.Join(p.Dir, name))
	if err != nil {
		return Part{}, fault.New(fault.NotFound, "the host part %s is missing", name).Hinted("make build puts it beside staunch, in host/; or name its directory with --host-parts")
	}
	sum, quick := sha256.Sum256(program), blake2b.Sum512(program)
	// packed once, and only when some host lacks it
	return Part{Sum: hex.EncodeToString(sum[:]), Quick: hex.EncodeToString(quick[:]), pack: sync.OnceValues(func() ([]byte, error) { return packed(program) })}, nil
}

func packed(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed+4)
	if err == nil {
		_, err = w.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fault.New(fault.Bug, "the host part cannot be packed: %v", err)
	}
	return out.Bytes(), nil
}
