package incident

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/incident/blast"
	"staunch/inventory"
	"staunch/phrase"
)

// Trace keeps which keys and secrets affected processes could see.
type Trace struct{ Blast blast.Radius }

func (c Trace) decide(s *Incident, d *decision) error {
	if whole := c.Blast.With(s.Blast); s.Blast != nil && reflect.DeepEqual(whole, *s.Blast) {
		return nil
	}
	d.add(Event{Kind: WasTraced, Says: c.Blast.Says(), Blast: &c.Blast})
	return nil
}

// Propose puts a plan before the voters; an earlier one becomes void.
type Propose struct{ Planned Planned }

func (c Propose) decide(s *Incident, d *decision) error {
	p := c.Planned
	if s.Plan(p.Plan) != nil {
		return fault.New(fault.Conflict, "there is a plan %s already", p.Plan)
	}
	cur := s.Current()
	if cur != nil && cur.Digest == p.Digest {
		return fault.New(fault.Conflict, "plan %s is the same as plan %s", p.Plan, cur.Plan)
	}
	says := fmt.Sprintf("plan %s made: %s (%s on %s, digest %.12s)", p.Plan, p.Title, phrase.Count(p.Steps, "step", "steps"), phrase.Count(p.Hosts, "host", "hosts"), p.Digest)
	if cur != nil {
		p.Parent = cur.Plan
		says += fmt.Sprintf("; it replaces %s, whose votes do not count for it", cur.Plan)
	}
	if len(p.GaveUp) > 0 {
		says += "; given up for speed: " + strings.Join(p.GaveUp, "; ")
	}
	d.add(Event{Kind: WasPlanned, Says: says, Planned: &p})
	return nil
}

// Cast is a vote whose signature was checked by the caller.
type Cast struct{ Vote Vote }

func (c Cast) decide(s *Incident, d *decision) error {
	p := s.Plan(c.Vote.Plan)
	switch {
	case p == nil:
		return fault.New(fault.NotFound, "incident %s has no plan %s", s.Opened.ID, c.Vote.Plan)
	case p.Void:
		return fault.New(fault.Conflict, "plan %s was replaced by %s: votes for it count for nothing", p.Plan, s.Current().Plan).Hinted("read the new one: `staunch plan show %s`", s.Current().Plan)
	case p.Digest != c.Vote.Digest:
		return fault.New(fault.Conflict, "the vote is for digest %.12s, plan %s has %.12s: you read another plan than the one that would run", c.Vote.Digest, p.Plan, p.Digest).
			Hinted("read it again: `staunch plan show %s`, then vote", p.Plan)
	case slices.ContainsFunc(p.Votes, func(v Vote) bool { return v.Voter == c.Vote.Voter }):
		return fault.New(fault.Conflict, "%s has voted for plan %s already", c.Vote.Voter, p.Plan)
	}
	d.add(Event{Kind: WasVoted, Says: fmt.Sprintf("%s approved plan %s (digest %.12s)", c.Vote.Voter, p.Plan, p.Digest), Vote: &c.Vote})
	return nil
}

// Remark is a person's comment.
type Remark struct{ Says string }

func (c Remark) decide(_ *Incident, d *decision) error {
	if strings.TrimSpace(c.Says) == "" {
		return fault.New(fault.Usage, "a comment needs words")
	}
	d.add(Event{Kind: WasCommented, Says: c.Says})
	return nil
}

// Note adds a line for the end of the report.
type Note struct{ Lesson Lesson }

func (c Note) decide(_ *Incident, d *decision) error {
	switch c.Lesson.Kind {
	case "well", "wrong", "action":
	default:
		return fault.New(fault.Usage, "a lesson is one of well, wrong, action, not %q", c.Lesson.Kind)
	}
	if c.Lesson.Says == "" {
		return fault.New(fault.Usage, "a lesson needs words")
	}
	d.add(Event{Kind: WasNoted, Says: c.Lesson.Kind + ": " + c.Lesson.Says, Lesson: &c.Lesson})
	return nil
}

// Searched keeps what somebody looked for.
type Searched struct{ Search Search }

func (c Searched) decide(_ *Incident, d *decision) error {
	s := c.Search
	switch s.Found {
	case "nothing", "signs", "unsure":
	default:
		return fault.New(fault.Usage, "a search found nothing, signs, or leaves one unsure; not %q", s.Found)
	}
	if s.What == "" {
		return fault.New(fault.Usage, "what was searched?")
	}
	says := "searched " + s.What
	if !s.Since.IsZero() {
		says += " since " + s.Since.UTC().Format("2006-01-02 15:04Z")
	}
	says += ": " + map[string]string{"nothing": "no signs found", "signs": "SIGNS FOUND", "unsure": "cannot be told"}[s.Found]
	for _, more := range []string{s.Says, s.Cannot} {
		if more != "" {
			says += "; " + more
		}
	}
	d.add(Event{Kind: WasSearched, Says: says, Search: &s})
	return nil
}

// Rename says that a host of the fleet has another name now.
type Rename struct{ From, To string }

func (c Rename) decide(s *Incident, d *decision) error {
	if s.Hosts[c.From] == nil {
		return fault.New(fault.NotFound, "incident %s knows no host %s", s.Opened.ID, c.From)
	}
	if now := s.Hosts[c.To]; now != nil && now.State != inventory.Unknown {
		return fault.New(fault.Conflict, "%s and %s are two hosts: both have been seen", c.From, c.To)
	}
	d.add(Event{Kind: WasRenamed, Says: fmt.Sprintf("%s is called %s now", c.From, c.To), Renamed: &[2]string{c.From, c.To}})
	return nil
}

// Enter adds a checklist entry or changes one.
type Enter struct{ Entry Entry }

func (c Enter) decide(s *Incident, d *decision) error {
	e := c.Entry
	if e.ID == "" {
		e.ID = fmt.Sprintf("c%d", len(s.Checklist)+1)
	}
	at := slices.IndexFunc(s.Checklist, func(x Entry) bool { return x.ID == e.ID })
	if at < 0 && e.Says == "" {
		return fault.New(fault.NotFound, "incident %s has no checklist entry %s", s.Opened.ID, e.ID).Hinted("`staunch incident check %s` lists them", s.Opened.ID)
	}
	if at >= 0 {
		e = merged(s.Checklist[at], e)
		if e == s.Checklist[at] {
			return nil
		}
	}
	if e.State == "" {
		e.State = OpenEntry
	}
	if e.State == Dropped && e.Reason == "" {
		return fault.New(fault.Usage, "dropping %s needs a reason", e.ID)
	}
	d.add(Event{Kind: WasEntered, Says: sayEntry(e), Entry: &e})
	return nil
}

// merged changes what the new entry says and keeps the rest.
func merged(old, e Entry) Entry {
	if e.Says != "" {
		old.Says = e.Says
	}
	if e.Owner != "" {
		old.Owner = e.Owner
	}
	if !e.Due.IsZero() {
		old.Due = e.Due
	}
	if e.Every > 0 {
		old.Every = e.Every
	}
	if e.State != "" {
		old.State = e.State
	}
	if e.Reason != "" {
		old.Reason = e.Reason
	}
	return old
}

// Remind notes that owners of entries that are due were told.
type Remind struct {
	Only []string // ids of those that were told; nil: all that are due
}

func (c Remind) decide(s *Incident, d *decision) error {
	for _, e := range s.Due(d.at) {
		if c.Only != nil && !slices.Contains(c.Only, e.ID) {
			continue
		}
		d.add(Event{Kind: WasReminded, Says: fmt.Sprintf("due: %s (%s)", e.Says, owner(e.Owner)), Entry: &e})
	}
	return nil
}

// Due lists the open entries that somebody should be reminded of at a time.
func (s *Incident) Due(at time.Time) []Entry {
	var due []Entry
	for _, e := range s.Checklist {
		if e.State != OpenEntry || e.Due.IsZero() || at.Before(e.Due) {
			continue
		}
		told, was := s.reminded[e.ID]
		if !was || e.Every > 0 && at.Sub(told) >= e.Every {
			due = append(due, e)
		}
	}
	return due
}

// Close ends an incident. What is open or unknown is named; closing over it needs a reason.
type Close struct{ Reason string }

func (c Close) decide(s *Incident, d *decision) error {
	if left := s.Left(); len(left) > 0 && c.Reason == "" {
		return fault.New(fault.Conflict, "incident %s is not over: %s", s.Opened.ID, strings.Join(left, "; ")).Hinted("finish these, or close it with --reason")
	}
	says := "incident " + s.Opened.ID + " closed"
	if left := s.Left(); len(left) > 0 {
		says += " with this left open: " + strings.Join(left, "; ") + "; because: " + c.Reason
	}
	d.add(Event{Kind: WasClosed, Says: says})
	return nil
}

// Left lists what keeps an incident from being over, a sentence each.
func (s *Incident) Left() []string {
	var left []string
	if s.Looks == 0 {
		left = append(left, "nobody has looked at the fleet")
	}
	if hosts := s.In(inventory.Affected); len(hosts) > 0 {
		left = append(left, fmt.Sprintf("%s affected (%s)", phrase.Count(len(hosts), "host is", "hosts are"), strings.Join(phrase.Some(names(hosts), 6), ", ")))
	}
	if hosts := s.In(inventory.Unknown); len(hosts) > 0 {
		left = append(left, fmt.Sprintf("%s unknown (%s)", phrase.Count(len(hosts), "host is", "hosts are"), strings.Join(phrase.Some(names(hosts), 6), ", ")))
	}
	if s.Impact.Harm == Unjudged {
		left = append(left, "nobody has decided what the bug can do")
	}
	for _, e := range s.Checklist {
		if e.State == OpenEntry {
			left = append(left, fmt.Sprintf("%s: %s (%s)", e.ID, e.Says, owner(e.Owner)))
		}
	}
	return left
}

// Reopen continues a closed incident.
type Reopen struct{ Reason string }

func (c Reopen) decide(s *Incident, d *decision) error {
	if !s.Closed {
		return fault.New(fault.Conflict, "incident %s is open", s.Opened.ID)
	}
	d.add(Event{Kind: WasReopened, Says: strings.TrimSuffix("incident "+s.Opened.ID+" reopened: "+c.Reason, ": ")})
	return nil
}

func names(hosts []*HostState) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = h.Host
	}
	return out
}

func owner(name string) string {
	if name == "" {
		return "NOBODY OWNS IT"
	}
	return name
}
