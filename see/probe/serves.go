package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"staunch/fault"
	"staunch/see/probe/chain"
	"staunch/see/probe/door"
	"staunch/see/probe/hello"
)

// Serves returns the key that the endpoint serves right now, as the lower-case hex SHA-256 of its SubjectPublicKeyInfo, with the chain
// as served (DER, leaf first). It trusts nothing and judges nothing: a wrong or expired certificate is still the one that is served.
// Faults: Unreachable, Timeout, Unsupported (no TLS there), Corrupt (no certificate could be read).
func Serves(ctx context.Context, e Endpoint) (spki string, der [][]byte, err error) {
	d := door.New(e, door.NewLimits(0, 0, 0), Question{}.timeout())
	served, err := chainOf(ctx, d)
	if err != nil {
		return "", nil, err
	}
	spki, err = chain.SPKI(served[0])
	return spki, served, err
}

// ServesAll is like Serves, but asks a TLS 1.2 server separately for an RSA and for an ECDSA certificate, because one endpoint may
// serve both and a key is only gone when neither has it. A server with TLS 1.3 alone is asked once.
func ServesAll(ctx context.Context, e Endpoint) (spkis []string, err error) {
	return keysOf(ctx, door.New(e, door.NewLimits(0, 0, 0), Question{}.timeout()))
}

func keysOf(ctx context.Context, d *door.Door) (spkis []string, err error) {
	served, err := chainOf(ctx, d)
	if err != nil {
		return nil, err
	}
	first, err := chain.SPKI(served[0])
	if err != nil {
		return nil, err
	}
	spkis = []string{first}
	for _, c := range []hello.Client{d.Only(rsaOnly), d.Only(ecdsaOnly)} {
		flight, got, _ := d.Ask(ctx, c, hello.UntilDone)
		if got == door.Silent || got == door.Unseen {
			return nil, fault.New(fault.Unreachable, "%s stopped answering", d.Endpoint)
		}
		if flight == nil || len(flight.Certificates) == 0 {
			continue
		}
		other, err := chain.SPKI(flight.Certificates[0])
		if err != nil {
			return nil, err
		}
		if other != first {
			spkis = append(spkis, other)
		}
	}
	return spkis, nil
}

func rsaOnly(s hello.Suite) bool   { return strings.Contains(s.Name, "_RSA_") && !s.PSK() }
func ecdsaOnly(s hello.Suite) bool { return strings.Contains(s.Name, "_ECDSA_") }

// chainOf reads the chain: by crypto/tls, which can do TLS 1.3, else by our own hello, which can talk to anything older.
func chainOf(ctx context.Context, d *door.Door) ([][]byte, error) {
	met, err := meet(ctx, d, nil)
	if met != nil && len(met.chain) > 0 {
		return met.chain, nil
	}
	if fault.KindOf(err) != fault.Unsupported {
		return nil, err
	}
	return oldChain(ctx, d, err)
}

// oldChain reads the chain by our own hello; why is what is said when that does not work either.
func oldChain(ctx context.Context, d *door.Door, why error) ([][]byte, error) {
	for _, version := range []uint16{hello.TLS12, hello.TLS10, hello.SSL30} {
		flight, got, err := d.Ask(ctx, d.Broad(version), hello.UntilDone)
		if flight != nil && len(flight.Certificates) > 0 {
			return flight.Certificates, nil
		}
		if got == door.Unseen || got == door.Silent {
			return nil, fault.From(err, fault.Timeout)
		}
	}
	return nil, why
}

// met is what a complete handshake by crypto/tls showed.
type met struct {
	chain [][]byte
	state tls.ConnectionState
}

// meet makes a complete handshake without judging the certificate; then works on the connection, unless then is nil.
// Faults: those of open, and Unsupported when the two could not agree.
func meet(ctx context.Context, d *door.Door, then func(*tls.Conn, *met), options ...func(*tls.Config)) (*met, error) {
	conn, err := d.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	m := &met{}
	config := &tls.Config{
		ServerName: d.SNI, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, CipherSuites: everySuite(), // the chain is judged apart from the handshake
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { m.chain = raw; return nil },
	}
	for _, o := range options {
		o(config)
	}
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		return m, handshakeFault(err)
	}
	m.state = client.ConnectionState()
	if len(m.chain) == 0 { // a resumed session keeps the first one's chain
		for _, c := range m.state.PeerCertificates {
			m.chain = append(m.chain, c.Raw)
		}
	}
	if then != nil {
		then(client, m)
	}
	return m, nil
}

func everySuite() []uint16 {
	var ids []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, s.ID)
	}
	return ids
}

func handshakeFault(err error) error {
	var t net.Error
	if errors.As(err, &t) && t.Timeout() {
		return fault.New(fault.Timeout, "no answer to the TLS handshake")
	}
	return fault.New(fault.Unsupported, "the TLS handshake failed: %v", err)
}
