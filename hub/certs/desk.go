// Package certs is what certificates ask of the hub's fleet and ledger: every key and who serves it, what was ordered before, and the errands of a run.
package certs

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/incident"
	"staunch/ledger"
	"staunch/mandate"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/mend/cert/setup"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/keys"
	"staunch/see/probe"
	"staunch/see/verdict"
	"staunch/steer/plan"
)

// Desk is where certificates are worked on: the hub's ledger and fleet, and its way to hosts.
type Desk struct{ *hub.Hub }

// shelf keeps certificates' documents in the ledger's store.
type shelf struct{ store ledger.Documents }

const document = "cert"

func (s shelf) Load(ctx context.Context, name string) ([]byte, error) {
	d, err := s.store.Get(ctx, document, name)
	return d.Body, err
}

func (s shelf) Save(ctx context.Context, name string, body []byte) error {
	return s.store.Put(ctx, ledger.Document{Kind: document, ID: name, Body: body}, ledger.Any)
}

// Errands is what certificate plans are carried out from. The votes are counted anew for each revocation.
func (d *Desk) Errands(c *setup.File, sealed *plan.Sealed, list *mandate.Signers, hosts errand.Hosts) *errand.Desk {
	drill := strings.HasPrefix(sealed.Plan().Title, "drill: ")
	e := &errand.Desk{
		Shelf: shelf{d.Store}, Hosts: hosts, Put: d.putPayload, Edge: c.Edge, Open: c.OpenFor, Now: d.Now,
		Lookers: []cert.Looker{errand.Here(d.Machine)}, Vantage: d.vantage, Watch: LastLook(), Again: []time.Duration{10 * time.Second, 30 * time.Second, time.Minute},
		Program: func(issuer string) (string, bool) {
			a, known := c.Authority(issuer)
			return a.Hook, known && a.Hook != "" && a.Drill == drill
		},
		Voters: func(ctx context.Context) ([]string, error) {
			a, err := d.Approval(ctx, sealed, list)
			return a.People, err
		},
		Known: d.knownKey,
	}
	e.CA = func(ctx context.Context, ca, account string) (*acme.Client, error) {
		if a, known := c.Authority(ca); known && a.Drill != drill { // whatever a plan says: a drill and the real thing never meet
			return nil, fault.New(fault.Denied, "%s is for %s", ca, setup.MeantFor(a.Drill))
		}
		client, err := c.Connect(ctx, ca, account)
		if err != nil {
			return nil, err
		}
		return client, d.ourAccount(ctx, client.Account.Key.Public(), ca+"/"+account)
	}
	e.Revoker = func(ctx context.Context, leaf *x509.Certificate) (cert.Revoker, error) {
		return c.Revoker(ctx, drill, leaf)
	}
	e.Points = (&known{d: d, plan: sealed.Plan()}).serving
	e.Addresses = d.addresses
	return e
}

func (d *Desk) putPayload(ctx context.Context, name, sum string, r io.Reader) error {
	where, known := d.Fleet.Host(name)
	if !known {
		return fault.New(fault.NotFound, "%s is not in the fleet", name)
	}
	at, err := d.Open(ctx, where)
	if err != nil {
		return err
	}
	defer at.Close() // what was put is checked by the act that uses it
	store, ok := at.(host.Store)
	if !ok {
		return fault.New(fault.Unsupported, "%s takes no payloads", name)
	}
	return store.Put(ctx, sum, r)
}

// knownKey tells whether a key was ever seen: keys that were listed are remembered.
func (d *Desk) knownKey(ctx context.Context, spki string) (bool, error) {
	_, err := d.Store.Get(ctx, document, "seen/"+spki)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// Remember keeps which keys were ever listed, so that a key of nobody's is told from one of ours.
func (d *Desk) Remember(ctx context.Context, c cert.Catalogue) error {
	for _, k := range c.Keys {
		if known, err := d.knownKey(ctx, k.SPKI); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		if err := (shelf{d.Store}).Save(ctx, "seen/"+k.SPKI, []byte(`{}`)); err != nil {
			return err
		}
	}
	return nil
}

// Points resolves every address of every endpoint. What does not resolve is unseen, never left out.
func Points(ctx context.Context, f *fleet.Fleet) ([]cert.Point, []cert.Unseen) {
	var out []cert.Point
	var unseen []cert.Unseen
	for _, e := range f.Endpoints {
		for _, a := range e.Addresses {
			name, port, err := net.SplitHostPort(a)
			if err != nil {
				name, port = a, "443"
			}
			var ips []netip.Addr
			if ip, err := netip.ParseAddr(name); err == nil {
				ips = []netip.Addr{ip}
			} else {
				look, cancel := context.WithTimeout(ctx, 10*time.Second)
				ips, err = net.DefaultResolver.LookupNetIP(look, "ip", name)
				cancel()
				if err != nil {
					unseen = append(unseen, cert.Unseen{Where: e.Name, Why: err.Error()})
				}
			}
			for _, ip := range ips {
				p := cert.Point{Name: e.Name, Address: net.JoinHostPort(ip.Unmap().String(), port), SNI: e.SNI, StartTLS: e.StartTLS, Domain: e.XMPPDomain}
				if !slices.Contains(out, p) {
					out = append(out, p)
				}
			}
		}
	}
	return out, unseen
}

// Gathered is everything that is known of keys.
type Gathered struct {
	cert.Catalogue
	Points     []cert.Point
	Served     []cert.Served
	recipients map[string]string
}

// Gather asks hosts, endpoints and logs, all at once.
func (d *Desk) Gather(ctx context.Context, c *setup.File, logs []string) (*Gathered, error) {
	g := &Gathered{recipients: map[string]string{}}
	var in cert.Inputs
	g.Points, in.Silent = Points(ctx, d.Fleet)
	var wg sync.WaitGroup
	var mu sync.Mutex
	places := make(chan struct{}, cmp.Or(d.Forks, 20))
	for _, h := range d.Fleet.Hosts {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			found, recipient, err := d.askKeys(ctx, h, c.Paths)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				in.Silent = append(in.Silent, cert.Unseen{Where: h.Name, Why: err.Error()})
				return
			}
			in.Hosts, g.recipients[h.Name] = append(in.Hosts, *found), recipient
		})
	}
	in.Served = SeeAll(ctx, d, g.Points)
	wg.Wait()
	for _, e := range d.Fleet.Endpoints {
		in.Declared = append(in.Declared, cert.Declared{Point: cert.Point{Name: e.Name}, Pins: e.Pins, TLSA: e.TLSA})
	}
	in.Edges = heldAtEdges(d.Fleet, in.Served)
	var err error
	if in.Logged, err = setup.ReadLogs(ctx, logs); err != nil {
		return nil, err
	}
	if in.Affected, err = d.affected(ctx); err != nil {
		return nil, err
	}
	g.Served = in.Served
	if in.Accounts, err = d.accounts(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(in.Hosts, func(a, b keys.Found) int { return strings.Compare(a.Host, b.Host) })
	g.Catalogue = cert.Gather(in)
	return g, nil
}

// SeeAll looks at points side by side.
func SeeAll(ctx context.Context, d *Desk, all []cert.Point) []cert.Served {
	out := make([]cert.Served, len(all))
	places := make(chan struct{}, cmp.Or(d.Forks, 20))
	var wg sync.WaitGroup
	for i, p := range all {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			out[i] = see(ctx, p, d.Machine)
		})
	}
	wg.Wait()
	return out
}

// ourAccount remembers the public half of an account's key, so that it is known where it lies by mistake.
func (d *Desk) ourAccount(ctx context.Context, public any, name string) error {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return fault.New(fault.Corrupt, "the account %s: %v", name, err)
	}
	doc := "account/" + cert.SPKI(&x509.Certificate{RawSubjectPublicKeyInfo: der})
	if _, err := d.Store.Get(ctx, document, doc); !fault.Is(err, fault.NotFound) {
		return err
	}
	return shelf{d.Store}.Save(ctx, doc, []byte(strconv.Quote(name)))
}

// accounts are the public halves of our own ACME accounts' keys, as far as they were made or used here.
func (d *Desk) accounts(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for doc, err := range d.Store.List(ctx, document) {
		if err != nil {
			return nil, err
		}
		if spki, is := strings.CutPrefix(doc.ID, "account/"); is {
			out[spki] = strings.Trim(string(doc.Body), `"`)
		}
	}
	return out, nil
}

// see looks at one point: the chain, and every key that it serves.
func see(ctx context.Context, p cert.Point, from string) cert.Served {
	s := cert.Served{Sighting: cert.Sighting{Point: p, From: from, At: time.Now().UTC()}}
	at, err := netip.ParseAddrPort(p.Address)
	if err != nil {
		s.Unseen = p.Address + " is no address"
		return s
	}
	patience := 15 * time.Second
	if p.StartTLS != "" {
		patience = 90 * time.Second // its greetings may be late
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e := probe.Endpoint{Address: at.Addr(), Port: at.Port(), Name: p.Name, SNI: p.SNI, StartTLS: p.StartTLS, Domain: p.Domain}
	first, chain, err := probe.Serves(ctx, e)
	if err != nil {
		s.Unseen = err.Error()
		return s
	}
	s.Chain = chain
	s.Keys = []string{first}
	chains, err := probe.ServesChains(ctx, e)
	for _, c := range chains {
		if leaf, err := x509.ParseCertificate(c[0]); err == nil && cert.SPKI(leaf) != first {
			s.Keys, s.Others = append(s.Keys, cert.SPKI(leaf)), append(s.Others, c)
		}
	}
	if err == nil {
		s.Nameless, err = probe.ServesNameless(ctx, e)
	}
	if err != nil {
		s.Partly = "it shows key " + first[:12] + "; whether it has others could not be seen: " + err.Error()
	}
	return s
}

// heldAtEdges says which keys lie at which CDN: those that its addresses serve.
func heldAtEdges(f *fleet.Fleet, served []cert.Served) map[string][]string {
	out := map[string][]string{}
	for _, s := range served {
		for _, e := range f.Endpoints {
			if e.Name != s.Point.Name || e.Behind == "" {
				continue
			}
			for _, k := range s.Keys {
				if !slices.Contains(out[k], e.Behind) {
					out[k] = append(out[k], e.Behind)
				}
			}
		}
	}
	return out
}

// askKeys asks one host for its keys and for its age recipient.
func (d *Desk) askKeys(ctx context.Context, h fleet.Host, paths []string) (*keys.Found, string, error) {
	if why := h.NotCovered(); why != "" {
		return nil, "", fault.New(fault.Unsupported, "%s", why)
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.Patience, 2*time.Minute))
	defer cancel()
	at, err := d.Open(ctx, h)
	if err != nil {
		return nil, "", err
	}
	defer at.Close() // a look changes nothing
	raw, err := json.Marshal(keys.Question{Paths: paths})
	if err != nil {
		return nil, "", fault.New(fault.Bug, "%v", err)
	}
	a, err := at.Look(ctx, host.Question{Keys: raw}, nil)
	if err != nil {
		return nil, "", err
	}
	var found keys.Found
	if err := json.Unmarshal(a.Keys, &found); err != nil {
		return nil, "", fault.New(fault.Corrupt, "%s told of its keys what cannot be read: %v", h.Name, err)
	}
	found.Host = h.Name
	return &found, recipientOf(ctx, at, h.Name), nil
}

// recipientOf learns a host's age recipient by previewing the opening of a key that does not exist: the preview tells what keys are sealed to.
// "" where the host does not say.
func recipientOf(ctx context.Context, at host.Host, name string) string {
	a, err := act.New(act.Unseal, &act.UnsealWith{Name: "staunch-recipient", Sealed: "-", SPKI: strings.Repeat("0", 64)})
	if err != nil {
		return ""
	}
	o := act.Order{ID: "look/recipient/" + name, Host: name, Step: "recipient", Act: a}
	got, err := at.Look(ctx, host.Question{Check: &o}, nil)
	if err != nil || got.Check == nil {
		return ""
	}
	var finds struct {
		Recipient string `json:"recipient"`
	}
	if json.Unmarshal(got.Check.Finds, &finds) != nil {
		return ""
	}
	return finds.Recipient
}

// affected lists what open incidents found affected: whatever those units could read may have leaked.
func (d *Desk) affected(ctx context.Context) ([]cert.Affected, error) {
	list, err := d.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	var out []cert.Affected
	for _, s := range list {
		if s.Closed || s.Advisory == nil {
			continue
		}
		for _, h := range exposedIn(s) {
			for _, u := range h.Units {
				out = append(out, cert.Affected{Incident: s.Opened.ID, Advisory: s.Advisory.ID, Host: h.Host, Unit: u})
			}
		}
	}
	return out, nil
}

type exposedHost struct {
	Host  string
	Units []string
}

// exposedIn is every unit that was ever affected in the incident, also where it is clean by now: what leaked has leaked.
func exposedIn(s *incident.Incident) []exposedHost {
	var out []exposedHost
	for _, name := range slices.Sorted(maps.Keys(s.First)) {
		one := exposedHost{Host: name}
		for _, u := range s.First[name].Units {
			if u.State == string(verdict.Affected) || u.State == string(verdict.Stale) {
				one.Units = append(one.Units, u.Unit)
			}
		}
		out = append(out, one)
	}
	return out
}

// Options is what both planners are given.
func (d *Desk) Options(ctx context.Context, c *setup.File, g *Gathered, s *incident.Incident, drill bool) (replace.Options, error) {
	before, err := d.history(ctx)
	if err != nil {
		return replace.Options{}, err
	}
	from, err := c.From(d.Fleet)
	if err != nil {
		return replace.Options{}, err
	}
	o := replace.Options{
		Fleet: d.Fleet, Incident: s.Opened.ID, ID: hub.NextPlanID(s), Now: d.Now(), By: d.Who, Points: g.Points, Recipients: g.recipients, Chains: g.Issuers, Vantage: from,
		Routes: c.Routes(drill, before.past), Ordered: before.ordered, Issuers: c.Issuers(drill), Custodians: c.People(), Edges: c.KnownEdges(), Hooks: c.Validators, Drill: drill,
	}
	for _, u := range g.Unseen {
		if _, host := d.Fleet.Host(cmp.Or(u.Host, u.Where)); host {
			o.Silent = append(o.Silent, u)
		}
	}
	if s.Advisory != nil {
		o.Advisories = []string{s.Advisory.ID}
	}
	return o, nil
}
