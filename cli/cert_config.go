package cli

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/goccy/go-yaml"
)

// certsFile is how certificates are got: certs.yaml, beside staunch.yaml. Every secret in it is a file that is encrypted (age) to custodians.
type certsFile struct {
	Custodians  map[string]string   `yaml:"custodians"` // name to age recipient
	Authorities []authority         `yaml:"authorities"`
	Edges       map[string]edgeForm `yaml:"edges"`
	Validators  map[string]string   `yaml:"validators"` // unit to host-side hook that checks its configuration
	OwnKeys     []string            `yaml:"own_keys"`   // encrypted private keys: revocation by the certificate's own key
	Paths       []string            `yaml:"paths"`      // on every host: files and directories with keys that no configuration names
	Vantage     []string            `yaml:"vantage"`    // selectors of hosts that look at endpoints as well
	Logs        []string            `yaml:"logs"`       // files with certificates that transparency logs hold for our names
	dir         string
	identity    string // file with the age identity of whoever runs this
	mu          sync.Mutex
	listening   map[string]acme.Solver // by kind and address: several orders share one listener
}

type authority struct {
	Name     string    `yaml:"name"`
	ACME     string    `yaml:"acme"` // directory
	Roots    string    `yaml:"roots"`
	Contact  []string  `yaml:"contact"`
	Profile  string    `yaml:"profile"`
	Limits   string    `yaml:"limits"` // letsencrypt, or nothing
	Accounts []string  `yaml:"accounts"`
	Solve    solveForm `yaml:"solve"`
	Hook     string    `yaml:"hook"`
	Hand     bool      `yaml:"hand"`
	Matches  string    `yaml:"matches"` // part of the issuer's name, where only those certificates come from here
	Drill    bool      `yaml:"drill"`   // a test CA: used in drills, and for nothing else
}

type solveForm struct {
	HTTP string   `yaml:"http"` // address that answers http-01, such as ":80"
	TLS  string   `yaml:"tls"`  // address that answers tls-alpn-01, such as ":443"
	DNS  *dnsForm `yaml:"dns"`
	Hook string   `yaml:"hook"`
	Type string   `yaml:"hook_type"` // what the hook proves: dns-01 (default) or http-01
}

type dnsForm struct {
	Server    string   `yaml:"server"`
	Zone      string   `yaml:"zone"`
	Key       string   `yaml:"key"`
	Algorithm string   `yaml:"algorithm"`
	Secret    string   `yaml:"secret"` // encrypted file
	Visible   []string `yaml:"visible"`
}

type edgeForm struct {
	Driver     string `yaml:"driver"` // fastly, akamai, haproxy, hook; none: a person does it
	URL        string `yaml:"url"`
	Token      string `yaml:"token"` // encrypted file
	Current    string `yaml:"current"`
	Courier    string `yaml:"courier"` // age recipient of whoever carries keys there
	Enrollment string `yaml:"enrollment"`
	Socket     string `yaml:"socket"`
	File       string `yaml:"file"`
	Program    string `yaml:"program"`
	Owner      string `yaml:"owner"`
}

// maxCerts bounds the file.
const maxCerts = 1 << 20

// readCerts reads certs.yaml: the one named, or the one beside the inventory. Without one there is only what can be looked at.
func readCerts(env *Env, config, named, identity string) (*certsFile, error) {
	path := named
	if path == "" {
		path = "certs.yaml"
		if config != "" {
			path = filepath.Join(filepath.Dir(config), path)
		}
	}
	c := &certsFile{dir: filepath.Dir(path), identity: identity}
	if c.identity == "" {
		if home := env.Getenv("HOME"); filepath.IsAbs(home) {
			c.identity = filepath.Join(home, ".config", "staunch", "identity")
		}
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		return c, nil
	}
	if err != nil {
		return nil, fault.New(fault.Denied, "the certificates' settings: %v", err)
	}
	if len(b) > maxCerts {
		return nil, fault.New(fault.Full, "%s has %d bytes", path, len(b))
	}
	if err := yaml.UnmarshalWithOptions(b, c, yaml.DisallowUnknownField()); err != nil {
		return nil, fault.New(fault.Usage, "%s: %v", path, err).Hinted("docs/cert.md shows every field")
	}
	if err := c.check(path); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certsFile) check(path string) error {
	seen := map[string]bool{}
	for _, a := range c.Authorities {
		ways := 0
		for _, set := range []bool{a.ACME != "", a.Hook != "", a.Hand} {
			if set {
				ways++
			}
		}
		switch {
		case a.Name == "" || seen[a.Name]:
			return fault.New(fault.Usage, "%s: an authority without a name of its own (%q)", path, a.Name)
		case ways != 1:
			return fault.New(fault.Usage, "%s: %s is reached in exactly one way: acme, hook or hand", path, a.Name)
		case a.Limits != "" && a.Limits != "letsencrypt":
			return fault.New(fault.Usage, "%s: %s: limits are letsencrypt, or not set", path, a.Name)
		}
		seen[a.Name] = true
	}
	for name, e := range c.Edges {
		if !slices.Contains([]string{"", "fastly", "akamai", "haproxy", "hook"}, e.Driver) {
			return fault.New(fault.Usage, "%s: edge %s: driver %q is none of fastly, akamai, haproxy, hook", path, name, e.Driver)
		}
	}
	for name, r := range c.Custodians {
		if _, err := age.ParseX25519Recipient(r); err != nil {
			return fault.New(fault.Usage, "%s: custodian %s: not an age recipient: %v", path, name, err)
		}
	}
	return nil
}

func (c *certsFile) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

// routes are the ACME CAs for the calendar; a drill only meets CAs that are marked for drills, and they are met by nothing else.
func (c *certsFile) routes(drill bool, past map[string][]acme.Past) []acme.Route {
	var out []acme.Route
	for _, a := range c.Authorities {
		if a.ACME == "" || a.Drill != drill {
			continue
		}
		r := acme.Route{CA: a.Name, Accounts: a.Accounts, Past: past[a.Name]}
		if a.Limits == "letsencrypt" {
			r.Limits = acme.LetsEncrypt()
		}
		out = append(out, r)
	}
	return out
}

func (c *certsFile) issuers(drill bool) []replace.Issuer {
	var out []replace.Issuer
	for _, a := range c.Authorities {
		switch {
		case a.Drill != drill:
		case a.Hand:
			out = append(out, replace.Issuer{Name: a.Name, By: "hand", Matches: a.Matches})
		case a.Hook != "":
			out = append(out, replace.Issuer{Name: a.Name, By: "hook", Matches: a.Matches})
		}
	}
	return out
}

func (c *certsFile) people() []string {
	var out []string
	for name := range c.Custodians {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (c *certsFile) edges() map[string]replace.Edge {
	out := map[string]replace.Edge{}
	for name, e := range c.Edges {
		out[name] = replace.Edge{Driver: e.Driver, Recipient: e.Courier, Enrollment: e.Enrollment, Owner: e.Owner}
	}
	return out
}

// secret opens a file that is encrypted to custodians. A secret in plain text is refused.
func (c *certsFile) secret(name string) ([]byte, error) {
	b, err := os.ReadFile(c.path(name))
	if err != nil {
		return nil, fault.New(fault.Denied, "the secret %s: %v", name, err)
	}
	return c.open(b, name)
}

func (c *certsFile) open(b []byte, name string) ([]byte, error) {
	var r io.Reader = bytes.NewReader(b)
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(b), []byte(armor.Header)):
		r = armor.NewReader(bytes.NewReader(bytes.TrimSpace(b)))
	case !bytes.HasPrefix(b, []byte("age-encryption.org/")):
		return nil, fault.New(fault.Denied, "%s is not encrypted", name).Hinted("encrypt it to the custodians: age -a -R custodians.txt -o %s.age %s, and shred the plain file", name, name)
	}
	ids, err := c.identities()
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(r, ids...)
	if err != nil {
		return nil, fault.New(fault.Denied, "%s cannot be opened with %s: %v", name, c.identity, err).Hinted("a custodian opens it: --identity FILE")
	}
	out, err := io.ReadAll(io.LimitReader(plain, maxCerts))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %v", name, err)
	}
	return out, nil
}

func (c *certsFile) identities() ([]age.Identity, error) {
	f, err := os.Open(c.identity)
	if err != nil {
		return nil, fault.New(fault.Denied, "no age identity to open secrets with: %v", err).Hinted("--identity FILE; age-keygen makes one")
	}
	defer f.Close()
	ids, err := age.ParseIdentities(io.LimitReader(f, maxCerts))
	if err != nil {
		return nil, fault.New(fault.Usage, "%s: %v", c.identity, err)
	}
	return ids, nil
}

// signer reads a private key in PEM.
func signer(text []byte, name string) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fault.New(fault.Corrupt, "%s holds no PEM", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if key, err = parseOldKey(block.Bytes); err != nil {
			return nil, fault.New(fault.Corrupt, "%s holds no private key that can be read", name)
		}
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fault.New(fault.Corrupt, "%s holds a key that cannot sign", name)
	}
	return s, nil
}

func parseOldKey(der []byte) (any, error) {
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return x509.ParsePKCS1PrivateKey(der)
}

func (c *certsFile) authority(name string) (authority, bool) {
	i := slices.IndexFunc(c.Authorities, func(a authority) bool { return a.Name == name })
	if i < 0 {
		return authority{}, false
	}
	return c.Authorities[i], true
}

// connect reaches a CA with one of our accounts, and opens what the proofs need.
func (c *certsFile) connect(ctx context.Context, ca, account string) (*acme.Client, error) {
	a, _ := c.authority(ca)
	solvers, err := c.solvers(a.Solve)
	if err != nil {
		return nil, err
	}
	return c.login(ctx, ca, account, solvers)
}

// login reaches a CA with one of our accounts. Without solvers it can do everything but order.
func (c *certsFile) login(ctx context.Context, ca, account string, solvers map[string]acme.Solver) (*acme.Client, error) {
	a, known := c.authority(ca)
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
	client := acme.Client{CA: acme.CA{Name: a.Name, Directory: a.ACME, Contact: a.Contact, Profile: a.Profile}, Account: acme.Account{CA: a.Name, Key: key}, Agent: "staunch", Solvers: solvers}
	if a.Roots != "" {
		if client.CA.Roots, err = c.roots(a.Roots); err != nil {
			return nil, err
		}
	}
	connected, err := acme.Connect(ctx, client)
	if err != nil {
		return nil, err
	}
	_, err = connected.Register(ctx)
	return connected, err
}

func (c *certsFile) roots(name string) (*x509.CertPool, error) {
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

// listener opens an address for proofs once; it lives as long as the program, which ends with its plan.
func (c *certsFile) listener(kind, address string) (l acme.Solver, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.listening[kind+" "+address]; l != nil {
		return l, nil
	}
	if kind == "http-01" {
		l, err = acme.ListenHTTP(address)
	} else {
		l, err = acme.ListenALPN(address)
	}
	if err != nil {
		return nil, err
	}
	if c.listening == nil {
		c.listening = map[string]acme.Solver{}
	}
	c.listening[kind+" "+address] = l
	return l, nil
}

// solvers are the ways to prove that a name is ours.
func (c *certsFile) solvers(s solveForm) (map[string]acme.Solver, error) {
	out := map[string]acme.Solver{}
	if s.HTTP != "" {
		l, err := c.listener("http-01", s.HTTP)
		if err != nil {
			return nil, err
		}
		out["http-01"] = l
	}
	if s.TLS != "" {
		l, err := c.listener("tls-alpn-01", s.TLS)
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

// edge opens a CDN or balancer with its credentials.
func (c *certsFile) edge(_ context.Context, name string) (errand.Edge, error) {
	e, known := c.Edges[name]
	if !known || e.Driver == "" {
		return errand.Edge{}, fault.New(fault.Unsupported, "no driver for %s is set up", name).Hinted("certs.yaml: edges")
	}
	out := errand.Edge{Driver: e.Driver, Enrollment: e.Enrollment, Current: edge.Ref{Driver: e.Driver, ID: e.Current}}
	var token string
	if e.Token != "" {
		b, err := c.secret(e.Token)
		if err != nil {
			return out, err
		}
		token = strings.TrimSpace(string(b))
	}
	switch e.Driver {
	case "fastly":
		out.Keyed = edge.NewFastly(token, e.URL)
	case "haproxy":
		out.Keyed = edge.HAProxy{Socket: e.Socket, File: e.File}
	case "hook":
		h := edge.Hook{Program: e.Program}
		if token != "" {
			h.Env = []string{"STAUNCH_TOKEN=" + token}
		}
		out.Keyed = h
	case "akamai":
		fields := strings.Fields(token)
		if len(fields) != 4 {
			return out, fault.New(fault.Usage, "the token of %s: host, client token, client secret and access token, with spaces between", name)
		}
		out.Requesting = edge.NewAkamai(edge.AkamaiCredentials{Host: fields[0], ClientToken: fields[1], ClientSecret: fields[2], AccessToken: fields[3]}, e.URL)
	}
	return out, nil
}

// openFor opens a key that was sealed for whoever carries keys to edges, and holds it to its hash.
func (c *certsFile) openFor(_ context.Context, sealed, spki string) ([]byte, error) {
	text, err := c.open([]byte(sealed), "the sealed key")
	if err != nil {
		return nil, err
	}
	key, err := signer(text, "the sealed key")
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%v", err)
	}
	if got := cert.SPKI(&x509.Certificate{RawSubjectPublicKeyInfo: der}); got != spki {
		return nil, fault.New(fault.Denied, "another key came out than the one that was meant: %.12s", got)
	}
	return text, nil
}

// revoker finds who can revoke a certificate: the certificate's own key if a custodian keeps it, else the accounts of each CA in turn.
func (c *certsFile) revoker(ctx context.Context, drill bool, leaf *x509.Certificate) (cert.Revoker, error) {
	var ways anyOf
	for _, a := range c.Authorities {
		if a.ACME == "" || a.Drill != drill {
			continue
		}
		for _, account := range a.Accounts {
			client, err := c.login(ctx, a.Name, account, nil)
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

func (c *certsFile) ownKey(name string, leaf *x509.Certificate) (crypto.Signer, error) {
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
	return acme.Accepted{}, fault.From(errors.Join(all...), fault.Denied)
}

// day is the grain of expiry.
const day = 24 * time.Hour
