// Package pebble runs the ACME test CA inside a test, with name servers of its own, on loopback.
package pebble

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Options say how the CA behaves.
type Options struct {
	HTTPPort, TLSPort int    // where it looks for http-01 and tls-alpn-01 proofs
	Resolver          string // host:port of the name server it asks; "" one of our own that answers 127.0.0.1 to everything
	Misbehave         bool   // reject nonces at random, wait before validating: what a client must survive
	NoReuse           bool   // every order has to be proven anew
	Address           string // of this machine, where it listens; "" 127.0.0.1
	Short             bool   // offer a profile "short" beside; orders that name none get any of them
	Trusting          bool   // believe every proof without looking
	// Front sees every request first, and tells whether it answered it itself: a CA that is limited, slow or broken.
	Front      func(w http.ResponseWriter, r *http.Request) (answered bool)
	RetryAfter int // seconds between looks at an order
}

// Server is a running CA.
type Server struct {
	Directory  string
	Behind     http.Handler   // the CA itself, behind a Front
	Roots      *x509.CertPool // of its HTTPS
	Issuers    *x509.CertPool // that its certificates chain to
	IssuersPEM []byte         // the same, for programs that read a file
	api        *httptest.Server
	manage     *httptest.Server
}

// Up starts a CA that ends with the test. It sets environment variables (that is how pebble is told), so such tests are not parallel.
func Up(t testing.TB, o Options) *Server {
	t.Helper()
	set := func(name string, on bool, yes, no string) {
		value := no
		if on {
			value = yes
		}
		t.Setenv(name, value)
	}
	set("PEBBLE_VA_NOSLEEP", o.Misbehave, "0", "1")
	t.Setenv("PEBBLE_VA_SLEEPTIME", "1")
	set("PEBBLE_WFE_NONCEREJECT", o.Misbehave, "30", "0")
	set("PEBBLE_AUTHZREUSE", o.NoReuse, "0", "100")
	set("PEBBLE_VA_ALWAYS_VALID", o.Trusting, "1", "0")
	if o.Resolver == "" {
		o.Resolver = resolver(t)
	}
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	profiles := map[string]ca.Profile{"default": {Description: "default"}}
	if o.Short {
		profiles["short"] = ca.Profile{Description: "six days", ValidityPeriod: 6 * 86400}
	}
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, profiles)
	validator := va.New(quiet, o.HTTPPort, o.TLSPort, true, o.Resolver, store)
	front := wfe.New(quiet, store, validator, authority, nil, true, false, o.RetryAfter, o.RetryAfter)
	behind := apart(front.Handler())
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.Front == nil || !o.Front(w, r) {
			behind.ServeHTTP(w, r)
		}
	})
	s := &Server{Behind: behind, api: serve(t, o.Address, handler), manage: httptest.NewTLSServer(front.ManagementHandler())}
	t.Cleanup(s.api.Close)
	t.Cleanup(s.manage.Close)
	s.Directory = s.api.URL + wfe.DirectoryPath
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(s.api.Certificate())
	s.Issuers = x509.NewCertPool()
	s.IssuersPEM = s.get(t, "/roots/0")
	s.Issuers.AppendCertsFromPEM(s.IssuersPEM)
	return s
}

// Stop makes the CA unreachable.
func (s *Server) Stop() { s.api.Close() }

// RootsPEM is the certificate of its HTTPS, for clients that read a file.
func (s *Server) RootsPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.api.Certificate().Raw})
}

// Status is what the CA holds of a serial: "Valid", "Revoked", and the reason.
func (s *Server) Status(t testing.TB, serial string) (status string, reason int) {
	t.Helper()
	var got struct {
		Status string
		Reason int
	}
	if err := json.Unmarshal(s.get(t, "/cert-status-by-serial/"+serial), &got); err != nil {
		t.Fatal(err)
	}
	return got.Status, got.Reason
}

// Want makes the CA ask for a certificate's replacement in a window (RFC 9773), given in its JSON form.
func (s *Server) Want(t testing.TB, leaf *x509.Certificate, window string) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	body, err := json.Marshal(map[string]string{"certificate": string(text), "ariResponse": window})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.manage.Client().Post(s.manage.URL+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("set-renewal-info: %s", resp.Status)
	}
}

func (s *Server) get(t testing.TB, path string) []byte {
	t.Helper()
	resp, err := s.manage.Client().Get(s.manage.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// resolver answers 127.0.0.1 to every question for an address, and nothing to all others.
func resolver(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &dns.Server{Listener: l, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			rr, err := dns.NewRR(strings.ToLower(q.Question[0].Name) + " 1 IN A 127.0.0.1")
			if err == nil {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m) // a client that went away needs no answer
	})}
	go func() { _ = srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = srv.Shutdown() })
	return l.Addr().String()
}
