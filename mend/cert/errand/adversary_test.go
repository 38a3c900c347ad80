package errand_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// listens is a real TLS server of any configuration.
func listens(t *testing.T, at string, config *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", at, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	return l.Addr().String()
}

// held demands that the last wall holds because of a point, and that nothing was revoked.
func (x *shop) held(name string, sealed *plan.Sealed, because ...string) {
	x.t.Helper()
	err := x.byHand(sealed)
	if !fault.Is(err, fault.Denied) {
		x.t.Errorf("%s: %v", name, err)
	}
	for _, b := range because {
		if !strings.Contains(errText(err), b) {
			x.t.Errorf("%s: %v does not name %s", name, err, b)
		}
	}
	if x.status() != "Valid" {
		x.t.Fatalf("%s: it was revoked", name)
	}
}

// ready is a shop whose every known endpoint serves the new key: nothing stands against the revocation but what a test adds.
func ready(t *testing.T) (*shop, *plan.Sealed, tls.Certificate) {
	t.Helper()
	x := newShop(t)
	old := *x.origin.serves.Load()
	x.cdn.release()
	sealed := x.rollout()
	x.deployed(sealed)
	return x, sealed, old
}

// deployed carries out what brings the new key to where it is served.
func (x *shop) deployed(sealed *plan.Sealed) {
	x.t.Helper()
	for i := range sealed.Plan().Steps {
		s := &sealed.Plan().Steps[i]
		if s.Kind == plan.Deploy || s.Kind == plan.Activate {
			if _, err := x.Do(x.t.Context(), run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]}); err != nil {
				x.t.Fatal(err)
			}
		}
	}
}

// TestPlacesWhereAnOldKeyHides: each of them serves the new key to whoever looks once, and the old one to somebody else. The last wall holds and names it;
// without any of them it lets the revocation go on, so that it was not held by something else.
func TestPlacesWhereAnOldKeyHides(t *testing.T) {
	x, sealed, old := ready(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	saved := x.old
	fresh := x.obtain(key, "shop.example")
	x.old = saved
	var turn atomic.Int64
	places := map[string]*tls.Config{
		"the other kind of key, TLS 1.3 alone":               {MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{fresh, old}},
		"the other kind of key, up to TLS 1.2":               {MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{fresh, old}},
		"the other kind of key, RSA suites alone in TLS 1.2": {CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, Certificates: []tls.Certificate{fresh, old}},
		"whoever asks for no name": {GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "" {
				return &old, nil
			}
			return &fresh, nil
		}},
		"one old server of eight behind a balancer": {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if turn.Add(1)%8 == 0 {
				return &old, nil
			}
			return x.origin.serves.Load(), nil
		}},
	}
	x.desk.Watch = cert.Watch{Times: 5}
	for name, config := range places {
		p := cert.Point{Name: "shop.example", Address: listens(t, "127.0.0.1:0", config), SNI: "shop.example"}
		x.desk.Points = func(context.Context, string) ([]cert.Point, error) { return []cert.Point{p}, nil }
		x.held(name, sealed, p.Address, "still serves the key")
	}
	six := cert.Point{Name: "shop.example", Address: listens(t, "[::1]:0", &tls.Config{Certificates: []tls.Certificate{old}})}
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) { return []cert.Point{six}, nil }
	x.held("an IPv6 address", sealed, six.Address, "still serves the key")
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) {
		return []cert.Point{{Name: "gone.example", Address: "unresolved"}}, nil
	}
	x.held("a name that no longer resolves", sealed, "gone.example", "could not be seen")
	x.desk.Points = nil
	if err := x.byHand(sealed); err != nil || x.status() != "Revoked" {
		t.Errorf("without any of these: %v, %s", err, x.status())
	}
}

// TestNothingThatWeMeetIsResumed: a server gives out tickets; no look of ours ever comes back with one, for a resumed session shows no certificate.
func TestNothingThatWeMeetIsResumed(t *testing.T) {
	x, sealed, _ := ready(t)
	var met, resumed atomic.Int64
	config := &tls.Config{Certificates: []tls.Certificate{*x.origin.serves.Load()}, VerifyConnection: func(s tls.ConnectionState) error {
		met.Add(1)
		if s.DidResume {
			resumed.Add(1)
		}
		return nil
	}}
	p := cert.Point{Name: "shop.example", Address: listens(t, "127.0.0.1:0", config)}
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) { return []cert.Point{p}, nil }
	client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 { // the server resumes, where a client wants it
		c, err := tls.Dial("tcp", p.Address, client)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c) // the ticket comes behind the handshake
		c.Close()
	}
	if resumed.Load() != 1 {
		t.Fatalf("the server resumed %d of %d sessions: the test could not fail", resumed.Load(), met.Load())
	}
	before := met.Load()
	if err := x.byHand(sealed); err != nil {
		t.Error(err)
	}
	if met.Load() == before || resumed.Load() != 1 {
		t.Errorf("%d handshakes, %d resumed", met.Load()-before, resumed.Load()-1)
	}
}

// TestWhoLooksFromElsewhere: hosts that the plan names look as well. One that is silent, one that shows nothing, one that is not to be had and one that
// meets the old key hold the revocation, each by its name; one that says the new key is served is no proof against what others see.
func TestWhoLooksFromElsewhere(t *testing.T) {
	x := newShop(t)
	old := cert.SPKI(x.old)
	x.cdn.release()
	made := x.certified()
	x.opts.ID, x.opts.Vantage = "1.2", []string{"far"}
	sealed := x.seal(replace.RollOut(x.keys, made, x.opts))
	x.deployed(sealed)
	says := func(keys []string, err error) func(string) cert.Looker {
		return func(host string) cert.Looker {
			return cert.Looker{From: host, See: func(context.Context, cert.Point) ([]string, error) { return keys, err }}
		}
	}
	x.held("nobody can look from there", sealed, "from far")
	x.desk.Vantage = says(nil, fault.New(fault.Unreachable, "no route"))
	x.held("silent", sealed, "from far: no route")
	x.desk.Vantage = says([]string{}, nil)
	x.held("it shows nothing", sealed, "from far: the look showed no key")
	x.desk.Vantage = says([]string{made[0].SPKI, old}, nil)
	x.held("it meets the old key", sealed, "seen from far")
	x.desk.Vantage = says([]string{made[0].SPKI}, nil)
	back := x.origin.serves.Load()
	x.origin.serves.Store(x.first())
	x.held("it lies", sealed, "seen from here")
	x.origin.serves.Store(back)
	if err := x.byHand(sealed); err != nil || x.status() != "Revoked" {
		t.Errorf("everybody sees the new key: %v, %s", err, x.status())
	}
}

// TestPlansThatNobodyProposed: whoever can write into the store writes another plan, and two people are talked into signing it. The step that revokes does
// nothing for a plan that breaks the rules of revocations, and looks beyond what a plan names.
func TestPlansThatNobodyProposed(t *testing.T) {
	x, sealed, old := ready(t)
	edit := func(change func(p *plan.Plan, revoke *plan.Step, at *replace.At)) *plan.Sealed {
		t.Helper()
		raw, err := json.Marshal(sealed.Plan())
		if err != nil {
			t.Fatal(err)
		}
		var p plan.Plan
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		for i := range p.Steps {
			if s := &p.Steps[i]; s.Kind == plan.Revoke {
				var at replace.At
				if err := json.Unmarshal(s.With, &at); err != nil {
					t.Fatal(err)
				}
				change(&p, s, &at)
				if s.With, err = json.Marshal(at); err != nil {
					t.Fatal(err)
				}
			}
		}
		out, err := plan.Seal(p)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	hidden := cert.Point{Name: "hidden.example", Address: listens(t, "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{old}})}
	for name, forged := range map[string]*plan.Sealed{
		"it waits for nothing":       edit(func(_ *plan.Plan, s *plan.Step, _ *replace.At) { s.After = nil }),
		"it does not look again":     edit(func(_ *plan.Plan, s *plan.Step, _ *replace.At) { s.Needs = nil }),
		"it is no revocation":        edit(func(_ *plan.Plan, s *plan.Step, _ *replace.At) { s.Kind = plan.Gate }),
		"the gate lost one endpoint": edit(func(p *plan.Plan, s *plan.Step, _ *replace.At) { dropTarget(p, s.After) }),
		"nothing serves it, it says": edit(func(p *plan.Plan, s *plan.Step, at *replace.At) { at.Points, p.Keys, s.Needs = nil, nil, nil }),
		"another key is meant":       edit(func(_ *plan.Plan, s *plan.Step, _ *replace.At) { s.Targets[0].SPKI = strings.Repeat("0", 64) }),
		"the certificates of others": edit(func(_ *plan.Plan, _ *plan.Step, at *replace.At) {
			at.Certificates = [][]byte{x.origin.serves.Load().Certificate[0]}
		}),
	} {
		for i := range forged.Plan().Steps {
			s := &forged.Plan().Steps[i]
			if s.Kind != plan.Revoke && !strings.HasPrefix(s.ID, "revoke-") {
				continue
			}
			if _, err := x.desk.Deeds()[plan.Revoke].Do(t.Context(), run.Work{Plan: forged.Plan(), Step: s, Target: s.Targets[0]}); !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Usage) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if status, _ := x.ca.Status(t, x.old.SerialNumber.Text(16)); status != "Valid" {
		t.Fatal("a forged plan revoked it")
	}
	x.desk.Points = func(context.Context, string) ([]cert.Point, error) { return []cert.Point{hidden}, nil }
	x.held("a plan that leaves an endpoint out", edit(func(p *plan.Plan, s *plan.Step, at *replace.At) {}), hidden.Address)
	x.desk.Points, x.desk.Voters = nil, func(context.Context) ([]string, error) {
		return nil, fault.New(fault.Conflict, "plan 1.2 was replaced by plan 1.3")
	}
	if err := x.byHand(sealed); err == nil || x.status() != "Valid" {
		t.Errorf("a plan that was replaced: %v", err)
	}
	s := sealed.Plan().Steps[slices.IndexFunc(sealed.Plan().Steps, func(s plan.Step) bool { return s.Kind == plan.Revoke })]
	if _, err := x.desk.Deeds()[plan.Revoke].Do(t.Context(), run.Work{Step: &s, Target: s.Targets[0]}); !fault.Is(err, fault.Denied) {
		t.Errorf("without any plan: %v", err)
	}
}

// dropTarget takes the last endpoint out of a gate.
func dropTarget(p *plan.Plan, gates []string) {
	for i := range p.Steps {
		if s := &p.Steps[i]; slices.Contains(gates, s.ID) && len(s.Targets) > 0 {
			s.Targets = s.Targets[:len(s.Targets)-1]
		}
	}
}

// TestAnAddressThatComesAndGoes: while the gate watches, DNS leads to one more address, which serves the old key; then it leads there no more. The gate and
// the revocation hold all the same until that address was seen with another key.
func TestAnAddressThatComesAndGoes(t *testing.T) {
	x := newShop(t)
	x.cdn.release()
	edge := newServer(t, *x.origin.serves.Load())
	sealed := x.rollout()
	var asked atomic.Int64
	p := cert.Point{Name: "shop.example", Address: edge.addr}
	x.desk.Addresses = func(context.Context, string) ([]cert.Point, error) {
		if asked.Add(1) <= 4 { // what lacks is told from the third look on
			return []cert.Point{x.points[0], p}, nil
		}
		return x.points[:1], nil
	}
	state, rec := x.run(sealed)
	if state == run.Complete || x.status() != "Valid" {
		x.complain(rec)
		t.Fatalf("revoked although %s served the old key (%s)", p, state)
	}
	if !slices.ContainsFunc(rec.events, func(e run.Event) bool { return e.Kind == run.Lacks && strings.Contains(e.Says, edge.addr) }) {
		t.Error("the gate did not name it")
	}
	x.held("DNS leads there no more", sealed, edge.addr)
	edge.serves.Store(x.origin.serves.Load())
	if err := x.byHand(sealed); err != nil || x.status() != "Revoked" {
		t.Errorf("it serves another key: %v, %s", err, x.status())
	}
}

// first is the old certificate with its key, as it was served in the beginning.
func (x *shop) first() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{x.old.Raw}, PrivateKey: x.oldKey}
}

// dying is a CA's front that takes a revocation and then lets its asker die: the CA has it, and nobody wrote that down.
type dying struct {
	errand.Own
	dies atomic.Bool
}

func (d *dying) Revoke(ctx context.Context, leaf *x509.Certificate) (acme.Accepted, error) {
	a, err := d.Own.Revoke(ctx, leaf)
	if err == nil && d.dies.Load() {
		panic(errCrash)
	}
	return a, err
}

// TestKilledBetweenTheCAsAnswerAndItsRecord: what is known afterwards is that somebody asked, and the second attempt learns that it was done before.
func TestKilledBetweenTheCAsAnswerAndItsRecord(t *testing.T) {
	x, sealed, old := ready(t)
	ca := &dying{Own: errand.Own{Client: x.client}}
	ca.dies.Store(true)
	x.desk.Revoker = func(context.Context, *x509.Certificate) (cert.Revoker, error) { return ca, nil }
	func() {
		defer func() { _ = recover() }()
		_ = x.byHand(sealed)
		t.Error("it lived on")
	}()
	spki := cert.SPKI(x.old)
	if asked, err := x.desk.Asked(t.Context(), spki); err != nil || asked.IsZero() {
		t.Errorf("nobody knows that a CA was asked: %v", err)
	}
	if list, err := x.desk.Accepted(t.Context(), spki); err != nil || len(list) != 0 {
		t.Errorf("%v, %v: it was written down after all, and the test proves nothing", list, err)
	}
	ca.dies.Store(false)
	x.origin.serves.Store(&old) // and now somebody puts the old key back
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "asked") {
		t.Errorf("the gate holds, and does not tell that a CA was asked before: %v", err)
	}
	x.origin.serves.Store(x.cdn.serves.serves.Load())
	if err := x.byHand(sealed); err != nil {
		t.Fatal(err)
	}
	list, err := x.desk.Accepted(t.Context(), spki)
	if err != nil || len(list) != 1 || !list[0].Already {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestTwoRunnersRevokeAtOnce: whatever let them both run, the certificate is revoked once, both know it, and nothing is lost.
func TestTwoRunnersRevokeAtOnce(t *testing.T) {
	x, sealed, _ := ready(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := x.byHand(sealed); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	list, err := x.desk.Accepted(t.Context(), cert.SPKI(x.old))
	if err != nil || len(list) != 1 || x.status() != "Revoked" {
		t.Errorf("%+v, %v, %s", list, err, x.status())
	}
}

// TestAnOverrideOfAnotherKey: a plan for two keys carries an override of one of them. It opens no gate of the other one, though it names its endpoint.
func TestAnOverrideOfAnotherKey(t *testing.T) {
	x := newShop(t)
	made := x.certified()
	x.opts.ID = "1.2"
	x.opts.Override = &cert.Override{SPKI: strings.Repeat("ab", 32), Points: []string{x.points[0].String(), x.points[1].String()}, Reason: "another key", Until: time.Now().Add(time.Hour), Custodians: []string{"ann", "ben"}}
	sealed := x.seal(replace.RollOut(x.keys, made, x.opts))
	asked := 0
	for i := range sealed.Plan().Steps {
		s := &sealed.Plan().Steps[i]
		for _, p := range s.Proves {
			for _, target := range s.Targets {
				if on := p.On(target); on.Kind == plan.NotServed || on.Kind == plan.Serves {
					asked++
					if got := x.Observe(t.Context(), on, run.Work{Plan: sealed.Plan(), Step: s, Target: target}); got.Truth != run.No {
						t.Errorf("%s: %s, %s", on, got.Truth, got.Says)
					}
				}
			}
		}
	}
	if asked < 3 {
		t.Errorf("%d gates were asked", asked)
	}
	x.held("the revocation", sealed)
}

// TestALineThatBreaksForAMoment: at the last look one endpoint is silent, and answers again soon after. The step does not wait for a person; where the old key
// is served it does, at once. A look that was broken off is no refusal.
func TestALineThatBreaksForAMoment(t *testing.T) {
	x, sealed, _ := ready(t)
	var looks atomic.Int64
	shows := atomic.Pointer[string]{}
	fresh, bad := "new", cert.SPKI(x.old)
	shows.Store(&fresh)
	ctx, cancel := context.WithCancel(t.Context())
	x.desk.Watch, x.desk.Again = cert.Watch{Times: 1}, []time.Duration{time.Millisecond, time.Millisecond}
	x.desk.Lookers = append(x.desk.Lookers, cert.Looker{From: "elsewhere", See: func(context.Context, cert.Point) ([]string, error) {
		switch n := looks.Add(1); {
		case *shows.Load() == bad:
			return []string{bad}, nil
		case n <= 2*int64(len(x.points)): // two whole looks
			return nil, fault.New(fault.Timeout, "no answer")
		}
		return []string{fresh}, nil
	}})
	shows.Store(&bad)
	x.held("the old key", sealed, "still serves the key")
	if n := looks.Load(); n != int64(len(x.points)) {
		t.Errorf("%d looks at what serves the old key", n)
	}
	shows.Store(&fresh)
	looks.Store(0)
	cancel()
	for i := range sealed.Plan().Steps {
		if s := &sealed.Plan().Steps[i]; s.Kind == plan.Revoke {
			if _, err := x.Do(ctx, run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]}); !fault.Is(err, fault.Unsure) {
				t.Errorf("broken off: %v", err)
			}
		}
	}
	looks.Store(0)
	if err := x.retired(sealed); err != nil || looks.Load() != 3*int64(len(x.points)) {
		t.Errorf("taking the old certificate away: %v, %d looks", err, looks.Load())
	}
	shows.Store(&bad)
	if err := x.retired(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "still serves the key") {
		t.Errorf("taken away although it is served: %v", err)
	}
	shows.Store(&fresh)
	looks.Store(0)
	if err := x.byHand(sealed); err != nil || x.status() != "Revoked" || looks.Load() != 3*int64(len(x.points)) {
		t.Errorf("%v, %s, %d looks", err, x.status(), looks.Load())
	}
}

// retired asks the step that takes the old certificate away from the CDN.
func (x *shop) retired(sealed *plan.Sealed) error {
	for i := range sealed.Plan().Steps {
		if s := &sealed.Plan().Steps[i]; s.Kind == plan.Retire {
			_, err := x.Do(x.t.Context(), run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]})
			return err
		}
	}
	return fault.New(fault.NotFound, "the plan takes nothing away")
}

// TestAHostThatLostItsKeys: asked again after a crash, a host answers with another key than the one that is stored. The stored one is certified, perhaps: nothing
// is overwritten, and a person is told.
func TestAHostThatLostItsKeys(t *testing.T) {
	x := newShop(t)
	sealed := x.seal(replace.NewKeys(x.keys, x.opts))
	s := &sealed.Plan().Steps[0]
	w := run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]}
	if _, err := x.Do(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	name := replace.KeyName("1.1", cert.SPKI(x.old), "")
	first, err := x.desk.Made(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Do(t.Context(), w); err != nil {
		t.Errorf("asked again it answers with the same key: %v", err)
	}
	clear(x.host.made)
	if _, err := x.Do(t.Context(), w); !fault.Is(err, fault.Conflict) {
		t.Errorf("another key under the same name: %v", err)
	}
	if now, err := x.desk.Made(t.Context(), name); err != nil || now.SPKI != first.SPKI {
		t.Errorf("the stored key is %s now, %v", now.SPKI, err)
	}
}

// TestTheWindowIsOver: what people approved ends before the CDN changes over. Nothing is revoked by itself any more, though everything is proven by then.
func TestTheWindowIsOver(t *testing.T) {
	x := newShop(t)
	made := x.certified()
	x.opts.ID, x.opts.Expires = "1.2", time.Now().Add(2*time.Second)
	sealed := x.seal(replace.RollOut(x.keys, made, x.opts))
	rec, ended := &tape{}, make(chan run.State, 1)
	go func() { ended <- x.runOn(sealed, rec) }()
	for end := time.Now().Add(60 * time.Second); !x.cdn.active(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the CDN was never activated")
		}
	}
	time.Sleep(time.Until(x.opts.Expires))
	x.cdn.release()
	if state := <-ended; state == run.Complete || x.status() != "Valid" {
		x.complain(rec)
		t.Errorf("the run ended %q, the old certificate is %s", state, x.status())
	}
	if slices.ContainsFunc(rec.events, func(e run.Event) bool { return strings.HasPrefix(e.Step, "revoke-") && e.Kind == run.Begun }) {
		t.Error("the revocation began after the window")
	}
}
