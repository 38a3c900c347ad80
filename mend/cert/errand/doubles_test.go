package errand_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"staunch/fault"
	"staunch/mend/cert/edge"
	"staunch/reach/act"
	"staunch/reach/act/vault"
	"staunch/steer/run"
)

// server is a real TLS server whose certificate can be changed while it runs.
type server struct {
	addr   string
	serves atomic.Pointer[tls.Certificate]
	met    atomic.Int64
}

func newServer(t testing.TB, first tls.Certificate) *server {
	t.Helper()
	s := &server{}
	s.serves.Store(&first)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.met.Add(1)
		return s.serves.Load(), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.addr = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c) // the handshake happens here; what is said afterwards does not matter
			}()
		}
	}()
	return s
}

// shelf keeps documents in memory; crash lets every so many-th save be the last thing that happens.
type shelf struct {
	mu    sync.Mutex
	docs  map[string][]byte
	saves int
	crash int
	fate  func() (dies, stored bool) // of whoever saves; nil: it lives
}

var errCrash = errors.New("killed")

func (s *shelf) Load(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, known := s.docs[name]
	if !known {
		return nil, fault.New(fault.NotFound, "no %s", name)
	}
	return b, nil
}

func (s *shelf) Save(_ context.Context, name string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fate != nil {
		if dies, stored := s.fate(); dies {
			if stored {
				s.docs[name] = bytes.Clone(body)
			}
			return errCrash
		}
	}
	s.docs[name] = bytes.Clone(body)
	if s.saves++; s.saves == s.crash {
		return errCrash
	}
	return nil
}

// host has a key store of its own and one server that reads from it.
type host struct {
	mu       sync.Mutex
	t        *testing.T
	made     map[string]string // order's step to KeyMade JSON
	keys     map[string]crypto.Signer
	payloads map[string][]byte
	placed   map[string]bool
	serves   *server
	onPlace  func() error
	barred   []string // old keys that it puts nowhere any more
}

func (h *host) Do(_ context.Context, w run.Work) (act.Outcome, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := w.Step.Act.Params()
	if err != nil {
		return act.Outcome{}, err
	}
	switch p := p.(type) {
	case *act.MakeKeyWith:
		return h.makeKey(w, p)
	case *act.PlaceWith:
		return h.place(p)
	case *act.BarKeyWith:
		h.barred = append(h.barred, p.SPKI)
		return act.Outcome{Status: act.Done}, nil
	}
	return act.Outcome{}, fault.New(fault.Unsupported, "%T", p)
}

func (h *host) makeKey(w run.Work, p *act.MakeKeyWith) (act.Outcome, error) {
	if again, is := h.made[w.Step.ID]; is {
		return act.Outcome{Status: act.Already, After: json.RawMessage(again)}, nil
	}
	key, err := vault.Generate(p.Type)
	if err != nil {
		return act.Outcome{}, err
	}
	csr, err := vault.CSR(key, p.CommonName, p.Names, false)
	if err != nil {
		return act.Outcome{}, err
	}
	spki, err := vault.SPKI(key)
	if err != nil {
		return act.Outcome{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return act.Outcome{}, err
	}
	sealed, err := vault.Seal(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), p.Recipients)
	if err != nil {
		return act.Outcome{}, err
	}
	b, err := json.Marshal(map[string]string{"name": p.Name, "spki_sha256": spki, "csr_pem": csr, "sealed": sealed})
	h.made[w.Step.ID], h.keys[p.Name] = string(b), key
	return act.Outcome{Status: act.Done, After: b}, err
}

func (h *host) place(p *act.PlaceWith) (act.Outcome, error) {
	if h.onPlace != nil {
		if err := h.onPlace(); err != nil {
			return act.Outcome{}, err
		}
	}
	var c tls.Certificate
	for _, f := range p.Files {
		for _, piece := range f.Pieces {
			if piece.Key != "" {
				c.PrivateKey = h.keys[piece.Key]
				continue
			}
			for block, rest := pem.Decode(h.payloads[piece.SHA256]); block != nil; block, rest = pem.Decode(rest) {
				c.Certificate = append(c.Certificate, block.Bytes)
			}
			h.placed[piece.SHA256] = true
		}
	}
	h.serves.serves.Store(&c)
	return act.Outcome{Status: act.Done}, nil
}

func (h *host) Happened(context.Context, run.Work) run.Seen { return run.Seen{Truth: run.No} }

func (h *host) put(_ context.Context, _, sum string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if got := sha256.Sum256(b); err != nil || hex.EncodeToString(got[:]) != sum {
		return fault.New(fault.Corrupt, "payload")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.payloads[sum] = b
	return nil
}

// cdn takes bundles at once and serves them when it likes.
type cdn struct {
	mu        sync.Mutex
	serves    *server
	staged    *tls.Certificate
	activated bool
	released  bool
}

func (c *cdn) Stage(ctx context.Context, b edge.Bundle) (edge.Ref, error) {
	key, err := b.Key(ctx)
	if err != nil {
		return edge.Ref{}, err
	}
	pair, err := tls.X509KeyPair([]byte(b.Chain), key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.staged = &pair
	return edge.Ref{Driver: "test", ID: b.Name}, err
}

func (c *cdn) Activate(context.Context, edge.Ref, edge.Ref) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activated = true
	c.turn()
	return nil
}

func (c *cdn) Retire(context.Context, edge.Ref) error { return nil }

// release lets the edges change over at last.
func (c *cdn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
	c.turn()
}

func (c *cdn) turn() {
	if c.activated && c.released {
		c.serves.serves.Store(c.staged)
	}
}

func (c *cdn) active() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.activated }
