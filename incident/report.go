package incident

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"staunch/inventory"
)

// Line is one line of the timeline, whatever it is about.
type Line struct {
	Seq    int64     `json:"seq"`
	At     time.Time `json:"at"`
	Stored time.Time `json:"stored"`
	By     string    `json:"by,omitempty"`
	Source string    `json:"source,omitempty"`
	Kind   string    `json:"kind"`
	Says   string    `json:"says"`
	// Detail lines matter to engineers; a manager's report folds them away.
	Detail bool `json:"detail,omitempty"`
}

// Report is the write-up, made from the ledger alone.
type Report struct {
	ID, Title string
	Opened    time.Time
	Closed    time.Time
	Until     time.Time // the last event that it knows
	Local     *time.Location
	Summary   []string
	Impact    []string
	Hosts     []HostRow
	Blast     *Blast
	Plans     []Plan
	Reached   []Reached
	Searches  []Search
	Checklist []Entry
	Timeline  []Line
	Well      []string
	Wrong     []string
	Actions   []Lesson
	Left      []string
	Head      string // the ledger's newest seal: whoever keeps the report can later prove that the past was not changed
	Clocks    []string
}

// HostRow is one host's story in a line.
type HostRow struct {
	Host, Ring, Was, Is, Why string
	Facing                   int
	Clean                    time.Time
	Units                    []string
}

// Write makes the report of an incident. Lines are everything that happened, in the ledger's order; head is its newest seal.
func Write(s *Incident, lines []Line, head string, local *time.Location) *Report {
	r := &Report{
		ID: s.Opened.ID, Title: s.Opened.Title, Opened: s.OpenedAt, Closed: s.ClosedAt, Until: s.LastAt, Local: local,
		Blast: s.Blast, Plans: s.Plans, Reached: s.Milestones, Searches: s.Searches, Checklist: s.Checklist, Timeline: lines, Left: s.Left(), Head: head,
	}
	if len(lines) > 0 {
		r.Until = lines[len(lines)-1].At
	}
	r.Summary = s.summary()
	r.Impact = append([]string{s.Impact.Harm.Says() + "; what must follow: " + s.Impact.Follows.Says()}, s.Impact.Because...)
	if s.Impact.By != "" {
		r.Impact = append(r.Impact, fmt.Sprintf("decided by %s over the table: %s", s.Impact.By, s.Impact.Reason))
	}
	r.Hosts = s.rows()
	r.lessons(s)
	r.clocks()
	return r
}

func (s *Incident) summary() []string {
	list := []string{fmt.Sprintf("%s opened incident %s (%s) at %s.", cmp.Or(s.OpenedBy, "staunch"), s.Opened.ID, s.Opened.Title, stamp(s.OpenedAt))}
	if s.Looks == 0 {
		return append(list, "Nobody has looked at the fleet: nothing is known about it.")
	}
	facing := 0
	for _, h := range s.First {
		if h.Facing > 0 {
			facing++
		}
	}
	list = append(list, fmt.Sprintf("%s affected code, %d of them where strangers can reach it. %d of %d known hosts were seen.", Count(len(s.First), "host ran", "hosts ran"), facing, s.Seen, s.Known))
	still, unknown := s.In(inventory.Affected), s.In(inventory.Unknown)
	if len(still) == 0 {
		list = append(list, "No process that was seen runs affected code any more.")
	} else {
		list = append(list, fmt.Sprintf("%s affected code: %s.", Count(len(still), "host still runs", "hosts still run"), strings.Join(some(names(still), 12), ", ")))
	}
	for _, h := range unknown {
		list = append(list, fmt.Sprintf("%s is unknown (%s): it counts as neither clean nor affected.", h.Host, h.Why))
	}
	if s.Blast != nil {
		list = append(list, s.Blast.Says()+".")
	}
	if s.Closed {
		list = append(list, "The incident was closed at "+stamp(s.ClosedAt)+".")
	}
	return list
}

func (s *Incident) rows() []HostRow {
	var rows []HostRow
	for _, name := range slices.Sorted(maps.Keys(s.Hosts)) {
		h := s.Hosts[name]
		row := HostRow{Host: name, Ring: h.Ring, Is: string(h.State), Why: h.Why, Was: "-", Clean: s.CleanSince[name], Units: units(h.Units)}
		if first, was := s.First[name]; was {
			row.Was, row.Facing = fmt.Sprintf("%d processes affected", first.Affected+first.Stale), first.Facing
			row.Units = units(first.Units)
		}
		if row.Was == "-" && h.State == inventory.Clean {
			continue // never touched: the count says it
		}
		rows = append(rows, row)
	}
	return rows
}

func units(list []UnitState) []string {
	var out []string
	for _, u := range list {
		out = append(out, fmt.Sprintf("%s: %s %s, %s", cmp.Or(u.Unit, u.Process), u.Component, cmp.Or(u.Version, "(version unknown)"), u.State))
	}
	return out
}

// lessons are what people wrote, and what the record itself shows.
func (r *Report) lessons(s *Incident) {
	for _, l := range s.Lessons {
		switch l.Kind {
		case "well":
			r.Well = append(r.Well, l.Says)
		case "wrong":
			r.Wrong = append(r.Wrong, l.Says)
		default:
			r.Actions = append(r.Actions, l)
		}
	}
	for _, m := range s.Milestones {
		if m.Milestone == PublicClean || m.Milestone == AllClean {
			r.Well = append(r.Well, fmt.Sprintf("%s after %s", m.Says, m.At.Sub(s.OpenedAt).Round(time.Second)))
		}
	}
	for _, l := range r.Timeline {
		if l.Kind == "run.unproven" || l.Kind == "run.aborted" || l.Kind == "run.undone" {
			r.Wrong = append(r.Wrong, l.Says)
		}
	}
	for _, h := range s.In(inventory.Unknown) {
		r.Actions = append(r.Actions, Lesson{Kind: "action", Says: fmt.Sprintf("look at %s (%s)", h.Host, h.Why)})
	}
	for _, e := range s.Checklist {
		if e.State == OpenEntry {
			r.Actions = append(r.Actions, Lesson{Kind: "action", Says: e.Says, Owner: e.Owner})
		}
	}
	if len(s.Searches) == 0 && s.Impact.Follows != FollowNothing {
		r.Wrong = append(r.Wrong, "nobody recorded a search for signs of exploitation")
	}
}

// clocks names machines whose clock disagreed with the ledger's by more than a minute into the future: their times cannot be trusted.
func (r *Report) clocks() {
	ahead := map[string]time.Duration{}
	for _, l := range r.Timeline {
		if d := l.At.Sub(l.Stored); d > time.Minute {
			who := cmp.Or(l.Source, l.By, "somebody")
			ahead[who] = max(ahead[who], d)
		}
	}
	for _, who := range slices.Sorted(maps.Keys(ahead)) {
		r.Clocks = append(r.Clocks, fmt.Sprintf("the clock of %s was up to %s ahead of the ledger's; the order of the timeline is the ledger's", who, ahead[who].Round(time.Second)))
	}
}
