// Package setup is how a team gets certificates, as certs.yaml says it: its CAs, custodians, edges and logs, and the way to each.
package setup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/reach/fleet"

	"filippo.io/age"
	"github.com/goccy/go-yaml"
)

// File is how certificates are got: certs.yaml, beside staunch.yaml. Every secret in it is a file that is encrypted (age) to custodians.
type File struct {
	Custodians  map[string]string   `yaml:"custodians"` // name to age recipient
	Authorities []Authority         `yaml:"authorities"`
	Edges       map[string]edgeForm `yaml:"edges"`
	Validators  map[string]string   `yaml:"validators"` // unit to host-side hook that checks its configuration
	OwnKeys     []string            `yaml:"own_keys"`   // encrypted private keys: revocation by the certificate's own key
	Trust       []string            `yaml:"trust"`      // PEM roots that our clients trust beside the system's
	Paths       []string            `yaml:"paths"`      // on every host: files and directories with keys that no configuration names
	Vantage     []string            `yaml:"vantage"`    // selectors of hosts that look at endpoints as well
	Logs        []string            `yaml:"logs"`       // files with certificates that transparency logs hold for our names
	dir         string
	identity    string // file with the age identity of whoever runs this
	kept        opened
}

// Authority is one CA, reached in exactly one way: by ACME, by a hook, or by hand.
type Authority struct {
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

// Read reads certs.yaml: the one named, or the one beside the inventory. Without one there is only what can be looked at. Secrets are opened
// with the age identity in a file, which without a name lies below home.
func Read(home, config, named, identity string) (*File, error) {
	path := named
	if path == "" {
		path = "certs.yaml"
		if config != "" {
			path = filepath.Join(filepath.Dir(config), path)
		}
	}
	c := &File{dir: filepath.Dir(path), identity: identity}
	if c.identity == "" && filepath.IsAbs(home) {
		c.identity = filepath.Join(home, ".config", "staunch", "identity")
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

func (c *File) check(path string) error {
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

func (c *File) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

// Routes are the ACME CAs for the calendar; a drill only meets CAs that are marked for drills, and they are met by nothing else.
func (c *File) Routes(drill bool, past map[string][]acme.Past) []acme.Route {
	var out []acme.Route
	for _, a := range c.Authorities {
		if a.ACME == "" || a.Drill != drill {
			continue
		}
		r := acme.Route{CA: a.Name, Accounts: a.Accounts, Past: past[a.Name]}
		r.NoWildcard = a.Solve.DNS == nil && (a.Solve.Hook == "" || a.Solve.Type != "" && a.Solve.Type != "dns-01")
		if a.Limits == "letsencrypt" {
			r.Limits = acme.LetsEncrypt()
		}
		out = append(out, r)
	}
	return out
}

// Issuers are the CAs without ACME; a drill only meets those that are marked for drills.
func (c *File) Issuers(drill bool) []replace.Issuer {
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

// People are the custodians by name, sorted.
func (c *File) People() []string {
	var out []string
	for name := range c.Custodians {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// KnownEdges are the CDNs and balancers by name, as far as a planner has to know them: no credentials.
func (c *File) KnownEdges() map[string]replace.Edge {
	out := map[string]replace.Edge{}
	for name, e := range c.Edges {
		out[name] = replace.Edge{Driver: e.Driver, Recipient: e.Courier, Enrollment: e.Enrollment, Owner: e.Owner}
	}
	return out
}

// Authority is the CA of that name; false where there is none.
func (c *File) Authority(name string) (Authority, bool) {
	i := slices.IndexFunc(c.Authorities, func(a Authority) bool { return a.Name == name })
	if i < 0 {
		return Authority{}, false
	}
	return c.Authorities[i], true
}

// Edge opens a CDN or balancer with its credentials.
func (c *File) Edge(_ context.Context, name string) (errand.Edge, error) {
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

// Who can reach the account at the CA that issued a certificate.
func (c *File) Who(issuer string) string {
	people := strings.Join(c.People(), ", ")
	if people == "" {
		people = "nobody is named as a custodian"
	}
	var ways []string
	for _, a := range c.Authorities {
		if a.Matches == "" || strings.Contains(strings.ToLower(issuer), strings.ToLower(a.Matches)) {
			ways = append(ways, a.Name)
		}
	}
	if len(ways) == 0 {
		return "no authority is set up for it; custodians: " + people
	}
	return strings.Join(ways, ", ") + " (" + people + ")"
}

// From lists the hosts that look as well, each once.
func (c *File) From(f *fleet.Fleet) ([]string, error) {
	var out []string
	for _, text := range c.Vantage {
		hosts, err := f.Select(text, nil)
		if err != nil {
			return nil, fault.From(err, fault.Usage).Hinted("certs.yaml: vantage")
		}
		for _, h := range hosts {
			if h.NotCovered() == "" && !slices.Contains(out, h.Name) {
				out = append(out, h.Name)
			}
		}
	}
	return out, nil
}
