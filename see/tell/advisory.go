package tell

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"staunch/fault"
	"staunch/ink"
	"staunch/see/advisory"
	"staunch/see/advisory/feed"
	"staunch/tame"
)

// Updates prints what became of each source, a line each; the first hint there is goes to hints.
func Updates(w, hints io.Writer, results []feed.Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range results {
		switch {
		case r.Error != nil && r.Records > 0:
			fmt.Fprintf(t, "%s\tfailed: %s; the data of %s stays in use\n", r.Source, tame.Line(r.Error.Error()), r.Date.Format("2006-01-02"))
		case r.Error != nil:
			fmt.Fprintf(t, "%s\tfailed: %s\n", r.Source, tame.Line(r.Error.Error()))
		case r.State == "unchanged":
			fmt.Fprintf(t, "%s\tunchanged, data of %s\n", r.Source, r.Date.Format("2006-01-02"))
		default:
			fmt.Fprintf(t, "%s\tupdated: %d records, data of %s%s\n", r.Source, r.Records, r.Date.Format("2006-01-02"), skipped(r.Skipped))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if hint := fault.HintOf(errorOf(r.Error)); hint != "" {
			fmt.Fprintf(hints, "hint: %s\n", tame.Line(hint))
			break
		}
	}
	return nil
}

func errorOf(e *fault.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func skipped(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d could not be read)", n)
}

// Held prints which advisories are here, a line a source.
func Held(out io.Writer, held []feed.Held) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tRECORDS\tDATA OF\tON DISK\tSPEAKS FOR")
	for _, h := range held {
		if h.Broken != "" {
			fmt.Fprintf(w, "%s\tbroken: %s\n", tame.Line(h.Source), tame.Line(h.Broken))
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", tame.Line(h.Source), h.Records, h.Date.Format("2006-01-02"), size(h.Bytes), tame.Line(ink.Few(h.Ecosystems, 6)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(held) == 1 {
		_, err := fmt.Fprintln(out, "\nOnly the built-in catalogue is here: staunch advisories update fetches the distributions' data.")
		return err
	}
	return nil
}

func size(n int64) string {
	switch {
	case n == 0:
		return "-"
	case n < 1<<20:
		return fmt.Sprintf("%d kB", (n+1023)>>10)
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// Advisory prints everything that is known of one.
func Advisory(w io.Writer, p ink.Paint, a *advisory.Advisory) error {
	var b strings.Builder
	fmt.Fprintln(&b, p.Bold(tame.Line(strings.TrimSpace(a.ID+" "+strings.Join(a.Names, ", ")))))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-10s %s\n", name, tame.Line(value))
		}
	}
	line("aliases", strings.Join(a.Aliases, ", "))
	if !a.Published.IsZero() {
		line("published", a.Published.Format("2006-01-02"))
	}
	line("severity", string(a.Severity))
	if a.KnownExploited {
		line("exploited", "yes: it is on CISA's list of known-exploited vulnerabilities")
	}
	if a.EPSS > 0 {
		line("epss", fmt.Sprintf("%.1f%% chance of being exploited within 30 days", a.EPSS*100))
	}
	line("weakness", strings.Join(a.CWE, ", "))
	fmt.Fprintln(&b, "  affects")
	for _, aff := range a.Affects {
		fmt.Fprintf(&b, "    %s\n", tame.Line(affectedLine(aff)))
	}
	showRule(&b, a.Rule)
	_, err := io.WriteString(w, b.String())
	return err
}

func affectedLine(aff advisory.Affected) string {
	where := aff.Ecosystem
	if where == "" {
		where = "upstream"
	}
	var ranges []string
	for _, r := range aff.Ranges {
		ranges = append(ranges, advisory.Span{Range: r}.String())
	}
	if len(aff.Versions) > 0 {
		ranges = append(ranges, ink.Few(aff.Versions, 6))
	}
	text := fmt.Sprintf("%-14s %s: %s", where, aff.Name, strings.Join(ranges, " or "))
	if aff.Unfixed {
		text += " (no fix known)"
	}
	if aff.Says != "" {
		text += " (" + aff.Says + ")"
	}
	return text
}

func showRule(b *strings.Builder, r *advisory.Rule) {
	if r == nil {
		return
	}
	fmt.Fprintln(b, "  beyond versions")
	for _, group := range []struct {
		n    int
		says string
	}{
		{len(r.Presence), "the affected code is looked for in every object that holds " + r.Component},
		{len(r.Fix), "the fix is looked for in that code, so that a backport is seen"},
		{len(r.Flags), "a build flag that leaves the code out is looked for"},
	} {
		if group.n > 0 {
			fmt.Fprintf(b, "    %s\n", tame.Line(group.says))
		}
	}
	if r.Probe != "" {
		fmt.Fprintf(b, "    a live probe can prove it: staunch probe\n")
	}
	for _, says := range r.Needs {
		fmt.Fprintf(b, "    exploiting it needs: %s\n", tame.Line(says))
	}
	for _, says := range r.Disputes {
		fmt.Fprintf(b, "    sources disagree: %s\n", tame.Line(says))
	}
}
