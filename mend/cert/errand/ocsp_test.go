package errand_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/testbed/real"
)

// responder is a CA whose word is spread by a real `openssl ocsp`.
type responder struct {
	*testing.T
	dir  string
	url  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newResponder(t *testing.T) *responder {
	t.Helper()
	r := &responder{T: t, dir: t.TempDir(), url: fmt.Sprintf("http://127.0.0.1:%d", freePort(t)), key: fresh(t)}
	r.cert = r.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "old CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, nil, r.key)
	r.save("ca", r.cert, r.key)
	return r
}

func (r *responder) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	r.Helper()
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(48*time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), r.key)
	if err != nil {
		r.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *responder) save(name string, c *x509.Certificate, key *ecdsa.PrivateKey) {
	r.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	if err := os.WriteFile(filepath.Join(r.dir, name+".pem"), text, 0o600); err != nil {
		r.Fatal(err)
	}
}

// answers lets the responder run, signing as told, with what the CA holds of a serial.
func (r *responder) answers(signer, line string, args ...string) {
	r.Helper()
	index := filepath.Join(r.dir, "index.txt")
	if err := os.WriteFile(index, []byte(line), 0o600); err != nil {
		r.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(r.url, "http://"), ":")
	ctx, cancel := context.WithCancel(r.Context())
	cmd := exec.CommandContext(ctx, real.Program(r, "openssl"), append([]string{"ocsp", "-port", port, "-index", index, "-CA", filepath.Join(r.dir, "ca.pem"), "-rsigner", filepath.Join(r.dir, signer+".pem")}, args...)...)
	says, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(says); lines.Scan(); { // a connection that asks nothing ends it
		if strings.Contains(lines.Text(), "waiting for OCSP client") {
			go func() { _, _ = io.Copy(io.Discard, says) }()
			return
		}
	}
	r.Fatal("the responder does not listen")
}

// TestWhatAResponderSays: a certificate that names no list but a responder is verified by that; a responder that is not the CA's, or that is not there, is none.
func TestWhatAResponderSays(t *testing.T) {
	real.Slow(t)
	for name, c := range map[string]struct {
		signer string
		gone   bool
		state  string
		says   string
		args   []string
	}{
		"the CA says revoked":                {"ca", true, errand.Listed, "the responder says revoked", nil},
		"the CA says good":                   {"ca", false, errand.Pending, "the responder says good", []string{"-ndays", "1"}},
		"its responder says revoked":         {"responder", true, errand.Listed, "reason 1", []string{"-nmin", "5"}},
		"the thief of the old key says good": {"leaf", false, errand.Doubtful, "is no responder", nil},
	} {
		r := newResponder(t)
		key := fresh(t)
		leaf := r.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "shop.example"}, DNSNames: []string{"shop.example"}, OCSPServer: []string{r.url}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, r.cert, key)
		r.save("leaf", leaf, key)
		own := fresh(t)
		r.save("responder", r.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "responder"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, r.cert, own), own)
		line := fmt.Sprintf("V\t490101000000Z\t\t%X\tunknown\t/CN=shop.example\n", leaf.SerialNumber)
		if c.gone {
			line = fmt.Sprintf("R\t490101000000Z\t%s,keyCompromise\t%X\tunknown\t/CN=shop.example\n", time.Now().UTC().Format("060102150405Z"), leaf.SerialNumber)
		}
		r.answers(c.signer, line, c.args...)
		accepted := []acme.Accepted{{Serial: leaf.SerialNumber.Text(16), SPKI: cert.SPKI(leaf), At: time.Now().Add(-25 * time.Hour)}}
		got := errand.Verify(t.Context(), [][]byte{leaf.Raw}, [][]byte{r.cert.Raw}, accepted, time.Now())
		if len(got) != 1 || got[0].State != c.state || !strings.Contains(got[0].Says, c.says) || !strings.Contains(got[0].Says, "browsers may still accept it until "+leaf.NotAfter.UTC().Format(time.DateOnly)) {
			t.Errorf("%s: %+v", name, got)
		}
		if overdue := strings.Contains(got[0].Says, "OVERDUE"); overdue != (c.state != errand.Listed) {
			t.Errorf("%s: a day after the CA accepted: %s", name, got[0].Says)
		}
	}
}
