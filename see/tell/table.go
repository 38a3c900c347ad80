// Package tell prints what was seen and what is known, for people at a terminal and for programs that read lines.
package tell

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"staunch/ink"
	"staunch/see/verdict"
	"staunch/tame"
)

// Table prints for a tired person: bad and exposed first, one block a unit, ending with the coverage.
type Table struct {
	Width    int // columns
	Paint    ink.Paint
	Advisory string // the only one that was asked about, as the person wrote it
	Verbose  bool   // explain every finding step by step
	Still    bool   // files that do not run were asked about: what could start is the answer
	exes     map[int]string
}

// Print writes one machine's document.
func (t Table) Print(w io.Writer, doc *verdict.Document) error {
	var b strings.Builder
	t.exes = map[int]string{}
	for i := range doc.Processes {
		t.exes[doc.Processes[i].PID] = doc.Processes[i].Exe
	}
	t.headline(&b, doc)
	shown := map[verdict.State][]verdict.Finding{}
	for _, f := range doc.Findings {
		state := f.State
		if state == verdict.Stale {
			state = verdict.Affected
		}
		shown[state] = append(shown[state], f)
	}
	grave, minor := t.split(doc, shown[verdict.Affected])
	t.blocks(&b, doc, grave)
	t.minor(&b, minor)
	t.dormant(&b, shown[verdict.Dormant])
	t.unknown(&b, shown[verdict.Unknown])
	if t.Advisory != "" {
		t.cleared(&b, shown[verdict.Fixed], "fixed")
		t.cleared(&b, shown[verdict.NotAffected], "not affected")
	}
	t.unseen(&b, doc)
	t.coverage(&b, doc)
	_, err := io.WriteString(w, b.String())
	return err
}

// headline is the one sentence to read when there is time for only one.
func (t Table) headline(b *strings.Builder, doc *verdict.Document) {
	units, processes, public := map[string]bool{}, map[int]bool{}, map[string]bool{}
	for _, f := range doc.Findings {
		if f.Bad() && (t.Advisory != "" || f.Fix.Kind != verdict.FixOff || !f.Minor(doc.Taken)) {
			units[t.unitKey(f)], processes[f.PID] = true, true
			if f.Exposure.In == "public" {
				public[t.unitKey(f)] = true
			}
		}
	}
	subject := ""
	if t.Advisory != "" {
		subject = " by " + tame.Line(t.Advisory)
		for _, f := range doc.Findings {
			if f.Advisory != "" {
				subject = " by " + title(f)
				break
			}
		}
	}
	switch {
	case len(doc.Findings) == 0 && t.Advisory != "":
		fmt.Fprintln(b, t.Paint.Bold(fmt.Sprintf("No process that was seen holds what %s is about.", tame.Line(t.Advisory))))
	case t.Still:
		bad := groupBy(dormantOnly(doc.Findings), func(f verdict.Finding) string { return f.Process + "\x00" + f.Path })
		if len(bad) == 0 {
			fmt.Fprintln(b, t.Paint.Bold(fmt.Sprintf("Nothing in there was found to be affected%s.", subject)))
		} else {
			fmt.Fprintln(b, t.Paint.Red(fmt.Sprintf("AFFECTED%s: %s", subject, ink.Count(len(bad), "program", "programs"))))
		}
	case len(units) == 0 && len(doc.Processes) == 0:
		fmt.Fprintln(b, t.Paint.Bold("No process was looked at."))
	case len(units) == 0:
		fmt.Fprintln(b, t.Paint.Bold(fmt.Sprintf("No running process was found to be affected%s.", subject)))
	default:
		line := fmt.Sprintf("AFFECTED%s: %s, %s", subject, ink.Count(len(processes), "process", "processes"), ink.Count(len(units), "unit or program", "units or programs"))
		if len(public) > 0 {
			line += fmt.Sprintf(", %d of them public", len(public))
		}
		fmt.Fprintln(b, t.Paint.Red(line))
	}
}

// split sets aside what can wait and has no fix yet: hundreds of such lines would hide the one that matters tonight.
func (t Table) split(doc *verdict.Document, list []verdict.Finding) (grave, minor []verdict.Finding) {
	for _, f := range list {
		if t.Advisory == "" && f.Fix.Kind == verdict.FixOff && f.Minor(doc.Taken) {
			minor = append(minor, f)
		} else {
			grave = append(grave, f)
		}
	}
	return grave, minor
}

// minor sums up what can wait: one line, or with -v one a package.
func (t Table) minor(b *strings.Builder, list []verdict.Finding) {
	if len(list) == 0 {
		return
	}
	packages := groupBy(list, func(f verdict.Finding) string { return f.Package })
	ids, pids := map[string]bool{}, map[int]bool{}
	for _, f := range list {
		ids[f.Advisory], pids[f.PID] = true, true
	}
	fmt.Fprintf(b, "\n%s\n", t.Paint.Bold("Can wait (low, moderate, or left open by the distribution; nothing to install yet):"))
	ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s in %s, in %s", ink.Count(len(ids), "advisory", "advisories"), ink.Count(len(packages), "package", "packages"), ink.Count(len(pids), "process", "processes")))
	if !t.Verbose {
		return
	}
	for _, g := range packages {
		ink.Wrap(b, t.Width, "    ", fmt.Sprintf("%s  %s", holds(g[0]), advisoryWords(g, 8)))
	}
}

// blocks prints affected units, in the order of the findings: exposed and known-exploited first.
func (t Table) blocks(b *strings.Builder, doc *verdict.Document, list []verdict.Finding) {
	for _, unit := range groupBy(list, t.unitKey) {
		fmt.Fprintf(b, "\n%s  %s\n", t.Paint.Bold(unitTitle(unit...)), t.Paint.Dim(about(doc, unit)))
		for _, part := range groupBy(unit, partKey) {
			t.part(b, part)
		}
	}
}

// part is one component of one unit with everything that is wrong with it.
func (t Table) part(b *strings.Builder, list []verdict.Finding) {
	f := list[0]
	state := t.Paint.Red("affected")
	if f.State == verdict.Stale {
		state = t.Paint.Yellow("stale")
	}
	ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s  %s", state, holds(f)))
	ink.Wrap(b, t.Width, "    ", advisoryWords(list, 4))
	ink.Wrap(b, t.Width, "    ", "do: "+tame.Line(verdict.Together(list).What))
	if t.Verbose {
		for _, one := range groupBy(list, func(f verdict.Finding) string { return f.Advisory }) {
			t.explain(b, one[0])
		}
	}
}

// explain is one finding step by step: the evidence in the order of its weight.
func (t Table) explain(b *strings.Builder, f verdict.Finding) {
	fmt.Fprintf(b, "    %s: %s, because\n", t.Paint.Bold(title(f)), stateWord(f.State))
	for i, e := range f.Evidence {
		line := fmt.Sprintf("%2d. %s", i+1, tame.Line(e.Says))
		if e.Detail != "" {
			line += "  [" + tame.Line(e.Kind) + ": " + tame.Line(e.Detail) + "]"
		} else {
			line += "  [" + tame.Line(e.Kind) + "]"
		}
		ink.Wrap(b, t.Width, "      ", line)
	}
}

func dormantOnly(list []verdict.Finding) []verdict.Finding {
	var only []verdict.Finding
	for _, f := range list {
		if f.State == verdict.Dormant {
			only = append(only, f)
		}
	}
	return only
}

func (t Table) dormant(b *strings.Builder, list []verdict.Finding) {
	if len(list) == 0 {
		return
	}
	heading := "Does not run, but can start:"
	if t.Still {
		heading = "Affected:"
	}
	fmt.Fprintf(b, "\n%s\n", t.Paint.Bold(heading))
	groups := groupBy(list, func(f verdict.Finding) string { return f.Process + "\x00" + f.Path + "\x00" + f.Component + f.Version })
	for i, g := range groups {
		if i == 20 && !t.Verbose {
			fmt.Fprintf(b, "  and %d more: -v lists them\n", len(groups)-i)
			return
		}
		ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s  %s: %s", holds(g[0]), advisoryWords(g, 2), tame.Line(verdict.Together(g).What)))
		if t.Verbose {
			for _, f := range g {
				t.explain(b, f)
			}
		}
	}
}

// unknown puts everything that shares a cause into one line.
func (t Table) unknown(b *strings.Builder, list []verdict.Finding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.Paint.Yellow("Unknown:"))
	for _, g := range groupBy(list, func(f verdict.Finding) string { return cause(f) + string(f.Fix.Kind) }) {
		pids := map[int]bool{}
		things := []string{}
		for _, f := range g {
			for _, pid := range append(f.PIDs, f.PID) {
				pids[pid] = true
			}
			thing := strings.TrimSpace(f.Component + " " + f.Version)
			if f.Package != "" {
				thing = strings.Join(strings.Fields(f.Package)[1:], " ")
			}
			if thing = tame.Line(thing); !slices.Contains(things, thing) {
				things = append(things, thing)
			}
		}
		delete(pids, 0)
		short, _, _ := strings.Cut(cause(g[0]), ";")
		where := " in " + ink.Count(len(pids), "process", "processes")
		if len(pids) == 0 {
			where = ""
		}
		ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s%s: %s", ink.Few(things, 6), where, short))
		ink.Wrap(b, t.Width, "    ", "do: "+tame.Line(g[0].Fix.What))
		if t.Verbose {
			for _, f := range g {
				ink.Wrap(b, t.Width, "    ", t.Paint.Bold(unitTitle(f))+"  "+holds(f))
				t.explain(b, f)
			}
		}
	}
}

// cleared lists, for one advisory, who is not affected and why: one line a reason.
func (t Table) cleared(b *strings.Builder, list []verdict.Finding, word string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.Paint.Green(strings.ToUpper(word[:1])+word[1:]+":"))
	for _, g := range groupBy(list, func(f verdict.Finding) string { return f.Component + f.Version + f.Object + cause(f) }) {
		var who []string
		for _, f := range g {
			name := tame.Line(f.Process)
			if f.PID != 0 {
				name = fmt.Sprintf("%s (%d)", name, f.PID)
			}
			if !slices.Contains(who, name) {
				who = append(who, name)
			}
		}
		ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s: %s", holds(g[0]), ink.Few(who, 8)))
		ink.Wrap(b, t.Width, "    ", "why: "+cause(g[0]))
		if t.Verbose {
			t.explain(b, g[0])
		}
	}
}

func (t Table) unseen(b *strings.Builder, doc *verdict.Document) {
	if len(doc.Unseen) == 0 {
		return
	}
	reasons := map[string][]string{}
	for _, u := range doc.Unseen {
		reason := tame.Line(u.Reason)
		reasons[reason] = append(reasons[reason], whoIs(u.PID, u.Name))
	}
	one, many := "process", "processes"
	if t.Still {
		one, many = "file", "files"
	}
	var list []string
	for reason, who := range reasons {
		names, n := "", len(who)
		if who = slices.DeleteFunc(who, func(name string) bool { return name == "" }); len(who) > 0 && (len(who) <= maxUnseenNamed || t.Verbose) {
			names = " (" + strings.Join(who, ", ") + ")"
		}
		if n > 1 {
			reason = strings.Replace(reason, "its ", "their ", 1)
		}
		list = append(list, fmt.Sprintf("%s%s: %s", ink.Count(n, one, many), names, reason))
	}
	slices.Sort(list)
	fmt.Fprintf(b, "\n%s\n", t.Paint.Yellow("Not or not fully seen:"))
	for i, line := range list {
		if i == 5 && !t.Verbose {
			fmt.Fprintf(b, "  and %d more reasons: -v lists them\n", len(list)-i)
			break
		}
		ink.Wrap(b, t.Width, "  ", line)
	}
}

const maxUnseenNamed = 3

// whoIs names a process that was not seen; a unit or a number of which nothing runs has none of its own.
func whoIs(pid int, name string) string {
	switch {
	case pid == 0:
		return tame.Line(name)
	case name == "":
		return fmt.Sprintf("pid %d", pid)
	}
	return fmt.Sprintf("%s, pid %d", tame.Line(name), pid)
}

// coverage is the last line: what all of the above is a fraction of.
func (t Table) coverage(b *strings.Builder, doc *verdict.Document) {
	c := doc.Coverage
	line := fmt.Sprintf("%d of %d processes seen", c.ProcessesSeen, c.ProcessesKnown)
	if t.Still {
		line = ink.Count(len(doc.Dormant), "program", "programs") + " looked at"
	}
	line += fmt.Sprintf(", %s without data, catalogue of %s", ink.Count(c.ComponentsWithoutData, "component", "components"), doc.CatalogueDate.Format("2006-01-02"))
	if doc.Sight.DormantLeft > 0 {
		line += fmt.Sprintf(", %d files that could start not reached in time", doc.Sight.DormantLeft)
	}
	fmt.Fprintln(b)
	for _, note := range doc.Sight.Notes {
		ink.Wrap(b, t.Width, "", "note: "+tame.Line(note))
	}
	ink.Wrap(b, t.Width, "", line)
}
