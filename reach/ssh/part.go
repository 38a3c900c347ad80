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
	// Memory is a directory of the user's own that remembers the sums of files, "" for none.
	Memory string

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
	if sum, quick, ok := embedded(name); ok {
		return Part{Sum: sum, Quick: quick, pack: func() ([]byte, error) { return embeddedPack(name) }}, nil
	}
	path := filepath.Join(p.Dir, name)
	missing := fault.New(fault.NotFound, "the host part %s is missing", name).Hinted("make build puts it beside staunch, in host/; or name its directory with --host-parts")
	id, settled, err := fileState(path)
	if err != nil {
		return Part{}, missing
	}
	// packed once, and only when some host lacks it
	part, known := p.recall(name, id)
	if known {
		part.pack = sync.OnceValues(func() ([]byte, error) { return p.repack(path, part.Sum) })
		return part, nil
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return Part{}, missing
	}
	sum, quick := sha256.Sum256(program), blake2b.Sum512(program)
	part = Part{Sum: hex.EncodeToString(sum[:]), Quick: hex.EncodeToString(quick[:])}
	part.pack = sync.OnceValues(func() ([]byte, error) { return packed(program) })
	if again, _, err := fileState(path); settled && err == nil && again == id {
		p.remember(name, id, part)
	}
	return part, nil
}

// repack reads a program whose sum was remembered, and packs it if it still has that sum.
func (p *Parts) repack(path, sum string) ([]byte, error) {
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "the host part is gone: %v", err)
	}
	if is := sha256.Sum256(program); hex.EncodeToString(is[:]) != sum {
		p.forget()
		return nil, fault.New(fault.Corrupt, "the host part %s is not what it was", path).Hinted("was it built anew meanwhile? run the command again")
	}
	return packed(program)
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
