package chain

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
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
	case len(crls)+len(responders) == 0:
		return Revocation{State: "unverifiable", Says: "the certificate names no CRL and no OCSP responder; it ends on " + day(leaf.NotAfter)}
	case t.Fetch == nil:
		return Revocation{State: "unknown", Says: "not looked up"}
	case issuer == nil:
		return Revocation{State: "unknown", Says: "the issuer is not known, so no answer could be checked"}
	}
	var why []string
	for _, url := range crls {
		r, err := t.Fetch.fromCRL(ctx, url, leaf, issuer, t.Now)
		if err == nil {
			return r
		}
		why = append(why, err.Error())
	}
	for _, url := range responders {
		r, err := t.Fetch.fromOCSP(ctx, url, leaf, issuer, t.Now)
		if err == nil {
			return r
		}
		why = append(why, err.Error())
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
		if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			at := e.RevocationTime
			r.State, r.Reason, r.At = "revoked", e.ReasonCode, &at
			r.Says = fmt.Sprintf("on its CRL since %s, reason %d", day(at), e.ReasonCode)
		}
	}
	return r, nil
}

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
	return checkScope(list, url)
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
	for _, e := range list.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 27}) {
			return fmt.Errorf("is a delta")
		}
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}) {
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
	if a.ThisUpdate.After(now.Add(5*time.Minute)) || !a.NextUpdate.IsZero() && a.NextUpdate.Before(now) {
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
