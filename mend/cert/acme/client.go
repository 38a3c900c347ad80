// Package acme gets certificates from ACME CAs and revokes them, one resumable step at a time.
package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/http"
	"time"

	"staunch/fault"

	acmez "github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// CA is one certificate authority as the team set it up.
type CA struct {
	Name      string         `json:"name"`      // how people call it
	Directory string         `json:"directory"` // URL of its ACME directory
	Contact   []string       `json:"contact,omitempty"`
	Profile   string         `json:"profile,omitempty"`
	Limits    Limits         `json:"limits"`
	Roots     *x509.CertPool `json:"-"` // of its HTTPS; nil: the system's
}

// Account is one account at one CA. Its key is a secret: whoever plans keeps it encrypted to custodians.
type Account struct {
	CA       string        `json:"ca"`       // CA.Name
	Location string        `json:"location"` // the account's URL; "" before Register
	Key      crypto.Signer `json:"-"`
}

// Solver proves control over one name in one way: see Standalone, DNSUpdate and Hook.
type Solver = acmez.Solver

// Client talks to one CA with one account. It keeps no state: orders are values that the caller stores.
type Client struct {
	CA      CA
	Account Account
	Solvers map[string]Solver // challenge type to solver: http-01, dns-01, tls-alpn-01
	Agent   string            // User-Agent, so that a CA can tell who asks
	// Poll is how long to wait between looks where the CA names no time; 0: 1 s.
	Poll time.Duration
	// Patience bounds the wait for one validation or one issuance; 0: 2 min.
	Patience time.Duration

	raw      *acme.Client
	hand     *hand
	comeback *comeback
}

// Connect readies the client and checks that the directory is an ACME directory.
func Connect(ctx context.Context, c Client) (*Client, error) {
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.Patience == 0 {
		c.Patience = 2 * time.Minute
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tlsConfig(c.CA.Roots)
	transport.MaxIdleConnsPerHost = 64
	c.hand = &hand{orders: map[string]acme.Order{}}
	c.comeback = &comeback{RoundTripper: transport}
	c.raw = &acme.Client{
		Directory: c.CA.Directory, UserAgent: c.Agent, PollInterval: c.Poll, PollTimeout: c.Patience,
		HTTPClient: &http.Client{Transport: c.comeback, Timeout: time.Minute},
	}
	dir, err := c.raw.GetDirectory(ctx)
	if err != nil {
		return nil, fault.New(fault.Unreachable, "the CA %s does not answer: %v", c.CA.Name, err).Hinted("try the next CA of the order, or look at %s", c.CA.Directory)
	}
	if dir.NewOrder == "" || dir.NewNonce == "" {
		return nil, fault.New(fault.Corrupt, "%s is no ACME directory", c.CA.Directory)
	}
	return &c, nil
}

// Register makes the account at the CA, or finds the one that the key already has (RFC 8555 section 7.3.1).
func (c *Client) Register(ctx context.Context) (Account, error) {
	got, err := c.raw.NewAccount(ctx, acme.Account{Contact: c.CA.Contact, TermsOfServiceAgreed: true, PrivateKey: c.Account.Key})
	if err != nil {
		return Account{}, c.failed("registering the account", err)
	}
	c.Account.Location = got.Location
	return c.Account, nil
}

// Rollover replaces the account's key (RFC 8555 section 7.3.5): needed when the old one lay on an affected host.
// Unsupported means that the CA cannot; then a new account is the way, and the old one is deactivated.
func (c *Client) Rollover(ctx context.Context, key crypto.Signer) (Account, error) {
	got, err := c.raw.AccountKeyRollover(ctx, c.account(), key)
	if err != nil {
		return Account{}, c.failed("changing the account's key", err)
	}
	c.Account.Key, c.Account.Location = key, got.Location
	return c.Account, nil
}

// Retire deactivates the account: nobody can order or revoke with its key any more.
func (c *Client) Retire(ctx context.Context) error {
	account := c.account()
	account.Status = "deactivated"
	if _, err := c.raw.UpdateAccount(ctx, account); err != nil {
		return c.failed("deactivating the account", err)
	}
	return nil
}

func (c *Client) account() acme.Account {
	return acme.Account{Status: "valid", Location: c.Account.Location, PrivateKey: c.Account.Key}
}
