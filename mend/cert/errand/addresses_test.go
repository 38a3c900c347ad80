package errand_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// also lets a server answer at another address of this machine: loopback has plenty. It may be silent there until it is told to speak.
func (s *server) also(t *testing.T, ip string, silent <-chan struct{}) string {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
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
			go func() {
				defer c.Close()
				<-silent
				served := tls.Server(c, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.serves.Load(), nil }})
				_, _ = io.Copy(io.Discard, served) // the handshake is all that is wanted
			}()
		}
	}()
	return l.Addr().String()
}

// until runs a plan in the background and waits until its events show something.
func (x *shop) until(sealed *plan.Sealed, is func(events []run.Event) bool) <-chan run.State {
	x.t.Helper()
	rec, done := &tape{}, make(chan run.State, 1)
	go func() { done <- x.runOn(sealed, rec) }()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		events, err := rec.Since(x.t.Context(), 0)
		if err != nil {
			x.t.Fatal(err)
		}
		if is(events) {
			return done
		}
		if time.Now().After(end) {
			x.complain(rec)
			x.t.Fatal("it did not come about")
		}
	}
}

// TestOneOfFortyAddressesIsSilent: thirty-nine addresses are proven, the gate holds because of the fortieth and names it, a revocation by hand
// is refused; when that one speaks, the run goes on by itself.
func TestOneOfFortyAddressesIsSilent(t *testing.T) {
	x := newShop(t)
	x.cdn.release()
	open, silent := make(chan struct{}), make(chan struct{})
	close(open)
	var last cert.Point
	for i := range 38 {
		speaks := open
		if i == 37 {
			speaks = silent
		}
		last = cert.Point{Name: "shop.example", Address: x.origin.also(t, fmt.Sprintf("127.0.1.%d", i+1), speaks)}
		x.points = append(x.points, last)
	}
	x.plans(t)
	sealed := x.rollout()
	ended := x.until(sealed, func(events []run.Event) bool {
		n, named := 0, false
		for _, e := range events {
			named = named || e.Kind == run.Lacks && e.Target == last.String() && strings.Contains(e.Says, "could not be seen")
			if e.Kind == run.Proven && strings.HasPrefix(e.Step, "observe-cdn") {
				n++
			}
		}
		return n == 39 && named
	})
	if x.status() != "Valid" {
		t.Error("revoked although one address was not seen")
	}
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), last.Address) || strings.Count(err.Error(), "could not be seen") != 1 {
		t.Errorf("a revocation by hand: %v", err)
	}
	close(silent)
	if state := <-ended; state != run.Complete || x.status() != "Revoked" {
		t.Errorf("the run ended %q, the old certificate is %s", state, x.status())
	}
}

// TestAnEndpointBehindAnotherName: the same address serves the new key to those who ask for the shop, and the old one to those who ask for
// a name that nobody thought of. The gate holds and names it.
func TestAnEndpointBehindAnotherName(t *testing.T) {
	x := newShop(t)
	x.cdn.release()
	var first atomic.Pointer[tls.Certificate]
	first.Store(x.origin.serves.Load())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "forgotten.example" {
			return first.Load(), nil
		}
		return x.origin.serves.Load(), nil
	}})
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
			go func() { defer c.Close(); _, _ = io.Copy(io.Discard, c) }() // the handshake is all that is wanted
		}
	}()
	known, forgotten := cert.Point{Name: "shop.example", Address: l.Addr().String()}, cert.Point{Name: "forgotten", Address: l.Addr().String(), SNI: "forgotten.example"}
	x.points = append(x.points, known, forgotten)
	x.plans(t)
	x.opts.Points = x.points
	sealed := x.rollout()
	ended := x.until(sealed, func(events []run.Event) bool {
		return slices.ContainsFunc(events, func(e run.Event) bool { return e.Kind == run.Lacks && e.Target == forgotten.String() })
	})
	if err := x.byHand(sealed); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), forgotten.String()+" still serves the key") {
		t.Errorf("a revocation by hand: %v", err)
	}
	if x.status() != "Valid" {
		t.Error("revoked although somebody still serves the old key")
	}
	first.Store(x.origin.serves.Load())
	if state := <-ended; state != run.Complete || x.status() != "Revoked" {
		t.Errorf("the run ended %q, the old certificate is %s", state, x.status())
	}
}
