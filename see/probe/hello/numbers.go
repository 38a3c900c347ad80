// Package hello speaks the first words of SSL and TLS by hand: it writes ClientHellos and reads what servers answer before encryption starts.
package hello

import "fmt"

// Versions on the wire. SSL20 is not one of them; it stands for the older record format.
const (
	SSL20 uint16 = 0x0002
	SSL30 uint16 = 0x0300
	TLS10 uint16 = 0x0301
	TLS11 uint16 = 0x0302
	TLS12 uint16 = 0x0303
	TLS13 uint16 = 0x0304
)

// VersionName is the name people know a version by.
func VersionName(v uint16) string {
	switch v {
	case SSL20:
		return "SSLv2"
	case SSL30:
		return "SSLv3"
	case TLS10:
		return "TLS1.0"
	case TLS11:
		return "TLS1.1"
	case TLS12:
		return "TLS1.2"
	case TLS13:
		return "TLS1.3"
	}
	return fmt.Sprintf("0x%04x", v)
}

// Record types.
const (
	RecordChangeCipherSpec byte = 20
	RecordAlert            byte = 21
	RecordHandshake        byte = 22
	RecordApplication      byte = 23
	RecordHeartbeat        byte = 24
)

// Handshake message types.
const (
	typeClientHello        byte = 1
	typeServerHello        byte = 2
	typeNewSessionTicket   byte = 4
	typeCertificate        byte = 11
	typeServerKeyExchange  byte = 12
	typeCertificateRequest byte = 13
	typeServerHelloDone    byte = 14
	typeCertificateStatus  byte = 22
)

// Extension numbers (IANA).
const (
	extServerName        uint16 = 0
	extStatusRequest     uint16 = 5
	extGroups            uint16 = 10
	extPointFormats      uint16 = 11
	extSignatures        uint16 = 13
	extHeartbeat         uint16 = 15
	extALPN              uint16 = 16
	extSCT               uint16 = 18
	extPadding           uint16 = 21
	extMasterSecret      uint16 = 23
	extSessionTicket     uint16 = 35
	extSupportedVersions uint16 = 43
	extInChain           uint16 = 50
	extKeyShare          uint16 = 51
	extRenegotiation     uint16 = 0xff01
)

// Group is a key exchange group with its strength as the rubric counts it.
type Group struct {
	ID   uint16
	Name string
	Bits int  // size of the field, or of the prime
	DH   bool // finite field
}

// Groups returns the groups to ask for: those of TLS 1.3 and, for older versions, the curves of RFC 4492 and 7027.
func Groups(version uint16) []Group {
	modern := []Group{
		{0x001d, "X25519", 253, false},
		{0x0017, "secp256r1", 256, false},
		{0x0018, "secp384r1", 384, false},
		{0x0019, "secp521r1", 521, false},
		{0x001e, "X448", 448, false},
	}
	if version == TLS13 {
		return append([]Group{
			{0x11ec, "X25519MLKEM768", 253, false},
			{0x11eb, "SecP256r1MLKEM768", 256, false},
			{0x11ed, "SecP384r1MLKEM1024", 384, false},
			{0x6399, "X25519Kyber768Draft00", 253, false},
			{0x0200, "MLKEM512", 512, false},
			{0x0201, "MLKEM768", 768, false},
			{0x0202, "MLKEM1024", 1024, false},
		}, append(modern,
			Group{0x001f, "brainpoolP256r1tls13", 256, false}, Group{0x0020, "brainpoolP384r1tls13", 384, false}, Group{0x0021, "brainpoolP512r1tls13", 512, false},
			Group{0x0100, "ffdhe2048", 2048, true}, Group{0x0101, "ffdhe3072", 3072, true}, Group{0x0102, "ffdhe4096", 4096, true},
			Group{0x0103, "ffdhe6144", 6144, true}, Group{0x0104, "ffdhe8192", 8192, true})...)
	}
	return append(modern,
		Group{0x001a, "brainpoolP256r1", 256, false}, Group{0x001b, "brainpoolP384r1", 384, false}, Group{0x001c, "brainpoolP512r1", 512, false},
		Group{0x0016, "secp256k1", 256, false}, Group{0x0015, "secp224r1", 224, false}, Group{0x0014, "secp224k1", 224, false},
		Group{0x0013, "secp192r1", 192, false}, Group{0x0012, "secp192k1", 192, false}, Group{0x0010, "secp160r1", 160, false},
		Group{0x0011, "secp160r2", 160, false}, Group{0x000f, "secp160k1", 160, false},
		Group{0x000e, "sect571r1", 571, false}, Group{0x000d, "sect571k1", 571, false}, Group{0x000c, "sect409r1", 409, false},
		Group{0x000b, "sect409k1", 409, false}, Group{0x000a, "sect283r1", 283, false}, Group{0x0009, "sect283k1", 283, false},
		Group{0x0008, "sect239k1", 239, false}, Group{0x0007, "sect233r1", 233, false}, Group{0x0006, "sect233k1", 233, false},
		Group{0x0005, "sect193r2", 193, false}, Group{0x0004, "sect193r1", 193, false}, Group{0x0003, "sect163r2", 163, false},
		Group{0x0002, "sect163r1", 163, false}, Group{0x0001, "sect163k1", 163, false})
}

// GroupNamed returns the group with this id; an unknown one is named by its number.
func GroupNamed(id uint16) Group {
	for _, version := range []uint16{TLS13, TLS12} {
		for _, g := range Groups(version) {
			if g.ID == id {
				return g
			}
		}
	}
	return Group{ID: id, Name: fmt.Sprintf("unknown_0x%04x", id)}
}

// GroupIDs returns the numbers alone, in the order given.
func GroupIDs(groups []Group) []uint16 {
	ids := make([]uint16, len(groups))
	for i, g := range groups {
		ids[i] = g.ID
	}
	return ids
}

// Signature is a signature scheme of RFC 8446 or a pair of RFC 5246.
type Signature struct {
	ID   uint16
	Name string
}

// Signatures returns the schemes to ask for, strongest first.
func Signatures() []Signature {
	return []Signature{
		{0x0403, "ecdsa_secp256r1_sha256"},
		{0x0503, "ecdsa_secp384r1_sha384"},
		{0x0603, "ecdsa_secp521r1_sha512"},
		{0x0807, "ed25519"},
		{0x0808, "ed448"},
		{0x0804, "rsa_pss_rsae_sha256"},
		{0x0805, "rsa_pss_rsae_sha384"},
		{0x0806, "rsa_pss_rsae_sha512"},
		{0x0809, "rsa_pss_pss_sha256"},
		{0x080a, "rsa_pss_pss_sha384"},
		{0x080b, "rsa_pss_pss_sha512"},
		{0x0401, "rsa_pkcs1_sha256"},
		{0x0501, "rsa_pkcs1_sha384"},
		{0x0601, "rsa_pkcs1_sha512"},
		{0x0904, "mldsa44"},
		{0x0905, "mldsa65"},
		{0x0906, "mldsa87"},
		{0x0303, "ecdsa_sha224"},
		{0x0301, "rsa_pkcs1_sha224"},
		{0x0203, "ecdsa_sha1"},
		{0x0201, "rsa_pkcs1_sha1"},
		{0x0402, "dsa_sha256"},
		{0x0302, "dsa_sha224"},
		{0x0202, "dsa_sha1"},
		{0x0101, "rsa_pkcs1_md5"},
	}
}

// Modern holds for the schemes with which a TLS 1.3 server may sign (RFC 8446 section 4.2.3).
func (s Signature) Modern() bool {
	return s.ID >= 0x0804 || s.ID == 0x0403 || s.ID == 0x0503 || s.ID == 0x0603
}

// SignatureNamed returns the scheme's name; an unknown one is named by its number.
func SignatureNamed(id uint16) string {
	for _, s := range Signatures() {
		if s.ID == id {
			return s.Name
		}
	}
	return fmt.Sprintf("unknown_0x%04x", id)
}

// SignatureIDs returns the numbers of Signatures.
func SignatureIDs() []uint16 {
	all := Signatures()
	ids := make([]uint16, len(all))
	for i, s := range all {
		ids[i] = s.ID
	}
	return ids
}
