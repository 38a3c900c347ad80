// Package handshake finishes a TLS 1.0 to 1.2 handshake by hand, for what only shows behind it: heartbeats, session ids, renegotiation.
// It judges nobody and protects nothing: it is for looking, never for talking.
package handshake

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"

	"staunch/fault"
	"staunch/see/probe/hello"
)

// Session is a finished handshake whose connection is still open.
type Session struct {
	Version uint16
	Suite   uint16
	ID      []byte // the session id that the server gave, may be empty
	Ticket  []byte // the ticket that it sent, may be empty
	conn    net.Conn
	records *hello.Records
	out, in *sealer
	verify  []byte // our Finished, which a renegotiating hello repeats
}

// suites are those that this package can finish.
func suites() []uint16 {
	return []uint16{0xc02f, 0xc02b, 0xc013, 0xc009, 0x009c, 0x002f}
}

// Offer is the hello that Finish sends for a version.
func Offer(version uint16, name string) hello.Client {
	return hello.Client{
		Version: version, Suites: suites(), ServerName: name, Groups: []uint16{0x001d, 0x0017}, Signatures: hello.SignatureIDs(),
		Heartbeat: true, Ticket: true, Renegotiate: true, Random: nonce(32),
	}
}

func nonce(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24: it ends the program instead
	return b
}

// Finish makes the handshake on conn, whose deadline is the caller's. Faults: Unsupported when the two cannot agree, else what the wire said.
func Finish(conn net.Conn, c hello.Client) (*Session, *hello.Flight, error) {
	if len(c.Random) != 32 {
		return nil, nil, fault.New(fault.Bug, "a hello whose random is not known cannot be finished")
	}
	if _, err := conn.Write(c.Marshal()); err != nil {
		return nil, nil, err
	}
	records := hello.NewRecords(conn)
	reader := hello.NewReader(records)
	reader.Keep = true
	flight, err := reader.Flight(hello.UntilDone)
	if err != nil {
		return nil, flight, err
	}
	if flight.Hello.Version > hello.TLS12 || flight.Hello.Version < hello.TLS10 || !flight.Done {
		return nil, flight, fault.New(fault.Unsupported, "the server chose %s", hello.VersionName(flight.Hello.Version))
	}
	exchange, secret, err := keyExchange(flight, c.Version)
	if err != nil {
		return nil, flight, err
	}
	s := &Session{Version: flight.Hello.Version, Suite: flight.Hello.Suite, ID: flight.Hello.SessionID, conn: conn, records: records}
	return s, flight, s.finish(c, flight, exchange, secret)
}

// finish sends our second flight and reads the server's.
func (s *Session) finish(c hello.Client, f *hello.Flight, exchange, secret []byte) error {
	transcript := append(c.Message(), f.Raw...)
	var second []byte
	if f.WantsClient {
		second = append(second, message(11, []byte{0, 0, 0})...) // no certificate
	}
	second = append(second, message(16, exchange)...)
	transcript = append(transcript, second...)
	keys, err := derive(s.Version, s.Suite, secret, c.Random, f.Hello.Random)
	if err != nil {
		return err
	}
	s.out, s.in = keys.out, keys.in
	s.verify = keys.finished("client finished", transcript)
	out := hello.Record(hello.RecordHandshake, s.Version, second)
	out = append(out, hello.Record(hello.RecordChangeCipherSpec, s.Version, []byte{1})...)
	out = append(out, s.out.seal(hello.RecordHandshake, message(20, s.verify))...)
	if _, err := s.conn.Write(out); err != nil {
		return err
	}
	return s.accept(keys, append(transcript, message(20, s.verify)...))
}

// accept reads the ticket, the change to encryption and the server's Finished, which proves that both computed the same keys.
func (s *Session) accept(keys *keys, transcript []byte) error {
	var plain []byte
	for {
		record, err := s.records.Next()
		if err != nil {
			return err
		}
		switch record.Kind {
		case hello.RecordHandshake:
			plain = append(plain, record.Body...)
		case hello.RecordChangeCipherSpec:
			return s.serverFinished(keys, transcript, plain)
		case hello.RecordAlert:
			return alert(record.Body)
		default:
			return fmt.Errorf("%w: a record of type %d in the handshake", hello.ErrBroken, record.Kind)
		}
	}
}

func (s *Session) serverFinished(keys *keys, transcript, plain []byte) error {
	if len(plain) > 10 && plain[0] == 4 { // NewSessionTicket: lifetime, length, ticket
		size := int(plain[8])<<8 | int(plain[9])
		if len(plain) >= 10+size {
			s.Ticket = plain[10 : 10+size]
		}
	}
	kind, body, err := s.Read()
	if err != nil {
		return err
	}
	if kind == hello.RecordAlert {
		return alert(body)
	}
	want := message(20, keys.finished("server finished", append(transcript, plain...)))
	if kind != hello.RecordHandshake || string(body) != string(want) {
		return fmt.Errorf("%w: the server's Finished does not fit", hello.ErrBroken)
	}
	return nil
}

func alert(body []byte) error {
	if len(body) < 2 {
		return fmt.Errorf("%w: a short alert", hello.ErrBroken)
	}
	return hello.Alert{Level: body[0], Code: body[1]}
}

// Write sends one encrypted record.
func (s *Session) Write(kind byte, body []byte) error {
	_, err := s.conn.Write(s.out.seal(kind, body))
	return err
}

// Read reads one record and decrypts it.
func (s *Session) Read() (kind byte, body []byte, err error) {
	record, err := s.records.Next()
	if err != nil {
		return 0, nil, err
	}
	body, err = s.in.open(record.Kind, record.Body)
	return record.Kind, body, err
}

// Bye says close_notify: most servers forget a session that ended without it.
func (s *Session) Bye() error { return s.Write(hello.RecordAlert, []byte{1, hello.AlertCloseNotify}) }

// Renegotiate sends a second hello inside the session, as RFC 5746 demands it.
func (s *Session) Renegotiate(c hello.Client) error {
	c.Renegotiated = s.verify
	return s.Write(hello.RecordHandshake, c.Message())
}

func message(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// keyExchange makes the body of a ClientKeyExchange and the premaster secret.
func keyExchange(f *hello.Flight, offered uint16) (body, secret []byte, err error) {
	suite := hello.Named(f.Hello.Suite)
	switch {
	case suite.ECDHE() && f.KeyExchange != nil:
		return agree(f.KeyExchange)
	case suite.RSAKeyExchange() && len(f.Certificates) > 0:
		key, err := RSAKey(f.Certificates[0])
		if err != nil {
			return nil, nil, err
		}
		secret = append([]byte{byte(offered >> 8), byte(offered)}, nonce(46)...)
		if key.Size() < len(secret)+11 {
			return nil, nil, fault.New(fault.Unsupported, "the RSA key is too short for a handshake")
		}
		return lengthed(EncryptRaw(key, padded(key.Size(), secret))), secret, nil
	}
	return nil, nil, fault.New(fault.Unsupported, "the server chose %s", suite.Name)
}

// RSAKey reads the public key of a certificate.
func RSAKey(der []byte) (*rsa.PublicKey, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.New(fault.Unsupported, "the certificate cannot be read: %v", err)
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fault.New(fault.Unsupported, "the certificate has no RSA key")
	}
	return key, nil
}

// padded is PKCS #1 v1.5, which TLS's RSA key exchange is defined with.
func padded(size int, secret []byte) []byte {
	m := append([]byte{0, 2}, nonce(size-len(secret)-3)...)
	for i := range m[2:] {
		for m[2+i] == 0 {
			m[2+i] = nonce(1)[0]
		}
	}
	return append(append(m, 0), secret...)
}

// EncryptRaw is RSA without any padding of its own. A message larger than the modulus is reduced by it.
func EncryptRaw(key *rsa.PublicKey, message []byte) []byte {
	m := new(big.Int).SetBytes(message)
	m.Mod(m, key.N)
	return m.Exp(m, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size()))
}

func lengthed(b []byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }

func agree(k *hello.KeyExchange) (body, secret []byte, err error) {
	curve := map[uint16]ecdh.Curve{0x001d: ecdh.X25519(), 0x0017: ecdh.P256()}[k.Group]
	if curve == nil {
		return nil, nil, fault.New(fault.Unsupported, "the server chose the group %s", hello.GroupNamed(k.Group).Name)
	}
	ours, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fault.New(fault.Bug, "no key could be made: %v", err)
	}
	theirs, err := curve.NewPublicKey(k.Public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the server's share is no point", hello.ErrBroken)
	}
	if secret, err = ours.ECDH(theirs); err != nil {
		return nil, nil, fmt.Errorf("%w: the server's share cannot be used", hello.ErrBroken)
	}
	public := ours.PublicKey().Bytes()
	return append([]byte{byte(len(public))}, public...), secret, nil
}
