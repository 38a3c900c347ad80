package errand_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/reach/act/vault"
	"staunch/reach/fleet"
	"staunch/see/keys"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/testbed/pebble"
	"staunch/testbed/real"

	"filippo.io/age"
	"filippo.io/age/armor"
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

// shop is one origin behind a late CDN, a CA, and two people.
type shop struct {
	t      *testing.T
	ca     *pebble.Server
	client *acme.Client
	old    *x509.Certificate
	desk   *errand.Desk
	shelf  *shelf
	host   *host
	cdn    *cdn
	origin *server
	points []cert.Point
	voters []string
	opts   replace.Options
	keys   []cert.Key
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func newShop(t *testing.T) *shop { t.Helper(); return shopAt(t, pebble.Options{}) }

// shopAt is a shop whose CA behaves as told.
func shopAt(t *testing.T, o pebble.Options) *shop {
	t.Helper()
	real.Slow(t)
	o.HTTPPort = freePort(t)
	x := &shop{t: t, ca: pebble.Up(t, o), shelf: &shelf{docs: map[string][]byte{}}, voters: []string{"ann", "ben"}}
	x.connect(o.HTTPPort)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := x.obtain(key)
	x.origin = newServer(t, first)
	x.cdn = &cdn{serves: newServer(t, first)}
	x.host = &host{t: t, made: map[string]string{}, keys: map[string]crypto.Signer{}, payloads: map[string][]byte{}, placed: map[string]bool{}, serves: x.origin}
	x.points = []cert.Point{{Name: "shop.example", Address: x.origin.addr}, {Name: "shop.example", Address: x.cdn.serves.addr, SNI: "www.shop.example"}}
	x.plans(t)
	return x
}

func (x *shop) connect(port int) {
	x.t.Helper()
	web, err := acme.ListenHTTP(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { web.Close() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		x.t.Fatal(err)
	}
	x.client, err = acme.Connect(x.t.Context(), acme.Client{
		CA: acme.CA{Name: "pebble", Directory: x.ca.Directory, Roots: x.ca.Roots}, Account: acme.Account{Key: key}, Solvers: map[string]acme.Solver{"http-01": web}, Poll: 20 * time.Millisecond,
	})
	if err == nil {
		_, err = x.client.Register(x.t.Context())
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// fresh is a certificate on a new key, as a person brings it somewhere by hand.
func (x *shop) fresh(names ...string) *tls.Certificate {
	x.t.Helper()
	old := x.old
	defer func() { x.old = old }()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		x.t.Fatal(err)
	}
	c := x.obtain(key, names...)
	return &c
}

// read reads what is stored.
func (x *shop) read(name string, into any) {
	x.t.Helper()
	b, err := x.shelf.Load(x.t.Context(), name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *shop) obtain(key crypto.Signer, names ...string) tls.Certificate {
	x.t.Helper()
	if len(names) == 0 {
		names = []string{"shop.example", "www.shop.example"}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		x.t.Fatal(err)
	}
	o, err := acme.NewOrder(csr, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	if o, err = x.client.Run(x.t.Context(), o, func(acme.Order) error { return nil }); err != nil {
		x.t.Fatal(err)
	}
	c := tls.Certificate{PrivateKey: key}
	for block, rest := pem.Decode([]byte(o.Chain)); block != nil; block, rest = pem.Decode(rest) {
		c.Certificate = append(c.Certificate, block.Bytes)
	}
	if x.old, err = acme.Leaf([]byte(o.Chain)); err != nil {
		x.t.Fatal(err)
	}
	return c
}

// plans sets up what the planners and the errands are given.
func (x *shop) plans(t *testing.T) {
	t.Helper()
	courier, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet.Fleet{
		Rings: []fleet.Ring{{Name: "canary", Quorum: 2}}, Hosts: []fleet.Host{{Name: "web1", Address: "127.0.0.1", Ring: "canary"}},
		Endpoints: []fleet.Endpoint{{Name: "shop.example", Behind: "cdn"}},
	}
	old := cert.SPKI(x.old)
	in := cert.Inputs{Edges: map[string][]string{old: {"cdn"}}, Hosts: []keys.Found{{Host: "web1", Keys: []keys.Key{{
		SPKI: old, Type: "ecdsa", Bits: 256, Private: true, Files: []keys.File{{Path: "/etc/tls/shop.pem", Holds: "both", Format: "pem"}}, Readers: []keys.Reader{{PID: 1, Name: "nginx", Unit: "nginx.service"}},
	}}}}}
	for _, p := range x.points {
		in.Served = append(in.Served, cert.Served{Sighting: cert.Sighting{Point: p, Keys: []string{old}}, Chain: [][]byte{x.old.Raw}})
	}
	x.keys = cert.Gather(in).Keys
	x.opts = replace.Options{
		Fleet: f, Incident: "1", ID: "1.1", Now: time.Now(), Urgency: plan.Now, Points: x.points, Routes: []acme.Route{{CA: "pebble", Accounts: []string{"team"}}}, Custodians: []string{"ann", "ben"},
		Edges: map[string]replace.Edge{"cdn": {Driver: "hook", Recipient: courier.Recipient().String()}},
	}
	x.desk = &errand.Desk{
		Shelf: x.shelf, Hosts: x.host, Put: x.host.put, Lookers: []cert.Looker{cert.Here("here")}, Watch: cert.Watch{Times: 2},
		CA: func(context.Context, string, string) (*acme.Client, error) { return x.client, nil },
		Edge: func(context.Context, string) (errand.Edge, error) {
			return errand.Edge{Driver: "hook", Keyed: x.cdn}, nil
		},
		Voters: func(context.Context) ([]string, error) { return x.voters, nil },
		Known:  func(_ context.Context, spki string) (bool, error) { return spki == old, nil },
		Revoker: func(context.Context, *x509.Certificate) (cert.Revoker, error) {
			return errand.Own{Client: x.client}, nil
		},
		Open: func(_ context.Context, sealed, _ string) ([]byte, error) {
			return openSealed(sealed, courier)
		},
	}
}

// do, happened and observe make the shop an executor.
func (x *shop) Do(ctx context.Context, w run.Work) (act.Outcome, error) {
	return x.desk.Deeds()[w.Step.Kind].Do(ctx, w)
}

func (x *shop) Happened(ctx context.Context, w run.Work) run.Seen {
	return x.desk.Deeds()[w.Step.Kind].Happened(ctx, w)
}

func (x *shop) Observe(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	if f := x.desk.Facts()[p.Kind]; f != nil {
		return f(ctx, p, w)
	}
	if p.Kind == plan.ObjectOnDisk && !x.host.placed[p.Object] {
		return run.Seen{Truth: run.No}
	}
	return run.Seen{Truth: run.Yes}
}

// tape keeps a run's events.
type tape struct {
	mu     sync.Mutex
	events []run.Event
}

func (r *tape) Record(_ context.Context, after int64, events ...run.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if int64(len(r.events)) != after {
		return fault.New(fault.Conflict, "somebody else wrote")
	}
	r.events = append(r.events, events...)
	return nil
}

func (r *tape) Since(_ context.Context, after int64) ([]run.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events[after:]), nil
}

type alone struct{}

func (alone) Take(ctx context.Context, _ string) (context.Context, func(), error) {
	return ctx, func() {}, nil
}

func (x *shop) seal(p plan.Plan, err error) *plan.Sealed {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
	world := replace.World(x.opts.Fleet, cert.Catalogue{Keys: x.keys}, x.points, time.Now())
	if problems := plan.Lint(&p, world); len(problems) > 0 {
		x.t.Fatal(problems)
	}
	p.Pace.SoakMS = 0
	for i := range p.Steps {
		p.Steps[i].SoakMS = 0
	}
	sealed, err := plan.Seal(p)
	if err != nil {
		x.t.Fatal(err)
	}
	return sealed
}

func (x *shop) run(sealed *plan.Sealed) (run.State, *tape) {
	x.t.Helper()
	rec := &tape{}
	return x.runOn(sealed, rec), rec
}

// runOn runs a plan whose events somebody else reads as well.
func (x *shop) runOn(sealed *plan.Sealed, rec *tape) run.State {
	x.t.Helper()
	if err := run.Tell(x.t.Context(), sealed, rec, run.Event{Kind: run.Started, By: "ann", At: time.Now()}); err != nil {
		x.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(x.t.Context(), 90*time.Second)
	defer cancel()
	r := run.Runner{Plan: sealed, Name: "ann@here", Recorder: rec, Executor: x, Lease: alone{}, Poll: 20 * time.Millisecond}
	state, err := r.Run(ctx)
	if err != nil && state == "" {
		x.t.Error(err)
	}
	return state
}

func (x *shop) complain(rec *tape) {
	for _, e := range rec.events {
		x.t.Log(e.Kind, e.Step, e.Target, e.Status, e.Truth, e.Says)
	}
}

// certified runs the first plan and gives what it made.
func (x *shop) certified() []replace.Made {
	x.t.Helper()
	state, rec := x.run(x.seal(replace.NewKeys(x.keys, x.opts)))
	if state != run.Complete {
		x.complain(rec)
		x.t.Fatalf("the first plan ended %q", state)
	}
	m, err := x.desk.Made(x.t.Context(), replace.KeyName("1.1", cert.SPKI(x.old), ""))
	if err != nil {
		x.t.Fatal(err)
	}
	return []replace.Made{m}
}

func (x *shop) rollout() *plan.Sealed {
	x.t.Helper()
	made := x.certified()
	x.opts.ID = "1.2"
	return x.seal(replace.RollOut(x.keys, made, x.opts))
}

func (x *shop) status() string {
	x.t.Helper()
	status, _ := x.ca.Status(x.t, x.old.SerialNumber.Text(16))
	return status
}

// byHand asks the revocation step directly, apart from the run.
func (x *shop) byHand(sealed *plan.Sealed) error {
	for i := range sealed.Plan().Steps {
		if s := &sealed.Plan().Steps[i]; s.Kind == plan.Revoke {
			_, err := x.Do(x.t.Context(), run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]})
			return err
		}
	}
	return fault.New(fault.NotFound, "the plan revokes nothing")
}

// TestTheOutageDoesNotHappen is the story that staunch was written for: the CDN says that it took the new certificate, and goes on serving the
// old one. The gate holds and names the address; a revocation by hand is refused; when the edge serves the new key, it happens by itself.
func TestTheOutageDoesNotHappen(t *testing.T) {
	x := newShop(t)
	sealed := x.rollout()
	ended := make(chan run.State, 1)
	var rec *tape
	go func() {
		var state run.State
		state, rec = x.run(sealed)
		ended <- state
	}()
	for end := time.Now().Add(60 * time.Second); !x.cdn.active(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the CDN was never activated")
		}
	}
	met := x.cdn.serves.met.Load()
	for end := time.Now().Add(60 * time.Second); x.cdn.serves.met.Load() < met+3; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody looks at the CDN")
		}
	}
	if got := x.status(); got != "Valid" {
		t.Fatalf("the old certificate is %s while the CDN serves it", got)
	}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), x.cdn.serves.addr) {
		t.Errorf("a revocation by hand: %v", err)
	}
	x.cdn.release()
	if state := <-ended; state != run.Complete {
		x.complain(rec)
		t.Fatalf("the run ended %q", state)
	}
	status, reason := x.ca.Status(t, x.old.SerialNumber.Text(16))
	if status != "Revoked" || reason != acme.KeyCompromise {
		t.Errorf("the old certificate is %s, reason %d", status, reason)
	}
}

// TestNothingIsRevokedOnDoubt: an address that cannot be reached, one vote, an endpoint that was learned after the plan was made.
func TestNothingIsRevokedOnDoubt(t *testing.T) {
	x := newShop(t)
	sealed := x.rollout()
	x.cdn.release()
	gone := cert.Point{Name: "shop.example", Address: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	back := newServer(t, *x.origin.serves.Load()) // a host back from the dead, with the old key
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) { return []cert.Point{gone}, nil }
	if state, _ := x.run(sealed); state == run.Complete || x.status() != "Valid" {
		t.Fatalf("revoked although %s could not be seen (%s)", gone, state)
	}
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) {
		return []cert.Point{{Name: "old.example", Address: back.addr}}, nil
	}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), back.addr) {
		t.Errorf("although %s serves the old key: %v", back.addr, err)
	}
	x.desk.Points, x.voters = nil, []string{"ann", "ann"}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) {
		t.Errorf("with one person's vote: %v", err)
	}
	if x.status() != "Valid" {
		t.Error("it was revoked after all")
	}
	x.voters = []string{"ann", "ben"}
	if err := x.byHand(sealed); err != nil || x.status() != "Revoked" {
		t.Errorf("with everything proven: %v, %s", err, x.status())
	}
}

// TestKilledAtEveryStoredState: after each thing that is stored the program dies; what is run again goes on from there, and one key is
// ordered once.
func TestKilledAtEveryStoredState(t *testing.T) {
	x := newShop(t)
	for at := 1; at < 12; at++ {
		x.opts.ID = fmt.Sprintf("1.%d", at)
		sealed := x.seal(replace.NewKeys(x.keys, x.opts))
		x.shelf.saves, x.shelf.crash = 0, at
		died := x.drive(sealed)
		x.shelf.crash = 0
		if died {
			if x.drive(sealed) {
				t.Fatalf("killed at %d: it does not end", at)
			}
		}
		m, err := x.desk.Made(t.Context(), replace.KeyName(x.opts.ID, cert.SPKI(x.old), ""))
		if err != nil || m.Chain == "" || len(x.host.made) != at {
			t.Fatalf("killed at %d: %v, %d keys were made", at, err, len(x.host.made))
		}
		b, err := x.shelf.Load(t.Context(), "order/"+m.Name)
		if err != nil || strings.Count(string(b), `"url"`) != 1 {
			t.Fatalf("killed at %d: the order %s, %v", at, b, err)
		}
	}
}

// drive does a plan's steps one after the other, without the runner's own memory, and tells whether it died.
func (x *shop) drive(sealed *plan.Sealed) bool {
	x.t.Helper()
	for i := range sealed.Plan().Steps {
		s := &sealed.Plan().Steps[i]
		w := run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]}
		if x.Happened(x.t.Context(), w).Truth == run.Yes {
			continue
		}
		if _, err := x.Do(x.t.Context(), w); errors.Is(err, errCrash) {
			return true
		} else if err != nil {
			x.t.Fatal(err)
		}
	}
	return false
}

// TestWhatAPersonBrings: wrong certificates are refused with the reason, a right one is taken once.
func TestWhatAPersonBrings(t *testing.T) {
	x := newShop(t)
	made := x.certified()[0]
	chain := made.Chain
	made.Chain = ""
	raw, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.shelf.Save(t.Context(), "made/"+made.Name, raw); err != nil {
		t.Fatal(err)
	}
	old := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.old.Raw}))
	for name, bad := range map[string]string{
		"the old key": old, "nothing": "", "noise": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a private key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + chain,
		"the wrong issuer": chain[:strings.Index(chain, "-----END CERTIFICATE-----")+26] + old, "too much": strings.Repeat("x", 2<<20),
	} {
		if err := x.desk.Import(t.Context(), made.Name, bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := x.desk.Import(t.Context(), made.Name, chain); err != nil {
		t.Error(err)
	}
	if err := errand.Fits(chain, made, []string{"shop.example", "not.there"}, time.Now()); err == nil || !strings.Contains(err.Error(), "not.there") {
		t.Errorf("missing names: %v", err)
	}
	if err := errand.Fits(chain, made, nil, time.Now().Add(100*365*24*time.Hour)); err == nil {
		t.Error("an expired certificate fits")
	}
}

// TestTheCAIsDown: nothing is lost, and the next CA is asked only while nobody can have certified the key.
func TestTheCAIsDown(t *testing.T) {
	x := newShop(t)
	x.opts.Routes = []acme.Route{{CA: "down", Accounts: []string{"a"}}, {CA: "pebble", Accounts: []string{"b"}}}
	var asked []string
	x.desk.CA = func(_ context.Context, ca, _ string) (*acme.Client, error) {
		asked = append(asked, ca)
		if ca == "down" {
			return nil, fault.New(fault.Unreachable, "the CA down does not answer")
		}
		return x.client, nil
	}
	x.certified()
	if !slices.Equal(asked, []string{"down", "pebble"}) {
		t.Errorf("asked %v", asked)
	}
}

func openSealed(sealed string, id age.Identity) ([]byte, error) {
	r, err := age.Decrypt(armored(sealed), id)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func armored(s string) io.Reader { return armor.NewReader(strings.NewReader(s)) }
