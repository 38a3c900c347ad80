package replace

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
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

// Made is what the first plan brought forth for one old key: a new key with its certificate. It holds no secret: Sealed can only be
// opened by those it was sealed to.
type Made struct {
	Old    string `json:"old_spki"`
	Name   string `json:"name"`
	SPKI   string `json:"spki_sha256"`
	Host   string `json:"host,omitempty"` // that has it in its store
	Edge   string `json:"edge,omitempty"` // that made it itself
	Sealed string `json:"sealed,omitempty"`
	CSR    string `json:"csr_pem,omitempty"`
	Chain  string `json:"chain_pem,omitempty"` // leaf first
	CA     string `json:"ca,omitempty"`
	Ref    []byte `json:"edge_ref,omitempty"` // an edge's own name for its change
}

// Payload is the chain's name on hosts.
func (m Made) Payload() string {
	h := sha256.Sum256([]byte(m.Chain))
	return hex.EncodeToString(h[:])
}

// swap is one key's replacement.
type swap struct {
	old    cert.Key
	made   Made
	byEdge map[string]Made
	points []cert.Point
	hosts  []string
	before []string // steps before anything is served: pins, TLSA
	all    []string // everything that the proof waits for
	active []string // edges that are switched over by a step
}

// RollOut is the second plan: the new bundles ring by ring, the edges, the proof from outside, and only then the revocation.
func RollOut(keys []cert.Key, made []Made, o Options) (plan.Plan, error) {
	d, err := o.draft(fmt.Sprintf("roll out %s, prove from outside, then revoke what was before", phrase.Count(len(made), "new key", "new keys")))
	if err != nil {
		return plan.Plan{}, err
	}
	swaps, err := d.swaps(keys, made)
	if err != nil {
		return plan.Plan{}, err
	}
	for _, s := range swaps {
		d.Keys = append(d.Keys, d.keyOf(s.old))
		d.warnClients(s)
		d.unasked(s)
	}
	gates := []string(nil)
	for _, r := range d.Rings {
		gates = d.ring(r.Name, swaps, gates)
	}
	for _, s := range swaps {
		d.edges(s, gates)
		d.end(s, gates)
	}
	if len(d.Steps) > 0 {
		d.unseen("elsewhere", "endpoints are looked at from %s; whoever meets them from another place may meet another address of the same name, which nobody here has seen", strings.Join(append([]string{"the machine that carries the plan out"}, d.o.Vantage...), ", "))
	}
	if d.err == nil && len(d.Steps) == 0 {
		d.err = fault.New(fault.NotFound, "there is nothing to roll out%s", d.because())
	}
	return d.Plan, d.err
}

func (d *draft) swaps(keys []cert.Key, made []Made) ([]*swap, error) {
	byOld := map[string]*swap{}
	var out []*swap
	for _, m := range made {
		leaf, err := acme.Leaf([]byte(m.Chain))
		if err != nil {
			return nil, fault.From(err, fault.Corrupt).Hinted("the certificate for %s is not there yet: finish the first plan", m.Name)
		}
		if got := cert.SPKI(leaf); got != m.SPKI || m.SPKI == m.Old {
			return nil, fault.New(fault.Denied, "the certificate for %s is for key %s, not for the new key %s", m.Name, short(got), short(m.SPKI)).Hinted("the old key must not be certified again")
		}
		s := byOld[m.Old]
		if s == nil {
			i := slices.IndexFunc(keys, func(k cert.Key) bool { return k.SPKI == m.Old })
			if i < 0 {
				return nil, fault.New(fault.NotFound, "the old key %s is not in the catalogue any more", short(m.Old)).Hinted("look again: `staunch cert list`")
			}
			s = &swap{old: keys[i], byEdge: map[string]Made{}, points: d.pointsOf(keys[i]), hosts: d.hosts(keys[i])}
			byOld[m.Old] = s
			out = append(out, s)
		}
		if m.Edge != "" {
			s.byEdge[m.Edge] = m
		} else {
			s.made = m
		}
	}
	return out, nil
}

// unasked names what the certificates hold and no endpoint is asked for: behind such a name the old key may go on being served, unseen.
func (d *draft) unasked(s *swap) {
	var asked, lost []string
	for _, p := range s.points {
		asked = append(asked, strings.ToLower(cmp.Or(p.SNI, p.Name)))
	}
	for _, name := range d.namesOf(s.old) {
		answers := func(a string) bool { return covers([]string{name}, a) }
		if !slices.ContainsFunc(asked, answers) {
			lost = append(lost, name)
		}
	}
	if len(lost) > 0 {
		d.unseen(listed(lost), "the old key is certified for it, but no endpoint of the inventory is asked by that name: add one, or be sure that nobody answers there")
	}
}

// warnClients names whom a new key breaks, before it breaks them.
func (d *draft) warnClients(s *swap) {
	if len(s.old.Pinned) == 0 {
		return
	}
	id := word("pins", s.old.SPKI[:12])
	s.before = append(s.before, d.person(id, fmt.Sprintf("make room for the new key at %s", strings.Join(s.old.Pinned, ", ")),
		fmt.Sprintf("clients or DNS name the old key there. Publish the new one beside it first (pin or \"3 1 1\" hash %s), wait until caches and clients have it; done when both are out. After the rollout remove %s.", s.made.SPKI, s.old.SPKI), "", nil))
}

// ring writes one ring's steps for all keys and returns the steps after which the next ring may begin.
func (d *draft) ring(ring string, swaps []*swap, before []string) []string {
	var placed, gates []string
	var hosts []plan.Target
	for _, s := range swaps {
		for _, h := range s.hosts {
			if d.ringOf(h) != ring {
				continue
			}
			ids := d.onHost(s, h, before)
			s.all = append(s.all, ids...)
			placed = append(placed, ids...)
			if len(ids) > 0 && !slices.ContainsFunc(hosts, func(t plan.Target) bool { return t.Host == h }) {
				hosts = append(hosts, plan.Target{Host: h})
			}
		}
	}
	if len(placed) == 0 {
		return before
	}
	for _, s := range swaps {
		if points := d.servedIn(s, ring); len(points) > 0 {
			gates = append(gates, d.seen(s, word("seen", ring, s.old.SPKI[:12]), ring, points, placed, d.Pace.SoakMS, plan.Predicate{Kind: plan.Serves, SPKI: s.made.SPKI}))
		}
	}
	gates = append(gates, d.add(plan.Step{
		ID: word("watch", ring), Kind: plan.Gate, Says: "the hosts of ring " + ring + " are well with their new keys", Ring: ring, Targets: hosts, After: placed,
		Proves: []plan.Predicate{{Kind: plan.Reachable}}, SoakMS: d.Pace.SoakMS, DeadlineMS: (10 * time.Minute).Milliseconds(),
	}, nil))
	return gates
}

// servedIn lists the points that hosts of this ring answer themselves: their own addresses.
func (d *draft) servedIn(s *swap, ring string) []cert.Point {
	var out []cert.Point
	for _, p := range s.points {
		at, err := netip.ParseAddrPort(p.Address)
		if err != nil {
			continue // a name that does not resolve is waited for at the end
		}
		for _, h := range d.o.Fleet.InRing(ring) {
			if host, err := netip.ParseAddr(h.Address); err == nil && host.Unmap() == at.Addr().Unmap() && slices.Contains(s.hosts, h.Name) && d.behind(p) == "" {
				out = append(out, p)
			}
		}
	}
	return out
}

func (d *draft) behind(p cert.Point) string {
	for _, e := range d.o.Fleet.Endpoints {
		if e.Name == p.Name {
			return e.Behind
		}
	}
	return ""
}

// seen is a gate over points: each is proven on its own, so that one that lags is named.
func (d *draft) seen(s *swap, id, ring string, points []cert.Point, after []string, soak int64, proves ...plan.Predicate) string {
	var targets []plan.Target
	for _, p := range points {
		targets = append(targets, plan.Target{Endpoint: p.String()})
	}
	says, which := "%d addresses are seen from outside %s for %s", "with the new key"
	if len(points) == 1 {
		says = "%d address is seen from outside %s for %s"
	}
	if proves[0].Kind == plan.NotServed {
		which = "without the old key"
	}
	return d.add(plan.Step{
		ID: id, Kind: plan.Gate, Says: fmt.Sprintf(says, len(points), which, subject(s.old)), Ring: ring, Targets: targets, After: after,
		Proves: proves, SoakMS: soak, DeadlineMS: day.Milliseconds(), Public: true,
	}, At{Points: points, Key: s.made.Name, Old: s.old.SPKI, Override: d.o.Override, From: d.o.Vantage})
}

// onHost brings one key to one host: sealed to its store, then the bundle with a check of the configuration, then a reload.
func (d *draft) onHost(s *swap, host string, before []string) []string {
	files, byHand := d.bundle(s, host)
	if len(files)+len(byHand) == 0 {
		return nil
	}
	units, validator := d.readers(s, host)
	ring := d.ringOf(host)
	after := slices.Concat(before, s.before)
	var ids []string
	if host != s.made.Host {
		if d.o.Recipients[host] == "" || s.made.Sealed == "" {
			d.unseen(host, "the new key %s was not sealed for it: it goes on with the old one, and nothing is revoked until it was seen without", s.made.Name)
			return nil
		}
		a := d.act(act.Unseal, &act.UnsealWith{Name: s.made.Name, Sealed: s.made.Sealed, SPKI: s.made.SPKI})
		id := d.add(plan.Step{
			ID: word("unseal", s.made.Name, host), Kind: plan.Act, Says: "open the new key " + s.made.Name + " on " + host, Ring: ring, Targets: []plan.Target{{Host: host}}, After: after,
			Act: a, Needs: d.clean(""), Proves: []plan.Predicate{{Kind: plan.KeyExists, Name: s.made.Name}}, Tries: 2,
			Undo: plan.Undo{Kind: plan.NoUndo, Says: "a key is never thrown away; unused it does no harm"},
		}, nil)
		ids, after = append(ids, id), []string{id}
	}
	for _, f := range byHand {
		d.byHand(s, f, after)
	}
	if len(files) == 0 {
		return ids
	}
	reload, restart := d.howToReload(host, units)
	a := d.act(act.Place, &act.PlaceWith{Files: files, Validator: validator, Reload: reload})
	id := d.add(plan.Step{
		ID: word("place", s.made.Name, host), Kind: plan.Deploy, Says: fmt.Sprintf("place key and certificate for %s on %s%s", subject(s.old), host, reloads(reload)), Ring: ring,
		Targets: []plan.Target{{Host: host}}, After: after, Act: a, Needs: d.clean(""), Proves: []plan.Predicate{{Kind: plan.ObjectOnDisk, Object: s.made.Payload()}}, Tries: 2, Public: d.rank(host) == 0,
		Undo: plan.Undo{Kind: plan.Hold, Says: "a bundle that the program's own check or reload refuses is taken back at once; one that serves badly is put back by hand from the host's journal"},
		Harm: plan.Harm{Says: "connections go on; new ones get the new certificate"},
	}, At{Key: s.made.Name})
	ids = append(ids, id)
	if len(restart) > 0 {
		ids = append(ids, d.restart(s, host, ring, restart, id))
	}
	return ids
}

func reloads(units []string) string {
	if len(units) == 0 {
		return ""
	}
	return ", then reload " + strings.Join(units, ", ")
}

// restart is for programs that read certificates only when they start.
func (d *draft) restart(s *swap, host, ring string, units []string, after string) string {
	a := d.act(act.Restart, &act.UnitsWith{Units: units})
	step := plan.Step{
		ID: word("restart", s.made.Name, host), Kind: plan.Act, Says: "restart " + strings.Join(units, ", ") + " on " + host + ": it reads certificates only when it starts", Ring: ring,
		Targets: []plan.Target{{Host: host, Unit: strings.Join(units, " ")}}, After: []string{after}, Act: a, Needs: []plan.Predicate{{Kind: plan.Reachable}}, Tries: 1,
	}
	for _, u := range units {
		step.Proves = append(step.Proves, plan.Predicate{Kind: plan.Running, Unit: u})
		for _, v := range d.o.Fleet.ServicesOn(host) {
			if !slices.Contains(v.Units, u) || slices.Contains(step.Harm.Down, v.Name) {
				continue
			}
			step.Harm.Down = append(step.Harm.Down, v.Name)
			if d.Service(v.Name) == nil {
				d.Services = append(d.Services, plan.Service{Name: v.Name, Units: v.Units, MaxDown: v.MaxDown.Of(len(v.Hosts)), Hosts: len(v.Hosts), Public: v.Public})
			}
		}
	}
	return d.add(step, nil)
}

// howToReload splits units into those that take a reload and those that the fleet says must be restarted.
func (d *draft) howToReload(host string, units []string) (reload, restart []string) {
	for _, u := range units {
		how := "reload"
		for _, s := range d.o.Fleet.ServicesOn(host) {
			if slices.Contains(s.Units, u) && s.Restart.How == "restart" && !knownToReload(u) {
				how = "restart"
			}
		}
		if cannotReload(u) {
			how = "restart"
		}
		if how == "restart" {
			restart = append(restart, u)
		} else {
			reload = append(reload, u)
		}
	}
	return reload, restart
}

// cannotReload lists servers whose units take no reload, or that read certificates at their start only (Debian's and Red Hat's units).
func cannotReload(unit string) bool {
	return slices.ContainsFunc([]string{"redis", "valkey", "coturn", "slapd", "stunnel@", "tomcat", "mariadb", "mysql", "vsftpd"}, func(name string) bool { return strings.HasPrefix(unit, name) })
}

// knownToReload lists servers that read certificates anew on a reload (their manuals say so).
func knownToReload(unit string) bool {
	for _, name := range []string{"nginx", "apache2", "httpd", "haproxy", "postfix", "dovecot", "caddy", "hitch", "prosody", "postgresql", "stunnel4"} {
		if strings.HasPrefix(unit, name) {
			return true
		}
	}
	return false
}
