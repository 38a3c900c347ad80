package cert

import (
	"cmp"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"staunch/see/keys"

	"golang.org/x/net/idna"
)

// Catalogue is every key that the team is known to have, by SPKI: the unit of compromise is the key, not the certificate.
type Catalogue struct {
	Keys   []Key    `json:"keys"`   // exposed ones first, then by what ends soonest
	Unseen []Unseen `json:"unseen"` // hosts and points that could not be looked at: the catalogue may lack keys of theirs
	// Issuers are the certificates of CAs that came along in served chains, DER, by subject: what a CRL is checked with.
	Issuers [][]byte `json:"-"`
}

// Key is one key with everything that depends on it.
type Key struct {
	SPKI         string        `json:"spki_sha256"`
	Type         string        `json:"type"`
	Bits         int           `json:"bits,omitempty"`
	Certificates []Certificate `json:"certificates"`
	Files        []FileAt      `json:"files"`
	Served       []Point       `json:"served"`                 // where it is served right now
	Edges        []string      `json:"edges,omitempty"`        // CDNs and balancers that hold it
	Exposed      []Exposure    `json:"exposed,omitempty"`      // open incidents whose affected processes had it in reach
	Pinned       []string      `json:"pinned,omitempty"`       // endpoints whose clients pin it, or whose DNS names it: a new key breaks them
	Account      string        `json:"acme_account,omitempty"` // the ACME client, or CA and file of ours, whose account's key it is
	Readers      []ReaderAt    `json:"readers,omitempty"`      // processes that use the private half: what has to be reloaded
}

// ReaderAt is a process of a host that has a key in reach.
type ReaderAt struct {
	Host string `json:"host"`
	keys.Reader
}

// Certificate is one certificate of a key, wherever it was met.
type Certificate struct {
	Serial   string    `json:"serial"` // lower-case hex
	SHA256   string    `json:"sha256"`
	Subject  string    `json:"subject"`
	Names    []string  `json:"names"`
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"not_after"`
	From     []string  `json:"from"`          // file, served, ct, edge
	DER      []byte    `json:"der,omitempty"` // where it was met whole
}

// FileAt is a file of a host that holds a key or a certificate of it.
type FileAt struct {
	Host string `json:"host"`
	keys.File
	Private bool `json:"private"` // the private half lies there
}

// Exposure is why a key may have leaked.
type Exposure struct {
	Incident string `json:"incident"`
	Advisory string `json:"advisory,omitempty"`
	Host     string `json:"host"`
	Unit     string `json:"unit,omitempty"`
	How      string `json:"how"` // how the affected process could reach it
}

// Unseen is a host or point that nothing is known of.
type Unseen struct {
	Where string `json:"where"`
	Why   string `json:"why"`
	// Host has a key that is encrypted at rest, or a process that could not be looked at: it may have any. "" for everything else.
	Host string `json:"host,omitempty"`
}

// Served is one look at one point with the chain that came with it.
type Served struct {
	Sighting
	Chain    [][]byte   // DER, leaf first
	Others   [][][]byte // the chains of its other keys, where it serves several
	Nameless []string   // keys shown to those who ask for no name: a CDN's own, perhaps, so they only count where they are ours
	Partly   string     // why not every kind of key could be asked for
}

// Declared is what the inventory says of one endpoint.
type Declared struct {
	Point Point
	Pins  []string // SPKI hashes that clients have pinned
	TLSA  []string // "3 1 1 hex"
}

// Logged is a certificate that a transparency log holds for one of our names: some were forgotten by everybody.
type Logged struct {
	DER    []byte
	Source string // the file or URL it came from
}

// Affected is a process that an open incident found affected: whatever it could read may have leaked.
type Affected struct {
	Incident, Advisory, Host, Unit string
	PID                            int
}

// Inputs is everything that Gather puts together.
type Inputs struct {
	Hosts    []keys.Found
	Silent   []Unseen // hosts that gave no answer
	Served   []Served
	Declared []Declared
	Logged   []Logged
	Edges    map[string][]string // SPKI to edges that hold it
	Affected []Affected
	Accounts map[string]string // SPKI of our own ACME accounts' keys to what they are called
}

// Gather builds the catalogue. It is pure: the same inputs give the same catalogue.
func Gather(in Inputs) Catalogue {
	g := gatherer{byKey: map[string]*Key{}, issuers: map[string]bool{}}
	g.unseen = append(g.unseen, in.Silent...)
	for _, host := range in.Hosts {
		g.host(host, in.Affected)
	}
	for _, s := range in.Served {
		g.served(s)
	}
	for _, l := range in.Logged {
		g.certificate(l.DER, "ct")
	}
	for _, d := range in.Declared {
		g.declared(d)
	}
	for spki, name := range in.Accounts {
		if k := g.byKey[spki]; k != nil { // it lies on a host, where it has no business
			k.Account = name
			for _, host := range k.Holders() {
				k.onAffected(host, in.Affected)
			}
		}
	}
	for _, s := range in.Served {
		g.nameless(s)
	}
	for spki, edges := range in.Edges {
		k := g.key(spki)
		k.Edges = append(k.Edges, edges...)
		sort.Strings(k.Edges)
	}
	return g.sorted()
}

type gatherer struct {
	byKey   map[string]*Key
	issuers map[string]bool
	unseen  []Unseen
}

func (g *gatherer) key(spki string) *Key {
	k := g.byKey[spki]
	if k == nil {
		k = &Key{SPKI: spki, Certificates: []Certificate{}, Files: []FileAt{}, Served: []Point{}}
		g.byKey[spki] = k
	}
	return k
}

// host takes in what one host reported. A key that is encrypted at rest has no SPKI to file it under; it stays visible as unseen.
func (g *gatherer) host(found keys.Found, affected []Affected) {
	for _, u := range found.Unseen {
		one := Unseen{Where: found.Host, Why: u.Reason}
		switch {
		case u.Path != "":
			one.Where += ":" + u.Path
		case u.PID != 0:
			one.Where, one.Host = fmt.Sprintf("%s, process %d", found.Host, u.PID), found.Host
		}
		g.unseen = append(g.unseen, one)
	}
	for _, k := range found.Keys {
		if k.SPKI == "" {
			for _, f := range k.Files {
				g.unseen = append(g.unseen, Unseen{Where: found.Host + ":" + f.Path, Host: found.Host, Why: "a private key that is encrypted at rest: which one it is cannot be told without its passphrase"})
			}
			continue
		}
		if g.authority(k) {
			continue
		}
		to := g.key(k.SPKI)
		to.Type, to.Bits = cmp.Or(to.Type, k.Type), cmp.Or(to.Bits, k.Bits)
		for _, f := range k.Files {
			private := k.Private && f.Holds != "certificate" && f.Holds != "public_key"
			to.Files = append(to.Files, FileAt{Host: found.Host, File: f, Private: private})
			if client := keys.AccountOf(f.Path); client != "" && private {
				to.Account = client
				to.onAffected(found.Host, affected)
			}
		}
		for _, c := range k.Certificates {
			to.add(Certificate{Serial: strings.ToLower(c.Serial), SHA256: c.SHA256, Subject: c.Subject, Names: c.Names, Issuer: c.Issuer, NotAfter: c.NotAfter, DER: c.DER}, "file")
		}
		if k.Private {
			for _, r := range k.Readers {
				to.Readers = append(to.Readers, ReaderAt{found.Host, r})
			}
			to.exposed(found.Host, k.Readers, affected)
		}
	}
}

// authority takes in a CA's certificate that lies beside a leaf: it is no key of ours, but lists of revoked certificates are checked with it.
func (g *gatherer) authority(k keys.Key) bool {
	if k.Private || len(k.Certificates) == 0 || slices.ContainsFunc(k.Certificates, func(c keys.Certificate) bool { return !c.CA }) {
		return false
	}
	for _, c := range k.Certificates {
		if c.DER != nil {
			g.issuers[string(c.DER)] = true
		}
	}
	return true
}

// onAffected counts an ACME account's key as exposed wherever it lies on an affected host: no program keeps it open, and root reads every file.
func (k *Key) onAffected(host string, affected []Affected) {
	for _, a := range affected {
		e := Exposure{Incident: a.Incident, Advisory: a.Advisory, Host: host, How: "an ACME account's key on an affected host"}
		if a.Host == host && !slices.Contains(k.Exposed, e) {
			k.Exposed = append(k.Exposed, e)
		}
	}
}

// exposed records which affected processes had the private half in reach.
func (k *Key) exposed(host string, readers []keys.Reader, affected []Affected) {
	for _, a := range affected {
		if a.Host != host {
			continue
		}
		for _, r := range readers {
			if (a.PID != 0 && r.PID == a.PID) || (a.Unit != "" && r.Unit == a.Unit) {
				e := Exposure{Incident: a.Incident, Advisory: a.Advisory, Host: host, Unit: r.Unit, How: cmp.Or(r.Says, r.How)}
				if !slices.Contains(k.Exposed, e) {
					k.Exposed = append(k.Exposed, e)
				}
			}
		}
	}
}

func (g *gatherer) served(s Served) {
	if s.Unseen != "" {
		g.unseen = append(g.unseen, Unseen{Where: s.Point.String(), Why: s.Unseen})
		return
	}
	if s.Partly != "" {
		g.unseen = append(g.unseen, Unseen{Where: s.Point.String(), Why: s.Partly})
	}
	for _, spki := range s.Keys {
		k := g.key(spki)
		if !slices.Contains(k.Served, s.Point) {
			k.Served = append(k.Served, s.Point)
		}
	}
	for _, chain := range append([][][]byte{s.Chain}, s.Others...) {
		if len(chain) == 0 {
			continue
		}
		g.certificate(chain[0], "served")
		for _, der := range chain[1:] {
			g.issuers[string(der)] = true
		}
	}
}

// nameless files a point under keys that are known from elsewhere.
func (g *gatherer) nameless(s Served) {
	for _, spki := range s.Nameless {
		if k := g.byKey[spki]; k != nil && !slices.Contains(k.Served, s.Point) {
			k.Served = append(k.Served, s.Point)
		}
	}
}

func (g *gatherer) certificate(der []byte, from string) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		g.unseen = append(g.unseen, Unseen{Where: from, Why: "a certificate that cannot be read: " + err.Error()})
		return
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	k := g.key(SPKI(c))
	if k.Type == "" {
		k.Type, k.Bits = keys.KindOf(c.PublicKey)
	}
	k.add(Certificate{
		Serial: hex.EncodeToString(c.SerialNumber.Bytes()), SHA256: sha(der), Subject: c.Subject.String(), Names: names, Issuer: c.Issuer.String(), NotAfter: c.NotAfter.UTC(), DER: der,
	}, from)
}

// add files a certificate under its key once, whatever number of places it was met in.
func (k *Key) add(c Certificate, from string) {
	i := slices.IndexFunc(k.Certificates, func(have Certificate) bool { return have.SHA256 == c.SHA256 })
	if i < 0 {
		c.From = []string{from}
		k.Certificates = append(k.Certificates, c)
		return
	}
	have := &k.Certificates[i]
	if !slices.Contains(have.From, from) {
		have.From = append(have.From, from)
	}
	if have.DER == nil {
		have.DER = c.DER
	}
}

// declared notes whose clients break when the key changes.
func (g *gatherer) declared(d Declared) {
	for _, pin := range d.Pins {
		k := g.key(strings.ToLower(pin))
		k.Pinned = append(k.Pinned, d.Point.Name+" (pin)")
	}
	for _, record := range d.TLSA {
		fields := strings.Fields(record)
		// Only "SPKI, SHA-256" (RFC 6698: selector 1, matching type 1) names a key; others name whole certificates.
		if len(fields) == 4 && fields[1] == "1" && fields[2] == "1" {
			k := g.key(strings.ToLower(fields[3]))
			k.Pinned = append(k.Pinned, d.Point.Name+" (TLSA)")
		}
	}
}

// sorted puts exposed keys first, then what ends soonest.
func (g *gatherer) sorted() Catalogue {
	c := Catalogue{Keys: []Key{}, Unseen: g.unseen}
	for _, der := range slices.Sorted(maps.Keys(g.issuers)) {
		c.Issuers = append(c.Issuers, []byte(der))
	}
	for _, k := range g.byKey {
		slices.SortFunc(k.Certificates, func(a, b Certificate) int {
			return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.SHA256, b.SHA256))
		})
		slices.SortFunc(k.Files, func(a, b FileAt) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path)) })
		slices.SortFunc(k.Served, func(a, b Point) int { return cmp.Compare(a.String(), b.String()) })
		c.Keys = append(c.Keys, *k)
	}
	slices.SortFunc(c.Keys, func(a, b Key) int {
		if (len(a.Exposed) > 0) != (len(b.Exposed) > 0) {
			return len(b.Exposed) - len(a.Exposed)
		}
		return cmp.Or(a.Ends().Compare(b.Ends()), cmp.Compare(a.SPKI, b.SPKI))
	})
	if c.Unseen == nil {
		c.Unseen = []Unseen{}
	}
	return c
}

// Ends is when the last certificate of the key ends: until then it is of use to a thief. Zero without any.
func (k Key) Ends() time.Time {
	var last time.Time
	for _, c := range k.Certificates {
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	return last
}

// Names lists every name that a certificate of the key holds, sorted.
func (k Key) Names() []string {
	var names []string
	for _, c := range k.Certificates {
		names = append(names, c.Names...)
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// Holders lists the hosts on which the private half lies, sorted.
func (k Key) Holders() []string {
	var hosts []string
	for _, f := range k.Files {
		if f.Private {
			hosts = append(hosts, f.Host)
		}
	}
	sort.Strings(hosts)
	return slices.Compact(hosts)
}

// Find returns the keys that a person means: by the beginning of an SPKI (at least 6 digits) or by a name in a certificate.
func (c Catalogue) Find(what string) []Key {
	want := strings.ToLower(strings.TrimSuffix(what, "."))
	if ascii, err := idna.Lookup.ToASCII(want); err == nil {
		want = ascii // certificates hold xn-- names
	}
	var out []Key
	for _, k := range c.Keys {
		if len(want) >= 6 && strings.HasPrefix(k.SPKI, want) || slices.ContainsFunc(k.Names(), func(n string) bool { return strings.EqualFold(n, want) }) {
			out = append(out, k)
		}
	}
	return out
}
