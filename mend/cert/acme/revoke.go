package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/http"
	"time"

	"staunch/fault"
	"staunch/tame"

	"github.com/mholt/acmez/v3/acme"
)

// KeyCompromise is the reason code of RFC 5280 section 5.3.1 that we ever use: the key may have leaked.
const KeyCompromise = 1

// Accepted is what a CA said to a revocation. It is not "revoked": that shows on a CRL.
type Accepted struct {
	CA      string    `json:"ca"`
	Serial  string    `json:"serial"`
	SPKI    string    `json:"spki_sha256"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`                // account, certificate_key
	Already bool      `json:"already,omitempty"` // the CA had it revoked before
}

// Revoke asks for revocation with reason keyCompromise, signed by the account, or by the certificate's own key where one is given
// (RFC 8555 section 7.6). A CA that learns of a compromise this way may revoke every certificate of the key.
//
// Faults: Denied and Full where the CA said no, Unsure where it may have taken the request.
//
// Nothing but the revocation step of a signed plan calls this: see mend/cert.
func (c *Client) Revoke(ctx context.Context, leaf *x509.Certificate, own crypto.Signer) (Accepted, error) {
	a := Accepted{CA: c.CA.Name, Serial: leaf.SerialNumber.Text(16), SPKI: spkiOf(leaf.RawSubjectPublicKeyInfo), By: "account"}
	if own != nil {
		a.By = "certificate_key"
	}
	err := c.raw.RevokeCertificate(ctx, c.account(), leaf, own, KeyCompromise)
	a.At = time.Now().UTC().Truncate(time.Millisecond)
	switch {
	case err == nil:
		return a, nil
	case problemType(err) == alreadyRevoked:
		a.Already = true
		return a, nil
	}
	why := c.failed("revoking "+a.Serial, err)
	if fault.Is(why, fault.Unreachable) { // the connection ended, or the CA has trouble of its own: it may have taken it all the same
		why = fault.New(fault.Unsure, "%v; whether it took the request is not known", why).Hinted("asking again does no more than asking once")
	}
	return Accepted{}, why
}

// Window is when a CA wants a certificate replaced (RFC 9773).
type Window struct {
	Start, End time.Time
	Says       string    // URL with the CA's reason
	Again      time.Time // do not ask before; zero where the CA names no time
}

// Now reports whether the window lies in the past or is open: replace at once.
func (w Window) Now(at time.Time) bool { return !w.Start.IsZero() && !at.Before(w.Start) }

// RenewalInfo asks when the CA wants the certificate replaced. Unsupported means that the CA does not say.
func (c *Client) RenewalInfo(ctx context.Context, leaf *x509.Certificate) (Window, error) {
	dir, err := c.raw.GetDirectory(ctx)
	if err != nil {
		return Window{}, c.failed("reading the directory", err)
	}
	if dir.RenewalInfo == "" {
		return Window{}, fault.New(fault.Unsupported, "%s offers no renewal information", c.CA.Name)
	}
	got, err := c.raw.GetRenewalInfo(ctx, leaf)
	if err != nil {
		return Window{}, c.failed("asking for renewal information", err)
	}
	w := Window{Start: got.SuggestedWindow.Start, End: got.SuggestedWindow.End, Says: tame.Short(got.ExplanationURL, 2000)}
	if got.RetryAfter != nil {
		w.Again = *got.RetryAfter
	}
	return w, nil
}

// CanReach says whether the CA answers at all and takes orders, for a check before a plan starts.
func (c *Client) CanReach(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.CA.Directory, nil)
	if err != nil {
		return fault.New(fault.Usage, "the directory's address %q cannot be used", c.CA.Directory)
	}
	resp, err := c.raw.HTTPClient.Do(req)
	if err != nil {
		return c.failed("reaching the CA", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.failed("reaching the CA", acme.Problem{Status: resp.StatusCode, Detail: resp.Status})
	}
	return nil
}
