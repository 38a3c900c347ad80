package advisory

import (
	"slices"
	"strings"
	"time"

	"staunch/see/scan/elf"
)

// Catalogue is a set of advisories in memory, indexed by what they speak about. It is safe for concurrent reading.
type Catalogue struct {
	date   time.Time
	byID   map[string]*Advisory // upper case ids, aliases and names
	byKey  map[Key][]*Advisory
	loaded map[string]time.Time // ecosystem (canonical) -> date of its data
	all    []*Advisory
}

// Set is one source's worth of advisories with its date and the ecosystems it speaks for completely.
type Set struct {
	Date       time.Time            `json:"date"`
	Ecosystems map[string]time.Time `json:"ecosystems,omitempty"`
	Advisories []Advisory           `json:"advisories"`
}

// NewCatalogue indexes sets. Advisories with the same id are merged: ranges are added up, rules and the worst severity win.
func NewCatalogue(sets ...Set) *Catalogue {
	c := &Catalogue{byID: map[string]*Advisory{}, byKey: map[Key][]*Advisory{}, loaded: map[string]time.Time{}}
	for _, set := range sets {
		if set.Date.After(c.date) {
			c.date = set.Date
		}
		for eco, date := range set.Ecosystems {
			if date.After(c.loaded[eco]) {
				c.loaded[eco] = date
			}
		}
		for i := range set.Advisories {
			c.add(set.Advisories[i])
		}
	}
	c.index()
	return c
}

func (c *Catalogue) add(a Advisory) {
	id := strings.ToUpper(a.ID)
	if known := c.byID[id]; known != nil {
		known.merge(a)
		return
	}
	a.Affects = slices.Clone(a.Affects)
	c.byID[id] = &a
	c.all = append(c.all, &a)
}

func (c *Catalogue) index() {
	for _, a := range c.all {
		for _, other := range slices.Concat(a.Aliases, a.Names) {
			if name := strings.ToUpper(other); c.byID[name] == nil {
				c.byID[name] = a
			}
		}
		for _, aff := range a.Affects {
			key := Key{aff.Ecosystem, aff.Name}
			if list := c.byKey[key]; len(list) == 0 || list[len(list)-1] != a {
				c.byKey[key] = append(list, a)
			}
		}
		if a.Rule != nil {
			key := Key{"", a.Rule.Component}
			if !slices.Contains(c.byKey[key], a) {
				c.byKey[key] = append(c.byKey[key], a)
			}
		}
	}
}

func (a *Advisory) merge(b Advisory) {
	a.Affects = append(a.Affects, b.Affects...)
	a.Aliases = union(a.Aliases, b.Aliases)
	a.Names = union(a.Names, b.Names)
	a.CWE = union(a.CWE, b.CWE)
	a.KnownExploited = a.KnownExploited || b.KnownExploited
	a.EPSS = max(a.EPSS, b.EPSS)
	a.Withdrawn = a.Withdrawn && b.Withdrawn
	if b.Severity.Rank() > a.Severity.Rank() {
		a.Severity = b.Severity
	}
	if a.CVSS == "" {
		a.CVSS = b.CVSS
	}
	if a.Rule == nil {
		a.Rule = b.Rule
	}
	if a.Published.IsZero() || !b.Published.IsZero() && b.Published.Before(a.Published) {
		a.Published = b.Published
	}
	if b.Modified.After(a.Modified) {
		a.Modified = b.Modified
	}
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a[:len(a):len(a)], s)
		}
	}
	return a
}

// Date is the date of the newest data in the catalogue.
func (c *Catalogue) Date() time.Time { return c.date }

// Loaded tells whether the data of an ecosystem or a distribution's release ("debian:12") is here, and of which date.
func (c *Catalogue) Loaded(ecosystem string) (time.Time, bool) {
	date, ok := c.loaded[ecosystem]
	return date, ok
}

// Find returns an advisory by id, alias or name, in any case.
func (c *Catalogue) Find(id string) (*Advisory, bool) {
	a, ok := c.byID[strings.ToUpper(id)]
	return a, ok
}

// For returns the advisories that speak about one thing. The slice must not be changed.
func (c *Catalogue) For(key Key) []*Advisory { return c.byKey[key] }

// All returns every advisory in the order of their sources. The slice must not be changed.
func (c *Catalogue) All() []*Advisory { return c.all }

// Anchors returns every anchor of every rule: what a scan has to ask the objects. They are in the order of their ids, so that the same
// anchors are the same question whatever else is loaded.
func (c *Catalogue) Anchors() []elf.Anchor {
	var list []elf.Anchor
	for _, a := range c.all {
		if a.Rule != nil {
			list = append(list, slices.Concat(a.Rule.Presence, a.Rule.Fix, a.Rule.Flags)...)
		}
	}
	slices.SortStableFunc(list, func(a, b elf.Anchor) int { return strings.Compare(a.ID, b.ID) })
	return list
}
