package door

import (
	"slices"
	"strings"
	"sync"

	"staunch/see/probe/hello"
)

// Broad is a hello that nearly every server of a version accepts: short enough for picky ones, with everything that old and new ones speak.
func (d *Door) Broad(version uint16) hello.Client {
	return hello.Client{
		Version: version, Suites: BroadSuites(), ServerName: d.SNI, Groups: hello.GroupIDs(hello.Groups(hello.TLS12)),
		Signatures: hello.SignatureIDs(), Renegotiate: true, Ticket: true,
	}
}

// BroadSuites are at most 100 suites, forward secret and strong ones first, as a new slice.
func BroadSuites() []uint16 { return slices.Clone(broad()) }

// broad is made once: it goes into most hellos.
//
//nolint:gochecknoglobals // made once, never written
var broad = sync.OnceValue(func() []uint16 {
	var ids [3][]uint16
	for _, id := range hello.Suites(hello.TLS12) {
		s := hello.Named(id)
		switch {
		case s.PSK() || s.Anonymous() || s.Null() || s.Export() || strings.Contains(s.Name, "_DH_") || strings.Contains(s.Name, "ECDH_"):
		case strings.Contains(s.Name, "GOST") || strings.Contains(s.Name, "ARIA") || strings.Contains(s.Name, "_OLD") || strings.Contains(s.Name, "CECPQ") || strings.Contains(s.Name, "FIPS"):
		case s.ForwardSecret() && s.AEAD():
			ids[0] = append(ids[0], id)
		case s.ForwardSecret():
			ids[1] = append(ids[1], id)
		default:
			ids[2] = append(ids[2], id)
		}
	}
	return append(append(ids[0], ids[1]...), ids[2]...)
})

// Only is the broad hello restricted to suites of one kind.
func (d *Door) Only(kind func(hello.Suite) bool) hello.Client {
	c := d.Broad(hello.TLS12)
	var ids []uint16
	for _, id := range c.Suites {
		if kind(hello.Named(id)) {
			ids = append(ids, id)
		}
	}
	c.Suites = ids
	return c
}

// Modern is a hello for TLS 1.3 alone, without a key share: the server answers with a HelloRetryRequest, and nobody computes a key.
func (d *Door) Modern() hello.Client {
	return hello.Client{
		Version: hello.TLS13, Suites: hello.Suites(hello.TLS13), ServerName: d.SNI, Groups: hello.GroupIDs(hello.Groups(hello.TLS13)),
		Signatures: hello.SignatureIDs(), SessionID: make([]byte, 32),
	}
}

// Offering is a hello for exactly this version with these suites.
func (d *Door) Offering(version uint16, suites []uint16) hello.Client {
	if version == hello.TLS13 {
		c := d.Modern()
		c.Suites = suites
		return c
	}
	c := d.Broad(version)
	c.Suites, c.Deflate = suites, true
	return c
}
