package replace

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/phrase"
	"staunch/reach/act"
	"staunch/steer/plan"
)

// NewKeys is the first plan: for each key a new one, made on a host that was proven clean, and a certificate for it. Nothing that serves
// is touched. The budget of the CAs is in it: when which certificate can be ordered, and where.
func NewKeys(keys []cert.Key, o Options) (plan.Plan, error) {
	d, err := o.draft("new keys for " + phrase.Count(len(keys), "key that may have leaked", "keys that may have leaked"))
	if err != nil {
		return plan.Plan{}, err
	}
	wants := d.wanted(keys)
	wants, err = d.budget(wants)
	if err != nil {
		return plan.Plan{}, err
	}
	for _, w := range wants {
		if w.issuer.By == "hand" && len(o.Custodians) < 2 {
			return plan.Plan{}, fault.New(fault.Denied, "%s issues by hand, and %d custodians are named: never one person alone", w.issuer.Name, len(o.Custodians)).Hinted("certs.yaml: custodians; the second is told when the first is late")
		}
	}
	for _, w := range wants {
		d.newKey(w)
	}
	if d.err == nil && len(d.Steps) == 0 {
		d.err = fault.New(fault.NotFound, "none of the %d keys can be replaced from here%s", len(keys), d.because()).Hinted("`staunch cert list` shows what is known of them")
	}
	return d.Plan, d.err
}

func (d *draft) because() string {
	if len(d.Unseen) == 0 {
		return ""
	}
	return ": " + d.Unseen[0].Host + ": " + d.Unseen[0].Why
}

// want is one certificate that is to be ordered.
type want struct {
	key    cert.Key
	name   string   // of the new key
	hosts  []string // the first makes the key, the others get it sealed
	edge   string   // makes the key itself, instead of hosts
	names  []string
	typ    string
	newest cert.Certificate
	issuer Issuer // where it is not ACME
	slot   acme.Slot
	seal   []string
}

// KeyName is how the new key for an old one is called in the key stores of hosts. A plan's id is in it, so that it never meets an older one.
func KeyName(planID, old, edge string) string {
	name := "staunch-" + planID + "-" + short(old)
	if edge != "" {
		name += "-" + word(edge)
	}
	if len(name) > 100 {
		name = name[:80] + sum(name)[:16]
	}
	return name
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// wanted finds out which certificates are needed. What cannot be replaced is named in the plan, never dropped.
func (d *draft) wanted(keys []cert.Key) []want {
	var out []want
	for _, k := range keys {
		if k.Account != "" {
			d.account(k)
			continue
		}
		hosts := d.hosts(k)
		w := want{key: k, name: KeyName(d.o.ID, k.SPKI, ""), hosts: hosts, names: d.namesOf(k), newest: newest(k)}
		var ok bool
		if w.typ, ok = better(k); !ok {
			d.unseen(subject(k), "its key is %s of %d bits; no type that staunch makes is as strong", k.Type, k.Bits)
			continue
		}
		if len(w.names) == 0 {
			d.unseen(subject(k), "no certificate of key %s holds a name, so none can be ordered for it", short(k.SPKI))
			continue
		}
		for _, e := range k.Edges {
			if d.o.Edges[e].requests() {
				w := w
				w.name, w.hosts, w.edge = KeyName(d.o.ID, k.SPKI, e), nil, e
				out = append(out, w)
			}
		}
		if len(hosts) == 0 {
			if len(k.Edges) == 0 || !d.allRequest(k.Edges) {
				d.unseen(subject(k), "no host of the fleet is known to hold key %s, so nobody can make its successor", short(k.SPKI))
			}
			continue
		}
		w.seal = d.sealTo(k, hosts)
		out = append(out, w)
	}
	return out
}

func (d *draft) allRequest(edges []string) bool {
	return !slices.ContainsFunc(edges, func(e string) bool { return !d.o.Edges[e].requests() })
}

func subject(k cert.Key) string {
	if names := k.Names(); len(names) > 0 {
		return names[0]
	}
	return "key " + short(k.SPKI)
}

// namesOf is every name of every certificate of the key that still counts: one new certificate takes the place of all of them.
func (d *draft) namesOf(k cert.Key) []string {
	var names []string
	for _, c := range k.Certificates {
		if c.NotAfter.After(d.o.Now) {
			names = append(names, c.Names...)
		}
	}
	if len(names) == 0 {
		names = k.Names()
	}
	for i, n := range names {
		names[i] = strings.ToLower(n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func newest(k cert.Key) cert.Certificate {
	var last cert.Certificate
	for _, c := range k.Certificates {
		if c.NotAfter.After(last.NotAfter) {
			last = c
		}
	}
	return last
}

// better is the type for a new key: the old one's, or a stronger one where the old is too weak to be made again.
func better(k cert.Key) (string, bool) {
	switch k.Type {
	case "rsa":
		switch {
		case k.Bits <= 2048:
			return "rsa-2048", true
		case k.Bits <= 3072:
			return "rsa-3072", true
		case k.Bits <= 4096:
			return "rsa-4096", true
		case k.Bits <= 7680: // NIST SP 800-57 part 1, table 2: 192 bits of strength
			return "ecdsa-p384", true
		}
		return "", false
	case "ecdsa":
		switch {
		case k.Bits <= 256:
			return "ecdsa-p256", true
		case k.Bits <= 384:
			return "ecdsa-p384", true
		}
		return "", false
	case "ed25519":
		return "ed25519", true
	}
	return "ecdsa-p256", true // at least as strong as DSA and RSA of 3072 bits, which is what was ever issued without being told
}

// sealTo lists the age recipients of everybody else who needs the key. A host without one stays on the old key, and the gate will hold because of it.
func (d *draft) sealTo(k cert.Key, hosts []string) []string {
	var to []string
	for _, h := range hosts[1:] {
		if r := d.o.Recipients[h]; r != "" {
			to = append(to, r)
			continue
		}
		d.unseen(h, "its age recipient is not known, so the successor of key %s cannot be sealed for it: it would go on with the old one", short(k.SPKI))
	}
	for _, e := range k.Edges {
		if edge := d.o.Edges[e]; edge.Driver != "" && !edge.requests() && edge.Recipient != "" {
			to = append(to, edge.Recipient)
		}
	}
	slices.Sort(to)
	return slices.Compact(to)
}

// budget gives every order its place in the CAs' calendars, and the plan the words for it.
// A certificate that no CA can issue is named, and the others go on.
func (d *draft) budget(wants []want) ([]want, error) {
	wants = slices.DeleteFunc(wants, func(w want) bool {
		if _, other := d.elsewhere(w.newest.Issuer); other {
			return false
		}
		err := acme.Impossible(w.names, d.o.Routes)
		if err != nil {
			d.unseen(subject(w.key), "%v; %s", err, fault.HintOf(err))
		}
		return err != nil
	})
	var by []acme.Want
	var at []int
	for i := range wants {
		if is, ok := d.elsewhere(wants[i].newest.Issuer); ok {
			wants[i].issuer = is
			continue
		}
		by, at = append(by, acme.Want{Names: wants[i].names, Replaces: d.predecessor(wants[i].newest)}), append(at, i)
	}
	slots, err := acme.Calendar(d.o.Now, by, d.o.Routes)
	if err != nil {
		return nil, err
	}
	last := d.o.Now
	for n, slot := range slots {
		wants[at[n]].slot = slot
		if slot.At.After(last) {
			last = slot.At
		}
	}
	if len(slots) > 0 {
		d.Title += fmt.Sprintf("; %s by ACME, the last one can be sent at %s", phrase.Count(len(slots), "order", "orders"), last.UTC().Format("2006-01-02 15:04Z"))
	}
	if last.After(d.Expires.Add(-time.Hour)) {
		d.Expires = last.Add(day)
	}
	return wants, nil
}

// predecessor says what is known of who ordered a certificate. One that was never seen whole cannot be named to a CA.
func (d *draft) predecessor(c cert.Certificate) *acme.Predecessor {
	if len(c.DER) == 0 {
		return nil
	}
	der := sha256.Sum256(c.DER)
	id := hex.EncodeToString(der[:])
	p := d.o.Ordered[id]
	p.ID = id
	return &p
}

// Share is what a plan asks of one account.
type Share struct {
	CA      string    `json:"ca"`
	Account string    `json:"account"`
	Orders  int       `json:"orders"`
	Free    int       `json:"free"`  // that count towards no limit
	Why     []Reason  `json:"why"`   // why they count or do not, most frequent first
	Later   int       `json:"later"` // that wait for a limit
	Last    time.Time `json:"last"`  // when the last one can be sent
}

// Reason is why so many orders count towards limits, or do not.
type Reason struct {
	Orders  int    `json:"orders"`
	Because string `json:"because"`
}

func (s *Share) because(reason string) {
	at := slices.IndexFunc(s.Why, func(r Reason) bool { return r.Because == reason })
	if at < 0 {
		at, s.Why = len(s.Why), append(s.Why, Reason{Because: reason})
	}
	s.Why[at].Orders++
}

// Budget adds up a plan's orders by account, in the plan's order.
func Budget(p *plan.Plan) []Share {
	var out []Share
	for i := range p.Steps {
		var o Order
		if p.Steps[i].Kind != plan.OrderCertificate || json.Unmarshal(p.Steps[i].With, &o) != nil || o.By != "acme" {
			continue
		}
		at := slices.IndexFunc(out, func(s Share) bool { return s.CA == o.Issuer && s.Account == o.Account })
		if at < 0 {
			at, out = len(out), append(out, Share{CA: o.Issuer, Account: o.Account, Last: p.Made})
		}
		s := &out[at]
		s.Orders++
		if o.Free {
			s.Free++
		}
		s.because(o.Because)
		if o.From.After(p.Made) {
			s.Later++
		}
		if o.From.After(s.Last) {
			s.Last = o.From
		}
	}
	for i := range out {
		slices.SortStableFunc(out[i].Why, func(a, b Reason) int { return b.Orders - a.Orders })
	}
	return out
}

// elsewhere finds the issuer that is not ACME: the one that is said to issue such certificates, or any where there is no ACME route.
func (d *draft) elsewhere(issuer string) (Issuer, bool) {
	for _, is := range d.o.Issuers {
		if is.Matches != "" && strings.Contains(strings.ToLower(issuer), strings.ToLower(is.Matches)) {
			return is, true
		}
	}
	if len(d.o.Routes) > 0 {
		return Issuer{}, false
	}
	for _, is := range d.o.Issuers {
		if is.Matches == "" {
			return is, true
		}
	}
	return Issuer{}, false
}

func (d *draft) newKey(w want) {
	d.Keys = append(d.Keys, d.keyOf(w.key))
	var after []string
	order := Order{Key: w.name, Old: w.key.SPKI, Edge: w.edge, Names: w.names, By: "acme", Issuer: w.slot.CA, Account: w.slot.Account, Free: w.slot.Free, Because: w.slot.Because, Replaces: w.newest.DER}
	deadline := 15 * time.Minute
	if w.slot.At.After(d.o.Now) {
		order.From = w.slot.At.UTC()
		deadline += w.slot.At.Sub(d.o.Now) // the step waits for its slot
	}
	order.Else = d.others(w)
	if w.edge == "" {
		lead := w.hosts[0]
		order.Host = lead
		after = []string{d.makeKey(w, lead)}
	}
	if w.issuer.By != "" {
		order.By, order.Issuer, order.From, order.Else, order.Because = w.issuer.By, w.issuer.Name, time.Time{}, nil, ""
	}
	if order.By == "hand" {
		after = []string{d.person(word("fetch", w.name), "have "+order.Issuer+" certify the new key "+w.name,
			fmt.Sprintf("`staunch cert csr %s` prints the request; have %s sign it; `staunch cert import %s FILE` brings the chain back", w.name, order.Issuer, w.name), "", after, plan.Predicate{Kind: plan.Issued, Name: w.name})}
	}
	d.add(plan.Step{
		ID: word("order", w.name), Kind: plan.OrderCertificate, Says: d.ordering(w, order), Targets: []plan.Target{{SPKI: w.key.SPKI}}, After: after,
		Proves: []plan.Predicate{{Kind: plan.Issued, Name: w.name}}, Repeat: true, Tries: 3, DeadlineMS: deadline.Milliseconds(),
		Undo: plan.Undo{Kind: plan.NoUndo, Says: "a certificate that was issued stays issued; unused it does no harm"},
	}, order)
}

// others lists where to go when the slot's account is refused: other accounts of the same CA, then the other CAs in their order.
func (d *draft) others(w want) []acme.Slot {
	const most = 6
	slot, wildcard := w.slot, slices.ContainsFunc(w.names, func(n string) bool { return strings.HasPrefix(n, "*.") })
	var same, rest []acme.Slot
	for _, r := range d.o.Routes {
		if wildcard && r.NoWildcard {
			continue
		}
		for _, a := range r.Accounts {
			other := acme.Slot{CA: r.CA, Account: a, At: slot.At}
			switch {
			case r.CA == slot.CA && a == slot.Account:
			case r.CA == slot.CA:
				same = append(same, other)
			default:
				rest = append(rest, other)
			}
		}
	}
	all := append(same, rest...)
	return all[:min(most, len(all))]
}

func (d *draft) ordering(w want, o Order) string {
	says := fmt.Sprintf("order a certificate for %s from %s", listed(w.names), cmp.Or(o.Issuer, o.By))
	switch {
	case o.By == "hand":
		says = "check the certificate that came from " + o.Issuer
	case w.edge != "":
		says += ", for the key that " + w.edge + " makes itself"
	}
	if !o.From.IsZero() {
		says += ", not before " + o.From.Format("2006-01-02 15:04Z") + " (rate limits)"
	}
	return says
}

func listed(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more names", strings.Join(names[:3], ", "), len(names)-3)
}

func (d *draft) makeKey(w want, lead string) string {
	with := &act.MakeKeyWith{Name: w.name, Type: w.typ, Names: w.names, Recipients: w.seal}
	if len(w.names[0]) <= 64 {
		with.CommonName = w.names[0]
	}
	return d.add(plan.Step{
		ID: word("key", w.name), Kind: plan.MakeKey, Says: fmt.Sprintf("make a new %s key on %s for %s; it leaves the host only sealed for %s", w.typ, lead, listed(w.names), phrase.Count(len(w.seal), "other", "others")),
		Ring: d.ringOf(lead), Targets: []plan.Target{{Host: lead}}, Act: d.act(act.MakeKey, with), Needs: d.clean(""), Proves: []plan.Predicate{{Kind: plan.KeyExists, Name: w.name}}, Repeat: true, Tries: 2,
		Undo: plan.Undo{Kind: plan.NoUndo, Says: "a key is never thrown away; unused it does no harm"},
	}, nil)
}

func (d *draft) keyOf(k cert.Key) plan.Key {
	key := plan.Key{SPKI: k.SPKI, Endpoints: []string{}, Hosts: k.Holders()}
	for _, p := range d.pointsOf(k) {
		key.Endpoints = append(key.Endpoints, p.String())
	}
	return key
}
