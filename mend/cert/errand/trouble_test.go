package errand_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/testbed/pebble"
)

// counter counts what a CA is asked, and is in its way when told to.
type counter struct {
	orders, requests atomic.Int64 // newOrder, finalize
	trouble          atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

func (c *counter) front(w http.ResponseWriter, r *http.Request) bool {
	if t := c.trouble.Load(); t != nil && (*t)(w, r) {
		return true
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/order-plz"):
		c.orders.Add(1)
	case strings.HasPrefix(r.URL.Path, "/finalize-order"):
		c.requests.Add(1)
	}
	return false
}

// meets lets the CA make trouble from now on; the counts begin anew.
func (c *counter) meets(trouble func(w http.ResponseWriter, r *http.Request) bool) {
	c.orders.Store(0)
	c.requests.Store(0)
	c.trouble.Store(&trouble)
}

func problem(w http.ResponseWriter, status int, kind string) bool {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Replay-Nonce", "none")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","status":%d,"detail":"%s for a test"}`, kind, status, kind)
	return true
}

// another account at the same CA.
func (x *shop) account() *acme.Client {
	x.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		x.t.Fatal(err)
	}
	c, err := acme.Connect(x.t.Context(), acme.Client{
		CA: x.client.CA, Account: acme.Account{Key: key}, Solvers: x.client.Solvers, Poll: x.client.Poll,
	})
	if err == nil {
		_, err = c.Register(x.t.Context())
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

// TestALimitedCAIsAskedAgainWhenItSaid: "too many, come back in a second" costs a second and nothing else; one key, one certificate.
func TestALimitedCAIsAskedAgainWhenItSaid(t *testing.T) {
	var ca counter
	x := shopAt(t, pebble.Options{Front: ca.front})
	var refused atomic.Int64
	ca.meets(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/order-plz") || refused.Add(1) > 2 {
			return false
		}
		w.Header().Set("Retry-After", "1")
		return problem(w, http.StatusTooManyRequests, "rateLimited")
	})
	x.certified()
	if refused.Load() < 3 || ca.requests.Load() != 1 || len(x.host.made) != 1 {
		t.Errorf("refused %d times, %d requests handed in, %d keys made", refused.Load(), ca.requests.Load(), len(x.host.made))
	}
}

// TestAnotherAccountOfALimitedCA: where the first account is limited for days, the next one of the same CA orders, and after that the next CA.
func TestAnotherAccountOfALimitedCA(t *testing.T) {
	var ca counter
	x := shopAt(t, pebble.Options{Front: ca.front})
	second := x.account()
	x.opts.Routes = []acme.Route{{CA: "pebble", Accounts: []string{"first", "second"}}, {CA: "other", Accounts: []string{"x"}}}
	var asked []string
	x.desk.CA = func(_ context.Context, _, account string) (*acme.Client, error) {
		asked = append(asked, account)
		if account == "first" {
			return x.client, nil
		}
		return second, nil
	}
	var refused atomic.Int64
	ca.meets(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/order-plz") || refused.Add(1) > 1 {
			return false
		}
		w.Header().Set("Retry-After", "100000")
		return problem(w, http.StatusTooManyRequests, "rateLimited")
	})
	made := x.certified()
	if !slices.Equal(asked, []string{"first", "second"}) || ca.requests.Load() != 1 || made[0].CA != "pebble" {
		t.Errorf("asked %v, %d requests handed in", asked, ca.requests.Load())
	}
	var stored acme.Order
	x.read("order/"+made[0].Name, &stored)
	if stored.Place != "second" || stored.Account != second.Account.Location || stored.Opened.IsZero() {
		t.Errorf("the calendar would not know of this order: %+v", stored)
	}
}

// TestASlowCA: it takes the request and does not answer in time. The step fails without doubt about the key: asked again it finds the
// certificate of the same order, and the request was handed in once.
func TestASlowCA(t *testing.T) {
	var ca counter
	x := shopAt(t, pebble.Options{Front: ca.front})
	sealed := x.seal(replace.NewKeys(x.keys, x.opts))
	slow := make(chan struct{})
	ca.meets(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/my-order/") && ca.requests.Load() > 0 {
			<-slow
		}
		return false
	})
	work := func(i int) run.Work {
		s := &sealed.Plan().Steps[i]
		return run.Work{Plan: sealed.Plan(), Step: s, Target: s.Targets[0]}
	}
	if _, err := x.Do(t.Context(), work(0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := x.Do(ctx, work(1))
	close(slow)
	if err == nil && ca.requests.Load() == 1 { // the answer to finalize was the certificate already
		return
	}
	if fault.Is(err, fault.Denied) {
		t.Fatalf("a slow CA was taken for one that refuses: %v", err)
	}
	if _, err := x.Do(t.Context(), work(1)); err != nil || ca.orders.Load() != 1 || ca.requests.Load() != 1 {
		t.Errorf("%v; %d orders, %d requests handed in", err, ca.orders.Load(), ca.requests.Load())
	}
}

// TestTheFirstCADiesBeforeItGotTheRequest: its order is open, and names are being proven, when it goes away. The next CA certifies the key; the first
// one never got the request, so there is one certificate.
func TestTheFirstCADiesBeforeItGotTheRequest(t *testing.T) {
	var first counter
	x := shopAt(t, pebble.Options{Front: first.front, NoReuse: true})
	dying := x.client
	port := freePort(t)
	x.ca = pebble.Up(t, pebble.Options{HTTPPort: port})
	x.connect(port)
	x.opts.Routes = []acme.Route{{CA: "dying", Accounts: []string{"a"}}, {CA: "pebble", Accounts: []string{"b"}}}
	dying.CA.Name = "dying"
	x.desk.CA = func(_ context.Context, ca, _ string) (*acme.Client, error) {
		if ca == "dying" {
			return dying, nil
		}
		return x.client, nil
	}
	first.meets(func(w http.ResponseWriter, r *http.Request) bool {
		return first.orders.Load() > 0 && problem(w, http.StatusServiceUnavailable, "serverInternal")
	})
	made := x.certified()
	if made[0].CA != "pebble" || first.orders.Load() != 1 || first.requests.Load() != 0 {
		t.Errorf("certified by %s; the dying CA got %d orders and %d requests", made[0].CA, first.orders.Load(), first.requests.Load())
	}
}

// TestAMisbehavingCASurvivesBothPlans: nonces are rejected at random and validations wait.
func TestAMisbehavingCASurvivesBothPlans(t *testing.T) {
	x := shopAt(t, pebble.Options{Misbehave: true, NoReuse: true})
	x.cdn.release()
	sealed := x.rollout()
	if state, rec := x.run(sealed); state != run.Complete || x.status() != "Revoked" {
		x.complain(rec)
		t.Errorf("the run ended %q, the old certificate is %s", state, x.status())
	}
}

// TestAnOverrideNamesWhatMayBreak: an address is gone for good. Without an override nothing is revoked; one that two custodians signed, and that
// names this address, lets the gates go on and the key be revoked; with the signature of one custodian and of somebody else it does not.
func TestAnOverrideNamesWhatMayBreak(t *testing.T) {
	x := newShop(t)
	x.cdn.release()
	gone := cert.Point{Name: "shop.example", Address: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	x.points = append(x.points, gone)
	x.plans(t)
	made := x.certified()
	x.opts.ID = "1.2"
	x.opts.Override = &cert.Override{SPKI: cert.SPKI(x.old), Points: []string{gone.String()}, Reason: "that machine burnt down", Until: time.Now().Add(time.Hour), Custodians: []string{"ann", "ben"}}
	sealed := x.seal(replace.RollOut(x.keys, made, x.opts))
	x.voters = []string{"ann", "eve"}
	if state, _ := x.run(sealed); state == run.Complete || x.status() != "Valid" {
		t.Fatalf("one custodian's override counted (%s)", state)
	}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "signed by 1 custodians") {
		t.Errorf("one custodian: %v", err)
	}
	x.voters = []string{"ann", "ben"}
	if state, rec := x.run(sealed); state != run.Complete || x.status() != "Revoked" {
		x.complain(rec)
		t.Errorf("the run ended %q, the old certificate is %s", state, x.status())
	}
	var e struct{ Overrides []cert.Obstacle }
	x.read("revoked/"+cert.SPKI(x.old), &e)
	if len(e.Overrides) != 1 || e.Overrides[0].Point != gone {
		t.Errorf("what was overridden was not written down: %+v", e)
	}
}

// TestTwoCertificatesOnOneKey: a second certificate of the same key is served by the mail server. Both stand in the plan, the gate waits for
// the mail server, and both are revoked.
func TestTwoCertificatesOnOneKey(t *testing.T) {
	x := newShop(t)
	x.cdn.release()
	first, key := x.old, x.origin.serves.Load().PrivateKey.(*ecdsa.PrivateKey)
	pair := x.obtain(key, "mail.example")
	mail := newServer(t, pair)
	second := x.old
	x.old = first
	open := make(chan struct{})
	close(open)
	point := cert.Point{Name: "mail.example", Address: mail.also(t, "127.0.0.9", open)} // not one of our hosts
	x.points = append(x.points, point)
	x.plans(t)
	x.keys[0].Certificates = append(x.keys[0].Certificates, cert.Certificate{Serial: second.SerialNumber.Text(16), SHA256: cert.SHA256(second), Names: second.DNSNames, NotAfter: second.NotAfter, DER: second.Raw})
	sealed := x.rollout()
	var revoke *plan.Step
	for i := range sealed.Plan().Steps {
		if s := &sealed.Plan().Steps[i]; s.Kind == plan.Revoke {
			revoke = s
		}
	}
	for _, c := range []string{first.SerialNumber.Text(16), second.SerialNumber.Text(16), "all 2 certificates"} {
		if !strings.Contains(revoke.Says, c) {
			t.Errorf("the plan does not name %s: %s", c, revoke.Says)
		}
	}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), point.String()) {
		t.Errorf("although the mail server serves the key: %v", err)
	}
	done := make(chan run.State, 1)
	go func() { state, _ := x.run(sealed); done <- state }()
	time.Sleep(200 * time.Millisecond)
	mail.serves.Store(x.fresh("mail.example"))
	if state := <-done; state != run.Complete {
		t.Errorf("the run ended %q", state)
	}
	for _, c := range []string{first.SerialNumber.Text(16), second.SerialNumber.Text(16)} {
		if status, _ := x.ca.Status(t, c); status != "Revoked" {
			t.Errorf("%s is %s", c, status)
		}
	}
}

// TestACAInTroubleWhenItIsAskedToRevoke: down, limited, or gone after it took the request. What is known is told; asked again it is done once, and in doubt
// nobody says that nothing happened.
func TestACAInTroubleWhenItIsAskedToRevoke(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(w http.ResponseWriter, behind func())
		doubt   bool
		already bool
	}{
		"limited": {trouble: func(w http.ResponseWriter, _ func()) { problem(w, http.StatusTooManyRequests, "rateLimited") }},
		"down":    {trouble: func(w http.ResponseWriter, _ func()) { problem(w, http.StatusServiceUnavailable, "serverInternal") }, doubt: true},
		"its answer is lost": {trouble: func(_ http.ResponseWriter, behind func()) {
			behind()
			panic(http.ErrAbortHandler)
		}, doubt: true, already: true},
	} {
		t.Run(name, func(t *testing.T) {
			var ca counter
			x := shopAt(t, pebble.Options{Front: ca.front})
			x.cdn.release()
			sealed := x.rollout()
			x.deployed(sealed)
			var met atomic.Int64
			ca.meets(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasPrefix(r.URL.Path, "/revoke-cert") {
					return false
				}
				met.Add(1)
				c.trouble(w, func() { x.ca.Behind.ServeHTTP(httptest.NewRecorder(), r) })
				return true
			})
			err := x.byHand(sealed)
			if err == nil || met.Load() == 0 || c.doubt == fault.Is(err, fault.Denied) {
				t.Errorf("in trouble: %v", err)
			}
			if asked, askedErr := x.desk.Asked(t.Context(), cert.SPKI(x.old)); askedErr != nil || asked.IsZero() {
				t.Errorf("nobody knows that it was asked: %v", askedErr)
			}
			ca.meets(func(http.ResponseWriter, *http.Request) bool { return false })
			if err := x.byHand(sealed); err != nil || x.status() != "Revoked" {
				t.Errorf("asked again: %v, %s", err, x.status())
			}
			list, err := x.desk.Accepted(t.Context(), cert.SPKI(x.old))
			if err != nil || len(list) != 1 || list[0].Already != c.already {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}
