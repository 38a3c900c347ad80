package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/inventory"
	"staunch/phrase"
	"staunch/see/advisory"
)

// Command is something that somebody wants of an incident. Deciding is pure: it returns what happens, or why nothing does.
type Command interface {
	decide(s *Incident, d *decision) error
}

// decision gathers events while a command is decided.
type decision struct {
	at     time.Time
	by     string
	events []Event
}

func (d *decision) add(e Event) {
	e.At, e.By = d.at, d.by
	d.events = append(d.events, e)
}

// Decide returns the events that a command causes in a state (nil: no incident yet).
func Decide(s *Incident, c Command, at time.Time, by string) ([]Event, error) {
	d := decision{at: at, by: by}
	_, opens := c.(Open)
	switch {
	case s == nil && !opens:
		return nil, fault.New(fault.NotFound, "there is no such incident").Hinted("`staunch incident list`")
	case s != nil && opens:
		return nil, fault.New(fault.Conflict, "incident %s is open already", s.Opened.ID)
	}
	if s != nil && s.Closed {
		switch c.(type) {
		case Reopen, Remark, Note, Told:
		default:
			return nil, fault.New(fault.Conflict, "incident %s was closed at %s", s.Opened.ID, s.ClosedAt.UTC().Format(time.RFC3339)).Hinted("reopen it first: `staunch incident open --again %s`", s.Opened.ID)
		}
	}
	if err := c.decide(s, &d); err != nil {
		return nil, err
	}
	return d.events, nil
}

// Open begins an incident: by an advisory, by hand, or from what somebody heard.
type Open struct {
	ID        string
	Title     string
	Advisory  *advisory.Advisory // nil while there is no id
	Component string             // by hand or heard
	Heard     bool
	Selector  string
	Hosts     []string // that the selector meant
}

func (c Open) decide(_ *Incident, d *decision) error {
	o := Opened{ID: c.ID, Title: c.Title, From: "advisory", Component: c.Component, Selector: c.Selector, Hosts: c.Hosts}
	switch {
	case c.Advisory == nil && c.Title == "":
		return fault.New(fault.Usage, "an incident without an advisory needs words: what is it about?")
	case c.Advisory == nil && c.Heard:
		o.From = "heard"
	case c.Advisory == nil:
		o.From = "hand"
	case c.Title == "":
		o.Title = strings.Join(append([]string{c.Advisory.ID}, c.Advisory.Names...), " ")
	}
	d.add(Event{Kind: WasOpened, Says: fmt.Sprintf("incident %s opened: %s", c.ID, o.Title), Opened: &o})
	var known *Advisory
	if c.Advisory != nil {
		known = Remember(c.Advisory)
		d.add(Event{Kind: WasAmended, Says: sayAdvisory(known), Advisory: known})
	}
	impact := Judge(known)
	d.add(Event{Kind: WasJudged, Says: sayImpact(impact), Impact: &impact})
	for _, e := range Duties(impact, d.at) {
		d.add(Event{Kind: WasEntered, Says: sayEntry(e), Entry: &e})
	}
	return nil
}

// Remember keeps what an advisory says now.
func Remember(a *advisory.Advisory) *Advisory {
	// Marshalling plain data of strings, numbers and times cannot fail.
	b, _ := json.Marshal(struct {
		Affects []advisory.Affected
		Rule    *advisory.Rule
	}{a.Affects, a.Rule})
	sum := sha256.Sum256(b)
	return &Advisory{
		ID: a.ID, Names: a.Names, Severity: a.Severity, CVSS: a.CVSS, CWE: a.CWE, KnownExploited: a.KnownExploited,
		Published: a.Published, Modified: a.Modified, Withdrawn: a.Withdrawn, Digest: hex.EncodeToString(sum[:]),
	}
}

// Amend compares the catalogue's advisory with the one remembered. Nothing happens when it says the same.
type Amend struct{ Advisory *advisory.Advisory }

func (c Amend) decide(s *Incident, d *decision) error {
	now := Remember(c.Advisory)
	if s.Advisory != nil && s.Advisory.ID != now.ID && !slices.Contains(c.Advisory.Aliases, s.Advisory.ID) {
		return fault.New(fault.Conflict, "incident %s is about %s, not %s", s.Opened.ID, s.Advisory.ID, now.ID)
	}
	says := amended(s.Advisory, now)
	if says == "" {
		return nil
	}
	d.add(Event{Kind: WasAmended, Says: says, Advisory: now})
	if s.Impact.By != "" {
		return nil // a person decided; the table does not overrule them
	}
	if impact := Judge(now); impact.Harm != s.Impact.Harm || impact.Follows != s.Impact.Follows {
		d.add(Event{Kind: WasJudged, Says: sayImpact(impact), Impact: &impact})
		d.duties(s, impact)
	}
	return nil
}

func (d *decision) duties(s *Incident, impact Impact) {
	for _, e := range Duties(impact, d.at) {
		if !slices.ContainsFunc(s.Checklist, func(x Entry) bool { return x.ID == e.ID }) {
			d.add(Event{Kind: WasEntered, Says: sayEntry(e), Entry: &e})
		}
	}
}

// amended words what changed between two states of an advisory, or "".
func amended(was, is *Advisory) string {
	if was == nil {
		return sayAdvisory(is)
	}
	var parts []string
	note := func(changed bool, format string, args ...any) {
		if changed {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	note(is.Withdrawn && !was.Withdrawn, "IT WAS WITHDRAWN: stop and decide whether to go on")
	note(!is.Withdrawn && was.Withdrawn, "it is no longer withdrawn")
	note(is.Digest != was.Digest, "what is affected or fixed was corrected: plans made before may reach too little or too much")
	note(is.Severity != was.Severity, "severity %s instead of %s", cmp.Or(string(is.Severity), "unknown"), cmp.Or(string(was.Severity), "unknown"))
	note(is.CVSS != was.CVSS, "CVSS %s instead of %s", cmp.Or(is.CVSS, "none"), cmp.Or(was.CVSS, "none"))
	note(!slices.Equal(is.CWE, was.CWE), "weaknesses %s", strings.Join(is.CWE, ", "))
	note(is.KnownExploited && !was.KnownExploited, "it is known to be exploited now")
	note(is.ID != was.ID, "it is called %s now", is.ID)
	if len(parts) == 0 {
		return ""
	}
	return was.ID + " changed: " + strings.Join(parts, "; ")
}

// Override is a person's judgement of the impact over the table's.
type Override struct {
	Harm    Harm
	Follows Follow // "": what the harm asks for
	Reason  string
}

func (c Override) decide(s *Incident, d *decision) error {
	if c.Harm.rank() < 0 {
		return fault.New(fault.Usage, "%q is no harm", c.Harm).Hinted("denial, integrity, access, memory, execution or unknown")
	}
	if c.Reason == "" {
		return fault.New(fault.Usage, "overriding what the bug can do needs a reason")
	}
	i := Impact{Harm: c.Harm, Follows: cmp.Or(c.Follows, c.Harm.follows()), Because: s.Impact.Because, Local: s.Impact.Local, By: d.by, Reason: c.Reason}
	d.add(Event{Kind: WasJudged, Says: fmt.Sprintf("%s decided: %s; %s must follow (the table said %s): %s", d.by, i.Harm.Says(), i.Follows.Says(), s.Impact.Harm, c.Reason), Impact: &i})
	d.duties(s, i)
	return nil
}

// Look is what a look at the fleet gave.
type Look struct {
	Answer *inventory.Answer
	Units  map[string][]UnitState // by host
}

// perEvent bounds the hosts in one event.
const perEvent = 1000

func (c Look) decide(s *Incident, d *decision) error {
	fresh, gone := c.changes(s)
	first := s.Looks == 0
	if len(fresh) == 0 && len(gone) == 0 && !first && c.Answer.Seen == s.Seen && c.Answer.Known == s.Known && c.Answer.Catalogue.Equal(s.Catalogue) {
		return nil
	}
	says := c.Answer.Says()
	if !first && len(fresh) > 0 {
		says = sayChanges(s, fresh) + "; " + says
	}
	if len(gone) > 0 {
		says += "; no longer in the fleet: " + strings.Join(phrase.Some(gone, 8), ", ")
	}
	l := Looked{Catalogue: c.Answer.Catalogue, Known: c.Answer.Known, Seen: c.Answer.Seen, Gone: gone}
	for chunk := range slices.Chunk(fresh, perEvent) {
		part := l
		part.Hosts, part.More = chunk, chunk[len(chunk)-1].Host != fresh[len(fresh)-1].Host
		d.add(Event{Kind: WasLooked, Says: says, Looked: &part})
	}
	if len(fresh) == 0 {
		d.add(Event{Kind: WasLooked, Says: says, Looked: &l})
	}
	return d.milestones(s)
}

// changes are the hosts whose state is not the one remembered.
func (c Look) changes(s *Incident) (fresh []HostState, gone []string) {
	there := map[string]bool{}
	for _, a := range c.Answer.Hosts {
		there[a.Host] = true
		h := HostState{HostAnswer: a, Units: c.Units[a.Host]}
		if old := s.Hosts[a.Host]; old == nil || !same(old, &h) {
			fresh = append(fresh, h)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Hosts)) {
		if !there[name] {
			gone = append(gone, name)
		}
	}
	return fresh, gone
}

// same compares what matters: that a host was seen again, unchanged, is not worth an event.
func same(a, b *HostState) bool {
	return a.State == b.State && a.Why == b.Why && a.Affected == b.Affected && a.Stale == b.Stale && a.Unknown == b.Unknown &&
		a.Dormant == b.Dormant && a.Facing == b.Facing && a.Ring == b.Ring && slices.Equal(a.Units, b.Units)
}

// milestones looks at the state after the events so far.
func (d *decision) milestones(s *Incident) error {
	after, err := ahead(s, d.events)
	if err != nil {
		return err
	}
	affected, unknown := after.In(inventory.Affected), after.In(inventory.Unknown)
	of := fmt.Sprintf("on the %d of %d known hosts seen", after.Seen, after.Known)
	if len(unknown) > 0 {
		of += fmt.Sprintf(" (unknown: %s)", strings.Join(phrase.Some(names(unknown), 6), ", "))
	}
	began := len(after.First) > 0 && !lostSight(after) // a host that was affected and is unknown now is not clean
	was := last(s, PublicClean, PublicDirty)
	switch facing := after.Facing(); {
	case began && facing == 0 && was != PublicClean && everFacing(after):
		d.add(Event{Kind: WasReached, Milestone: PublicClean, Says: "public part clean: nothing affected is left that strangers can reach, " + of})
	case facing > 0 && was == PublicClean:
		d.add(Event{Kind: WasReached, Milestone: PublicDirty, Says: fmt.Sprintf("%d affected processes face strangers again", facing)})
	}
	if was := last(s, AllClean, ""); began && len(affected) == 0 && (was == "" || len(s.In(inventory.Affected)) > 0 || lostSight(s)) {
		d.add(Event{Kind: WasReached, Milestone: AllClean, Says: "nothing affected is left " + of})
	}
	if was := last(s, AllSeen, ""); len(unknown) == 0 && after.Known > 0 && was == "" {
		d.add(Event{Kind: WasReached, Milestone: AllSeen, Says: fmt.Sprintf("all %d known hosts are seen", after.Known)})
	}
	return nil
}

// lostSight tells whether a host that was affected cannot be judged any more: between an upgrade and its restart nobody owns the library
// that still is in memory.
func lostSight(s *Incident) bool {
	return slices.ContainsFunc(s.In(inventory.Unknown), func(h *HostState) bool {
		_, was := s.First[h.Host]
		return was
	})
}

func everFacing(s *Incident) bool {
	for _, h := range s.First {
		if h.Facing > 0 {
			return true
		}
	}
	return false
}

// last gives the newest of two milestones that was reached.
func last(s *Incident, one, other Milestone) Milestone {
	for i := len(s.Milestones) - 1; i >= 0; i-- {
		if m := s.Milestones[i]; m.Milestone == one || m.Milestone == other {
			return m.Milestone
		}
	}
	return ""
}

// ahead is the state after more events, without touching s: a copy is folded.
func ahead(s *Incident, events []Event) (*Incident, error) {
	c := *s
	c.Hosts, c.First, c.CleanSince, c.Renamed = maps.Clone(s.Hosts), maps.Clone(s.First), maps.Clone(s.CleanSince), maps.Clone(s.Renamed)
	c.told, c.untold = maps.Clone(s.told), maps.Clone(s.untold)
	c.reminded, c.Checklist, c.Plans = maps.Clone(s.reminded), slices.Clone(s.Checklist), slices.Clone(s.Plans)
	next := &c
	for _, e := range events {
		var err error
		if next, err = Fold(next, e); err != nil {
			return nil, err
		}
	}
	return next, nil
}
