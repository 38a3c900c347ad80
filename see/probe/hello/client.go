package hello

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
)

// Client is what a ClientHello says. Marshal never makes a malformed message: a wrong one has been seen to end old servers.
type Client struct {
	Version      uint16 // the highest version offered; TLS13 is offered by extension 43
	Suites       []uint16
	ServerName   string // "" or an address: no server_name extension
	Groups       []uint16
	Signatures   []uint16
	InChain      []uint16 // schemes that may stand in the certificates (RFC 8446 section 4.2.3); none: those of Signatures
	ALPN         []string
	Heartbeat    bool // extension 15: the peer may send
	Deflate      bool // offers TLS compression
	Staple       bool // asks for an OCSP response
	Timestamps   bool // asks for SCTs
	Ticket       bool // offers session tickets
	SessionID    []byte
	Renegotiate  bool   // extension ff01, empty unless Renegotiated is set
	Renegotiated []byte // our Finished of the handshake before, inside a session
	Fallback     bool   // TLS_FALLBACK_SCSV (RFC 7507)
	KeyShare     *KeyShare
	Shares       []KeyShare // more of them, for who goes on after the ServerHello
	Random       []byte     // 32 bytes; nil: fresh ones
	TicketValue  []byte     // a ticket to resume with; implies Ticket
}

// KeyShare is one share for TLS 1.3; without one an empty list goes out, and the server answers with a HelloRetryRequest, which costs nobody a key.
type KeyShare struct {
	Group uint16
	Data  []byte
}

// Marshal returns the hello as one record.
func (c Client) Marshal() []byte { return Record(RecordHandshake, c.recordVersion(), c.Message()) }

func (c Client) recordVersion() uint16 {
	if c.Version == SSL30 {
		return SSL30
	}
	return TLS10
}

// Message returns the handshake message alone, as transcripts hash it.
func (c Client) Message() []byte {
	legacy := min(c.Version, TLS12)
	var b builder
	b.u8(typeClientHello)
	b.lengthed(3, func(b *builder) {
		b.u16(legacy)
		b.bytes(c.random())
		b.lengthed(1, func(b *builder) { b.bytes(c.SessionID) })
		b.lengthed(2, func(b *builder) {
			for _, id := range c.Suites {
				b.u16(id)
			}
			if c.Fallback {
				b.u16(0x5600)
			}
			if c.Version == SSL30 && c.Renegotiate {
				b.u16(0x00ff)
			}
		})
		if c.Deflate {
			b.bytes([]byte{2, 1, 0})
		} else {
			b.bytes([]byte{1, 0})
		}
		if c.Version != SSL30 {
			c.extensions(b)
		}
	})
	return b.out
}

func (c Client) random() []byte {
	if len(c.Random) == 32 {
		return c.Random
	}
	r := make([]byte, 32)
	_, _ = rand.Read(r) // never fails since Go 1.24: it ends the program instead
	return r
}

func (c Client) extensions(b *builder) {
	b.lengthed(2, func(b *builder) {
		c.nameExtension(b)
		c.keyExtensions(b)
		c.smallExtensions(b)
		if c.Version == TLS13 {
			c.modernExtensions(b)
		}
		padding(b, len(b.out))
	})
}

// padding keeps the message out of 256..511 bytes, at which some load balancers hang (RFC 7685).
func padding(b *builder, size int) {
	if size < 256-4 || size >= 512 {
		return
	}
	b.extension(extPadding, func(b *builder) { b.bytes(make([]byte, max(1, 512-size-4))) })
}

func (c Client) nameExtension(b *builder) {
	if c.ServerName == "" {
		return
	}
	b.extension(extServerName, func(b *builder) {
		b.lengthed(2, func(b *builder) {
			b.u8(0)
			b.lengthed(2, func(b *builder) { b.bytes([]byte(c.ServerName)) })
		})
	})
}

func (c Client) keyExtensions(b *builder) {
	if len(c.Groups) > 0 {
		b.extension(extGroups, func(b *builder) { b.u16list(c.Groups) })
		b.extension(extPointFormats, func(b *builder) { b.bytes([]byte{1, 0}) })
	}
	if len(c.Signatures) > 0 && c.Version >= TLS12 {
		b.extension(extSignatures, func(b *builder) { b.u16list(c.Signatures) })
	}
	if len(c.InChain) > 0 && c.Version >= TLS12 {
		b.extension(extInChain, func(b *builder) { b.u16list(c.InChain) })
	}
	if len(c.ALPN) > 0 {
		b.extension(extALPN, func(b *builder) {
			b.lengthed(2, func(b *builder) {
				for _, p := range c.ALPN {
					b.lengthed(1, func(b *builder) { b.bytes([]byte(p)) })
				}
			})
		})
	}
}

func (c Client) smallExtensions(b *builder) {
	if c.Heartbeat {
		b.extension(extHeartbeat, func(b *builder) { b.u8(1) })
	}
	if c.Staple {
		b.extension(extStatusRequest, func(b *builder) { b.bytes([]byte{1, 0, 0, 0, 0}) })
	}
	if c.Timestamps {
		b.extension(extSCT, func(*builder) {})
	}
	if c.Ticket || len(c.TicketValue) > 0 {
		b.extension(extSessionTicket, func(b *builder) { b.bytes(c.TicketValue) })
	}
	if c.Renegotiate {
		b.extension(extRenegotiation, func(b *builder) { b.lengthed(1, func(b *builder) { b.bytes(c.Renegotiated) }) })
	}
}

func (c Client) modernExtensions(b *builder) {
	b.extension(extSupportedVersions, func(b *builder) { b.bytes([]byte{2, 3, 4}) })
	b.extension(extKeyShare, func(b *builder) {
		b.lengthed(2, func(b *builder) {
			shares := c.Shares
			if c.KeyShare != nil {
				shares = append([]KeyShare{*c.KeyShare}, shares...)
			}
			for _, one := range shares {
				b.u16(one.Group)
				b.lengthed(2, func(b *builder) { b.bytes(one.Data) })
			}
		})
	})
}

// Record wraps body into one record; body is at most 16,384 bytes.
func Record(kind byte, version uint16, body []byte) []byte {
	out := make([]byte, 5, 5+len(body))
	out[0] = kind
	binary.BigEndian.PutUint16(out[1:], version)
	binary.BigEndian.PutUint16(out[3:], uint16(len(body)))
	return append(out, body...)
}

// Without returns list without id, as a new slice.
func Without(list []uint16, id uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), func(x uint16) bool { return x == id })
}

// Reversed returns the list in the other order, as a new slice.
func Reversed(list []uint16) []uint16 {
	r := slices.Clone(list)
	slices.Reverse(r)
	return r
}

// builder appends big-endian numbers and length-prefixed parts.
type builder struct{ out []byte }

func (b *builder) u8(v byte)      { b.out = append(b.out, v) }
func (b *builder) u16(v uint16)   { b.out = binary.BigEndian.AppendUint16(b.out, v) }
func (b *builder) bytes(v []byte) { b.out = append(b.out, v...) }

// lengthed writes what fill writes behind its length in size bytes.
func (b *builder) lengthed(size int, fill func(*builder)) {
	at := len(b.out)
	b.bytes(make([]byte, size))
	fill(b)
	n := len(b.out) - at - size
	for i := range size {
		b.out[at+i] = byte(n >> (8 * (size - 1 - i)))
	}
}

func (b *builder) u16list(list []uint16) {
	b.lengthed(2, func(b *builder) {
		for _, v := range list {
			b.u16(v)
		}
	})
}

func (b *builder) extension(id uint16, fill func(*builder)) {
	b.u16(id)
	b.lengthed(2, fill)
}
