package probe_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/see/probe"
)

// Servers that nobody should meet: every one gives an answer in bounded time, never a panic, and never a good letter.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	cert := newAuthority(t).issue(t, ecKey(t)).cert.Raw
	garbage := make([]byte, 1<<16)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(garbage)
	for name, serve := range map[string]func(net.Conn){
		"garbage":        func(c net.Conn) { _, _ = c.Write(garbage) },
		"endless text":   func(c net.Conn) { pour(c, []byte("220 hello there\r\n")) },
		"endless TLS":    func(c net.Conn) { pour(c, record(22, bytes.Repeat([]byte{2, 0, 0, 0}, 2000))) },
		"endless alerts": func(c net.Conn) { pour(c, record(21, []byte{1, 112})) },
		"one byte at a time": func(c net.Conn) {
			for _, b := range (stub{cert: cert}).hello() {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
		"nothing":             func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"hangs up":            func(net.Conn) {},
		"reset":               func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"oversized record":    func(c net.Conn) { _, _ = c.Write(append([]byte{22, 3, 3, 0xff, 0xff}, garbage...)) },
		"lying record length": func(c net.Conn) { _, _ = c.Write([]byte{22, 3, 3, 0x20, 0, 2}) },
		"lying lengths inside": func(c net.Conn) {
			_, _ = c.Write(record(22, handshakeMessage(2, append(append([]byte{3, 3}, make([]byte, 32)...), 200))))
		},
		"a certificate of 200 KB": func(c net.Conn) { stub{cert: garbage}.serve(c) },
		"a chain of 60,000": func(c net.Conn) {
			_, _, _ = readRecord(c)
			list := bytes.Repeat([]byte{0, 0, 1, 0}, 60000)
			all := handshakeMessage(2, append(append([]byte{3, 3}, make([]byte, 32)...), 0, 0, 0x2f, 0))
			all = append(all, handshakeMessage(11, append([]byte{byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))}, list...))...)
			all = append(all, handshakeMessage(14, nil)...)
			for part := range slices.Chunk(all, 16000) {
				if _, err := c.Write(record(22, part)); err != nil {
					return
				}
			}
		},
		"a suite that was not offered": func(c net.Conn) {
			_, _, _ = readRecord(c)
			_, _ = c.Write(record(22, handshakeMessage(2, append(append([]byte{3, 3}, make([]byte, 32)...), 0, 0xfa, 0xfa, 0))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := serving(t, func(c net.Conn) { defer c.Close(); serve(c) })
			for _, m := range []probe.Mode{probe.ModeFull, probe.ModeQuick, probe.ModeHeartbleed, probe.ModeCertificate} {
				r := look(t, target, mode(m), func(q *probe.Question) { q.TimeoutMS = 500 })
				if r.Heartbleed.Verdict == probe.Vulnerable || r.Heartbleed.Verdict == probe.Patched {
					t.Errorf("%s: heartbleed %+v", m, r.Heartbleed)
				}
				if r.Grade != nil && !strings.Contains("T F M", r.Grade.Letter) && !r.Grade.UpperBound {
					t.Errorf("%s: letter %s", m, r.Grade.Letter)
				}
				if m == probe.ModeFull && r.Grade == nil && r.Complete() {
					t.Errorf("nothing was seen, and it calls that complete: %+v", r)
				}
			}
		})
	}
}

func pour(c net.Conn, what []byte) {
	for {
		if _, err := c.Write(what); err != nil {
			return
		}
	}
}

// Addresses where nobody is, and names that do not exist, are incomplete results; a closed port in a range is no endpoint.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	target := local(freePort(t))
	r := look(t, target)
	if r.Complete() || !strings.Contains(r.Error, "refused") || r.Heartbleed.Verdict != probe.NotTested {
		t.Errorf("%+v", r)
	}
	all, err := probe.Probe(t.Context(), probe.Question{Targets: []string{strings.Replace(target, ":", "/32:", 1) + ",1"}, Allow: []string{"127.0.0.0/8"}}, nil)
	if err != nil || len(all) != 0 {
		t.Errorf("closed ports of a range: %+v %v", all, err)
	}
	r = look(t, "no-such-name.invalid")
	if r.Complete() || r.Address != "" || !strings.Contains(r.Error, "no address") {
		t.Errorf("%+v", r)
	}
}

// The expected key: served, different, unseen.
func TestExpectedKey(t *testing.T) {
	t.Parallel()
	l := newAuthority(t).issue(t, ecKey(t))
	target := serving(t, stub{cert: l.cert.Raw}.serve)
	first := look(t, target, mode(probe.ModeCertificate))
	if first.Certificate == nil {
		t.Fatalf("%+v", first)
	}
	expecting := func(key string) func(*probe.Question) { return func(q *probe.Question) { q.ExpectSPKI = key } }
	key := first.Certificate.SPKISHA256
	if r := look(t, target, mode(probe.ModeCertificate), expecting(key)); r.ExpectSPKI != "served" {
		t.Errorf("%q", r.ExpectSPKI)
	}
	if r := look(t, target, mode(probe.ModeCertificate), expecting(strings.Repeat("0", 64))); r.ExpectSPKI != "different" {
		t.Errorf("%q", r.ExpectSPKI)
	}
	if r := look(t, local(freePort(t)), mode(probe.ModeCertificate), expecting(key)); r.ExpectSPKI != "unseen" || r.Complete() {
		t.Errorf("%q", r.ExpectSPKI)
	}
}
