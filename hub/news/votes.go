package news

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"staunch/hub"
)

// Votes says how far a plan's votes reach, a line each.
func Votes(a hub.Approval, now time.Time) (out []string) {
	if len(a.People) > 0 {
		out = append(out, "approved by "+strings.Join(a.People, ", "))
	}
	if len(a.Carried) > 0 {
		out = append(out, "counted from the plan before, by a standing vote: "+strings.Join(a.Carried, ", ")+" (never for a revocation, nor on hosts that ask for signatures)")
	}
	for _, v := range a.Void {
		out = append(out, "does not count: "+cmp.Or(v.By, "a vote")+": "+v.Why)
	}
	for _, g := range a.Glass {
		state := "reviewed by " + g.Reviewed
		if g.Reviewed == "" {
			state = "NOBODY HAS REVIEWED IT YET"
		}
		out = append(out, fmt.Sprintf("%s BROKE THE GLASS at %s: %s; %s", g.By, clockOf(g.At, now), g.Reason, state))
	}
	out = append(out, a.Missing...)
	switch {
	case len(a.Glass) > 0:
	case a.All:
		out = append(out, "all votes are there")
	case a.Until != "":
		out = append(out, "the votes reach up to ring "+a.Until+", and everywhere to what only makes safer")
	case a.Votes() > 0:
		out = append(out, "the votes reach only to what makes safer")
	}
	if a.From.After(now) {
		out = append(out, fmt.Sprintf("it is one vote alone: nothing begins before %s (in %s), so that others can object", clockOf(a.From, now), a.From.Sub(now).Round(time.Second)))
	}
	return out
}

// clockOf words a time for today's reader: with the date only where it is another day.
func clockOf(t, now time.Time) string {
	if t.Local().Format(time.DateOnly) == now.Local().Format(time.DateOnly) {
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("2006-01-02 15:04")
}
