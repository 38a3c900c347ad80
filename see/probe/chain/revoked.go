package chain

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"staunch/tame"
)

// revocation asks the sources that the certificate names: CRLs first, then OCSP (B7: OCSP is going away).
func revocation(ctx context.Context, leaf, issuer *x509.Certificate, t Trust) Revocation {
	crls, responders := httpOnly(leaf.CRLDistributionPoints), httpOnly(leaf.OCSPServer)
	switch {
	case len(crls)+len(responders) == 0 && len(leaf.CRLDistributionPoints)+len(leaf.OCSPServer) > 0:
		return Revocation{State: "unverifiable", Says: "the certificate names its CRL or responder by no http address; it ends on " + day(leaf.NotAfter)}
	case len(crls)+len(responders) == 0:
		return Revocation{State: "unverifiable", Says: "the certificate names no CRL and no OCSP responder; it ends on " + day(leaf.NotAfter)}
	case t.Fetch == nil:
		return Revocation{State: "unknown", Says: "not looked up"}
	case issuer == nil:
		return Revocation{State: "unknown", Says: "the issuer is not known, so no answer could be checked"}
	}
	var why []string
	var good *Revocation
	ask := func(urls []string, from func(context.Context, string, *x509.Certificate, *x509.Certificate, time.Time) (Revocation, error)) *Revocation {
		for _, url := range urls {
			r, err := from(ctx, url, leaf, issuer, t.Now)
			switch {
			case err != nil:
				why = append(why, err.Error())
			case r.State == "revoked":
				return &r
			case good == nil:
				good = &r
			default:
				good.Says += "; " + r.Says
			}
		}
		return nil
	}
	// Lists are renewed every few hours, responders at once: a good word of the one does not stand against a bad one of the other.
	for _, revoked := range []*Revocation{ask(crls, t.Fetch.fromCRL), ask(responders, t.Fetch.fromOCSP)} {
		if revoked != nil {
			return *revoked
		}
	}
	if good != nil {
		return *good
	}
	return Revocation{State: "unknown", Says: tame.Short(strings.Join(why, "; "), maxText)}
}

func httpOnly(urls []string) []string {
	var kept []string
	for _, u := range urls {
		if (strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://")) && len(kept) < 4 {
			kept = append(kept, u)
		}
	}
	return kept
}

func (f *Fetcher) fromCRL(ctx context.Context, url string, leaf, issuer *x509.Certificate, now time.Time) (Revocation, error) {
	list, err := f.crl(ctx, url)
	if err != nil {
		return Revocation{}, err
	}
	if err := checkCRL(list, url, issuer, now); err != nil {
		return Revocation{}, fmt.Errorf("the CRL at %s %v", tame.Short(url, maxText), err)
	}
	r := Revocation{State: "good", Source: "crl", Says: "not on its CRL", Updated: &list.ThisUpdate, Next: when(list.NextUpdate)}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(leaf.SerialNumber) != 0 || e.ReasonCode == removeFromCRL {
			continue
		}
		at := e.RevocationTime
		r.State, r.Reason, r.At = "revoked", e.ReasonCode, &at
		r.Says = fmt.Sprintf("on its CRL since %s, reason %d", day(at), e.ReasonCode)
	}
	if r.State == "good" && list.NextUpdate.IsZero() {
		return Revocation{}, fmt.Errorf("the CRL at %s does not have it, and does not say until when it holds", tame.Short(url, maxText))
	}
	return r, nil
}

// removeFromCRL is the reason of an entry that takes a hold back (RFC 5280 section 5.3.1).
const removeFromCRL = 8

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// checkCRL accepts only a list that speaks for this issuer now.
func checkCRL(list *x509.RevocationList, url string, issuer *x509.Certificate, now time.Time) error {
	switch {
	case !bytes.Equal(list.RawIssuer, issuer.RawSubject):
		return fmt.Errorf("is of another issuer")
	case list.CheckSignatureFrom(issuer) != nil:
		return fmt.Errorf("is not signed by the issuer")
	case list.ThisUpdate.After(now.Add(5 * time.Minute)):
		return fmt.Errorf("is from the future")
	case !list.NextUpdate.IsZero() && list.NextUpdate.Before(now):
		return fmt.Errorf("is stale since %s", day(list.NextUpdate))
	}
	for _, e := range list.RevokedCertificateEntries {
		if critical(e.Extensions) {
			return fmt.Errorf("has entries that cannot be understood")
		}
	}
	return checkScope(list, url)
}

// critical tells whether there is an extension that must be understood: a list with one that is not says nothing (RFC 5280 section 5.2).
func critical(list []pkix.Extension, known ...asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(list, func(e pkix.Extension) bool {
		return e.Critical && !slices.ContainsFunc(known, e.Id.Equal)
	})
}

// issuingPoint is the extension that narrows what a CRL speaks for (RFC 5280 section 5.2.5).
type issuingPoint struct {
	Point      asn1.RawValue  `asn1:"optional,tag:0"`
	OnlyUser   bool           `asn1:"optional,tag:1"`
	OnlyCA     bool           `asn1:"optional,tag:2"`
	Reasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	Attributes bool           `asn1:"optional,tag:5"`
}

// checkScope refuses a list that does not speak for all end-entity certificates of this distribution point.
func checkScope(list *x509.RevocationList, url string) error {
	delta, scope := asn1.ObjectIdentifier{2, 5, 29, 27}, asn1.ObjectIdentifier{2, 5, 29, 28}
	for _, e := range list.Extensions {
		if e.Id.Equal(delta) {
			return fmt.Errorf("is a delta")
		}
		if !e.Id.Equal(scope) {
			continue
		}
		var p issuingPoint
		if _, err := asn1.Unmarshal(e.Value, &p); err != nil {
			return fmt.Errorf("has an unreadable scope")
		}
		if p.OnlyCA || p.Attributes || p.Indirect || p.Reasons.BitLength > 0 {
			return fmt.Errorf("does not cover this kind of certificate")
		}
		if len(p.Point.Bytes) > 0 && !slices.Contains(pointNames(p.Point.Bytes), url) {
			return fmt.Errorf("is for another distribution point")
		}
	}
	if critical(list.Extensions, scope) {
		return fmt.Errorf("has an extension that cannot be understood")
	}
	return nil
}

// pointNames reads the URLs of a distribution point (RFC 5280 section 4.2.1.13: a full name out of general names).
func pointNames(point []byte) (urls []string) {
	in, full := cryptobyte.String(point), cryptobyte.String(nil)
	if !in.ReadASN1(&full, casn1.Tag(0).ContextSpecific().Constructed()) {
		return nil
	}
	for !full.Empty() {
		var one cryptobyte.String
		var tag casn1.Tag
		if !full.ReadAnyASN1(&one, &tag) {
			return nil
		}
		if tag == casn1.Tag(6).ContextSpecific() {
			urls = append(urls, string(one))
		}
	}
	return urls
}

func (f *Fetcher) fromOCSP(ctx context.Context, url string, leaf, issuer *x509.Certificate, now time.Time) (Revocation, error) {
	request, err := ocsp.CreateRequest(leaf, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1})
	if err != nil {
		return Revocation{}, fmt.Errorf("no OCSP question could be made: %v", err)
	}
	body, err := f.post(ctx, url, "application/ocsp-request", request)
	if err != nil {
		return Revocation{}, err
	}
	return fromResponse(body, leaf, issuer, now, "ocsp")
}

// fromResponse checks an OCSP response, signature and time included.
func fromResponse(body []byte, leaf, issuer *x509.Certificate, now time.Time, source string) (Revocation, error) {
	a, err := ocsp.ParseResponseForCert(body, leaf, issuer)
	if err != nil {
		return Revocation{}, fmt.Errorf("the OCSP response cannot be used: %v", err)
	}
	if err := mayAnswer(a.Certificate, issuer, now); err != nil {
		return Revocation{}, err
	}
	if a.ThisUpdate.After(now.Add(5*time.Minute)) || !a.NextUpdate.IsZero() && a.NextUpdate.Before(now) || a.NextUpdate.IsZero() && a.ThisUpdate.Before(now.Add(-endless)) {
		return Revocation{}, fmt.Errorf("the OCSP response is not valid now")
	}
	r := Revocation{Source: source, Updated: &a.ThisUpdate, Next: when(a.NextUpdate)}
	switch a.Status {
	case ocsp.Good:
		r.State, r.Says = "good", "the responder says good"
	case ocsp.Revoked:
		r.State, r.Reason, r.At = "revoked", a.RevocationReason, &a.RevokedAt
		r.Says = fmt.Sprintf("the responder says revoked since %s, reason %d", day(a.RevokedAt), a.RevocationReason)
	default:
		return Revocation{}, fmt.Errorf("the responder does not know the certificate")
	}
	return r, nil
}

// endless is how long an OCSP response counts that names no end: it stands for "ask again at once" (RFC 6960 section 2.4), and who replays an old one says it as well.
const endless = 24 * time.Hour

// mayAnswer refuses a response that another certificate of the CA signed than one for responders: x/crypto/ocsp only asks for the CA's signature over it, which
// every leaf has, the one whose key was stolen included (RFC 6960 section 4.2.2.2).
func mayAnswer(by, issuer *x509.Certificate, now time.Time) error {
	switch {
	case by == nil || bytes.Equal(by.Raw, issuer.Raw):
		return nil
	case !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return fmt.Errorf("the OCSP response is signed by %s, which is no responder", tame.Short(by.Subject.String(), maxText))
	case now.Before(by.NotBefore) || now.After(by.NotAfter):
		return fmt.Errorf("the OCSP response is signed by a responder whose certificate is not valid now")
	}
	return nil
}

// staple judges the OCSP response that came with the handshake.
func (c *Certificate) staple(leaf, issuer *x509.Certificate, t Trust) {
	switch {
	case len(t.Staple) == 0 && c.MustStaple:
		c.problem("no_staple", "it demands a stapled OCSP response and none was sent")
	case len(t.Staple) == 0:
		return
	case issuer == nil:
		c.Staple = "present, not checked: the issuer is not known"
		return
	default:
		r, err := fromResponse(t.Staple, leaf, issuer, t.Now, "staple")
		if err != nil {
			c.Staple = "present, not valid: " + tame.Short(err.Error(), maxText)
			return
		}
		c.Staple = r.State
		if r.State == "revoked" || c.Revocation.State == "unknown" {
			c.Revocation = r
		}
	}
}
