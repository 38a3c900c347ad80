package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"sync"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
	"staunch/see/probe/list"
)

// full lists everything that hellos can show.
func (s *sight) full(ctx context.Context) {
	known := list.Known{Offered: door.BroadSuites(), Schemes: s.schemes(), TLS13: s.tls != nil && s.tls.state.Version == hello.TLS13}
	if s.asked == hello.TLS12 {
		known.Flight = s.flight
	}
	var wait sync.WaitGroup
	wait.Go(func() { s.resume(ctx) })
	found := list.All(ctx, s.d, known)
	wait.Wait()
	s.seen, s.dhBits = found.Versions, found.DHBits
	for _, id := range found.Groups {
		s.r.Groups = append(s.r.Groups, Named{ID: hex16(id), Name: hello.GroupNamed(id).Name})
	}
	s.r.Signatures, s.r.Modern = schemeNames(found.Signatures), schemeNames(found.Modern)
	for _, says := range found.Unseen {
		s.skip("%s", says)
	}
	if len(found.Signatures) == 0 {
		s.skip("signature algorithms up to TLS 1.2: only a TLS 1.2 server with forward secrecy shows them before encryption")
	}
	if s.offers(hello.TLS13) {
		s.skip("which signature algorithm of TLS 1.3 the server likes best: it says that behind encryption")
	}
}

func schemeNames(ids []uint16) []Named {
	var all []Named
	for _, id := range ids {
		all = append(all, Named{ID: hex16(id), Name: hello.SignatureNamed(id)})
	}
	return all
}

// schemes are those with which the served key can sign in TLS 1.3 (RFC 8446 section 4.2.3: a curve has one hash, a kind of RSA key its own schemes).
func (s *sight) schemes() []uint16 {
	served := s.served
	if s.tls != nil && len(s.tls.chain) > 0 {
		served = s.tls.chain
	}
	if len(served) == 0 {
		return nil
	}
	cert, err := x509.ParseCertificate(served[0])
	if err != nil {
		return nil
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return []uint16{0x0804, 0x0805, 0x0806}
	case *ecdsa.PublicKey:
		return map[elliptic.Curve][]uint16{elliptic.P256(): {0x0403}, elliptic.P384(): {0x0503}, elliptic.P521(): {0x0603}}[key.Curve]
	case ed25519.PublicKey:
		return []uint16{0x0807}
	}
	return nil
}

func filter(ids []uint16, keep func(hello.Suite) bool) []uint16 {
	return slices.DeleteFunc(slices.Clone(ids), func(id uint16) bool { return !keep(hello.Named(id)) })
}

// newestOld is the newest version up to TLS 1.2 that was seen, with its suites.
func (s *sight) newestOld() (uint16, []uint16) {
	for v := hello.TLS12; v >= hello.SSL30; v-- {
		if l := s.seen[v]; l != nil && len(l.Suites) > 0 {
			return v, l.Suites
		}
	}
	return 0, nil
}

func (s *sight) offers(version uint16) bool { return s.seen[version] != nil && s.seen[version].Offered }
