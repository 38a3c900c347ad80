package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"

	"filippo.io/age"
	"github.com/goccy/go-yaml"
)

// certsFile is how certificates are got: certs.yaml, beside staunch.yaml. Every secret in it is a file that is encrypted (age) to custodians.
type certsFile struct {
	Custodians  map[string]string   `yaml:"custodians"` // name to age recipient
	Authorities []authority         `yaml:"authorities"`
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
		r.NoWildcard = a.Solve.DNS == nil && (a.Solve.Hook == "" || a.Solve.Type != "" && a.Solve.Type != "dns-01")
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

func (c *certsFile) authority(name string) (authority, bool) {
	i := slices.IndexFunc(c.Authorities, func(a authority) bool { return a.Name == name })
	if i < 0 {
		return authority{}, false
	}
	return c.Authorities[i], true
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

// day is the grain of expiry.
const day = 24 * time.Hour
