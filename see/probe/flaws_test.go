package probe_test

import (
	"crypto/rsa"
	"crypto/tls"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// oracle is a TLS 1.2 server with RSA key exchange that goes as far as its keys allow: it really decrypts the premaster secret, and then says
// what its kind says about the padding inside.
type oracle struct {
	stub
	key *rsa.PrivateKey
	// tells is what is answered to a wrong padding before anything else is read; nil: nothing, the wrong secret shows later, as fixed code does it
	tells func(net.Conn)
}

func (o oracle) serve(conn net.Conn) {
	defer conn.Close()
	if kind, _, err := readRecord(conn); err != nil || kind != 22 {
		return
	}
	if _, err := conn.Write(o.hello()); err != nil {
		return
	}
	_, body, err := readRecord(conn)
	if err != nil || len(body) < 6 || body[0] != 16 {
		return
	}
	if !o.padded(body[6:]) && o.tells != nil {
		o.tells(conn)
		return
	}
	for range 2 { // ChangeCipherSpec and Finished, which cannot be decrypted with keys of a secret that nobody knows
		if _, _, err := readRecord(conn); err != nil {
			return
		}
	}
	_, _ = conn.Write(record(21, []byte{2, 20}))
}

// padded checks PKCS #1 v1.5 and the version inside, each of which an oracle may tell.
func (o oracle) padded(sealed []byte) bool {
	m := new(big.Int).Exp(new(big.Int).SetBytes(sealed), o.key.D, o.key.N).FillBytes(make([]byte, o.key.Size()))
	return m[0] == 0 && m[1] == 2 && strings.IndexByte(string(m[2:]), 0) == o.key.Size()-49-2 && m[len(m)-48] == 3
}

func alert(code byte) func(net.Conn) {
	return func(conn net.Conn) { _, _ = conn.Write(record(21, []byte{2, code})) }
}

// Servers that tell paddings apart, by an alert of its own, by hanging up or by silence, and servers that do not.
func TestBleichenbachersOracle(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	key := rsaKey(t, 2048)
	l := newAuthority(t).issue(t, key)
	var random atomic.Int32
	for _, c := range []struct {
		name  string
		tells func(net.Conn)
		want  string
	}{
		{"another alert", alert(51), "vulnerable"},
		{"hangs up", func(net.Conn) {}, "vulnerable"},
		{"waits for ever", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, "vulnerable"},
		{"the alert of fixed code, only sooner", alert(20), "not_seen"},
		{"fixed", nil, "not_seen"},
		{"a different answer each time", func(conn net.Conn) { alert(byte(100 + random.Add(1)))(conn) }, "inconclusive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := oracle{stub: stub{cert: l.cert.Raw}, key: key, tells: c.tells}
			f := flawOf(t, serving(t, server.serve), "ROBOT")
			if f.Verdict != c.want {
				t.Errorf("%+v, want %s", f, c.want)
			}
		})
	}
}

func flawOf(t *testing.T, target, name string) probe.Flaw {
	t.Helper()
	r := look(t, target, func(q *probe.Question) { q.Intrusive, q.TimeoutMS = true, 2000 })
	for _, f := range r.Flaws {
		if strings.HasPrefix(f.Name, name) {
			return f
		}
	}
	t.Fatalf("%s was not tested: %s %v", name, r.Error, r.NotTested)
	return probe.Flaw{}
}

// A balancer that keeps 32 bytes for every session id answers a short one with what lay behind it (CVE-2016-9244). The session is real; only
// the id that comes back with a resumed one is made longer on the way.
func TestTicketbleed(t *testing.T) {
	t.Parallel()
	l := newAuthority(t).issue(t, ecKey(t))
	pair, err := tls.LoadX509KeyPair(l.certFile, l.keyFile)
	must(t, err)
	server := gopher(t, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	leaky := serving(t, func(conn net.Conn) {
		defer conn.Close()
		inner, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer inner.Close()
		go func() { _, _ = io.Copy(inner, conn); inner.Close() }()
		kind, body, err := readRecord(inner)
		if err != nil {
			return
		}
		if kind == 22 && len(body) > 39 && body[0] == 2 && body[38] == 16 { // the length of the session id, behind version and random
			n := int(body[2])<<8 + int(body[3]) + 16
			rest := append([]byte(strings.Repeat("x", 16)), body[39+16:]...)
			body = append(append([]byte{2, 0, byte(n >> 8), byte(n)}, body[4:38]...), append(append([]byte{32}, body[39:39+16]...), rest...)...)
		}
		if _, err := conn.Write(record(kind, body)); err != nil {
			return
		}
		_, _ = io.Copy(conn, inner)
	})
	if f := flawOf(t, leaky, "Ticketbleed"); f.Verdict != "vulnerable" {
		t.Errorf("it leaks, and the probe says %+v", f)
	}
	if f := flawOf(t, server, "Ticketbleed"); f.Verdict != "not_seen" || !strings.Contains(f.Reason, "as it was sent") {
		t.Errorf("it does not leak, and the probe says %+v", f)
	}
}

// Each intrusive verdict reaches the letter.
func TestAFlawMakesTheLetterF(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	key := rsaKey(t, 2048)
	a := newAuthority(t)
	l := a.issue(t, key)
	target := serving(t, oracle{stub: stub{cert: l.cert.Raw}, key: key, tells: alert(51)}.serve)
	r := look(t, target, trusting(a), func(q *probe.Question) { q.Intrusive, q.TimeoutMS = true, 2000 })
	if r.Grade == nil || r.Grade.Letter != "F" || !strings.Contains(r.Grade.Caps[0].Because, "ROBOT") {
		t.Errorf("%+v", r.Grade)
	}
}
