package errand_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/see/keys"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/testbed/pebble"
	"staunch/testbed/real"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// shop is one origin behind a late CDN, a CA, and two people.
type shop struct {
	t      *testing.T
	ca     *pebble.Server
	client *acme.Client
	old    *x509.Certificate
	oldKey crypto.Signer
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

// freePort is below the ports that systems give to whoever asks for any: nobody else gets it before it is used.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + mrand.IntN(20000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
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
	x.oldKey = key
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
		Shelf: x.shelf, Hosts: x.host, Put: x.host.put, Lookers: []cert.Looker{errand.Here("here")}, Watch: cert.Watch{Times: 2},
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
	if w.Step.Kind == plan.Act { // the hub's own executor hands these to hosts as well
		return x.host.Do(ctx, w)
	}
	return x.desk.Deeds()[w.Step.Kind].Do(ctx, w)
}

func (x *shop) Happened(ctx context.Context, w run.Work) run.Seen {
	if w.Step.Kind == plan.Act {
		return run.Seen{Truth: run.No}
	}
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

func openSealed(sealed string, id age.Identity) ([]byte, error) {
	r, err := age.Decrypt(armored(sealed), id)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func armored(s string) io.Reader { return armor.NewReader(strings.NewReader(s)) }
