package probe_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// A box between us and an old server that drops large heartbeats hides the flaw from the first method; the second opinion finds it
// behind a finished handshake.
func TestSecondOpinionSeesThroughAMiddlebox(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	l := a.issue(t, rsaKey(t, 2048))
	server := node(t, "0.10.1", l)
	box := serving(t, func(conn net.Conn) {
		defer conn.Close()
		inner, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer inner.Close()
		go func() { _, _ = io.Copy(conn, inner); conn.Close() }()
		for {
			kind, body, err := readRecord(conn)
			if err != nil {
				return
			}
			if kind == 24 && len(body) > 1000 {
				continue
			}
			// the version of the record only matters behind the hello
			if _, err := inner.Write(append([]byte{kind, 3, recordMinor(kind, body), byte(len(body) >> 8), byte(len(body))}, body...)); err != nil {
				return
			}
		}
	})
	r := look(t, box, mode(probe.ModeHeartbleed), func(q *probe.Question) { q.TimeoutMS = 3000 })
	if r.Heartbleed.Verdict != probe.Vulnerable || r.Heartbleed.Method != "after the handshake" || r.Heartbleed.ForeignBytes != 0 {
		t.Errorf("%+v", r.Heartbleed)
	}
}

func recordMinor(kind byte, body []byte) byte {
	if kind == 22 && len(body) > 0 && body[0] == 1 {
		return 1
	}
	return 3
}

// What shows only behind a handshake: session ids, tickets, renegotiation, on an old server and on new ones.
func TestBehindTheHandshake(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	for _, c := range []struct {
		name                         string
		target                       func(*testing.T) string
		renegotiation                string
		tickets, sessionIDs, version bool
	}{
		{"node 0.8.28", func(t *testing.T) string { return node(t, "0.8.28", rsa) }, "accepted", true, true, false},
		{"nginx, TLS 1.2 with a cache", func(t *testing.T) string {
			return nginx(t, ec, "ssl_protocols TLSv1.2; ssl_session_cache shared:a:1m; ssl_session_tickets off;")
		}, "refused", false, true, false},
		{"nginx, both versions", func(t *testing.T) string { return nginx(t, rsa, "ssl_protocols TLSv1.2 TLSv1.3;") }, "refused", true, false, true},
		{"openssl, CBC and TLS 1.0", func(t *testing.T) string {
			return openssl(t, ec, "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", "-tls1", "-client_renegotiation")
		}, "accepted", true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := look(t, c.target(t))
			if r.Resumption == nil || r.Renegotiate == nil {
				t.Fatalf("not seen: %v", r.NotTested)
			}
			if r.Resumption.Tickets != c.tickets || r.Resumption.SessionIDs != c.sessionIDs || r.Resumption.TLS13 != c.version {
				t.Errorf("resumption %+v, want tickets %v ids %v 1.3 %v", *r.Resumption, c.tickets, c.sessionIDs, c.version)
			}
			if r.Renegotiate.ClientInitiated != c.renegotiation || !r.Renegotiate.Secure {
				t.Errorf("renegotiation %+v, want %s", *r.Renegotiate, c.renegotiation)
			}
		})
	}
}

// HSTS, ALPN, groups, signature schemes and timestamps, as nginx is told to serve them.
func TestWhatTheWebServerSays(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	l := newAuthority(t).issue(t, rsaKey(t, 2048))
	r := look(t, nginx(t, l, `ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:secp384r1; add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";`))
	if r.HSTS == nil || r.HSTS.MaxAge != 31536000 {
		t.Errorf("HSTS %+v", r.HSTS)
	}
	if got := strings.Join(r.ALPN, " "); got != "h2 http/1.1" {
		t.Errorf("ALPN %q", got)
	}
	var groups []string
	for _, g := range r.Groups {
		groups = append(groups, g.Name)
	}
	if got := strings.Join(groups, " "); got != "X25519 secp384r1" {
		t.Errorf("groups %q", got)
	}
	if len(r.Signatures) == 0 || r.Signatures[0].Name != "rsa_pss_rsae_sha256" {
		t.Errorf("signatures %v", r.Signatures)
	}
}
