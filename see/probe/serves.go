package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/see/probe/chain"
	"staunch/see/probe/door"
	"staunch/see/probe/handshake"
	"staunch/see/probe/hello"
)

// Serves returns the key that the endpoint serves right now, as the lower-case hex SHA-256 of its SubjectPublicKeyInfo, with the chain
// as served (DER, leaf first). It trusts nothing and judges nothing: a wrong or expired certificate is still the one that is served.
// Faults: Unreachable, Timeout, Unsupported (no TLS there), Corrupt (no certificate could be read).
func Serves(ctx context.Context, e Endpoint) (spki string, der [][]byte, err error) {
	d := doorTo(e)
	served, err := chainOf(ctx, d)
	if err != nil {
		return "", nil, err
	}
	spki, err = chain.SPKI(served[0])
	return spki, served, err
}

// greeting is how long a connection may take where the server speaks first: mail servers let strangers wait before they greet, to tell people from spam.
const greeting = 20 * time.Second

func doorTo(e Endpoint) *door.Door {
	patience := Question{}.timeout()
	if e.StartTLS != "" {
		patience = greeting
	}
	return door.New(e, door.NewLimits(0, 0, 0), patience)
}

// ServesAll is like Serves, but asks separately for each kind of certificate (RSA, ECDSA, EdDSA), in TLS 1.2 by suites and in TLS 1.3 by signature
// schemes, because one endpoint may serve several and a key is only gone when none of them is it.
// Each connection is a handshake of its own: nothing is resumed, so nothing is shown that the server no longer has.
func ServesAll(ctx context.Context, e Endpoint) (spkis []string, err error) {
	return keysOf(ctx, doorTo(e))
}

// ServesChains is ServesAll with the chain (DER, leaf first) that came with each key.
func ServesChains(ctx context.Context, e Endpoint) (chains [][][]byte, err error) {
	return chainsOf(ctx, doorTo(e))
}

// ServesNameless tells which key those are shown who ask for no name: many servers have a certificate for them that nobody thinks of. None where they are
// refused, and where the endpoint is asked for no name anyhow.
func ServesNameless(ctx context.Context, e Endpoint) (spkis []string, err error) {
	if e.SNI == "" {
		return nil, nil
	}
	return nameless(ctx, doorTo(e))
}

func nameless(ctx context.Context, d *door.Door) ([]string, error) {
	met, err := meet(ctx, d, nil, func(c *tls.Config) { c.ServerName = "" })
	switch {
	case met != nil && len(met.chain) > 0:
		spki, err := chain.SPKI(met.chain[0])
		return []string{spki}, err
	case fault.Is(err, fault.Unsupported):
		return nil, nil
	}
	return nil, err
}

// ServesAnyone is ServesAll and ServesNameless.
func ServesAnyone(ctx context.Context, e Endpoint) (spkis []string, err error) {
	return keysForAnyone(ctx, doorTo(e))
}

func keysForAnyone(ctx context.Context, d *door.Door) ([]string, error) {
	spkis, err := keysOf(ctx, d)
	if err != nil || d.SNI == "" {
		return spkis, err
	}
	more, err := nameless(ctx, d)
	for _, spki := range more {
		if !slices.Contains(spkis, spki) {
			spkis = append(spkis, spki)
		}
	}
	return spkis, err
}

func keysOf(ctx context.Context, d *door.Door) (spkis []string, err error) {
	chains, err := chainsOf(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, served := range chains {
		spki, err := chain.SPKI(served[0])
		if err != nil {
			return nil, err
		}
		spkis = append(spkis, spki)
	}
	return spkis, nil
}

func chainsOf(ctx context.Context, d *door.Door) (chains [][][]byte, err error) {
	served, version, err := chainAnd(ctx, d)
	if err != nil {
		return nil, err
	}
	if chains, err = added(nil, served); err != nil {
		return nil, err
	}
	for _, kind := range []func(hello.Suite) bool{rsaOnly, ecdsaOnly} {
		served, err := shown(d, func() ([][]byte, door.Answer) {
			flight, got, _ := d.Ask(ctx, d.Only(kind), hello.UntilDone)
			if flight == nil {
				return nil, got
			}
			return flight.Certificates, got
		})
		if err != nil {
			return nil, err
		}
		if chains, err = added(chains, served); err != nil {
			return nil, err
		}
	}
	if version == tls.VersionTLS13 || version == 0 {
		return modernChains(ctx, d, chains, version != 0)
	}
	return chains, nil
}

// modernChains asks a server of TLS 1.3 for each kind of key that it could sign with. Where it is sure to speak TLS 1.3 and shows no key to any such
// question, it was not seen.
func modernChains(ctx context.Context, d *door.Door, chains [][][]byte, sure bool) ([][][]byte, error) {
	answers := 0
	for _, kind := range kindsOfSignature() {
		served, err := shown(d, func() ([][]byte, door.Answer) { return modernChain(ctx, d, kind) })
		if err != nil {
			return nil, err
		}
		if len(served) > 0 {
			answers++
		}
		if chains, err = added(chains, served); err != nil {
			return nil, err
		}
	}
	if sure && answers == 0 {
		return nil, fault.New(fault.Unreachable, "%s speaks TLS 1.3, but shows no certificate to whoever asks for one kind of key", d.Endpoint)
	}
	return chains, nil
}

// kindsOfSignature splits the schemes of TLS 1.3 by the key that signs: RSA, ECDSA, and what came after them.
func kindsOfSignature() [][]uint16 {
	return [][]uint16{{0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b}, {0x0403, 0x0503, 0x0603}, {0x0807, 0x0808, 0x0904, 0x0905, 0x0906}}
}

func modernChain(ctx context.Context, d *door.Door, signatures []uint16) ([][]byte, door.Answer) {
	conn, err := d.Open(ctx)
	if err != nil {
		return nil, door.Unseen
	}
	defer conn.Close()
	offer, share := handshake.OfferModern(d.SNI)
	offer.Signatures = signatures
	served, err := handshake.Chain(conn, offer, share)
	switch {
	case err == nil:
		return served, door.Accepted
	case fault.Is(err, fault.Unsupported): // an older version, or a group that we do not have: shown is nothing
		return nil, door.Refused
	}
	return nil, door.Classify(err)
}

// shown is what a server shows to one question. That it hangs up without a word is taken for a no only the second time: broken and overloaded servers do
// that as well.
func shown(d *door.Door, ask func() ([][]byte, door.Answer)) ([][]byte, error) {
	served, got := ask()
	if got == door.HungUp && len(served) == 0 {
		served, got = ask()
	}
	switch {
	case len(served) > 0, got == door.Accepted, got == door.Refused, got == door.HungUp:
		return served, nil
	}
	return nil, fault.New(fault.Unreachable, "%s stopped answering", d.Endpoint)
}

// added puts a chain to the others, once for each key.
func added(chains [][][]byte, served [][]byte) ([][][]byte, error) {
	if len(served) == 0 {
		return chains, nil
	}
	spki, err := chain.SPKI(served[0])
	if err != nil {
		return nil, err
	}
	for _, known := range chains {
		if had, err := chain.SPKI(known[0]); err == nil && had == spki {
			return chains, nil
		}
	}
	return append(chains, served), nil
}

func rsaOnly(s hello.Suite) bool   { return strings.Contains(s.Name, "_RSA_") && !s.PSK() }
func ecdsaOnly(s hello.Suite) bool { return strings.Contains(s.Name, "_ECDSA_") }

// chainOf reads the chain: by crypto/tls, which can do TLS 1.3, else by our own hello, which can talk to anything older.
func chainOf(ctx context.Context, d *door.Door) ([][]byte, error) {
	served, _, err := chainAnd(ctx, d)
	return served, err
}

// chainAnd is chainOf, and tells the version that crypto/tls agreed on; 0 where the handshake did not come so far.
func chainAnd(ctx context.Context, d *door.Door) (served [][]byte, version uint16, err error) {
	met, err := meet(ctx, d, nil)
	if met != nil && len(met.chain) > 0 {
		return met.chain, met.state.Version, nil
	}
	if fault.KindOf(err) != fault.Unsupported {
		return nil, 0, err
	}
	served, err = oldChain(ctx, d, err)
	return served, tls.VersionTLS12, err
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
