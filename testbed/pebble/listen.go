package pebble

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// apart keeps new orders and looks at authorizations apart. Pebble 2.10 locks itself up otherwise, under many clients at once: a look at an
// authorization locks it and then asks the store for the account; a new order holds the store and waits for every authorization's lock to find
// one to use again; and as soon as a third request wants to write into the store, the look waits behind that for ever.
func apart(front http.Handler) http.Handler {
	var orders sync.RWMutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/order-plz"):
			orders.Lock()
			defer orders.Unlock()
		case strings.HasPrefix(r.URL.Path, "/authZ/"):
			orders.RLock()
			defer orders.RUnlock()
		}
		front.ServeHTTP(w, r)
	})
}

// serve starts the CA's front on an address of this machine, with a certificate for it.
func serve(t testing.TB, address string, front http.Handler) *httptest.Server {
	t.Helper()
	if address == "" {
		return httptest.NewTLSServer(front)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the CA's own front"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(address)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(front)
	s.Listener.Close() // the one on loopback
	s.Listener = l
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	return s
}
