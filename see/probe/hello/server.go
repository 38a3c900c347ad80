package hello

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Server is a ServerHello or a HelloRetryRequest.
type Server struct {
	Version     uint16 // negotiated, with extension 43 taken into account
	Random      []byte
	SessionID   []byte
	Suite       uint16
	Compression byte
	Retry       bool   // HelloRetryRequest
	Group       uint16 // extension 51: the group asked for, or of the share
	Share       []byte // extension 51: the server's half of the key exchange
	Heartbeat   byte   // 0: extension absent; 1: may be sent to; 2: may not
	Renegotiate bool
	Ticket      bool
	Master      bool // extended master secret
	Staple      bool
	ALPN        string
	Extensions  []uint16
}

// retryRandom marks a HelloRetryRequest (RFC 8446 section 4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// ParseServer reads the body of a ServerHello message (without its four bytes of header). Errors: ErrBroken.
func ParseServer(body []byte) (*Server, error) {
	c := cursor{rest: body}
	s := &Server{Version: c.u16(), Random: bytes.Clone(c.take(32))}
	s.SessionID = bytes.Clone(c.lengthed(1))
	s.Suite = c.u16()
	s.Compression = c.u8()
	if c.failed || len(s.SessionID) > 32 {
		return nil, fmt.Errorf("%w: a ServerHello of %d bytes", ErrBroken, len(body))
	}
	s.Retry = string(s.Random) == retryRandom
	if len(c.rest) == 0 {
		return s, nil
	}
	list := cursor{rest: c.lengthed(2)}
	for !list.failed && len(list.rest) > 0 {
		id := list.u16()
		s.extension(id, list.lengthed(2))
	}
	if c.failed || list.failed {
		return nil, fmt.Errorf("%w: the extensions of a ServerHello", ErrBroken)
	}
	return s, nil
}

func (s *Server) extension(id uint16, data []byte) {
	s.Extensions = append(s.Extensions, id)
	switch id {
	case extHeartbeat:
		if len(data) == 1 {
			s.Heartbeat = data[0]
		}
	case extSupportedVersions:
		if len(data) == 2 {
			s.Version = binary.BigEndian.Uint16(data)
		}
	case extKeyShare:
		if len(data) >= 2 {
			s.Group = binary.BigEndian.Uint16(data)
			rest := cursor{rest: data[2:]}
			s.Share = bytes.Clone(rest.lengthed(2))
		}
	case extRenegotiation:
		s.Renegotiate = true
	case extSessionTicket:
		s.Ticket = true
	case extMasterSecret:
		s.Master = true
	case extStatusRequest:
		s.Staple = true
	case extALPN:
		c := cursor{rest: data}
		inner := cursor{rest: c.lengthed(2)}
		s.ALPN = string(inner.lengthed(1))
	}
}

// parseCertificates reads the chain of a Certificate message of TLS 1.2 and older.
func parseCertificates(body []byte) ([][]byte, error) {
	c := cursor{rest: body}
	list := cursor{rest: c.lengthed(3)}
	var chain [][]byte
	for !list.failed && len(list.rest) > 0 && len(chain) < maxChain {
		chain = append(chain, bytes.Clone(list.lengthed(3)))
	}
	if c.failed || list.failed {
		return nil, fmt.Errorf("%w: a Certificate message of %d bytes", ErrBroken, len(body))
	}
	return chain, nil
}

// ParseModernChain reads the chain of a Certificate message of TLS 1.3 (RFC 8446 section 4.4.2), without its four bytes of header. Errors: ErrBroken.
func ParseModernChain(body []byte) ([][]byte, error) {
	c := cursor{rest: body}
	c.lengthed(1) // the request's context
	list := cursor{rest: c.lengthed(3)}
	var chain [][]byte
	for !list.failed && len(list.rest) > 0 && len(chain) < maxChain {
		chain = append(chain, bytes.Clone(list.lengthed(3)))
		list.lengthed(2) // extensions
	}
	if c.failed || list.failed || len(chain) == 0 || len(chain[0]) == 0 {
		return nil, fmt.Errorf("%w: a Certificate message of %d bytes", ErrBroken, len(body))
	}
	return chain, nil
}

// maxChain is how many certificates of a chain are kept; browsers give up far earlier.
const maxChain = 32

// KeyExchange is what a ServerKeyExchange message tells about strength.
type KeyExchange struct {
	Group     uint16 // the curve, for ECDHE
	DHBits    int    // the size of the prime, for DHE
	Prime     []byte // of DHE
	Signature uint16 // scheme, TLS 1.2 only
	Public    []byte // the server's share, for ECDHE
}

func parseKeyExchange(body []byte, suite Suite, version uint16) (*KeyExchange, error) {
	c := cursor{rest: body}
	k := &KeyExchange{}
	if suite.PSK() {
		return k, nil // the hint comes first, and nothing here is asked of it
	}
	if suite.ECDHE() {
		if c.u8() != 3 {
			return k, nil // an explicit curve: nothing that we can name
		}
		k.Group = c.u16()
		k.Public = bytes.Clone(c.lengthed(1))
	} else {
		k.Prime = bytes.TrimLeft(bytes.Clone(c.lengthed(2)), "\x00")
		k.DHBits = bitLen(k.Prime)
		c.lengthed(2) // generator
		c.lengthed(2) // public value
	}
	if version >= TLS12 && !suite.Anonymous() {
		k.Signature = c.u16()
	}
	if c.failed {
		return nil, fmt.Errorf("%w: a ServerKeyExchange of %d bytes", ErrBroken, len(body))
	}
	return k, nil
}

func bitLen(number []byte) int {
	if len(number) == 0 {
		return 0
	}
	n := 8 * (len(number) - 1)
	for top := number[0]; top > 0; top >>= 1 {
		n++
	}
	return n
}

// parseStatus reads a CertificateStatus message: the stapled OCSP response.
func parseStatus(body []byte) []byte {
	c := cursor{rest: body}
	if c.u8() != 1 {
		return nil
	}
	return bytes.Clone(c.lengthed(3))
}

// cursor takes parts off the front; after the first part that is not there, failed stays set and every part is empty.
type cursor struct {
	rest   []byte
	failed bool
}

func (c *cursor) take(n int) []byte {
	if c.failed || len(c.rest) < n {
		c.failed = true
		return make([]byte, min(n, 32))
	}
	part := c.rest[:n:n]
	c.rest = c.rest[n:]
	return part
}

func (c *cursor) u8() byte    { return c.take(1)[0] }
func (c *cursor) u16() uint16 { return binary.BigEndian.Uint16(c.take(2)) }

func (c *cursor) lengthed(size int) []byte {
	n := 0
	for _, b := range c.take(size) {
		n = n<<8 | int(b)
	}
	if c.failed || n > len(c.rest) {
		c.failed = true
		return nil
	}
	return c.take(n)
}
