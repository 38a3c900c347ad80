// Package tell is what a probe saw, as text and as a page.
package tell

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"staunch/ink"
	"staunch/see/probe"
	"staunch/tame"
)

// Table writes a line for each address.
func Table(w io.Writer, all []probe.Result) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TARGET\tADDRESS\tGRADE\tHEARTBLEED\tVERSIONS\tKEY\tEXPIRES\tTRUST")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", tame.Line(r.Target), whereOf(r), letterOf(r), heartbleedOf(r), versionsOf(r), keyOf(r), expiryOf(r), trustOf(r))
	}
	_ = t.Flush() // lines keeps the error
}

func whereOf(r probe.Result) string {
	if r.Address == "" {
		return "-"
	}
	where := joinPort(r.Address, r.Port)
	if r.StartTLS != "" {
		where += " " + r.StartTLS
	}
	return where
}

func joinPort(address string, port int) string {
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	return fmt.Sprintf("%s:%d", address, port)
}

func letterOf(r probe.Result) string {
	switch {
	case r.Grade == nil:
		return "-"
	case r.Grade.UpperBound:
		return "<=" + r.Grade.Letter
	}
	return r.Grade.Letter
}

func heartbleedOf(r probe.Result) string {
	return strings.ReplaceAll(string(r.Heartbleed.Verdict), "_", " ")
}

func versionsOf(r probe.Result) string {
	var offered []string
	for _, p := range slices.Backward(r.Protocols) {
		if p.Offered {
			offered = append(offered, strings.TrimPrefix(p.Version, "TLS"))
		}
	}
	return dash(strings.Join(offered, " "))
}

func keyOf(r probe.Result) string {
	if r.Certificate == nil {
		return "-"
	}
	return fmt.Sprintf("%s %d", r.Certificate.Key.Type, r.Certificate.Key.Bits)
}

func expiryOf(r probe.Result) string {
	if r.Certificate == nil {
		return "-"
	}
	return r.Certificate.NotAfter.Format("2006-01-02")
}

func trustOf(r probe.Result) string {
	switch {
	case r.ExpectSPKI != "":
		return "key " + r.ExpectSPKI
	case r.Certificate == nil:
		return "-"
	case len(r.Certificate.Problems) > 0:
		code, _, _ := strings.Cut(r.Certificate.Problems[0], ":")
		return strings.ReplaceAll(code, "_", " ")
	}
	return "trusted"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Reasons says why, for whatever is not plainly good.
func Reasons(w *ink.Lines, all []probe.Result) {
	for _, r := range all {
		head := false
		say := func(format string, args ...any) {
			if !head {
				w.Say("\n%s (%s)", tame.Line(r.Target), whereOf(r))
				head = true
			}
			w.Say("  "+format, args...)
		}
		if r.Error != "" {
			say("not seen: %s", tame.Line(r.Error))
			continue
		}
		if r.Heartbleed.Verdict != probe.NoHeartbeat && r.Heartbleed.Verdict != probe.NotTested {
			say("heartbleed %s: %s", heartbleedOf(r), tame.Line(r.Heartbleed.Reason))
		}
		if g := r.Grade; g != nil {
			for _, c := range g.Caps {
				say("%s because %s", c.Letter, tame.Line(c.Because))
			}
			for _, x := range g.Warnings {
				say("warning: %s", x.Because)
			}
			for _, n := range g.Next {
				say("to get better: %s", n)
			}
		}
	}
}

// Footer says by which rubric was graded, what was not tested, and what a negative answer is worth.
func Footer(w *ink.Lines, all []probe.Result) {
	negative, graded := false, false
	left := map[string]int{}
	for _, r := range all {
		negative = negative || r.Error == "" && (r.Heartbleed.Verdict == probe.NoHeartbeat || r.Heartbleed.Verdict == probe.Patched)
		graded = graded || r.Grade != nil
		if r.Error == "" {
			for _, n := range r.NotTested {
				left[n]++
			}
		}
	}
	w.Say("")
	if graded {
		w.Say("Grade: %s. Not Qualys' letter.", all[firstGraded(all)].Grade.Rubric)
	}
	for _, n := range slices.Sorted(maps.Keys(left)) {
		w.Say("Not tested: %s", tame.Line(n))
	}
	if negative {
		w.Say("A negative Heartbleed verdict is about this address only: a balancer may answer for the code behind it. Evidence from the host decides (staunch scan).")
	}
}

func firstGraded(all []probe.Result) int {
	return slices.IndexFunc(all, func(r probe.Result) bool { return r.Grade != nil })
}
