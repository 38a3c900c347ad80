package probe_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// tlsServer answers handshakes on an address until the test ends.
func tlsServer(t *testing.T, address string, l leaf, change ...func(*tls.Config)) string {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{l.cert.Raw}, PrivateKey: l.key}}}
	for _, c := range change {
		c(config)
	}
	listener, err := net.Listen("tcp", address)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_ = tls.Server(conn, config).Handshake() // what the client makes of it is the client's business
			}()
		}
	}()
	return listener.Addr().String()
}

// Two addresses of one site, of which one was forgotten when the key was replaced: only asking both finds it.
func TestAForgottenAddress(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	fresh, old := a.issue(t, ecKey(t)), a.issue(t, ecKey(t))
	four := tlsServer(t, "127.0.0.1:0", fresh)
	_, port, err := net.SplitHostPort(four)
	must(t, err)
	probing, err := net.Listen("tcp", "[::1]:"+port)
	if err != nil {
		real.Missing(t, "IPv6 on loopback: %v", err)
	}
	must(t, probing.Close())
	tlsServer(t, "[::1]:"+port, old)
	served := look(t, four, mode(probe.ModeCertificate)).Certificate.SPKISHA256
	all, err := probe.Probe(t.Context(), probe.Question{
		Targets: []string{four, "[::1]:" + port}, SNI: "localhost", Mode: probe.ModeCertificate, ExpectSPKI: served, CA: a.pem(), Offline: true,
	}, nil)
	must(t, err)
	var got []string
	for _, r := range all {
		got = append(got, fmt.Sprintf("%s %s %v", r.Address, r.ExpectSPKI, r.Certificate != nil && r.Certificate.Trusted))
		if r.SNI != "localhost" {
			t.Errorf("asked for %q", r.SNI)
		}
	}
	if want := []string{"127.0.0.1 served true", "::1 different true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A server with TLS 1.3 alone cannot have the flaw, and nobody needs a heartbeat to know it.
func TestOnlyTLS13(t *testing.T) {
	t.Parallel()
	target := tlsServer(t, "127.0.0.1:0", newAuthority(t).issue(t, ecKey(t)), func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
	r := look(t, target)
	if r.Heartbleed.Verdict != probe.NoHeartbeat || !strings.Contains(r.Heartbleed.Reason, "only TLS 1.3") {
		t.Errorf("%+v", r.Heartbleed)
	}
	if offered(r) != "TLS1.3" || r.Certificate == nil || !r.Complete() {
		t.Errorf("offered %q, %+v", offered(r), r)
	}
	if len(r.Groups) == 0 || r.Groups[0].Name != "X25519MLKEM768" {
		t.Errorf("groups %v", r.Groups)
	}
}

// Serves and ServesAll tell mend which keys an endpoint serves, whatever they are worth.
func TestServes(t *testing.T) {
	t.Parallel()
	l := newAuthority(t).issue(t, ecKey(t))
	at := netip.MustParseAddrPort(tlsServer(t, "127.0.0.1:0", l))
	e := probe.Endpoint{Address: at.Addr(), Port: at.Port(), SNI: "localhost"}
	spki, chain, err := probe.Serves(t.Context(), e)
	if err != nil || len(chain) != 1 || string(chain[0]) != string(l.cert.Raw) || spki == "" {
		t.Errorf("%s %d %v", spki, len(chain), err)
	}
	all, err := probe.ServesAll(t.Context(), e)
	if err != nil || !slices.Equal(all, []string{spki}) {
		t.Errorf("%q %v", all, err)
	}
	e.Port = uint16(freePort(t))
	if _, _, err := probe.Serves(t.Context(), e); err == nil {
		t.Error("nobody serves a key")
	}
}

// A server with an RSA and an ECDSA certificate serves two keys: a key is gone only when neither is it, whatever versions and suites it speaks. Old ones
// are read by our own hello.
func TestServesAllOnRealServers(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	rsa, ec, ed := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t)), a.issue(t, edKey(t))
	second := "ssl_certificate " + rsa.certFile + "; ssl_certificate_key " + rsa.keyFile + "; "
	both := []string{"-dcert", rsa.certFile, "-dkey", rsa.keyFile}
	for name, c := range map[string]struct {
		target string
		keys   int
	}{
		"two certificates":   {openssl(t, ec, both...), 2},
		"two, TLS 1.3 alone": {openssl(t, ec, append(both, "-tls1_3")...), 2},
		"two, TLS 1.3 alone, the server's order, AES-256": {openssl(t, ec, append(both, "-tls1_3", "-serverpref", "-ciphersuites", "TLS_AES_256_GCM_SHA384")...), 2},
		"two, ChaCha20 over P-384":                        {openssl(t, ec, append(both, "-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-384")...), 2},
		"two, TLS 1.2 for RSA alone":                      {openssl(t, ec, append(both, "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")...), 2},
		"two, TLS 1.2 for ECDSA alone":                    {openssl(t, ec, append(both, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")...), 2},
		"RSA and Ed25519":                                 {openssl(t, ed, append(both, "-tls1_3")...), 2},
		"two at nginx, TLS 1.3 alone":                     {nginx(t, ec, second+"ssl_protocols TLSv1.3;"), 2},
		"two at nginx, TLS 1.2 for RSA alone":             {nginx(t, ec, second+"ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;"), 2},
		"one":                                             {openssl(t, rsa), 1},
		"one, TLS 1.3 alone":                              {openssl(t, ec, "-tls1_3"), 1},
		"one that wants a certificate of ours, TLS 1.2":   {openssl(t, rsa, "-Verify", "1", "-verify_return_error", "-tls1_2"), 1},
		"one that wants a certificate of ours, TLS 1.3":   {openssl(t, rsa, "-Verify", "1", "-verify_return_error", "-tls1_3"), 1},
		"node 0.8": {node(t, "0.8.28", rsa), 1},
	} {
		at := netip.MustParseAddrPort(c.target)
		all, err := probe.ServesAll(t.Context(), probe.Endpoint{Address: at.Addr(), Port: at.Port(), SNI: "localhost"})
		if err != nil || len(all) != c.keys {
			t.Errorf("%s: %q %v", name, all, err)
		}
		chains, err := probe.ServesChains(t.Context(), probe.Endpoint{Address: at.Addr(), Port: at.Port(), SNI: "localhost"})
		if err != nil || len(chains) != c.keys {
			t.Errorf("%s: %d chains, %v", name, len(chains), err)
		}
	}
}

// What those are shown who ask for no name is another certificate at many servers; one that shows them nothing serves them nothing.
func TestServesAnyoneOnRealServers(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	first, named := a.issue(t, ecKey(t)), a.issue(t, ecKey(t))
	behind := "} server { listen %s ssl; server_name localhost; ssl_certificate " + named.certFile + "; ssl_certificate_key " + named.keyFile + ";"
	for name, c := range map[string]struct {
		target string
		keys   int
	}{
		"another certificate":  {nginxAlso(t, first, "", behind), 2},
		"no certificate":       {nginxAlso(t, first, "ssl_reject_handshake on;", behind), 1},
		"the same certificate": {nginx(t, first, ""), 1},
	} {
		at := netip.MustParseAddrPort(c.target)
		all, err := probe.ServesAnyone(t.Context(), probe.Endpoint{Address: at.Addr(), Port: at.Port(), SNI: "localhost"})
		if err != nil || len(all) != c.keys {
			t.Errorf("%s: %q %v", name, all, err)
		}
	}
}

// A server that hangs up on one connection, whichever: both keys are seen, or it is said that not everything was. Never one key alone.
func TestServesAllThroughALineThatBreaks(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	behind := dual(t, rsa, ec)
	seen := 0
	for broken := range 8 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for n := 0; ; n++ {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if n == broken {
					c.Close()
					continue
				}
				go pipe(c, behind)
			}
		}()
		at := netip.MustParseAddrPort(l.Addr().String())
		all, err := probe.ServesAll(t.Context(), probe.Endpoint{Address: at.Addr(), Port: at.Port(), SNI: "localhost"})
		if err == nil && len(all) != 2 {
			t.Errorf("connection %d broke: %q", broken, all)
		}
		if err == nil {
			seen++
		}
	}
	if seen < 6 {
		t.Errorf("only %d of 8 looks saw anything", seen)
	}
}

func dual(t testing.TB, leaves ...leaf) string {
	t.Helper()
	config := &tls.Config{MaxVersion: tls.VersionTLS12} // one question for each kind: none makes up for another
	for _, l := range leaves {
		pair, err := tls.LoadX509KeyPair(l.certFile, l.keyFile)
		must(t, err)
		config.Certificates = append(config.Certificates, pair)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	must(t, err)
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

func pipe(c net.Conn, to string) {
	defer c.Close()
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	go func() { _, _ = io.Copy(d, c) }()
	_, _ = io.Copy(c, d)
}
