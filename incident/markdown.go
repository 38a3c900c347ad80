package incident

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"staunch/tame"
)

// Markdown writes the report; all adds the detail lines of the timeline.
func (r *Report) Markdown(w io.Writer, all bool) error {
	p := printer{w: w}
	p.line("# Incident %s: %s\n", r.ID, md(r.Title))
	p.line("Opened %s. Written from the ledger as of %s.\n", r.both(r.Opened), r.both(r.Until))
	p.list("Summary", r.Summary)
	r.markImpact(&p)
	r.markMilestones(&p)
	r.markHosts(&p)
	r.markBlast(&p)
	r.markSearches(&p)
	r.markTimeline(&p, all)
	p.list("What went well", r.Well)
	p.list("What went wrong", r.Wrong)
	p.line("## Action items\n")
	for _, a := range r.Actions {
		p.line("- [ ] %s (%s)", md(a.Says), md(owner(a.Owner)))
	}
	if len(r.Actions) == 0 {
		p.line("none")
	}
	p.line("")
	p.list("Left open", r.Left)
	p.list("Clocks", r.Clocks)
	if r.Head != "" {
		p.line("Head of the ledger when this was written: `%s` (check with `staunch ledger verify --head`).", r.Head)
	}
	return p.err
}

func (p *printer) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("## %s\n", title)
	for _, l := range lines {
		p.line("- %s", md(l))
	}
	p.line("")
}

func (p *printer) table(head ...string) {
	p.line("| %s |", strings.Join(head, " | "))
	p.line("|%s", strings.Repeat("---|", len(head)))
}

func (p *printer) row(cells ...string) {
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

func (r *Report) markImpact(p *printer) {
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

func (r *Report) markMilestones(p *printer) {
	if len(r.Reached) == 0 {
		return
	}
	p.line("## Milestones\n")
	for _, m := range r.Reached {
		p.line("- **%s**: %s", r.both(m.At), md(m.Says))
	}
	p.line("")
}

func (r *Report) markHosts(p *printer) {
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

func (r *Report) markBlast(p *printer) {
	b := r.Blast
	if b == nil {
		return
	}
	p.line("## What could have leaked\n\n%s. Values never left the hosts: keys are shown by the hash of their public half, secrets by name.\n", md(b.Says()))
	if len(b.Keys) > 0 {
		p.table("Key", "Type", "Names", "In reach of", "Files", "Also on", "Served at")
		for _, k := range b.Keys {
			p.row(keyName(k), k.Type, strings.Join(k.Names, ", "), strings.Join(k.Readers, ", "), strings.Join(k.Files, ", "), strings.Join(k.Also, ", "), strings.Join(k.Endpoints, ", "))
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
		for _, u := range some(b.Unseen, 50) {
			p.line("- %s", md(u))
		}
		p.line("")
	}
}

func keyName(k LostKey) string {
	if k.Encrypted && k.SPKI == "" {
		return "(encrypted at rest)"
	}
	return fmt.Sprintf("%.16s…", k.SPKI)
}

func (r *Report) markSearches(p *printer) {
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

func (r *Report) markTimeline(p *printer, all bool) {
	p.line("## Timeline\n\nTimes are UTC, then %s. The order is the ledger's.\n", r.Local)
	p.table("UTC", r.Local.String(), "Who", "What")
	hidden := 0
	for _, l := range r.Timeline {
		if l.Detail && !all {
			hidden++
			continue
		}
		p.row(l.At.UTC().Format("2006-01-02 15:04:05"), l.At.In(r.Local).Format("15:04:05"), l.By, l.Says)
	}
	if hidden > 0 {
		p.line("\n%d lines of single steps are left out; `staunch incident report %s --all` shows them.", hidden, r.ID)
	}
	p.line("")
}
