package why_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"html"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"staunch/see/why"
)

func ask(t *testing.T, q why.Question) why.Answer {
	t.Helper()
	if q.Timeout == 0 {
		q.Timeout = 2 * time.Second
	}
	a, err := why.Ask(context.Background(), q, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func layer(t *testing.T, a why.Answer, name string) why.Layer {
	t.Helper()
	for _, l := range a.Layers {
		if l.Layer == name {
			return l
		}
	}
	t.Fatalf("no layer %s in %+v", name, a)
	return why.Layer{}
}

func TestEveryAnswerHasSixLayersInOrder(t *testing.T) {
	site := httptest.NewServer(http.NotFoundHandler())
	defer site.Close()
	for _, url := range []string{site.URL, "https://127.0.0.1:1/", "gopher://x", "http://127.0.0.1:99999/"} {
		a := ask(t, why.Question{URL: url})
		var got []string
		for _, l := range a.Layers {
			got = append(got, l.Layer)
		}
		if s := strings.Join(got, " "); s != "url dns address tcp tls http" {
			t.Errorf("%s: layers %s", url, s)
		}
		if a.Verdict == "" || a.Says == "" {
			t.Errorf("%s: no verdict", url)
		}
	}
}

func TestStatusBecomesWords(t *testing.T) {
	for _, c := range []struct {
		status int
		want   why.Verdict
	}{
		{200, why.Fine},
		{404, why.Application},
		{403, why.Application},
		{500, why.Application},
		{502, why.Application},
		{503, why.Overloaded},
		{429, why.Overloaded},
	} {
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(c.status)
		}))
		a := ask(t, why.Question{URL: site.URL})
		if a.Verdict != c.want {
			t.Errorf("%d: %s (%s), want %s", c.status, a.Verdict, a.Says, c.want)
		}
		if c.want == why.Overloaded && !strings.Contains(a.Next, "120") {
			t.Errorf("%d: Retry-After is not passed on: %s", c.status, a.Next)
		}
		site.Close()
	}
}

func TestClosedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	a := ask(t, why.Question{URL: "http://" + addr + "/"})
	if a.Verdict != why.PortClosed || layer(t, a, "tcp").State != why.Failed || layer(t, a, "http").State != why.NotReached {
		t.Errorf("%s: %+v", a.Verdict, a.Layers)
	}
}

// raw serves each connection with f.
func raw(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return l.Addr().String()
}

func TestWhatBreaksAfterTheConnection(t *testing.T) {
	silent := raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); time.Sleep(20 * time.Second) })
	hangsUp := raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) })
	garbage := raw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = c.Write([]byte("\x00\x1b]0;evil\x07\r\n\r\n"))
	})
	short := raw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"))
	})
	endless := raw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n"))
		line := []byte("X-A: " + strings.Repeat("a", 8000) + "\r\n")
		for {
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	})
	for _, c := range []struct {
		name, url string
		want      why.Verdict
	}{
		{"TLS never answers", "https://" + silent, why.Overloaded},
		{"web server hangs up", "http://" + hangsUp, why.Application},
		{"garbage", "http://" + garbage, why.Application},
		{"half a page", "http://" + short, why.Application},
		{"endless headers", "http://" + endless, why.Application},
		{"https to a plain port", "https://" + garbage, why.TLSBroken},
		{"TLS hangs up", "https://" + hangsUp, why.TLSBroken},
	} {
		a := ask(t, why.Question{URL: c.url, Timeout: 300 * time.Millisecond})
		if a.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, a.Verdict, a.Says, c.want)
		}
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var drawn bytes.Buffer
		why.Draw(&drawn, a, why.Style{Verbose: true})
		if strings.Contains(drawn.String(), "\x1b") || bytes.Contains(b, []byte("\x1b")) {
			t.Errorf("%s: a terminal escape came through", c.name)
		}
	}
}

// certificate makes a self-signed one.
func certificate(t *testing.T, names []string, from, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: until, DNSNames: names,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestCertificateProblemsAreNamed(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name        string
		names       []string
		from, until time.Time
		trusted     bool
		want        why.Verdict
		says        string
	}{
		{"good", []string{"localhost"}, now.Add(-time.Hour), now.Add(90 * 24 * time.Hour), true, why.Fine, ""},
		{"expired", []string{"localhost"}, now.Add(-48 * time.Hour), now.Add(-24 * time.Hour), true, why.Certificate, "run out"},
		{"not yet", []string{"localhost"}, now.Add(24 * time.Hour), now.Add(48 * time.Hour), true, why.Certificate, "not valid yet"},
		{"other name", []string{"elsewhere.example"}, now.Add(-time.Hour), now.Add(48 * time.Hour), true, why.Certificate, "another name"},
		{"unknown issuer", []string{"localhost"}, now.Add(-time.Hour), now.Add(48 * time.Hour), false, why.Certificate, "nobody that this machine trusts"},
	} {
		cert, pool := certificate(t, c.names, c.from, c.until)
		if !c.trusted {
			pool = x509.NewCertPool()
		}
		site := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
		site.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		site.StartTLS()
		_, port, _ := net.SplitHostPort(site.Listener.Addr().String())
		a := ask(t, why.Question{URL: "https://localhost:" + port + "/", CAs: pool})
		if a.Verdict != c.want || !strings.Contains(a.Says, c.says) {
			t.Errorf("%s: %s: %s", c.name, a.Verdict, a.Says)
		}
		site.Close()
	}
}

func TestRedirectsAreFollowedAndCirclesNamed(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/a", http.RedirectHandler("/b", http.StatusFound))
	mux.HandleFunc("/b", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	mux.Handle("/x", http.RedirectHandler("/y", http.StatusFound))
	mux.Handle("/y", http.RedirectHandler("/x", http.StatusFound))
	mux.HandleFunc("/n/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"n/", http.StatusFound) })
	site := httptest.NewServer(mux)
	defer site.Close()
	if a := ask(t, why.Question{URL: site.URL + "/a"}); a.Verdict != why.Fine || len(a.Redirects) != 1 {
		t.Errorf("/a: %s, %d redirects", a.Verdict, len(a.Redirects))
	}
	for _, path := range []string{"/x", "/n/"} {
		if a := ask(t, why.Question{URL: site.URL + path}); a.Verdict != why.Application || !strings.Contains(a.Says, "circle") {
			t.Errorf("%s: %s: %s", path, a.Verdict, a.Says)
		}
	}
}

func TestSamplesTellAnOverloadedSite(t *testing.T) {
	var n atomic.Int64
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%3 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer site.Close()
	a := ask(t, why.Question{URL: site.URL, Samples: 6})
	if a.Verdict != why.Overloaded || a.Samples == nil || a.Samples.Refused != 2 {
		t.Errorf("%s: %+v", a.Verdict, a.Samples)
	}
	slower := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Duration(n.Add(1)-7) * 80 * time.Millisecond)
	}))
	defer slower.Close()
	if a := ask(t, why.Question{URL: slower.URL, Samples: 9}); a.Verdict != why.Overloaded || a.Samples.Trend != "growing" {
		t.Errorf("growing latency: %s %+v", a.Verdict, a.Samples)
	}
}

func TestBadLinks(t *testing.T) {
	for url, says := range map[string]string{
		"ftp://example.org/":                          "not http or https",
		"https://example.org:0/":                      "port",
		"https://example.org:70000/":                  "port",
		"https:///path":                               "no host",
		"https://a..b/":                               "empty part",
		"https://" + strings.Repeat("a", 64) + ".org": "longer than 63",
		"https://exa\x1b[2Jmple.org/":                 "cannot be read",
		strings.Repeat("a", 9000):                     "8,192",
	} {
		a := ask(t, why.Question{URL: url})
		if a.Verdict != why.BadURL || !strings.Contains(a.Says, says) {
			t.Errorf("%q: %s: %s", url, a.Verdict, a.Says)
		}
	}
}

func TestHostsFileIsNamed(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }))
	defer site.Close()
	_, port, _ := net.SplitHostPort(site.Listener.Addr().String())
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("# comment\n127.0.0.1 intranet.example Intranet # here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := ask(t, why.Question{URL: "http://intranet.example:" + port, Hosts: hosts})
	if a.Verdict != why.Fine || !strings.Contains(layer(t, a, "dns").Says, "hosts file") {
		t.Errorf("%s %+v", a.Verdict, layer(t, a, "dns"))
	}
}

func TestThePageIsSelfContained(t *testing.T) {
	a := ask(t, why.Question{URL: "http://127.0.0.1:1/<script>alert(1)</script>"})
	var page bytes.Buffer
	if err := why.WritePage(&page, a); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script>alert", "http-equiv=\"refresh", "src=", "@import", "href="} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(html.UnescapeString(page.String()), a.Says) {
		t.Error("the page does not say what is the matter")
	}
}
