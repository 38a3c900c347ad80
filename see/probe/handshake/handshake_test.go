package handshake

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"staunch/see/probe/hello"
)

// server is crypto/tls, which checks every MAC and every Finished, as the other side.
func server(t testing.TB, config *tls.Config) (client net.Conn, said <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	heard := make(chan string, 1)
	go func() {
		defer close(heard)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		s := tls.Server(conn, config)
		b := make([]byte, 100)
		n, err := s.Read(b)
		if err != nil {
			heard <- "error: " + err.Error()
			return
		}
		heard <- string(b[:n])
		_, _ = s.Write([]byte("pong"))
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn, heard
}

func certificate(t testing.TB, key any, public any) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Every suite of ours in every version: both sides understand each other, in both directions.
func TestFinishWithEverySuite(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certs := []tls.Certificate{certificate(t, rsaKey, rsaKey.Public()), certificate(t, ecKey, ecKey.Public())}
	for _, version := range []uint16{hello.TLS10, hello.TLS11, hello.TLS12} {
		for _, suite := range suites() {
			if version < hello.TLS12 && hello.Named(suite).AEAD() {
				continue
			}
			t.Run(hello.VersionName(version)+" "+hello.Named(suite).Name, func(t *testing.T) {
				conn, said := server(t, &tls.Config{Certificates: certs, MinVersion: tls.VersionTLS10, CipherSuites: suites(), ClientAuth: tls.RequestClientCert})
				offer := Offer(version, "localhost")
				offer.Suites = []uint16{suite}
				s, flight, err := Finish(conn, offer)
				if err != nil {
					t.Fatal(err)
				}
				if s.Version != version || s.Suite != suite || !flight.WantsClient || len(s.Ticket) == 0 {
					t.Errorf("%+v", s)
				}
				if err := s.Write(hello.RecordApplication, []byte("ping")); err != nil {
					t.Fatal(err)
				}
				kind, body, err := s.Read()
				for err == nil && kind == hello.RecordApplication && len(body) == 0 {
					kind, body, err = s.Read() // TLS 1.0 servers send empty records against BEAST
				}
				if kind == hello.RecordApplication && len(body) == 1 { // or split the first byte off
					var rest []byte
					_, rest, err = s.Read()
					body = append(body, rest...)
				}
				if got := <-said; err != nil || string(body) != "pong" || got != "ping" {
					t.Errorf("it heard %q and answered %q: %v", got, body, err)
				}
			})
		}
	}
}

func TestFinishSaysWhyNot(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	conn, _ := server(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, ecKey, ecKey.Public())}, MinVersion: tls.VersionTLS13})
	if _, _, err := Finish(conn, Offer(hello.TLS12, "")); err == nil {
		t.Error("a TLS 1.3 server finished TLS 1.2 with us")
	}
	if _, _, err := Finish(conn, hello.Client{Version: hello.TLS12}); err == nil {
		t.Error("a hello without its random")
	}
}

// scripted is a server that says what it was given, whatever it hears.
type scripted struct {
	net.Conn
	says *bytes.Reader
}

func (s scripted) Read(b []byte) (int, error)  { return s.says.Read(b) }
func (s scripted) Write(b []byte) (int, error) { return len(b), nil }

// recorded keeps what a real server said.
type recorded struct {
	net.Conn
	said bytes.Buffer
}

func (r *recorded) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.said.Write(b[:n])
	return n, err
}

// Whatever a server says instead of a handshake: no panic, an end, and never a session, because nobody can guess the Finished.
func FuzzFinish(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	for _, suite := range suites() {
		conn, _ := server(f, &tls.Config{Certificates: []tls.Certificate{certificate(f, key, key.Public())}, CipherSuites: suites(), ClientAuth: tls.RequestClientCert})
		kept := &recorded{Conn: conn}
		offer := Offer(hello.TLS12, "localhost")
		offer.Suites = []uint16{suite}
		_, _, _ = Finish(kept, offer) // not every suite goes with this key: then it is a seed of a refusal
		f.Add(kept.said.Bytes())
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		if s, _, err := Finish(scripted{says: bytes.NewReader(says)}, Offer(hello.TLS12, "localhost")); err == nil {
			t.Errorf("a session out of made up bytes: %+v", s)
		}
	})
}

// What was sealed opens again, and what was changed on the way does not; random bytes never do.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("hello"), uint16(5))
	f.Fuzz(func(t *testing.T, body []byte, flip uint16) {
		if len(body) > 16000 {
			return
		}
		for _, version := range []uint16{hello.TLS10, hello.TLS12} {
			for _, aead := range []bool{false, true} {
				pair := [2]*sealer{}
				for i := range pair {
					s, err := newSealer(version, aead, make([]byte, 20), make([]byte, 16), make([]byte, map[bool]int{false: 16, true: 4}[aead]))
					if err != nil {
						t.Fatal(err)
					}
					pair[i] = s
				}
				record := pair[0].seal(hello.RecordApplication, body)[5:]
				again := *pair[1]
				if got, err := pair[1].open(hello.RecordApplication, record); err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%v: %q became %q", err, body, got)
				}
				record[int(flip)%len(record)] ^= 1
				if got, err := again.open(hello.RecordApplication, record); err == nil && bytes.Equal(got, body) && int(flip)%len(record) >= 16 {
					t.Errorf("a changed record opens")
				}
				if _, err := again.open(hello.RecordApplication, body); err == nil {
					t.Error("bytes that nobody sealed open")
				}
			}
		}
	})
}

// Every suite and group of TLS 1.3 that we speak, with each kind of key alone: what is shown is the certificate of that kind, or none.
func TestChainOfEachKind(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certs := []tls.Certificate{certificate(t, rsaKey, rsaKey.Public()), certificate(t, ecKey, ecKey.Public())}
	for suite := uint16(0x1301); suite <= 0x1303; suite++ {
		for _, group := range []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
			for i, schemes := range [][]uint16{{0x0804}, {0x0403}, {0x0807}} {
				conn, _ := server(t, &tls.Config{Certificates: certs, CurvePreferences: []tls.CurveID{group}, ClientAuth: tls.RequireAnyClientCert})
				offer, share := OfferModern("localhost")
				offer.Suites, offer.Signatures = []uint16{suite}, schemes
				chain, err := Chain(conn, offer, share)
				if i == 2 {
					if _, refused := hello.IsAlert(err); !refused {
						t.Errorf("suite %x, group %v: no key of that kind, and it says %v", suite, group, err)
					}
					continue
				}
				if err != nil || len(chain) != 1 || !bytes.Equal(chain[0], certs[i].Certificate[0]) {
					t.Errorf("suite %x, group %v, scheme %x: %d certificates, %v", suite, group, schemes, len(chain), err)
				}
			}
		}
	}
}

func TestChainSaysWhyNot(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{"TLS 1.2 alone": {MaxVersion: tls.VersionTLS12}, "a group that we do not have": {CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}} {
		config.Certificates = []tls.Certificate{certificate(t, ecKey, ecKey.Public())}
		conn, _ := server(t, config)
		offer, share := OfferModern("")
		if chain, err := Chain(conn, offer, share); err == nil {
			t.Errorf("%s: %d certificates", name, len(chain))
		}
	}
}

// FuzzChain holds what a hostile server says after its hello to the limits: no panic, and never a chain out of what was not encrypted for us.
func FuzzChain(f *testing.F) {
	f.Add([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0})
	f.Add([]byte("\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03" + "0123456789abcdef0123456789abcdef" + "\x00\x13\x01\x00\x00\x2e\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x24\x00\x1d\x00\x20" + "0123456789abcdef0123456789abcdef" + "\x17\x03\x03\x00\x20" + "0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		_ = ours.SetDeadline(time.Now().Add(5 * time.Second))
		go func() {
			defer theirs.Close()
			_, _ = theirs.Read(make([]byte, 16<<10))
			_, _ = theirs.Write(said)
		}()
		offer, share := OfferModern("x")
		if chain, err := Chain(ours, offer, share); err == nil {
			t.Errorf("%d certificates out of noise", len(chain))
		}
	})
}

// FuzzModernChain holds the reader of certificate messages to never failing but with an error.
func FuzzModernChain(f *testing.F) {
	f.Add([]byte{0, 0, 0, 6, 0, 0, 1, 48, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		if chain, err := hello.ParseModernChain(body); err == nil && len(chain) == 0 {
			t.Error("neither a chain nor an error")
		}
	})
}
