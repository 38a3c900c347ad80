package handshake

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"staunch/fault"
	"staunch/see/probe/hello"
)

// keys is what both sides compute from the secret.
type keys struct {
	version uint16
	master  []byte
	out, in *sealer
}

// derive computes the keys of RFC 2246, 4346 and 5246 for AES-128 with HMAC-SHA-1 or GCM.
func derive(version, suite uint16, secret, client, server []byte) (*keys, error) {
	k := &keys{version: version, master: prf(version, secret, "master secret", join(client, server), 48)}
	named := hello.Named(suite)
	mac, iv := 20, 16
	if named.AEAD() {
		mac, iv = 0, 4
	}
	block := prf(version, k.master, "key expansion", join(server, client), 2*(mac+16+iv))
	take := func(n int) []byte { part := block[:n]; block = block[n:]; return part }
	outMAC, inMAC := take(mac), take(mac)
	outKey, inKey := take(16), take(16)
	outIV, inIV := take(iv), take(iv)
	var err error
	if k.out, err = newSealer(version, named.AEAD(), outMAC, outKey, outIV); err != nil {
		return nil, err
	}
	k.in, err = newSealer(version, named.AEAD(), inMAC, inKey, inIV)
	return k, err
}

// finished is the content of a Finished message over the transcript.
func (k *keys) finished(label string, transcript []byte) []byte {
	var digest []byte
	if k.version == hello.TLS12 {
		sum := sha256.Sum256(transcript)
		digest = sum[:]
	} else {
		m, s := md5.Sum(transcript), sha1.Sum(transcript)
		digest = join(m[:], s[:])
	}
	return prf(k.version, k.master, label, digest, 12)
}

func join(a, b []byte) []byte { return append(append([]byte(nil), a...), b...) }

// prf is the pseudo-random function: SHA-256 in TLS 1.2, MD5 and SHA-1 together before.
func prf(version uint16, secret []byte, label string, seed []byte, n int) []byte {
	seed = join([]byte(label), seed)
	if version == hello.TLS12 {
		return expand(sha256.New, secret, seed, n)
	}
	half := (len(secret) + 1) / 2
	out := expand(md5.New, secret[:half], seed, n)
	for i, b := range expand(sha1.New, secret[len(secret)-half:], seed, n) {
		out[i] ^= b
	}
	return out
}

func expand(h func() hash.Hash, secret, seed []byte, n int) []byte {
	sum := func(parts ...[]byte) []byte {
		m := hmac.New(h, secret)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// sealer protects one direction.
type sealer struct {
	version uint16
	mac     []byte
	block   cipher.Block
	gcm     cipher.AEAD
	iv      []byte // TLS 1.0: the last block; GCM: the fixed part
	seq     uint64
}

func newSealer(version uint16, aead bool, mac, key, iv []byte) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fault.New(fault.Bug, "no cipher: %v", err)
	}
	s := &sealer{version: version, mac: mac, block: block, iv: append([]byte(nil), iv...)}
	if aead {
		if s.gcm, err = cipher.NewGCM(block); err != nil {
			return nil, fault.New(fault.Bug, "no cipher: %v", err)
		}
	}
	return s, nil
}

func (s *sealer) header(kind byte, size int) []byte {
	h := binary.BigEndian.AppendUint64(nil, s.seq)
	h = append(h, kind)
	h = binary.BigEndian.AppendUint16(h, s.version)
	return binary.BigEndian.AppendUint16(h, uint16(size))
}

func (s *sealer) sum(kind byte, body []byte) []byte {
	m := hmac.New(sha1.New, s.mac)
	m.Write(s.header(kind, len(body)))
	m.Write(body)
	return m.Sum(nil)
}

// seal makes a record of body.
func (s *sealer) seal(kind byte, body []byte) []byte {
	defer func() { s.seq++ }()
	if s.gcm != nil {
		explicit := binary.BigEndian.AppendUint64(nil, s.seq)
		return hello.Record(kind, s.version, s.gcm.Seal(explicit, join(s.iv, explicit), body, s.header(kind, len(body))))
	}
	plain := join(body, s.sum(kind, body))
	pad := 16 - len(plain)%16
	for range pad {
		plain = append(plain, byte(pad-1))
	}
	iv, prefix := s.iv, []byte(nil)
	if s.version > hello.TLS10 {
		iv = nonce(16)
		prefix = iv
	}
	cipher.NewCBCEncrypter(s.block, iv).CryptBlocks(plain, plain)
	s.iv = append(s.iv[:0], plain[len(plain)-16:]...)
	return hello.Record(kind, s.version, join(prefix, plain))
}

// open decrypts the body of a record. Error: hello.ErrBroken when it was not made with our keys.
func (s *sealer) open(kind byte, body []byte) ([]byte, error) {
	defer func() { s.seq++ }()
	broken := fmt.Errorf("%w: a record that does not decrypt", hello.ErrBroken)
	if s.gcm != nil {
		if len(body) < 8+16 {
			return nil, broken
		}
		plain, err := s.gcm.Open(nil, join(s.iv, body[:8]), body[8:], s.header(kind, len(body)-24))
		if err != nil {
			return nil, broken
		}
		return plain, nil
	}
	iv := s.iv
	if s.version > hello.TLS10 && len(body) >= 16 {
		iv, body = body[:16], body[16:]
	}
	if len(body) < 32 || len(body)%16 != 0 {
		return nil, broken
	}
	plain := make([]byte, len(body))
	cipher.NewCBCDecrypter(s.block, iv).CryptBlocks(plain, body)
	s.iv = append(s.iv[:0:0], body[len(body)-16:]...)
	pad := int(plain[len(plain)-1]) + 1
	if pad+20 > len(plain) {
		return nil, broken
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad-1 {
			return nil, broken
		}
	}
	data, mac := plain[:len(plain)-pad-20], plain[len(plain)-pad-20:len(plain)-pad]
	if !hmac.Equal(mac, s.sum(kind, data)) {
		return nil, broken
	}
	return data, nil
}
