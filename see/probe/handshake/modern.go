package handshake

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"net"

	"staunch/fault"
	"staunch/see/probe/hello"

	"golang.org/x/crypto/chacha20poly1305"
)

// Share is our half of a key exchange of TLS 1.3, for each group that nearly every server has.
type Share map[uint16]*ecdh.PrivateKey

// OfferModern is the hello that Chain sends: for TLS 1.3 alone, with key shares, so that a server shows its certificate at once. The signatures are the caller's to narrow.
func OfferModern(name string) (hello.Client, Share) {
	c := hello.Client{
		Version: hello.TLS13, Suites: []uint16{0x1301, 0x1302, 0x1303}, ServerName: name,
		Signatures: hello.SignatureIDs(), InChain: hello.SignatureIDs(), SessionID: nonce(32), Random: nonce(32),
	}
	share := Share{}
	for _, one := range []struct {
		group uint16
		curve ecdh.Curve
	}{{0x001d, ecdh.X25519()}, {0x0017, ecdh.P256()}, {0x0018, ecdh.P384()}, {0x0019, ecdh.P521()}} {
		key, err := one.curve.GenerateKey(rand.Reader)
		if err != nil {
			continue // never with crypto/rand: a group less is offered
		}
		share[one.group] = key
		c.Groups = append(c.Groups, one.group)
		c.Shares = append(c.Shares, hello.KeyShare{Group: one.group, Data: key.PublicKey().Bytes()})
	}
	return c, share
}

// Chain reads the certificate chain (DER, leaf first) that a TLS 1.3 server shows to a hello of OfferModern. Nothing is proven by it: the server's
// signature is not looked at, because the question is which key is shown, not who is there. Nothing is sent after the hello.
// Errors: hello.Alert where it refuses, Unsupported where it wants what we do not speak, else what the wire said.
func Chain(conn net.Conn, c hello.Client, share Share) ([][]byte, error) {
	if _, err := conn.Write(c.Marshal()); err != nil {
		return nil, err
	}
	records := hello.NewRecords(conn)
	reader := hello.NewReader(records)
	reader.Keep = true
	flight, err := reader.Flight(hello.UntilHello)
	if err != nil {
		return nil, err
	}
	s := flight.Hello
	switch key := share[s.Group]; {
	case s.Version != hello.TLS13:
		return nil, fault.New(fault.Unsupported, "the server chose %s", hello.VersionName(s.Version))
	case s.Retry || key == nil:
		return nil, fault.New(fault.Unsupported, "the server wants the group %s", hello.GroupNamed(s.Group).Name)
	default:
		in, err := opener(key, s, append(c.Message(), flight.Raw...))
		if err != nil {
			return nil, err
		}
		return in.chain(records)
	}
}

// incoming decrypts what a TLS 1.3 server says in its handshake.
type incoming struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
}

// opener computes the server's handshake keys (RFC 8446 section 7.1).
func opener(key *ecdh.PrivateKey, s *hello.Server, transcript []byte) (*incoming, error) {
	theirs, err := key.Curve().NewPublicKey(s.Share)
	if err != nil {
		return nil, fmt.Errorf("%w: the server's share is no point", hello.ErrBroken)
	}
	secret, err := key.ECDH(theirs)
	if err != nil {
		return nil, fmt.Errorf("%w: the server's share cannot be used", hello.ErrBroken)
	}
	h, size := sha256.New, 16
	switch s.Suite {
	case 0x1301:
	case 0x1302:
		h, size = sha512.New384, 32
	case 0x1303:
		size = chacha20poly1305.KeySize
	default:
		return nil, fault.New(fault.Unsupported, "the server chose %s", hello.Named(s.Suite).Name)
	}
	empty, said := h(), h()
	said.Write(transcript)
	zero := make([]byte, empty.Size())
	early, err := hkdf.Extract(h, zero, nil)
	if err != nil {
		return nil, fault.New(fault.Bug, "no key could be derived: %v", err)
	}
	l := labels{h: h}
	master, err := hkdf.Extract(h, secret, l.expand(early, "derived", empty.Sum(nil), empty.Size()))
	if err != nil {
		return nil, fault.New(fault.Bug, "no key could be derived: %v", err)
	}
	traffic := l.expand(master, "s hs traffic", said.Sum(nil), empty.Size())
	in := &incoming{iv: l.expand(traffic, "iv", nil, 12)}
	raw := l.expand(traffic, "key", nil, size)
	if l.err != nil {
		return nil, fault.New(fault.Bug, "no key could be derived: %v", l.err)
	}
	if s.Suite == 0x1303 {
		in.aead, err = chacha20poly1305.New(raw)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(raw); err == nil {
			in.aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		return nil, fault.New(fault.Bug, "no cipher: %v", err)
	}
	return in, nil
}

// labels expands secrets with TLS 1.3's labels, and keeps the first error.
type labels struct {
	h   func() hash.Hash
	err error
}

func (l *labels) expand(secret []byte, label string, context []byte, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(info, byte(len(label)+6)), "tls13 "+label...)
	info = append(append(info, byte(len(context))), context...)
	out, err := hkdf.Expand(l.h, secret, string(info), n)
	if err != nil && l.err == nil {
		l.err = err
	}
	return out
}

// chain reads encrypted messages up to the certificate.
func (in *incoming) chain(records *hello.Records) ([][]byte, error) {
	var said []byte
	for {
		for len(said) >= 4 {
			size := int(said[1])<<16 | int(said[2])<<8 | int(said[3])
			if size > hello.MaxMessage {
				return nil, fmt.Errorf("%w: a message of %d bytes", hello.ErrTooMuch, size)
			}
			if len(said) < 4+size {
				break
			}
			if said[0] == 11 {
				return hello.ParseModernChain(said[4 : 4+size])
			}
			if said[0] != 8 && said[0] != 13 { // EncryptedExtensions, CertificateRequest
				return nil, fmt.Errorf("%w: message %d before the certificate", hello.ErrBroken, said[0])
			}
			said = said[4+size:]
		}
		more, err := in.next(records)
		if err != nil {
			return nil, err
		}
		said = append(said, more...)
	}
}

// next is the content of the next encrypted record of the handshake.
func (in *incoming) next(records *hello.Records) ([]byte, error) {
	for {
		r, err := records.Next()
		switch {
		case err != nil:
			return nil, err
		case r.Kind == hello.RecordChangeCipherSpec: // sent for the sake of old middleboxes
			continue
		case r.Kind == hello.RecordAlert:
			return nil, alert(r.Body)
		case r.Kind != hello.RecordApplication:
			return nil, fmt.Errorf("%w: a record of type %d in the handshake", hello.ErrBroken, r.Kind)
		}
		kind, plain, err := in.open(r.Body)
		switch {
		case err != nil:
			return nil, err
		case kind == hello.RecordAlert:
			return nil, alert(plain)
		case kind != hello.RecordHandshake || len(plain) == 0:
			return nil, fmt.Errorf("%w: content of type %d in the handshake", hello.ErrBroken, kind)
		}
		return plain, nil
	}
}

func (in *incoming) open(body []byte) (kind byte, plain []byte, err error) {
	nonce := append([]byte(nil), in.iv...)
	for i := range 8 {
		nonce[4+i] ^= byte(in.seq >> (8 * (7 - i)))
	}
	in.seq++
	head := []byte{hello.RecordApplication, 3, 3, byte(len(body) >> 8), byte(len(body))}
	plain, err = in.aead.Open(nil, nonce, body, head)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: a record that does not decrypt", hello.ErrBroken)
	}
	for len(plain) > 0 && plain[len(plain)-1] == 0 {
		plain = plain[:len(plain)-1]
	}
	if len(plain) == 0 {
		return 0, nil, fmt.Errorf("%w: a record without content", hello.ErrBroken)
	}
	return plain[len(plain)-1], plain[:len(plain)-1], nil
}
