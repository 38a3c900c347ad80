package chain

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"time"
)

// Trust is what a chain is judged against.
type Trust struct {
	Roots   *x509.CertPool // nil: the system's
	Name    string         // the name asked for; "" leaves names unjudged
	Now     time.Time
	Fetch   *Fetcher // nil: nothing is fetched, neither missing intermediates nor revocation lists
	Staple  []byte   // OCSP response out of the handshake
	SCTList [][]byte // timestamps out of the handshake
}

// Judge describes a chain and says what is wrong with it.
func Judge(ctx context.Context, ders [][]byte, t Trust) (*Certificate, error) {
	c, err := Describe(ders)
	if err != nil {
		return nil, err
	}
	c.SCTs += len(t.SCTList)
	c.dates(t.Now)
	c.signatures()
	leaf, err := x509.ParseCertificate(ders[0])
	if err != nil {
		return c, nil // Describe has said so
	}
	others := parsed(ders[1:])
	c.order(leaf, others)
	issuer := c.trust(ctx, leaf, others, t)
	if t.Name != "" {
		if err := leaf.VerifyHostname(t.Name); err != nil {
			c.problem("name_mismatch", "%s is not among the names of the certificate", t.Name)
		}
	}
	c.Revocation = revocation(ctx, leaf, issuer, t)
	c.staple(leaf, issuer, t)
	if c.Revocation.State == "revoked" {
		c.problem("revoked", "%s", c.Revocation.Says)
		c.Trusted = false
	}
	return c, nil
}

func parsed(ders [][]byte) []*x509.Certificate {
	var all []*x509.Certificate
	for _, der := range ders {
		if c, err := x509.ParseCertificate(der); err == nil {
			all = append(all, c)
		}
	}
	return all
}

func (c *Certificate) dates(now time.Time) {
	switch {
	case c.NotAfter.IsZero() || c.NotBefore.IsZero():
		c.problem("broken", "its dates cannot be read")
	case now.After(c.NotAfter):
		c.problem("expired", "since %s", day(c.NotAfter))
	case now.Before(c.NotBefore):
		c.problem("not_yet_valid", "before %s", day(c.NotBefore))
	}
}

// signatures looks at every link but roots, whose signature proves nothing.
func (c *Certificate) signatures() {
	for _, l := range c.Chain {
		if hash := WeakHash(l.Signature); hash != "" && l.Subject != l.Issuer {
			c.problem("weak_signature", "%s is signed with %s", l.Subject, l.Signature)
		}
	}
	if len(c.Chain) > 0 && c.Chain[0].Subject == c.Chain[0].Issuer {
		if hash := WeakHash(c.Signature); hash != "" {
			c.problem("weak_signature", "%s is signed with %s", c.Subject, c.Signature)
		}
	}
}

// order tells a chain whose links do not follow each other.
func (c *Certificate) order(leaf *x509.Certificate, others []*x509.Certificate) {
	below := leaf
	for _, above := range others {
		if !bytes.Equal(below.RawIssuer, above.RawSubject) {
			c.problem("chain_order", "%s does not follow %s", name(above.RawSubject), name(below.RawSubject))
			return
		}
		below = above
	}
}

// trust verifies the chain and returns the leaf's issuer, where it is known.
func (c *Certificate) trust(ctx context.Context, leaf *x509.Certificate, others []*x509.Certificate, t Trust) *x509.Certificate {
	chains, err := verify(leaf, others, t)
	if err != nil && t.Fetch != nil && isUnknownAuthority(err) {
		if fetched := t.Fetch.issuers(ctx, leaf, others); len(fetched) > 0 {
			more, again := verify(leaf, append(others, fetched...), t)
			if again == nil {
				chains, err = more, nil
				c.problem("incomplete_chain", "the server leaves out %s", name(fetched[0].RawSubject))
			}
		}
	}
	if err == nil {
		c.Trusted = !c.Has("weak_signature")
		if len(chains[0]) > 1 {
			return chains[0][1]
		}
		return chains[0][0]
	}
	c.untrusted(leaf, err)
	for _, o := range others {
		if leaf.CheckSignatureFrom(o) == nil {
			return o
		}
	}
	return nil
}

func verify(leaf *x509.Certificate, others []*x509.Certificate, t Trust) ([][]*x509.Certificate, error) {
	pool := x509.NewCertPool()
	for _, o := range others {
		pool.AddCert(o)
	}
	return leaf.Verify(x509.VerifyOptions{Roots: t.Roots, Intermediates: pool, CurrentTime: t.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func isUnknownAuthority(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

func (c *Certificate) untrusted(leaf *x509.Certificate, err error) {
	var invalid x509.CertificateInvalidError
	switch {
	case c.Has("expired") || c.Has("not_yet_valid"):
		return
	case bytes.Equal(leaf.RawSubject, leaf.RawIssuer):
		c.problem("self_signed", "it vouches for itself")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c.problem("chain_expired", "a certificate above it is not valid now")
	case isUnknownAuthority(err):
		c.problem("untrusted", "no trusted authority stands behind %s", name(leaf.RawIssuer))
	default:
		c.problem("untrusted", "%v", err)
	}
}
