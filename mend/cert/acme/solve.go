package acme

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/tame"

	acmez "github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
)

// Standalone answers http-01 proofs itself on an address that the CA reaches as port 80 of the name.
type Standalone struct {
	mu     sync.Mutex
	proofs map[string]string // path to content
	server *http.Server
}

// ListenHTTP starts a Standalone on addr; Close ends it.
func ListenHTTP(addr string) (*Standalone, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fault.New(fault.Conflict, "cannot answer http-01 proofs on %s: %v", addr, err)
	}
	s := &Standalone{proofs: map[string]string{}}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(l) }() // ends with Close, with an error that says just that
	return s, nil
}

// Close ends the listener.
func (s *Standalone) Close() error { return s.server.Close() }

// ServeHTTP answers proofs and nothing else.
func (s *Standalone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	proof, known := s.proofs[r.URL.Path]
	s.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	fmt.Fprint(w, proof)
}

// Present shows the proof.
func (s *Standalone) Present(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proofs[c.HTTP01ResourcePath()] = c.KeyAuthorization
	return nil
}

// CleanUp forgets it.
func (s *Standalone) CleanUp(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.proofs, c.HTTP01ResourcePath())
	return nil
}

// ALPN answers tls-alpn-01 proofs (RFC 8737) on an address that the CA reaches as port 443 of the name.
type ALPN struct {
	mu       sync.Mutex
	proofs   map[string]*tls.Certificate // by name
	listener net.Listener
}

// ListenALPN starts an ALPN on addr; Close ends it.
func ListenALPN(addr string) (*ALPN, error) {
	a := &ALPN{proofs: map[string]*tls.Certificate{}}
	var err error
	a.listener, err = tls.Listen("tcp", addr, &tls.Config{NextProtos: []string{acmez.ACMETLS1Protocol}, MinVersion: tls.VersionTLS12, GetCertificate: a.certificate})
	if err != nil {
		return nil, fault.New(fault.Conflict, "cannot answer tls-alpn-01 proofs on %s: %v", addr, err)
	}
	go a.serve()
	return a, nil
}

// Close ends the listener.
func (a *ALPN) Close() error { return a.listener.Close() }

func (a *ALPN) serve() {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_ = conn.(*tls.Conn).Handshake() // the handshake is the whole proof; its failure shows at the CA
		}()
	}
}

func (a *ALPN) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.proofs[strings.ToLower(h.ServerName)]; c != nil {
		return c, nil
	}
	return nil, fault.New(fault.NotFound, "no proof for that name")
}

// Present makes the proof's certificate.
func (a *ALPN) Present(_ context.Context, c acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proofs[strings.ToLower(c.Identifier.Value)] = cert
	return nil
}

// CleanUp forgets it.
func (a *ALPN) CleanUp(_ context.Context, c acme.Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.proofs, strings.ToLower(c.Identifier.Value))
	return nil
}

// DNSUpdate puts dns-01 proofs into a zone by dynamic update (RFC 2136), signed with TSIG (RFC 8945).
type DNSUpdate struct {
	Server    string // host:port of the primary
	Zone      string
	Key       string // TSIG key name
	Algorithm string // "" for hmac-sha256
	Secret    string // base64
	// Visible asks, before the CA does, whether the proof shows at these servers (host:port); none: the primary alone.
	Visible []string
}

// Present adds the TXT record.
func (d DNSUpdate) Present(ctx context.Context, c acme.Challenge) error {
	return d.update(ctx, c, true)
}

// CleanUp removes just that record.
func (d DNSUpdate) CleanUp(ctx context.Context, c acme.Challenge) error {
	return d.update(ctx, c, false)
}

func (d DNSUpdate) update(ctx context.Context, c acme.Challenge, add bool) error {
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(d.Zone))
	txt := []dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: dns.Fqdn(c.DNS01TXTRecordName()), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{c.DNS01KeyAuthorization()},
	}}
	if add {
		m.Insert(txt)
	} else {
		m.Remove(txt)
	}
	client := dns.Client{Net: "tcp", Timeout: 10 * time.Second}
	if d.Key != "" {
		algorithm := d.Algorithm
		if algorithm == "" {
			algorithm = dns.HmacSHA256
		}
		client.TsigSecret = map[string]string{dns.Fqdn(d.Key): d.Secret}
		m.SetTsig(dns.Fqdn(d.Key), dns.Fqdn(algorithm), 300, time.Now().Unix())
	}
	in, _, err := client.ExchangeContext(ctx, m, d.Server)
	if err != nil {
		return fault.New(fault.Unreachable, "the name server %s: %v", d.Server, err)
	}
	if in.Rcode != dns.RcodeSuccess {
		return fault.New(fault.Denied, "the name server %s refuses the update of %s: %s", d.Server, d.Zone, dns.RcodeToString[in.Rcode])
	}
	return nil
}

// Wait looks until every server shows the proof: a CA asks once and remembers a failure.
func (d DNSUpdate) Wait(ctx context.Context, c acme.Challenge) error {
	servers := d.Visible
	if len(servers) == 0 {
		servers = []string{d.Server}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for _, server := range servers {
		for !shows(ctx, server, c) {
			select {
			case <-ctx.Done():
				return fault.New(fault.Timeout, "%s does not show the proof", server)
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func shows(ctx context.Context, server string, c acme.Challenge) bool {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(c.DNS01TXTRecordName()), dns.TypeTXT)
	client := dns.Client{Timeout: 5 * time.Second}
	in, _, err := client.ExchangeContext(ctx, m, server)
	if err != nil {
		return false // asked again until the deadline
	}
	for _, rr := range in.Answer {
		if txt, ok := rr.(*dns.TXT); ok && strings.Join(txt.Txt, "") == c.DNS01KeyAuthorization() {
			return true
		}
	}
	return false
}

// Hook shows proofs through a program of the team's own: PROGRAM present|cleanup TYPE NAME RECORD_OR_PATH VALUE.
type Hook struct {
	Program string // absolute path
	Env     []string
}

// Present calls the program with "present".
func (h Hook) Present(ctx context.Context, c acme.Challenge) error { return h.call(ctx, "present", c) }

// CleanUp calls the program with "cleanup".
func (h Hook) CleanUp(ctx context.Context, c acme.Challenge) error { return h.call(ctx, "cleanup", c) }

func (h Hook) call(ctx context.Context, verb string, c acme.Challenge) error {
	where, value := c.HTTP01ResourcePath(), c.KeyAuthorization
	if c.Type == "dns-01" {
		where, value = c.DNS01TXTRecordName(), c.DNS01KeyAuthorization()
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Program, verb, c.Type, c.Identifier.Value, where, value)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, h.Env...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fault.New(fault.Denied, "%s %s: %v: %s", h.Program, verb, err, tame.Short(string(out), 2000))
	}
	return nil
}
