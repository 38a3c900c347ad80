package probe_test

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// Letters of real servers, derived by hand from the rubric. The first two are the servers on which testssl.sh 3.3dev gave
// 100/100/90 = 96 A+ and 100/90/90 = 93 B.
func TestGradesOfRealServers(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	for _, c := range []struct {
		name   string
		server func(*testing.T) string
		letter string
		scores string // protocol/key exchange/cipher=score; "" where the letter says all
		cap    string // a part of a cap's or a warning's evidence
	}{
		{"golden: ECDSA, AEAD only, 1.2 and 1.3", func(t *testing.T) string {
			return openssl(t, ec, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305")
		}, "A+", "100/100/90=96", ""},
		{"golden: RSA key exchange, 1.2 only", func(t *testing.T) string {
			return openssl(t, rsa, "-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384")
		}, "B", "100/90/90=93", "no forward secrecy"},
		{"RSA, everything that OpenSSL 3 likes", func(t *testing.T) string { return openssl(t, rsa) }, "A+", "100/90/90=93", ""},
		{"1.2 only, 256 bits only", func(t *testing.T) string {
			return openssl(t, rsa, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384")
		}, "A-", "100/90/100=97", "TLS 1.3 is not offered"},
		{"RSA 4096, 1.3 only, 256 bits only", func(t *testing.T) string {
			return openssl(t, a.issue(t, rsaKey(t, 4096)), "-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", "-groups", "X25519")
		}, "A+", "100/100/100=100", ""},
		{"old versions too", func(t *testing.T) string {
			return openssl(t, rsa, "-cipher", "DEFAULT:@SECLEVEL=0", "-min_protocol", "TLSv1")
		}, "B", "95/90/90=91", "TLS1.0, TLS1.1"},
		{"1.1 is the best", func(t *testing.T) string {
			return openssl(t, rsa, "-cipher", "AES128-SHA:@SECLEVEL=0", "-tls1_1")
		}, "C", "95/90/80=87", "no TLS 1.2"},
		{"no AEAD", func(t *testing.T) string {
			return openssl(t, rsa, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA")
		}, "B", "100/90/80=89", "no AEAD"},
		{"RSA 1024", func(t *testing.T) string {
			return openssl(t, a.issue(t, rsaKey(t, 1024)), "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
		}, "B", "100/80/90=90", "RSA key has 1024 bits"},
		{"nothing encrypted", func(t *testing.T) string {
			return openssl(t, rsa, "-tls1_2", "-cipher", "NULL-SHA256:ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
		}, "F", "100/90/40=73", "NULL"},
		{"anonymous", func(t *testing.T) string {
			return openssl(t, rsa, "-tls1_2", "-cipher", "ADH-AES128-GCM-SHA256:ADH-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
		}, "F", "100/0/90=0", "anon"},
		{"short HSTS", func(t *testing.T) string {
			return nginx(t, rsa, `ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM; add_header Strict-Transport-Security "max-age=300";`)
		}, "A-", "100/90/90=93", "Strict-Transport-Security"},
		{"long HSTS", func(t *testing.T) string {
			return nginx(t, rsa, `ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM; add_header Strict-Transport-Security "max-age=31536000";`)
		}, "A+", "100/90/90=93", ""},
		{"expired", func(t *testing.T) string {
			return openssl(t, a.issue(t, rsaKey(t, 2048), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
		}, "T", "", "expired"},
		{"another name", func(t *testing.T) string {
			return openssl(t, a.issue(t, ecKey(t), func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }))
		}, "M", "", "other names"},
		{"vouches for itself", func(t *testing.T) string { return openssl(t, selfSigned(t, a)) }, "T", "", "self signed"},
		{"Heartbleed", func(t *testing.T) string { return node(t, "0.10.1", rsa) }, "F", "", "Heartbleed"},
		{"SSLv2 that admits to no cipher", func(t *testing.T) string { return node(t, "0.8.28", rsa) }, "F", "", "SSLv2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := look(t, c.server(t), trusting(a))
			g := r.Grade
			if g == nil {
				t.Fatalf("no grade: %s %v", r.Error, r.NotTested)
			}
			if g.Letter != c.letter {
				t.Errorf("letter %s, want %s: %+v %+v", g.Letter, c.letter, g.Caps, g.Warnings)
			}
			if got := fmt.Sprintf("%d/%d/%d=%d", g.Protocol, g.KeyExchange, g.Cipher, g.Score); c.scores != "" && got != c.scores {
				t.Errorf("scores %s, want %s", got, c.scores)
			}
			if c.cap != "" && !strings.Contains(fmt.Sprint(g.Caps, g.Warnings), c.cap) {
				t.Errorf("no word of %q in %+v %+v", c.cap, g.Caps, g.Warnings)
			}
			if c.letter != "A+" && len(g.Next) == 0 {
				t.Error("it does not say how to get better")
			}
		})
	}
}

func selfSigned(t *testing.T, a *authority) leaf {
	t.Helper()
	l := a.issue(t, ecKey(t))
	template := *l.cert
	template.Issuer, template.AuthorityKeyId = template.Subject, nil
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, l.key.Public(), l.key)
	must(t, err)
	l.cert, err = x509.ParseCertificate(der)
	must(t, err)
	l.write(t, t.TempDir(), 1)
	return l
}

// The quick letter is an upper bound in about eight connections: it finds what makes F, C and B.
func TestQuickGrade(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	for _, c := range []struct {
		name   string
		server func(*testing.T) string
		letter string
	}{
		{"modern", func(t *testing.T) string { return openssl(t, ec, "-cipher", "ECDHE+AESGCM") }, "A+"},
		{"old versions too", func(t *testing.T) string {
			return openssl(t, rsa, "-cipher", "DEFAULT:@SECLEVEL=0", "-min_protocol", "TLSv1")
		}, "B"},
		{"nothing encrypted", func(t *testing.T) string {
			return openssl(t, rsa, "-tls1_2", "-cipher", "NULL-SHA256:ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
		}, "F"},
		{"RSA key exchange", func(t *testing.T) string {
			return openssl(t, rsa, "-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384")
		}, "B"},
		{"Heartbleed", func(t *testing.T) string { return node(t, "0.10.1", rsa) }, "F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := look(t, c.server(t), trusting(a), mode(probe.ModeQuick))
			if r.Grade == nil || r.Grade.Letter != c.letter || !r.Grade.UpperBound {
				t.Errorf("%+v, want %s as an upper bound", r.Grade, c.letter)
			}
			if r.Connections > 9 {
				t.Errorf("%d connections", r.Connections)
			}
			if !slices.ContainsFunc(r.NotTested, func(s string) bool { return strings.Contains(s, "--quick") }) {
				t.Error("it does not say what it left out")
			}
		})
	}
}
