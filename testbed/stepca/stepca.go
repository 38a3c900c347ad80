// Package stepca runs step-ca, a real certificate authority with a list of what it revoked, inside a test on loopback.
package stepca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Options say how the CA behaves.
type Options struct {
	HTTPPort int  // where it looks for http-01 proofs
	NoList   bool // its certificates name no list: it revokes, but nobody can see that
}

// Server is a running CA.
type Server struct {
	Directory string
	List      string // URL of the list of revoked certificates
	Roots     *x509.CertPool
	RootPEM   []byte
}

// Up starts a CA that ends with the test.
func Up(t testing.TB, o Options) *Server {
	t.Helper()
	bin, dir := program(t), t.TempDir()
	front, plain := freePort(t), freePort(t)
	s := &Server{Directory: fmt.Sprintf("https://127.0.0.1:%d/acme/acme/directory", front), List: fmt.Sprintf("http://127.0.0.1:%d/1.0/crl", plain), Roots: x509.NewCertPool()}
	s.RootPEM = certificates(t, dir)
	s.Roots.AppendCertsFromPEM(s.RootPEM)
	config, err := json.Marshal(s.config(dir, front, plain, o))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "ca.json"), config, 0o600))
	cmd := exec.Command(bin, filepath.Join(dir, "ca.json"), "--insecure", "--resolver", resolver(t), "--acme-http-port", fmt.Sprint(o.HTTPPort))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Env = append(os.Environ(), "HOME="+dir, "STEPPATH="+dir)
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // it is killed at the end
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	s.await(t, front, func() string {
		select {
		case <-ended:
			return log.String()
		default:
			return ""
		}
	})
	return s
}

// config is what a person would write for it, with one ACME provisioner.
func (s *Server) config(dir string, front, plain int, o Options) map[string]any {
	list := ""
	if !o.NoList {
		list = `, "crlDistributionPoints": ["` + s.List + `"]`
	}
	template := `{"subject": {{ toJson .Subject }}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["serverAuth"]` + list + `}`
	return map[string]any{
		"root": filepath.Join(dir, "root.crt"), "crt": filepath.Join(dir, "inter.crt"), "key": filepath.Join(dir, "inter.key"),
		"address": fmt.Sprintf("127.0.0.1:%d", front), "insecureAddress": fmt.Sprintf("127.0.0.1:%d", plain), "dnsNames": []string{"127.0.0.1", "localhost"},
		"db":     map[string]any{"type": "badgerv2", "dataSource": filepath.Join(dir, "db")},
		"logger": map[string]any{"format": "text"},
		"crl":    map[string]any{"enabled": true, "generateOnRevoke": true, "idpURL": s.List},
		"authority": map[string]any{"provisioners": []any{map[string]any{
			"type": "ACME", "name": "acme", "claims": map[string]any{"maxTLSCertDuration": "2160h", "defaultTLSCertDuration": "2160h"},
			"options": map[string]any{"x509": map[string]any{"template": template}},
		}}},
	}
}

// await returns when the CA answers; dead tells what it said when it ended.
func (s *Server) await(t testing.TB, port int, dead func() string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12}}}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/health", port))
		if err == nil {
			resp.Body.Close()
			return
		}
		if says := dead(); says != "" {
			t.Fatalf("step-ca ended: %s", says)
		}
		if time.Now().After(end) {
			t.Fatalf("step-ca does not answer: %v", err)
		}
	}
}

// certificates makes a root and an intermediate CA in dir and returns the root in PEM.
func certificates(t testing.TB, dir string) []byte {
	t.Helper()
	make := func(name string, serial int64, depth int) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, MaxPathLen: depth, MaxPathLenZero: depth == 0, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}, key
	}
	root, rootKey := make("Second CA Root", 1, 1)
	inter, interKey := make("Second CA Intermediate", 2, 0)
	write := func(name, kind string, der []byte, err error) []byte {
		must(t, err)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
		return text
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	text := write("root.crt", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, inter, root, &interKey.PublicKey, rootKey)
	write("inter.crt", "CERTIFICATE", der, err)
	der, err = x509.MarshalECPrivateKey(interKey)
	write("inter.key", "EC PRIVATE KEY", der, err)
	return text
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// resolver answers 127.0.0.1 to every question for an address, and nothing to all others.
func resolver(t testing.TB) string {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	srv := &dns.Server{PacketConn: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			if rr, err := dns.NewRR(strings.ToLower(q.Question[0].Name) + " 1 IN A 127.0.0.1"); err == nil {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m) // a client that went away needs no answer
	})}
	go func() { _ = srv.ActivateAndServe() }() // ends with the test
	t.Cleanup(func() { _ = srv.Shutdown() })
	return l.LocalAddr().String()
}
