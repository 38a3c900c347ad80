package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"staunch/incident"
	"staunch/phrase"
	"staunch/tame"
)

// Markdown writes the report; all adds the detail lines of the timeline.
func (r *Report) Markdown(w io.Writer, all bool) error {
	p := sheet{w: w}
	p.line("# Incident %s: %s\n", r.ID, md(r.Title))
	p.line("Opened %s. Written from the ledger as of %s.\n", r.both(r.Opened), r.both(r.Until))
	p.list("Summary", r.Summary)
	r.markImpact(&p)
	r.markMilestones(&p)
	r.markHosts(&p)
	r.markBlast(&p)
	r.markSearches(&p)
	r.markPeople(&p)
	p.list("What went well", r.Well)
	p.list("What went wrong", r.Wrong)
	r.markActions(&p)
	r.markTimeline(&p, all)
	p.list("Clocks", r.Clocks)
	if r.Head != "" {
		p.line("Head of the ledger when this was written: `%s` (check with `staunch ledger verify --head`).", r.Head)
	}
	return p.err
}

// sheet remembers the first failed write.
type sheet struct {
	w   io.Writer
	err error
}

func (p *sheet) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *sheet) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("## %s\n", title)
	for _, l := range lines {
		p.line("- %s", md(l))
	}
	p.line("")
}

func (p *sheet) table(head ...string) {
	p.line("| %s |", strings.Join(head, " | "))
	p.line("|%s", strings.Repeat("---|", len(head)))
}

func (p *sheet) row(cells ...string) {
	for i := range cells {
		cells[i] = md(cells[i])
	}
	p.line("| %s |", strings.Join(cells, " | "))
}

// md makes text harmless inside Markdown, tables included.
func md(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "`", "\\`", "*", "\\*", "[", "\\[").Replace(tame.Line(s))
}

// both is a time in UTC and in the reader's own zone.
func (r *Report) both(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	local := t.In(r.Local)
	if _, offset := local.Zone(); offset == 0 {
		return t.UTC().Format("2006-01-02 15:04:05Z")
	}
	return fmt.Sprintf("%s (%s)", t.UTC().Format("2006-01-02 15:04:05Z"), local.Format("15:04 MST"))
}

func (r *Report) markImpact(p *sheet) {
	p.list("Impact", r.Impact)
	if r.Blast == nil || len(r.Blast.Services) == 0 {
		return
	}
	p.line("Services with affected units, and what data they hold:\n")
	p.table("Service", "Holds", "Owner", "Hosts")
	for _, s := range r.Blast.Services {
		p.row(s.Service, cmp.Or(strings.Join(s.Holds, ", "), "not said in staunch.yaml"), cmp.Or(s.Owner, "nobody named"), strings.Join(s.Hosts, ", "))
	}
	p.line("")
}

func (r *Report) markMilestones(p *sheet) {
	if len(r.Reached) == 0 {
		return
	}
	p.line("## Milestones\n")
	for _, m := range r.Reached {
		p.line("- **%s**: %s", r.both(m.At), md(m.Says))
	}
	p.line("")
}

func (r *Report) markHosts(p *sheet) {
	if len(r.Hosts) == 0 {
		return
	}
	p.line("## Hosts\n")
	p.table("Host", "Ring", "Was", "Faced strangers", "Is now", "Clean since", "What ran")
	for _, h := range r.Hosts {
		p.row(h.Host, h.Ring, h.Was, fmt.Sprint(h.Facing), strings.TrimSpace(h.Is+" "+h.Why), r.both(h.Clean), strings.Join(h.Units, "; "))
	}
	p.line("")
}

func (r *Report) markBlast(p *sheet) {
	b := r.Blast
	if b == nil {
		return
	}
	p.line("## What could have leaked\n\n%s. Values never left the hosts: keys are shown by the hash of their public half, secrets by name.\n", md(b.Says()))
	if len(b.Keys) > 0 {
		p.table("Key", "Type", "Names", "In reach of", "Files", "Also on", "Served at")
		for _, k := range b.Keys {
			p.row(k.Short(), k.Type, strings.Join(k.Names, ", "), strings.Join(k.Readers, ", "), strings.Join(k.Files, ", "), strings.Join(k.Also, ", "), strings.Join(k.Endpoints, ", "))
		}
		p.line("")
	}
	if len(b.Secrets) > 0 {
		p.table("Secret", "Kind", "Where", "In reach of")
		for _, s := range b.Secrets {
			p.row(s.Name, string(s.Kind), s.Where, strings.Join(s.Readers, ", "))
		}
		p.line("")
	}
	if len(b.Unseen) > 0 {
		p.line("Could not be looked at:\n")
		for _, u := range phrase.Some(b.Unseen, 50) {
			p.line("- %s", md(u))
		}
		p.line("")
	}
}

func (r *Report) markSearches(p *sheet) {
	p.line("## Search for signs of exploitation\n")
	if len(r.Searches) == 0 {
		p.line("None was recorded. That nothing was found means nothing until somebody looks.\n")
		return
	}
	p.table("What", "Since", "Found", "Says", "Could not be searched")
	for _, s := range r.Searches {
		p.row(s.What, r.both(s.Since), s.Found, s.Says, s.Cannot)
	}
	p.line("")
}

// markPeople is who had what to do, and what they wrote down.
func (r *Report) markPeople(p *sheet) {
	if len(r.Checklist)+len(r.Comments) == 0 {
		return
	}
	p.line("## People\n")
	if len(r.Checklist) > 0 {
		p.table("Entry", "What", "Owner", "State", "Due")
		for _, e := range r.Checklist {
			p.row(e.ID, e.Says, owner(e.Owner), state(e), r.both(e.Due))
		}
		p.line("")
	}
	for _, c := range r.Comments {
		p.line("- %s, %s: %s", r.both(c.At), md(c.By), md(c.Says))
	}
	if len(r.Comments) > 0 {
		p.line("")
	}
}

func (r *Report) markActions(p *sheet) {
	p.line("## Action items\n")
	for _, a := range r.Actions {
		p.line("- [ ] %s (%s%s)", md(a.Says), md(owner(a.Owner)), md(r.due(a.Due)))
	}
	if len(r.Actions) == 0 {
		p.line("none")
	}
	p.line("")
}

func (r *Report) due(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return ", due " + r.both(at)
}

func owner(name string) string { return cmp.Or(name, "NOBODY OWNS IT") }

func state(e incident.Entry) string {
	if e.Reason == "" {
		return string(e.State)
	}
	return string(e.State) + ": " + e.Reason
}

// zone is what the reader's own zone is called, or "" where it is UTC.
func (r *Report) zone() string {
	name, offset := r.Until.In(r.Local).Zone()
	if offset == 0 {
		return ""
	}
	return name
}

// times are the cells of a moment: UTC, and the reader's own time where that is another.
func (r *Report) times(t time.Time) []string {
	const day, second = "2006-01-02 15:04:05", "15:04:05"
	utc, local := t.UTC(), t.In(r.Local)
	switch {
	case r.zone() == "":
		return []string{utc.Format(day)}
	case utc.Day() != local.Day():
		return []string{utc.Format(day), local.Format(day)}
	}
	return []string{utc.Format(day), local.Format(second)}
}

// heads are the heads of the columns that times fills.
func (r *Report) heads() []string {
	if zone := r.zone(); zone != "" {
		return []string{"UTC", zone}
	}
	return []string{"UTC"}
}

func (r *Report) markTimeline(p *sheet, all bool) {
	p.line("## Timeline\n\nThe order is the ledger's.\n")
	p.table(append(r.heads(), "Who", "What")...)
	hidden := 0
	for _, l := range r.Timeline {
		if l.Detail && !all {
			hidden++
			continue
		}
		p.row(append(r.times(l.At), l.By, l.Says)...)
	}
	if hidden > 0 {
		p.line("\n%s left out; `staunch incident report %s --all` shows them.", phrase.Count(hidden, "line of single steps is", "lines of single steps are"), r.ID)
	}
	p.line("")
}
