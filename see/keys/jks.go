package keys

import (
	"encoding/binary"
)

// maxEntries bounds the entries of one Java key store.
const maxEntries = 1000

// The kinds of entries of a Java key store (sun.security.provider.JavaKeyStore).
const (
	jksPrivate = 1
	jksTrusted = 2
)

// jks reads a Java key store. Its private keys are encrypted, but the certificates that go with them are not: they tell which keys lie there.
// An entry that cannot be read ends the reading, and the store counts as one that may hold more.
func (m *material) jks(b []byte) {
	r := &jksReader{b: b}
	magic, version, count := r.uint32(), r.uint32(), r.uint32()
	if r.bad || magic == 0xcececece || version != 2 || count == 0 || count > maxEntries { // JCEKS holds serialised objects as well
		m.locked("jks", "keystore")
		return
	}
	for range count {
		if !m.jksEntry(r) {
			m.locked("jks", "keystore")
			return
		}
	}
}

func (m *material) jksEntry(r *jksReader) bool {
	tag := r.uint32()
	r.take(int(r.uint16())) // alias
	r.take(8)               // date
	chain := uint32(1)
	if tag == jksPrivate {
		r.take(int(r.uint32())) // the key, encrypted
		chain = r.uint32()
	}
	if r.bad || tag != jksPrivate && tag != jksTrusted || chain > 20 {
		return false
	}
	for i := range chain {
		r.take(int(r.uint16())) // "X.509"
		der := r.take(int(r.uint32()))
		if r.bad || !m.certificate(der, "jks") {
			return false
		}
		k := &m.keys[len(m.keys)-1]
		k.Files[0].Holds = "keystore"
		k.Private = tag == jksPrivate && i == 0
	}
	return true
}

// jksReader reads big-endian fields and remembers when they ran out.
type jksReader struct {
	b   []byte
	bad bool
}

func (r *jksReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *jksReader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *jksReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}
