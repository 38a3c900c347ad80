// Package replace turns keys that may have leaked into two plans: new keys and certificates first, then their rollout and the end of the old ones.
package replace

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/steer/plan"
)

// Options is what both plans are made from, beside the catalogue.
type Options struct {
	Fleet      *fleet.Fleet
	Incident   string
	ID         string   // of the plan: "7.2"
	Advisories []string // what a host has to be clean of before it gets a new key
	Now        time.Time
	By         string
	Expires    time.Time    // zero: three days from now
	Urgency    plan.Urgency // "": tonight
	Points     []cert.Point // every endpoint and address that is known, of whatever key
	Override   *cert.Override
	// Recipients are the age recipients of the hosts, to which keys made elsewhere are sealed.
	Recipients map[string]string
	Routes     []acme.Route // CAs that may issue by ACME, in their order
	// Ordered says of certificates (SHA-256 of their DER) which account of ours ordered them: an order that replaces one is exempt from limits only there.
	Ordered    map[string]acme.Predecessor
	Issuers    []Issuer          // other ways to a certificate, by the issuer's name or for all
	Chains     [][]byte          // certificates of CAs (DER), by which lists of revoked certificates are checked
	Custodians []string          // people who may order, fetch and revoke: never one alone
	Edges      map[string]Edge   // CDNs and balancers by name (fleet.Endpoint.Behind)
	Hooks      map[string]string // unit to validator, where the reader is none of those that are known
	Drill      bool
	Vantage    []string       // hosts of the fleet that look as well when something has to be seen from outside
	Voters     int            // people who may vote; 0: not known
	Silent     []cert.Unseen  // hosts that could not be asked: whether they have a key is not known
	OwnKey     *OwnKey        // revoke by the old key itself, on a host that has it; nil: by an account
	Soak       *time.Duration // how long each ring is watched; nil: what the urgency says
}

// OwnKey is the CA that the old key itself asks for its revocation: for when nobody has the account that ordered its certificates.
type OwnKey struct {
	Directory string
	Roots     string // PEM; "": the host trusts the CA by itself
}

// Issuer is a way to a certificate that is not ACME.
type Issuer struct {
	Name    string // for the plan's text
	By      string // "hand" or "hook"
	Matches string // part of the present certificate's issuer; "": any
}

// Edge is how a CDN or balancer gets certificates.
type Edge struct {
	Driver string // fastly, haproxy, hook: it takes our key; akamai: it makes its own; "": a person does it
	// Recipient is the age recipient of whoever carries keys to the edge: the key is sealed to it, and opened at the moment of staging only.
	Recipient  string
	Enrollment string // akamai: whose change it is
	Owner      string // who does it where no driver is set up
}

// requests tells whether the edge makes the key itself.
func (e Edge) requests() bool { return e.Driver == "akamai" }

// Order is what a step of kind order_certificate carries: the exact request is bound by the key's name, which a host makes once.
type Order struct {
	Key      string    `json:"key"`            // name of the new key
	Old      string    `json:"old_spki"`       // the key whose place it takes
	Host     string    `json:"host,omitempty"` // that makes it
	Edge     string    `json:"edge,omitempty"` // that makes it, instead of a host
	Names    []string  `json:"names"`
	By       string    `json:"by"` // acme, hand, hook
	Issuer   string    `json:"issuer"`
	Account  string    `json:"account,omitempty"`
	From     time.Time `json:"from,omitzero"`     // the budget's slot: not before
	Free     bool      `json:"free,omitempty"`    // counts towards no limit, because it replaces what the same account ordered
	Because  string    `json:"because,omitempty"` // why it counts, or does not
	Replaces []byte    `json:"replaces,omitempty"`
	// Else lists the CAs to go to, in this order, if the first takes no order at all. Once a CA may have certified the key, nobody else is asked.
	Else []acme.Slot `json:"else,omitempty"`
}

// At is what steps that look at, or change, endpoints carry.
type At struct {
	Points       []cert.Point `json:"points,omitempty"`
	Certificates [][]byte     `json:"certificates,omitempty"` // DER, of the old key
	Issuers      [][]byte     `json:"issuers,omitempty"`      // DER, of the CAs that issued them
	Key          string       `json:"key,omitempty"`
	Edge         string       `json:"edge,omitempty"`
	Serials      []string     `json:"serials,omitempty"`
	Old          string       `json:"old_spki,omitempty"`
	From         []string     `json:"from,omitempty"` // hosts that look as well, beside the machine that carries the plan out
	// Override is in force only for what it names, and only with the votes of two custodians, who sign it by signing the plan.
	Override *cert.Override `json:"override,omitempty"`
}

const day = 24 * time.Hour

// draft is a plan being written.
type draft struct {
	plan.Plan
	o     Options
	rings map[string]int
	named map[string]fleet.Host
	err   error
}

func (o Options) draft(title string) (*draft, error) {
	if o.Fleet == nil || o.ID == "" || o.Incident == "" {
		return nil, fault.New(fault.Usage, "a plan needs a fleet, an incident and an id")
	}
	pace, err := plan.PaceOf(o.Urgency)
	if err != nil {
		return nil, err
	}
	if o.Expires.IsZero() {
		o.Expires = o.Now.Add(3 * day)
	}
	if o.Soak != nil {
		pace.Watch(*o.Soak)
	}
	if o.Drill {
		title = "drill: " + title
	}
	d := &draft{o: o, rings: map[string]int{}, Plan: plan.Plan{
		Schema: plan.Schema, ID: o.ID, Incident: o.Incident, Title: title, Advisories: o.Advisories, Made: o.Now, MadeBy: o.By, Expires: o.Expires, Pace: pace, Rings: []plan.Ring{}, Steps: []plan.Step{},
	}}
	for _, u := range o.Silent {
		d.unseen(u.Where, "whether it has one of these keys is not known: %s", u.Why)
	}
	d.named = make(map[string]fleet.Host, len(o.Fleet.Hosts))
	for _, h := range o.Fleet.Hosts {
		d.named[h.Name] = h
	}
	for i, r := range o.Fleet.Rings {
		d.rings[r.Name] = i
		d.Rings = append(d.Rings, plan.Ring{Name: r.Name, Width: r.Width.Of(len(o.Fleet.InRing(r.Name))), Quorum: max(1, r.Quorum)})
	}
	return d, nil
}

// add finishes a step's fields that are the same everywhere.
func (d *draft) add(s plan.Step, with any) string {
	if with != nil {
		b, err := json.Marshal(with)
		if err != nil && d.err == nil {
			d.err = fault.New(fault.Bug, "step %s: %v", s.ID, err)
		}
		s.With = b
	}
	if ring, at := d.RingOf(s.Ring); at >= 0 && s.Changes() {
		s.Votes = max(s.Votes, ring.Quorum)
	}
	s.Votes = max(1, s.Votes)
	s.Tries = max(1, s.Tries)
	s.Repeat = s.Repeat || s.Tries > 1
	if s.DeadlineMS == 0 {
		s.DeadlineMS = (5 * time.Minute).Milliseconds()
	}
	if s.Undo.Kind == "" {
		s.Undo = plan.Undo{Kind: plan.Hold, Says: "nothing is changed back: the step waits for a person"}
	}
	d.Steps = append(d.Steps, s)
	return s.ID
}

// act makes an act as act.New does, without reading it back: what json.Marshal writes of the parameters is their one spelling, and plans of
// 30,000 certificates are made while somebody waits.
func (d *draft) act(kind act.Kind, with act.Params) *act.Act {
	err := with.Validate()
	b, encodeErr := json.Marshal(with)
	if d.err == nil {
		d.err = errors.Join(err, encodeErr)
	}
	return &act.Act{Kind: kind, With: b}
}

func (d *draft) unseen(where, format string, args ...any) {
	d.Unseen = append(d.Unseen, plan.Unseen{Host: where, Why: fmt.Sprintf(format, args...)})
}

func (d *draft) watch(what string, due time.Time) {
	d.Watches = append(d.Watches, plan.Watch{What: what, Since: d.o.Now, Due: due})
}

// clean is what a host has to be before it gets a new key, else the new one leaks as well.
func (d *draft) clean(host string) []plan.Predicate {
	out := []plan.Predicate{{Kind: plan.Reachable, Host: host}}
	for _, a := range d.o.Advisories {
		out = append(out, plan.Predicate{Kind: plan.Clean, Host: host, Advisory: a})
	}
	return out
}

func (d *draft) ringOf(host string) string {
	return d.named[host].Ring
}

// hosts splits a key's holders into those that the fleet reaches, canary first and then public first, and the rest, which is named as unseen.
func (d *draft) hosts(k cert.Key) []string {
	var in []string
	for _, name := range k.Holders() {
		h, known := d.named[name]
		switch {
		case !known:
			d.unseen(name, "holds key %s, but is not in the fleet", short(k.SPKI))
		case h.NotCovered() != "":
			d.unseen(name, "holds key %s: %s", short(k.SPKI), h.NotCovered())
		default:
			in = append(in, name)
		}
	}
	slices.SortStableFunc(in, func(a, b string) int {
		if byRing := d.rings[d.ringOf(a)] - d.rings[d.ringOf(b)]; byRing != 0 {
			return byRing
		}
		return d.rank(a) - d.rank(b)
	})
	return in
}

// rank puts what strangers reach first.
func (d *draft) rank(host string) int {
	for _, s := range d.o.Fleet.ServicesOn(host) {
		if s.Public {
			return 0
		}
	}
	return 1
}

// person is a step for a person, with a second one behind: the first may be asleep.
func (d *draft) person(id, says, asks, owner string, after []string, proves ...plan.Predicate) string {
	t := plan.Task{Owner: owner, Asks: asks, Due: d.o.Now.Add(4 * time.Hour)}
	for _, c := range d.o.Custodians {
		switch {
		case t.Owner == "":
			t.Owner = c
		case c != t.Owner && t.Contact == "":
			t.Contact, t.Deputy = "if "+t.Owner+" does not answer: "+c, c
		}
	}
	if t.Owner == "" {
		t.Owner = "whoever is on duty"
	}
	if t.Contact == "" {
		d.watch("only "+t.Owner+" is named for: "+says+"; name a second person", d.o.Now.Add(time.Hour))
	} else {
		d.Watches = append(d.Watches, plan.Watch{What: "remind: " + says, Contact: t.Contact, Since: d.o.Now, Due: t.Due.Add(-time.Hour)})
	}
	if len(proves) == 0 {
		proves = []plan.Predicate{{Kind: plan.Confirmed}}
	}
	return d.add(plan.Step{ID: id, Kind: plan.Person, Says: says, Targets: []plan.Target{{}}, After: after, Proves: proves, Task: &t, DeadlineMS: day.Milliseconds()}, nil)
}

func short(spki string) string {
	if len(spki) > 12 {
		return spki[:12]
	}
	return spki
}

// word makes a step id of anything.
func word(parts ...string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, strings.Join(parts, "-"))
	if len(id) > 90 {
		id = id[:70] + "-" + sum(id)[:12]
	}
	return id
}

// pointsOf lists the endpoints that must be seen without a key before it may be revoked: those seen serving it, those whose names its
// certificates hold, and those of services on its hosts. One too many costs a look; one too few costs an outage.
func (d *draft) pointsOf(k cert.Key) []cert.Point { return Endpoints(d.o.Fleet, d.o.Points, k) }

// Endpoints is every point that may serve a key, sorted by name.
func Endpoints(f *fleet.Fleet, all []cert.Point, k cert.Key) []cert.Point {
	out := slices.Clone(k.Served)
	names, holders := k.Names(), k.Holders()
	for _, p := range all {
		if slices.Contains(out, p) {
			continue
		}
		asks := p.SNI
		if asks == "" {
			asks = p.Name
		}
		if covers(names, asks) || covers(names, p.Name) || servedFrom(f, p, holders) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b cert.Point) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

// covers tells whether a certificate's names are good for a name: a wildcard stands for one label.
func covers(names []string, name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	_, parent, _ := strings.Cut(name, ".")
	return slices.ContainsFunc(names, func(n string) bool {
		n = strings.ToLower(n)
		return n == name || parent != "" && n == "*."+parent
	})
}

func servedFrom(f *fleet.Fleet, p cert.Point, holders []string) bool {
	for _, e := range f.Endpoints {
		if e.Name != p.Name || e.Service == "" {
			continue
		}
		s, err := f.Service(e.Service)
		if err == nil && slices.ContainsFunc(s.Hosts, func(h string) bool { return slices.Contains(holders, h) }) {
			return true
		}
	}
	return false
}

// World is what the plan's rules are held against.
func World(f *fleet.Fleet, c cert.Catalogue, points []cert.Point, now time.Time) plan.World {
	w := plan.World{Now: now, Rings: map[string]string{}, Services: map[string]plan.KnownService{}, Endpoints: map[string][]string{}}
	for _, h := range f.Hosts {
		w.Rings[h.Name] = h.Ring
	}
	for _, s := range f.Services {
		w.Services[s.Name] = plan.KnownService{Units: s.Units, Hosts: s.Hosts, MaxDown: s.MaxDown.Of(len(s.Hosts))}
	}
	for _, k := range c.Keys {
		for _, p := range Endpoints(f, points, k) {
			w.Endpoints[k.SPKI] = append(w.Endpoints[k.SPKI], p.String())
		}
	}
	return w
}
