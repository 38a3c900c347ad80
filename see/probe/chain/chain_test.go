package chain

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// ca is an authority with a server for its CRL, its OCSP answers and its own certificate.
type ca struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	url     string
	crl     []byte
	answer  []byte
	serial  int64
	fetched int
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func create(t testing.TB, template, parent *x509.Certificate, public, signer any) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newCA(t testing.TB, name string, parent *ca) *ca {
	t.Helper()
	a := &ca{key: newKey(t), serial: 10}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	above, signer := template, a.key
	if parent != nil {
		above, signer = parent.cert, parent.key
	}
	a.cert = create(t, template, above, a.key.Public(), signer)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fetched++
		body := map[string][]byte{"/crl": a.crl, "/ocsp": a.answer, "/ca": a.cert.Raw}[r.URL.Path]
		if body == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *ca) issue(t testing.TB, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: "www"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"www.example.org"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range change {
		c(template)
	}
	return create(t, template, a.cert, newKey(t).Public(), a.key)
}

func (a *ca) list(t testing.TB, change func(*x509.RevocationList), revoked ...x509.RevocationListEntry) {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), RevokedCertificateEntries: revoked}
	if change != nil {
		change(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.crl = der
}

func (a *ca) respond(t testing.TB, r ocsp.Response) {
	t.Helper()
	r.ThisUpdate, r.NextUpdate = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := ocsp.CreateResponse(a.cert, a.cert, r, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.answer = der
}

// respondBy lets another certificate of the CA sign, with these usages.
func (a *ca) respondBy(t testing.TB, r ocsp.Response, usage ...x509.ExtKeyUsage) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(5000), Subject: pkix.Name{CommonName: "some leaf"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: usage,
	}
	by := create(t, template, a.cert, key.Public(), a.key)
	r.ThisUpdate, r.NextUpdate, r.Certificate = time.Now().Add(-time.Minute), time.Now().Add(time.Hour), by
	a.respondAs(t, by, key, r)
}

func (a *ca) respondAs(t testing.TB, by *x509.Certificate, key *ecdsa.PrivateKey, r ocsp.Response) {
	t.Helper()
	der, err := ocsp.CreateResponse(a.cert, by, r, key)
	if err != nil {
		t.Fatal(err)
	}
	a.answer = der
}

// endlessList is a CRL without nextUpdate, which crypto/x509 does not write.
func endlessList(t testing.TB, a *ca, serials ...*big.Int) []byte {
	t.Helper()
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}} // ecdsa-with-SHA256
	tbs := struct {
		Version    int
		Signature  pkix.AlgorithmIdentifier
		Issuer     asn1.RawValue
		ThisUpdate time.Time
		Revoked    []pkix.RevokedCertificate `asn1:"optional,omitempty"`
		Extensions []pkix.Extension          `asn1:"tag:0,explicit"`
	}{Version: 1, Signature: algorithm, Issuer: asn1.RawValue{FullBytes: a.cert.RawSubject}, ThisUpdate: time.Now().Add(-time.Minute).UTC()}
	for _, s := range serials {
		tbs.Revoked = append(tbs.Revoked, pkix.RevokedCertificate{SerialNumber: s, RevocationTime: time.Now().UTC()})
	}
	number, err := asn1.Marshal(1)
	if err != nil {
		t.Fatal(err)
	}
	id, err := asn1.Marshal(struct {
		ID []byte `asn1:"tag:0"`
	}{a.cert.SubjectKeyId})
	if err != nil {
		t.Fatal(err)
	}
	tbs.Extensions = []pkix.Extension{{Id: []int{2, 5, 29, 35}, Value: id}, {Id: []int{2, 5, 29, 20}, Value: number}}
	raw, err := asn1.Marshal(tbs)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: raw}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func judge(t *testing.T, root *ca, name string, change func(*Trust), chain ...*x509.Certificate) *Certificate {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	trust := Trust{Roots: roots, Name: name, Now: time.Now(), Fetch: NewFetcher()}
	if change != nil {
		change(&trust)
	}
	var ders [][]byte
	for _, c := range chain {
		ders = append(ders, c.Raw)
	}
	c, err := Judge(context.Background(), ders, trust)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is wrong with a chain has a stable code, and only a good one is trusted.
func TestProblems(t *testing.T) {
	root := newCA(t, "root", nil)
	middle, other := newCA(t, "middle", root), newCA(t, "other", nil)
	fromMiddle := middle.issue(t)
	findable := middle.issue(t, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{middle.url + "/ca"} })
	late := root.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := root.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	stapled := root.issue(t, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	})
	client := root.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	for _, c := range []struct {
		name    string
		asked   string
		chain   []*x509.Certificate
		want    string // code; "" for none
		trusted bool
	}{
		{"good", "www.example.org", []*x509.Certificate{root.issue(t)}, "", true},
		{"good, through another", "www.example.org", []*x509.Certificate{fromMiddle, middle.cert}, "", true},
		{"another name", "mail.example.org", []*x509.Certificate{root.issue(t)}, "name_mismatch", true},
		{"expired", "www.example.org", []*x509.Certificate{late}, "expired", false},
		{"not yet", "www.example.org", []*x509.Certificate{early}, "not_yet_valid", false},
		{"unknown authority", "www.example.org", []*x509.Certificate{other.issue(t)}, "untrusted", false},
		{"for itself", "", []*x509.Certificate{other.cert}, "self_signed", false},
		{"middle left out, nowhere to be found", "www.example.org", []*x509.Certificate{fromMiddle}, "untrusted", false},
		{"middle left out", "www.example.org", []*x509.Certificate{findable}, "incomplete_chain", true},
		{"a stranger in the chain", "www.example.org", []*x509.Certificate{root.issue(t), other.cert}, "chain_order", true},
		{"must staple", "www.example.org", []*x509.Certificate{stapled}, "no_staple", true},
		{"a client's certificate", "www.example.org", []*x509.Certificate{client}, "untrusted", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(t, root, c.asked, nil, c.chain...)
			if c.want == "" && len(got.Problems) > 0 || c.want != "" && !got.Has(c.want) || got.Trusted != c.trusted {
				t.Errorf("problems %q, trusted %v; want %q, %v", got.Problems, got.Trusted, c.want, c.trusted)
			}
		})
	}
}

// Revocation: what each source says, and what cannot be believed.
func TestRevocation(t *testing.T) {
	root := newCA(t, "root", nil)
	other := newCA(t, "root", nil) // the same name, another key
	withCRL := func(c *x509.Certificate) { c.CRLDistributionPoints = []string{root.url + "/crl"} }
	withOCSP := func(c *x509.Certificate) { c.OCSPServer = []string{root.url + "/ocsp"} }
	leaf := root.issue(t, withCRL)
	both := root.issue(t, withCRL, withOCSP)
	gone := x509.RevocationListEntry{SerialNumber: leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Minute), ReasonCode: 1}
	status := func(s int) ocsp.Response {
		return ocsp.Response{Status: s, SerialNumber: big.NewInt(root.serial), RevokedAt: time.Now().Add(-time.Minute), RevocationReason: 1}
	}
	for _, c := range []struct {
		name  string
		leaf  *x509.Certificate
		given func(t *testing.T)
		state string
		says  string
	}{
		{"names no source", root.issue(t), func(*testing.T) {}, "unverifiable", "names no CRL"},
		{"on the CRL", leaf, func(t *testing.T) { root.list(t, nil, gone) }, "revoked", "reason 1"},
		{"not on the CRL", leaf, func(t *testing.T) { root.list(t, nil) }, "good", "not on its CRL"},
		{"no CRL there", leaf, func(*testing.T) { root.crl = nil }, "unknown", "404"},
		{"garbage for a CRL", leaf, func(*testing.T) { root.crl = []byte("hello") }, "unknown", "is not a CRL"},
		{"a stale CRL", leaf, func(t *testing.T) {
			root.list(t, func(l *x509.RevocationList) {
				l.ThisUpdate, l.NextUpdate = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
			})
		}, "unknown", "stale"},
		{"a CRL from the future", leaf, func(t *testing.T) {
			root.list(t, func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(30 * time.Minute) })
		}, "unknown", "future"},
		{"a forged CRL", leaf, func(t *testing.T) { other.list(t, nil); root.crl = other.crl }, "unknown", "not signed"},
		{"a CRL for authorities only", leaf, func(t *testing.T) {
			root.list(t, func(l *x509.RevocationList) {
				l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}}
			})
		}, "unknown", "does not cover"},
		{"a CRL for this point", leaf, func(t *testing.T) { root.list(t, scope(root.url+"/crl")) }, "good", "not on its CRL"},
		{"a CRL for another point", leaf, func(t *testing.T) { root.list(t, scope(root.url+"/crl2")) }, "unknown", "another distribution point"},
		{"a CRL that names no end", leaf, func(t *testing.T) { root.list(t, nil); root.crl = endlessList(t, root) }, "unknown", "until when it holds"},
		{"on a CRL that names no end", leaf, func(t *testing.T) { root.crl = endlessList(t, root, leaf.SerialNumber) }, "revoked", "on its CRL"},
		{"a CRL that wants to be understood", leaf, func(t *testing.T) {
			root.list(t, func(l *x509.RevocationList) {
				l.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
			}, gone)
		}, "unknown", "cannot be understood"},
		{"an entry that wants to be understood", leaf, func(t *testing.T) {
			odd := gone
			odd.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}} // certificateIssuer: an indirect list
			root.list(t, nil, odd)
		}, "unknown", "cannot be understood"},
		{"a delta", leaf, func(t *testing.T) {
			root.list(t, func(l *x509.RevocationList) {
				l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
			}, gone)
		}, "unknown", "is a delta"},
		{"a hold that was taken back", leaf, func(t *testing.T) {
			back := gone
			back.ReasonCode = 8
			root.list(t, nil, back)
		}, "good", "not on its CRL"},
		{"a list by LDAP alone", root.issue(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"ldap://ca.example/crl"} }), func(*testing.T) {}, "unverifiable", "by no http address"},
		{"the responder knows more than the CRL", both, func(t *testing.T) {
			root.list(t, nil)
			r := status(ocsp.Revoked)
			r.SerialNumber = both.SerialNumber
			root.respond(t, r)
		}, "revoked", "the responder says revoked"},
		{"the CRL knows more than the responder", both, func(t *testing.T) {
			root.list(t, nil, x509.RevocationListEntry{SerialNumber: both.SerialNumber, RevocationTime: time.Now(), ReasonCode: 1})
			r := status(ocsp.Good)
			r.SerialNumber = both.SerialNumber
			root.respond(t, r)
		}, "revoked", "on its CRL"},
		{"another leaf of the CA answers", nil, func(t *testing.T) { root.respondBy(t, status(ocsp.Good)) }, "unknown", "is no responder"},
		{"a responder of the CA answers", nil, func(t *testing.T) { root.respondBy(t, status(ocsp.Good), x509.ExtKeyUsageOCSPSigning) }, "good", "responder says good"},
		{"an old answer without an end", nil, func(t *testing.T) {
			r := status(ocsp.Good)
			r.ThisUpdate = time.Now().Add(-48 * time.Hour)
			root.respondAs(t, root.cert, root.key, r)
		}, "unknown", "not valid now"},
		{"OCSP says good", root.issue(t, withOCSP), func(t *testing.T) { root.respond(t, status(ocsp.Good)) }, "good", "responder says good"},
		{"OCSP says revoked", nil, func(t *testing.T) { root.respond(t, status(ocsp.Revoked)) }, "revoked", "reason 1"},
		{"OCSP does not know", nil, func(t *testing.T) { root.respond(t, status(ocsp.Unknown)) }, "unknown", "does not know"},
		{"OCSP for another", nil, func(t *testing.T) {
			r := status(ocsp.Good)
			r.SerialNumber = big.NewInt(99999)
			root.respond(t, r)
		}, "unknown", "cannot be used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			of := c.leaf
			if of == nil {
				of = root.issue(t, withOCSP)
			}
			c.given(t)
			if of.OCSPServer != nil && c.leaf != nil && of != both {
				r := status(ocsp.Good)
				r.SerialNumber = of.SerialNumber
				root.respond(t, r)
			}
			got := judge(t, root, "www.example.org", nil, of)
			if got.Revocation.State != c.state || !strings.Contains(got.Revocation.Says, c.says) {
				t.Errorf("%+v, want %s (%s)", got.Revocation, c.state, c.says)
			}
			if (c.state == "revoked") != got.Has("revoked") || got.Trusted == (c.state == "revoked") {
				t.Errorf("problems %q, trusted %v", got.Problems, got.Trusted)
			}
		})
	}
}

// Offline nothing is fetched; a CRL is fetched once for all certificates that name it.
func TestFetchingIsBounded(t *testing.T) {
	root := newCA(t, "root", nil)
	withCRL := func(c *x509.Certificate) { c.CRLDistributionPoints = []string{root.url + "/crl"} }
	root.list(t, nil)
	got := judge(t, root, "www.example.org", func(x *Trust) { x.Fetch = nil }, root.issue(t, withCRL))
	if root.fetched != 0 || got.Revocation.State != "unknown" {
		t.Errorf("%d fetches, %+v", root.fetched, got.Revocation)
	}
	shared := NewFetcher()
	for range 5 {
		judge(t, root, "www.example.org", func(x *Trust) { x.Fetch = shared }, root.issue(t, withCRL))
	}
	if root.fetched != 1 {
		t.Errorf("%d fetches of one CRL", root.fetched)
	}
	root.crl = make([]byte, maxCRL+2)
	got = judge(t, root, "www.example.org", nil, root.issue(t, withCRL))
	if got.Revocation.State != "unknown" || !strings.Contains(got.Revocation.Says, "more than") {
		t.Errorf("%+v", got.Revocation)
	}
}

// A list may come packed, and is read; one that would never end is not waited for, packed or slow.
func TestListsThatArePackedHugeOrSlow(t *testing.T) {
	root := newCA(t, "root", nil)
	root.list(t, nil)
	good := root.crl
	for name, c := range map[string]struct {
		serve func(w http.ResponseWriter)
		state string
		says  string
	}{
		"packed": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(good)
			_ = z.Close()
		}, "good", "not on its CRL"},
		"packed, and huge": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for zeros := make([]byte, 1<<20); ; {
				if _, err := z.Write(zeros); err != nil {
					return
				}
			}
		}, "unknown", "more than"},
		"slow": {func(w http.ResponseWriter) {
			for {
				if _, err := w.Write([]byte{0x30}); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}, "unknown", "broke off"},
		"cut off": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(good)
		}, "unknown", "broke off"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.serve(w) }))
		t.Cleanup(server.Close)
		leaf := root.issue(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{server.URL} })
		got := judge(t, root, "www.example.org", func(x *Trust) { x.Fetch.client.Timeout = 2 * time.Second }, leaf)
		if got.Revocation.State != c.state || !strings.Contains(got.Revocation.Says, c.says) {
			t.Errorf("%s: %+v", name, got.Revocation)
		}
	}
}

// A staple counts only when its issuer signed it for this certificate.
func TestStaple(t *testing.T) {
	root := newCA(t, "root", nil)
	leaf := root.issue(t)
	root.respond(t, ocsp.Response{Status: ocsp.Revoked, SerialNumber: leaf.SerialNumber, RevokedAt: time.Now().Add(-time.Minute), RevocationReason: 1})
	got := judge(t, root, "www.example.org", func(x *Trust) { x.Staple = root.answer }, leaf)
	if got.Staple != "revoked" || got.Trusted || !got.Has("revoked") {
		t.Errorf("%q %v %q", got.Staple, got.Trusted, got.Problems)
	}
	got = judge(t, root, "www.example.org", func(x *Trust) { x.Staple = []byte("hello") }, leaf)
	if !strings.Contains(got.Staple, "not valid") || !got.Trusted {
		t.Errorf("%q %v", got.Staple, got.Trusted)
	}
}

// The loose reader agrees with crypto/x509 where both can read.
func TestLooseReaderAgrees(t *testing.T) {
	root := newCA(t, "root", nil)
	leaf := root.issue(t)
	l, err := parseLoose(leaf.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if l.subject != leaf.Subject.String() || l.issuer != leaf.Issuer.String() || !l.notAfter.Equal(leaf.NotAfter) || l.key != (Key{Type: "ECDSA", Bits: 256}) ||
		l.signature != "SHA256-ECDSA" || string(l.spki) != string(leaf.RawSubjectPublicKeyInfo) {
		t.Errorf("%+v", l)
	}
	if k := looseKey(leaf.RawSubjectPublicKeyInfo); k != (Key{Type: "ECDSA", Bits: 256}) {
		t.Errorf("%+v", k)
	}
	broken := append([]byte(nil), leaf.Raw...)
	broken[len(broken)-1] ^= 1 // the signature: still one certificate
	if _, err := SPKI(broken); err != nil {
		t.Error(err)
	}
	if _, err := Describe([][]byte{[]byte("hello")}); err == nil {
		t.Error("hello is no certificate")
	}
	if _, err := Describe(nil); err == nil {
		t.Error("nothing is no chain")
	}
}

// scope makes a CRL say that it is for one distribution point.
func scope(url string) func(*x509.RevocationList) {
	wrap := func(tag byte, b []byte) []byte { return append([]byte{tag, byte(len(b))}, b...) }
	value := wrap(0x30, wrap(0xa0, wrap(0xa0, wrap(0x86, []byte(url)))))
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: value}}
	}
}

// What a CRL or OCSP server may send: no panic, and no verdict out of bytes that the issuer did not sign.
func FuzzRevocation(f *testing.F) {
	root := newCA(f, "root", nil)
	leaf := root.issue(f)
	root.list(f, scope("http://a.example/crl"))
	root.respond(f, ocsp.Response{Status: ocsp.Good, SerialNumber: leaf.SerialNumber})
	signedCRL, signedAnswer := root.crl, root.answer
	f.Add(signedCRL)
	f.Add(signedAnswer)
	f.Add([]byte{0x30, 4, 0xa0, 2, 0xa0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		pointNames(data)
		list := &x509.RevocationList{Extensions: []pkix.Extension{{Id: []int{2, 5, 29, 28}, Value: data}}}
		_ = checkScope(list, "http://a.example/crl")
		if list, err := x509.ParseRevocationList(data); err == nil && !bytes.Equal(data, signedCRL) && checkCRL(list, "http://a.example/crl", root.cert, time.Now()) == nil && !bytes.Equal(list.Raw, signedCRL) {
			t.Error("an unsigned CRL counts")
		}
		if r, err := fromResponse(data, leaf, root.cert, time.Now(), "ocsp"); err == nil && !bytes.Equal(data, signedAnswer) && r.State != "good" {
			t.Errorf("an unsigned response counts: %+v", r)
		}
	})
}

func FuzzDescribe(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a\x1bb"}, DNSNames: []string{"a.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Describe([][]byte{data, data})
		if err != nil {
			return
		}
		for _, s := range append(append([]string{c.Subject, c.Issuer}, c.Names...), c.Problems...) {
			if strings.ContainsAny(s, "\x1b\n\r") || len(s) > 2*maxText {
				t.Errorf("%q would reach a terminal", s)
			}
		}
	})
}
