package acme

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/tame"

	acmez "github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// Stage is how far an order is.
type Stage string

// The stages of an order, in their sequence.
const (
	Wanted  Stage = ""        // nothing was sent that binds the key
	Open    Stage = "open"    // the CA knows the order; names are being proven
	Proven  Stage = "proven"  // every name is proven
	Sent    Stage = "sent"    // about to hand in the CSR: from here on a certificate for this key may exist
	Issued  Stage = "issued"  // the chain is in Chain
	Invalid Stage = "invalid" // the CA gave the order up; the key was never certified by it
)

// Order is one certificate on its way: plain data that the caller stores after every step, so that a crash never leads to a second
// order for the same key.
type Order struct {
	CA       string    `json:"ca"`
	Account  string    `json:"account"` // its location
	Names    []string  `json:"names"`
	CSR      []byte    `json:"csr"` // DER
	SPKI     string    `json:"spki_sha256"`
	Replaces []byte    `json:"replaces,omitempty"` // DER of the certificate that this one takes the place of
	Stage    Stage     `json:"stage"`
	URL      string    `json:"url,omitempty"`
	Chain    string    `json:"chain,omitempty"` // PEM, leaf first
	NotAfter time.Time `json:"not_after,omitzero"`
	// Replacing tells whether the CA took the order as a replacement (RFC 9773 section 5), which exempts it from rate limits.
	Replacing bool      `json:"replacing,omitempty"`
	Says      string    `json:"says,omitempty"`         // what was noticed on the way
	Opened    time.Time `json:"opened,omitzero"`        // when the CA took it: it counts towards the CA's limits from then on
	Place     string    `json:"account_name,omitempty"` // the account as the caller names it (Route.Accounts)
}

// NewOrder readies an order for a CSR (DER), whose signature it checks.
func NewOrder(csr []byte, replaces *x509.Certificate) (Order, error) {
	req, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return Order{}, fault.New(fault.Corrupt, "not a certificate request: %v", err)
	}
	if err := req.CheckSignature(); err != nil {
		return Order{}, fault.New(fault.Corrupt, "the request is not signed by its own key")
	}
	o := Order{CSR: csr, SPKI: spkiOf(req.RawSubjectPublicKeyInfo)}
	o.Names = append(o.Names, req.DNSNames...)
	for _, ip := range req.IPAddresses {
		o.Names = append(o.Names, ip.String())
	}
	if len(o.Names) == 0 {
		return Order{}, fault.New(fault.Usage, "the request names nothing").Hinted("names stand in its subjectAltName; the common name alone does not count")
	}
	if replaces != nil {
		o.Replaces = replaces.Raw
	}
	return o, nil
}

func spkiOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Advance takes an order one stage on and returns it as it is then. The caller stores the returned order, also beside an error, before
// it calls again: that is what makes a crash harmless. An order that is Issued or Invalid is returned as it is.
func (c *Client) Advance(ctx context.Context, o Order) (Order, error) {
	switch o.Stage {
	case Wanted:
		return c.open(ctx, o)
	case Open:
		return c.prove(ctx, o)
	case Proven:
		o.Stage = Sent // stored first, done next
		return o, nil
	case Sent:
		return c.finish(ctx, o)
	}
	return o, nil
}

// Run advances an order to its end; save stores each state and its failure ends the run before anything else is sent.
func (c *Client) Run(ctx context.Context, o Order, save func(Order) error) (Order, error) {
	for o.Stage != Issued && o.Stage != Invalid {
		next, err := c.Advance(ctx, o)
		if saveErr := save(next); saveErr != nil {
			return next, saveErr
		}
		if err != nil {
			return next, err
		}
		o = next
	}
	if o.Stage == Invalid {
		return o, fault.New(fault.Denied, "%s gave the order up: %s", c.CA.Name, o.Says)
	}
	return o, nil
}

// open sends newOrder, as a replacement where possible. A CA refuses that when the predecessor was already replaced (409), ordered by
// another account (403), or is not known to it: then it is an order like any other.
func (c *Client) open(ctx context.Context, o Order) (Order, error) {
	req, err := x509.ParseCertificateRequest(o.CSR)
	if err != nil {
		return o, fault.New(fault.Corrupt, "the stored request cannot be read: %v", err)
	}
	params, err := acmez.OrderParametersFromCSR(c.account(), req)
	if err != nil {
		return o, fault.New(fault.Usage, "the request cannot be ordered: %v", err)
	}
	want := acme.Order{Identifiers: params.Identifiers, Profile: c.CA.Profile}
	if len(o.Replaces) > 0 {
		want.Replaces = c.replaces(ctx, &o)
	}
	got, err := c.raw.NewOrder(ctx, c.account(), want)
	if err != nil && want.Replaces != "" && refusesReplacing(err) {
		o.Says = "ordered anew, because the CA does not take it as a replacement"
		want.Replaces = ""
		got, err = c.raw.NewOrder(ctx, c.account(), want)
	}
	if err != nil {
		return o, c.failed("ordering", err)
	}
	o.CA, o.Account, o.URL, o.Stage = c.CA.Name, c.Account.Location, got.Location, Open
	c.hand.put(got)
	o.Replacing, o.Opened = want.Replaces != "", time.Now().UTC().Truncate(time.Millisecond)
	return o, nil
}

// replaces is the identifier of the predecessor, where the CA speaks RFC 9773.
func (c *Client) replaces(ctx context.Context, o *Order) string {
	dir, err := c.raw.GetDirectory(ctx)
	if err != nil || dir.RenewalInfo == "" {
		return ""
	}
	old, err := x509.ParseCertificate(o.Replaces)
	if err != nil {
		o.Says = "the predecessor cannot be read, so this is an order like any other"
		return ""
	}
	id, err := acme.ARIUniqueIdentifier(old)
	if err != nil {
		return "" // no authority key identifier: this predecessor cannot be named
	}
	return id
}

// refusesReplacing also counts a CA that fails over the certificate to be replaced: an order of which nobody got the location binds no key.
func refusesReplacing(err error) bool {
	kind, status := problemType(err), problemStatus(err)
	return kind == serverInternal || status == http.StatusNotFound || kind == alreadyReplaced || status == http.StatusConflict || status == http.StatusForbidden || kind == unauthorized || kind == malformed
}

// finish hands the CSR in, unless the CA has it already, and fetches the chain.
func (c *Client) finish(ctx context.Context, o Order) (Order, error) {
	at, held := c.hand.take(o.URL)
	var err error
	if !held {
		if at, err = c.raw.GetOrder(ctx, c.account(), acme.Order{Location: o.URL}); err != nil {
			return o, c.failed("looking at the order", err)
		}
	}
	at.Location = o.URL
	if at.Status == "ready" {
		if at, err = c.raw.FinalizeOrder(ctx, c.account(), at, o.CSR); err != nil {
			return c.refused(ctx, o, err)
		}
		at.Location = o.URL
	}
	if at.Status == "processing" {
		if at, err = c.waitFor(ctx, o); err != nil {
			return o, err
		}
	}
	switch at.Status {
	case "valid":
		return c.fetch(ctx, o, at)
	case "invalid":
		o.Stage = Invalid
		if at.Error != nil {
			o.Says = says(*at.Error)
		}
		return o, nil
	}
	return o, fault.New(fault.Unsure, "the order is %q at %s, neither ready nor done", tame.Short(at.Status, 2000), c.CA.Name)
}

// refused looks whether a refused CSR ended the order; only then may the key be tried elsewhere.
func (c *Client) refused(ctx context.Context, o Order, err error) (Order, error) {
	failure := c.failed("handing in the request", err)
	at, lookErr := c.raw.GetOrder(ctx, c.account(), acme.Order{Location: o.URL})
	if lookErr == nil && at.Status == "invalid" {
		o.Stage, o.Says = Invalid, failure.Error()
		return o, failure
	}
	return o, failure
}

func (c *Client) waitFor(ctx context.Context, o Order) (acme.Order, error) {
	for end := time.Now().Add(c.Patience); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return acme.Order{}, c.failed("waiting for the certificate", ctx.Err())
		case <-time.After(c.Poll):
		}
		at, err := c.raw.GetOrder(ctx, c.account(), acme.Order{Location: o.URL})
		if err != nil {
			return at, c.failed("waiting for the certificate", err)
		}
		if at.Status != "processing" {
			at.Location = o.URL
			return at, nil
		}
	}
	return acme.Order{}, fault.New(fault.Timeout, "%s is still making the certificate", c.CA.Name).Hinted("the order is stored: run again later")
}

// fetch downloads the chain and checks that it certifies our key and our names.
func (c *Client) fetch(ctx context.Context, o Order, at acme.Order) (Order, error) {
	chains, err := c.raw.GetCertificateChain(ctx, c.account(), at.Certificate)
	if err != nil || len(chains) == 0 {
		return o, c.failed("fetching the certificate", err)
	}
	leaf, err := Leaf(chains[0].ChainPEM)
	if err != nil {
		return o, err
	}
	if spkiOf(leaf.RawSubjectPublicKeyInfo) != o.SPKI {
		return o, fault.New(fault.Corrupt, "%s issued a certificate for another key than ours", c.CA.Name)
	}
	if missing := uncovered(leaf, o.Names); len(missing) > 0 {
		return o, fault.New(fault.Corrupt, "the certificate of %s lacks %s", c.CA.Name, strings.Join(missing, ", "))
	}
	o.Chain, o.NotAfter, o.Stage = string(chains[0].ChainPEM), leaf.NotAfter.UTC(), Issued
	return o, nil
}

// uncovered lists the names that a certificate does not hold as asked for (a wildcard counts as itself only).
func uncovered(leaf *x509.Certificate, names []string) []string {
	have := map[string]bool{}
	for _, name := range leaf.DNSNames {
		have[strings.ToLower(name)] = true
	}
	for _, ip := range leaf.IPAddresses {
		have[ip.String()] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return have[strings.ToLower(name)] })
}

// Leaf reads the first certificate of a PEM chain.
func Leaf(chain []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(bytes.TrimSpace(chain))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fault.New(fault.Corrupt, "not a PEM chain of certificates")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "the certificate cannot be read: %v", err)
	}
	return leaf, nil
}
