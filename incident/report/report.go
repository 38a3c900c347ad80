// Package report writes an incident up from the ledger alone: for managers, engineers, and whoever reads it next year.
package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"staunch/incident"
	"staunch/incident/blast"
	"staunch/inventory"
	"staunch/phrase"
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
	Facts     []Fact
	Summary   []string
	Impact    []string
	Hosts     []HostRow
	Blast     *blast.Radius
	Plans     []incident.Plan
	Reached   []incident.Reached
	Searches  []incident.Search
	Checklist []incident.Entry
	Comments  []incident.Comment
	Timeline  []Line
	Well      []string
	Wrong     []string
	Actions   []Action
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
func Write(s *incident.Incident, lines []Line, head string, local *time.Location) *Report {
	r := &Report{
		ID: s.Opened.ID, Title: s.Opened.Title, Opened: s.OpenedAt, Closed: s.ClosedAt, Until: s.LastAt, Local: local, Blast: s.Blast, Plans: s.Plans,
		Reached: s.Milestones, Searches: s.Searches, Checklist: s.Checklist, Comments: s.Comments, Timeline: lines, Head: head,
	}
	if len(lines) > 0 {
		r.Until = lines[len(lines)-1].At
	}
	r.summary(s)
	r.facts(s)
	r.Impact = append([]string{s.Impact.Harm.Says() + "; what must follow: " + s.Impact.Follows.Says()}, s.Impact.Because...)
	if s.Impact.By != "" {
		r.Impact = append(r.Impact, fmt.Sprintf("decided by %s over the table: %s", s.Impact.By, s.Impact.Reason))
	}
	r.Hosts = rows(s)
	r.lessons(s)
	r.actions(s)
	r.clocks()
	return r
}

func rows(s *incident.Incident) []HostRow {
	var rows []HostRow
	for _, name := range slices.Sorted(maps.Keys(s.Hosts)) {
		h := s.Hosts[name]
		row := HostRow{Host: name, Ring: h.Ring, Is: string(h.State), Why: h.Why, Was: "-", Clean: s.CleanSince[name], Units: units(h.Units)}
		if first, was := s.First[name]; was {
			row.Was, row.Facing = phrase.Count(first.Affected+first.Stale, "process affected", "processes affected"), first.Facing
			row.Units = units(first.Units)
		}
		if row.Was == "-" && h.State == inventory.Clean {
			continue // never touched: the count says it
		}
		rows = append(rows, row)
	}
	return rows
}

func units(list []incident.UnitState) []string {
	var out []string
	for _, u := range list {
		where := map[string]string{"public": ", strangers reach it"}[u.Exposure]
		out = append(out, fmt.Sprintf("%s: %s %s, %s%s", cmp.Or(u.Unit, u.Process), u.Component, cmp.Or(u.Version, "(version unknown)"), u.State, where))
	}
	return out
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
