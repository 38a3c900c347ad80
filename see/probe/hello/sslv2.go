package hello

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
)

// V2 is the answer to an SSLv2 hello: the server lists everything at once.
type V2 struct {
	Certificate []byte
	Suites      []uint32 // three bytes each; may be empty (CVE-2015-3197: enabled, with nothing that it would admit to)
}

// V2Hello returns an SSLv2 CLIENT-HELLO that offers all seven cipher kinds.
func V2Hello() []byte {
	var b builder
	b.u8(1)
	b.u16(SSL20)
	b.u16(uint16(3 * len(v2Suites())))
	b.u16(0)
	b.u16(16)
	for _, s := range v2Suites() {
		b.bytes([]byte{byte(s.id >> 16), byte(s.id >> 8), byte(s.id)})
	}
	challenge := make([]byte, 16)
	_, _ = rand.Read(challenge) // never fails since Go 1.24
	b.bytes(challenge)
	return append(binary.BigEndian.AppendUint16(nil, 0x8000|uint16(len(b.out))), b.out...)
}

// ReadV2 reads an SSLv2 SERVER-HELLO. Errors: ErrNotTLS when the answer is anything else, or what the reader said.
func ReadV2(r io.Reader) (*V2, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[:]) & 0x7fff)
	if head[0]&0x80 == 0 || size < 11 {
		return nil, fmt.Errorf("%w: no SSLv2 answer", ErrNotTLS)
	}
	body := make([]byte, size) // at most 32 KB
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, unexpected(err)
	}
	return parseV2(body)
}

func parseV2(body []byte) (*V2, error) {
	c := cursor{rest: body}
	kind := c.u8()
	c.take(2) // session id hit, certificate type
	version, cert, specs, id := c.u16(), int(c.u16()), int(c.u16()), int(c.u16())
	if c.failed || kind != 4 || version != SSL20 {
		return nil, fmt.Errorf("%w: no SSLv2 answer", ErrNotTLS)
	}
	if cert+specs+id > len(c.rest) || specs%3 != 0 {
		return nil, fmt.Errorf("%w: an SSLv2 answer with lengths %d, %d, %d", ErrBroken, cert, specs, id)
	}
	answer := &V2{Certificate: append([]byte(nil), c.rest[:cert]...)}
	for s := c.rest[cert : cert+specs]; len(s) >= 3; s = s[3:] {
		answer.Suites = append(answer.Suites, uint32(s[0])<<16|uint32(s[1])<<8|uint32(s[2]))
	}
	return answer, nil
}

// v2Suite is a cipher kind of SSLv2 with the bits that protect anything.
type v2Suite struct {
	id   uint32
	name string
	bits int
}

func v2Suites() []v2Suite {
	return []v2Suite{
		{0x010080, "SSL_CK_RC4_128_WITH_MD5", 128},
		{0x020080, "SSL_CK_RC4_128_EXPORT40_WITH_MD5", 40},
		{0x030080, "SSL_CK_RC2_128_CBC_WITH_MD5", 128},
		{0x040080, "SSL_CK_RC2_128_CBC_EXPORT40_WITH_MD5", 40},
		{0x050080, "SSL_CK_IDEA_128_CBC_WITH_MD5", 128},
		{0x060040, "SSL_CK_DES_64_CBC_WITH_MD5", 56},
		{0x0700c0, "SSL_CK_DES_192_EDE3_CBC_WITH_MD5", 112},
	}
}

// V2Suite names an SSLv2 cipher kind and gives its strength.
func V2Suite(id uint32) (name string, bits int) {
	for _, s := range v2Suites() {
		if s.id == id {
			return s.name, s.bits
		}
	}
	return fmt.Sprintf("UNKNOWN_0x%06x", id), 0
}
