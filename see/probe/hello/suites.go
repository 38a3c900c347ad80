package hello

import (
	_ "embed" // the table of suites is data
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed suites.txt
var suitesText string

// Suite is a cipher suite with what its name in the IANA registry says about it.
type Suite struct {
	ID   uint16
	Name string
}

// table reads the registry once; the names are the source of every property below.
//
//nolint:gochecknoglobals // read once, never written
var table = sync.OnceValue(func() map[uint16]Suite {
	all := make(map[uint16]Suite, 400)
	for line := range strings.Lines(suitesText) {
		hex, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if id, err := strconv.ParseUint(hex, 16, 16); err == nil {
			all[uint16(id)] = Suite{ID: uint16(id), Name: name}
		}
	}
	return all
})

// Named returns the suite with this id; one that the registry does not have is named by its number.
func Named(id uint16) Suite {
	if s, known := table()[id]; known {
		return s
	}
	return Suite{ID: id, Name: fmt.Sprintf("UNKNOWN_0x%04x", id)}
}

// Suites returns every known suite for a version (SSL30 to TLS13), in rising order of ids, as a new slice.
func Suites(version uint16) []uint16 {
	return slices.Clone(sorted()[min(max(version, TLS11), TLS13)])
}

// sorted has the lists of TLS 1.1 (and older), 1.2 and 1.3, made once: they are asked for with every hello.
//
//nolint:gochecknoglobals // made once, never written
var sorted = sync.OnceValue(func() map[uint16][]uint16 {
	lists := map[uint16][]uint16{}
	for _, version := range []uint16{TLS11, TLS12, TLS13} {
		lists[version] = suitesFor(version)
	}
	return lists
})

func suitesFor(version uint16) []uint16 {
	var ids []uint16
	for id, s := range table() {
		if s.tls13() == (version == TLS13) && !(version < TLS12 && s.onlyTLS12()) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (s Suite) tls13() bool {
	return s.ID>>8 == 0x13 || s.ID == 0xc0b4 || s.ID == 0xc0b5 || s.ID == 0x00c6 || s.ID == 0x00c7
}

// onlyTLS12 holds for suites that RFC 5246 and later define for TLS 1.2 alone. Some servers choose them in older versions all the
// same; those are found with the suites that stay in the list, because the CBC suites with newer hashes stay in it.
func (s Suite) onlyTLS12() bool { return s.AEAD() }

func (s Suite) has(part string) bool { return strings.Contains(s.Name, part) }

// AEAD holds for suites that encrypt and authenticate in one step.
func (s Suite) AEAD() bool {
	return s.has("_GCM") || s.has("_CCM") || s.has("POLY1305")
}

// CBC holds for block ciphers in the mode that POODLE, BEAST and Lucky 13 need.
func (s Suite) CBC() bool { return s.has("_CBC") }

// Export holds for the suites weakened on purpose.
func (s Suite) Export() bool { return s.has("EXPORT") }

// Anonymous holds where the server proves nothing about itself.
func (s Suite) Anonymous() bool { return s.has("_anon_") || s.has("_ANON_") }

// Null holds where nothing is encrypted.
func (s Suite) Null() bool { return s.has("_NULL_") || s.ID == 0xc0b4 || s.ID == 0xc0b5 }

// RC4 holds for the stream cipher that RFC 7465 forbids.
func (s Suite) RC4() bool { return s.has("RC4_") }

// Block64 holds for ciphers with 64-bit blocks (SWEET32).
func (s Suite) Block64() bool { return s.has("DES") || s.has("IDEA") || s.has("RC2") || s.has("28147") }

// ForwardSecret holds where the session's key is not recoverable from the certificate's.
func (s Suite) ForwardSecret() bool {
	return s.tls13() || s.Ephemeral() || s.Anonymous()
}

// Ephemeral holds for (EC)DHE with a certificate or a pre-shared key.
func (s Suite) Ephemeral() bool { return s.has("_DHE_") || s.has("ECDHE_") }

// ECDHE holds where the key exchange uses a group out of the client's list.
func (s Suite) ECDHE() bool { return s.has("ECDHE_") || s.has("ECDH_anon") }

// RSAKeyExchange holds where the client encrypts the secret to the certificate's RSA key (what ROBOT and DROWN need).
func (s Suite) RSAKeyExchange() bool {
	return strings.HasPrefix(s.Name, "TLS_RSA_") && !s.has("_PSK_")
}

// PSK holds for suites that need a pre-shared key.
func (s Suite) PSK() bool { return s.has("PSK") || s.has("_SRP_") || s.has("KRB5") }

// Bits is the strength of the cipher's key; 3DES counts 112 and suites that hide nothing count 0.
func (s Suite) Bits() int {
	// searched in order, so the weaker, longer names come first
	for _, c := range [...]struct {
		part string
		bits int
	}{
		{"_NULL_", 0},
		{"TLS_SHA", 0},
		{"EXPORT1024", 56},
		{"EXPORT", 40},
		{"RC4_40", 40},
		{"RC2_CBC_40", 40},
		{"DES_CBC_40", 40},
		{"DES40", 40},
		{"RC4_56", 56},
		{"RC2_56", 56},
		{"3DES", 112},
		{"DES_CBC", 56},
		{"_256_", 256},
		{"CHACHA20", 256},
		{"28147", 256},
		{"AES_256", 256},
		{"_128", 128},
		{"SEED", 128},
		{"IDEA", 128},
		{"SM4", 128},
	} {
		if s.has(c.part) {
			return c.bits
		}
	}
	return 0
}
