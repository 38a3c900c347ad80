package setup

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
)

// opened is what one run of the program opened, once each: clients by CA and account, listeners by address.
type opened struct {
	mu        sync.Mutex
	clients   map[string]*acme.Client
	listeners map[string]acme.Solver
}

// Connect reaches a CA with one of our accounts, and opens what the proofs need; a second call gives the same client.
func (c *File) Connect(ctx context.Context, ca, account string) (*acme.Client, error) {
	return c.once(ctx, ca, account, true)
}

// login is connect without what only orders need.
func (c *File) login(ctx context.Context, ca, account string) (*acme.Client, error) {
	return c.once(ctx, ca, account, false)
}

func (c *File) once(ctx context.Context, ca, account string, orders bool) (*acme.Client, error) {
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	key := fmt.Sprint(ca, "/", account, "/", orders)
	if client := c.kept.clients[key]; client != nil {
		return client, nil
	}
	client, err := c.connectAnew(ctx, ca, account, orders)
	if err != nil {
		return nil, err
	}
	if c.kept.clients == nil {
		c.kept.clients = map[string]*acme.Client{}
	}
	c.kept.clients[key] = client
	return client, nil
}

func (c *File) connectAnew(ctx context.Context, ca, account string, orders bool) (*acme.Client, error) {
	a, known := c.Authority(ca)
	if !known || a.ACME == "" {
		return nil, fault.New(fault.NotFound, "no ACME authority is called %s", ca).Hinted("certs.yaml lists authorities")
	}
	text, err := c.secret(account)
	if err != nil {
		return nil, err
	}
	key, err := signer(text, account)
	if err != nil {
		return nil, err
	}
	client := acme.Client{Account: acme.Account{CA: a.Name, Key: key}, Agent: "staunch"}
	if client.CA, err = c.CA(a); err != nil {
		return nil, err
	}
	if orders {
		if client.Solvers, err = c.solvers(a.Solve); err != nil {
			return nil, err
		}
	}
	connected, err := acme.Connect(ctx, client)
	if err != nil {
		return nil, err
	}
	if _, err := connected.Register(ctx); err != nil {
		return nil, err
	}
	return connected, nil
}

// CA is what the client has to know of an ACME authority.
func (c *File) CA(a Authority) (acme.CA, error) {
	ca := acme.CA{Name: a.Name, Directory: a.ACME, Contact: a.Contact, Profile: a.Profile}
	if a.Roots == "" {
		return ca, nil
	}
	var err error
	ca.Roots, err = c.roots(a.Roots)
	return ca, err
}

func (c *File) roots(name string) (*x509.CertPool, error) {
	b, err := os.ReadFile(c.path(name))
	if err != nil {
		return nil, fault.New(fault.Denied, "the CA's roots: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fault.New(fault.Corrupt, "%s holds no certificate", name)
	}
	return pool, nil
}

// Trusted are the system's roots and those that certs.yaml adds; nil for the system's alone.
func (c *File) Trusted() (*x509.CertPool, error) {
	if len(c.Trust) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without roots trusts those that are named
	}
	for _, name := range c.Trust {
		b, err := os.ReadFile(c.path(name))
		if err != nil {
			return nil, fault.New(fault.Denied, "the roots to trust: %v", err)
		}
		if !pool.AppendCertsFromPEM(b) {
			return nil, fault.New(fault.Corrupt, "%s holds no certificate", name)
		}
	}
	return pool, nil
}

// solvers prove names. Listeners live until close; one address has one listener, whoever asks.
func (c *File) solvers(s solveForm) (map[string]acme.Solver, error) {
	out := map[string]acme.Solver{}
	if s.HTTP != "" {
		l, err := c.listener("http "+s.HTTP, func() (acme.Solver, error) { return acme.ListenHTTP(s.HTTP) })
		if err != nil {
			return nil, err
		}
		out["http-01"] = l
	}
	if s.TLS != "" {
		l, err := c.listener("tls "+s.TLS, func() (acme.Solver, error) { return acme.ListenALPN(s.TLS) })
		if err != nil {
			return nil, err
		}
		out["tls-alpn-01"] = l
	}
	if s.DNS != nil {
		secret, err := c.secret(s.DNS.Secret)
		if err != nil {
			return nil, err
		}
		out["dns-01"] = acme.DNSUpdate{Server: s.DNS.Server, Zone: s.DNS.Zone, Key: s.DNS.Key, Algorithm: s.DNS.Algorithm, Secret: strings.TrimSpace(string(secret)), Visible: s.DNS.Visible}
	}
	if s.Hook != "" {
		kind := "dns-01"
		if s.Type != "" {
			kind = s.Type
		}
		out[kind] = acme.Hook{Program: s.Hook}
	}
	return out, nil
}

// Close ends the listeners.
func (c *File) Close() {
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	for _, l := range c.kept.listeners {
		if l, can := l.(io.Closer); can {
			_ = l.Close() // nobody asks any more
		}
	}
	c.kept.listeners, c.kept.clients = nil, nil
}

// listener is called with c.kept locked.
func (c *File) listener(key string, open func() (acme.Solver, error)) (acme.Solver, error) {
	if l := c.kept.listeners[key]; l != nil {
		return l, nil
	}
	l, err := open()
	if err != nil {
		return nil, err
	}
	if c.kept.listeners == nil {
		c.kept.listeners = map[string]acme.Solver{}
	}
	c.kept.listeners[key] = l
	return l, nil
}

// Revoker finds who can revoke a certificate: the certificate's own key if a custodian keeps it, else the accounts of each CA in turn.
func (c *File) Revoker(ctx context.Context, drill bool, leaf *x509.Certificate) (cert.Revoker, error) {
	var ways anyOf
	for _, a := range c.Authorities {
		if a.ACME == "" || a.Drill != drill {
			continue
		}
		for _, account := range a.Accounts {
			client, err := c.login(ctx, a.Name, account)
			if err != nil {
				ways.failed = append(ways.failed, err)
				continue
			}
			for _, own := range c.OwnKeys {
				if key, err := c.ownKey(own, leaf); err == nil {
					ways.all = append(ways.all, errand.Own{Client: client, Key: key})
				}
			}
			ways.all = append(ways.all, errand.Own{Client: client})
		}
	}
	if len(ways.all) == 0 {
		return nil, errors.Join(append(ways.failed, fault.New(fault.Unsupported, "no account can revoke certificate %s of %s", leaf.SerialNumber.Text(16), leaf.Issuer.String()))...)
	}
	return ways, nil
}

func (c *File) ownKey(name string, leaf *x509.Certificate) (crypto.Signer, error) {
	text, err := c.secret(name)
	if err != nil {
		return nil, err
	}
	key, err := signer(text, name)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil || !bytes.Equal(der, leaf.RawSubjectPublicKeyInfo) {
		return nil, fault.New(fault.NotFound, "%s is another key", name)
	}
	return key, nil
}

// anyOf tries several ways to revoke until one is accepted: a CA that did not issue a certificate refuses, and nothing happens.
type anyOf struct {
	all    []errand.Own
	failed []error
}

// Revoke asks in turn.
func (w anyOf) Revoke(ctx context.Context, leaf *x509.Certificate) (acme.Accepted, error) {
	all := slices.Clone(w.failed)
	for _, one := range w.all {
		a, err := one.Revoke(ctx, leaf)
		if err == nil {
			return a, nil
		}
		all = append(all, err)
	}
	var says []string
	kind := fault.Denied
	for _, err := range all {
		says = append(says, err.Error())
		if k := fault.KindOf(err); kind != fault.Unsure && (k == fault.Unreachable || k == fault.Full || k == fault.Unsure) {
			kind = k // that one of them may have taken it is never forgotten over another's silence
		}
	}
	return acme.Accepted{}, fault.New(kind, "%s", strings.Join(says, "; "))
}

// MeantFor says what a CA is for: drills and the real thing never meet.
func MeantFor(drill bool) string {
	return map[bool]string{true: "drills only", false: "no drill"}[drill]
}

// OwnKeyAt is the CA that an old key itself asks for its revocation; "" for none. A drill and the real thing never meet.
func (c *File) OwnKeyAt(name string, drill bool) (*replace.OwnKey, error) {
	if name == "" {
		return nil, nil
	}
	a, known := c.Authority(name)
	switch {
	case !known || a.ACME == "":
		return nil, fault.New(fault.NotFound, "no ACME authority is called %s", name).Hinted("certs.yaml lists authorities")
	case a.Drill != drill:
		return nil, fault.New(fault.Denied, "%s is for %s", name, MeantFor(a.Drill))
	}
	own := &replace.OwnKey{Directory: a.ACME}
	if a.Roots != "" {
		if _, err := c.roots(a.Roots); err != nil {
			return nil, err
		}
		b, err := os.ReadFile(c.path(a.Roots))
		if err != nil {
			return nil, fault.New(fault.Denied, "the CA's roots: %v", err)
		}
		own.Roots = string(b)
	}
	return own, nil
}
