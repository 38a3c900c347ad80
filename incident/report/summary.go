package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/incident"
	"staunch/inventory"
	"staunch/phrase"
)

// summary is what somebody reads who reads nothing else.
func (r *Report) summary(s *incident.Incident) {
	say := func(format string, args ...any) { r.Summary = append(r.Summary, fmt.Sprintf(format, args...)) }
	say("%s opened incident %s (%s) on %s.", cmp.Or(s.OpenedBy, "staunch"), s.Opened.ID, s.Opened.Title, r.both(s.OpenedAt))
	if a := s.Advisory; a != nil {
		say("The weakness is %s, severity %s%s.", strings.Join(append([]string{a.ID}, a.Names...), ", "), cmp.Or(string(a.Severity), "unknown"), map[bool]string{true: ", known to be exploited"}[a.KnownExploited])
	}
	say("What was at stake: %s.", s.Impact.Harm.Says())
	if s.Looks == 0 {
		say("Nobody has looked at the fleet: nothing is known about it.")
		return
	}
	say("%s affected code, on %s of them where strangers can reach it. %d of %d known hosts were seen.", phrase.Count(len(s.First), "host ran", "hosts ran"), none(faced(s)), s.Seen, s.Known)
	r.standing(s)
	for _, h := range s.In(inventory.Unknown) {
		say("Unknown: %s counts as neither clean nor affected (%s).", h.Host, h.Why)
	}
	if s.Blast != nil {
		say("What could have leaked: %s.", s.Blast.Says())
	}
	say("%s", searches(s))
	if left := s.Left(); len(left) > 0 {
		say("%s still open: see the action items.", phrase.Count(len(left), "thing is", "things are"))
	}
	if s.Closed {
		say("The incident was closed on %s.", r.both(s.ClosedAt))
	}
}

func faced(s *incident.Incident) int {
	n := 0
	for _, h := range s.First {
		if h.Facing > 0 {
			n++
		}
	}
	return n
}

func none(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}

// standing says what runs affected code now, and since when nothing does.
func (r *Report) standing(s *incident.Incident) {
	for _, m := range []struct {
		which incident.Milestone
		says  string
	}{{incident.PublicClean, "Nothing affected that strangers can reach has run since %s, %s after the opening."}, {incident.AllClean, "Nothing affected has run on the hosts seen since %s, %s after the opening."}} {
		if at := since(s, m.which); !at.IsZero() {
			r.Summary = append(r.Summary, fmt.Sprintf(m.says, r.both(at), at.Sub(s.OpenedAt).Round(time.Second)))
		}
	}
	if still := s.In(inventory.Affected); len(still) > 0 {
		var names []string
		for _, h := range still {
			names = append(names, h.Host)
		}
		r.Summary = append(r.Summary, fmt.Sprintf("%s affected code: %s.", phrase.Count(len(still), "host still runs", "hosts still run"), strings.Join(phrase.Some(names, 12), ", ")))
	}
}

// since is when a state was reached that still holds, or zero.
func since(s *incident.Incident, which incident.Milestone) time.Time {
	if which == incident.AllClean && len(s.In(inventory.Affected)) > 0 || which == incident.PublicClean && s.Facing() > 0 {
		return time.Time{}
	}
	for _, m := range slices.Backward(s.Milestones) {
		if m.Milestone == which {
			return m.At
		}
	}
	return time.Time{}
}

func searches(s *incident.Incident) string {
	if len(s.Searches) == 0 {
		return "Signs that it was used against us: nobody recorded a search for them."
	}
	found := map[string]int{}
	for _, x := range s.Searches {
		found[x.Found]++
	}
	says := "Signs that it was used against us: "
	switch {
	case found["signs"] > 0:
		says += "FOUND, see below"
	case found["unsure"] > 0:
		says += "the searches do not tell, see below"
	default:
		says += "none found by " + phrase.Count(len(s.Searches), "search", "searches")
	}
	if slices.ContainsFunc(s.Searches, func(x incident.Search) bool { return x.Cannot != "" }) {
		says += "; not everything could be searched"
	}
	return says + "."
}

// Fact is one number of the summary, as it stands at the head of the page.
type Fact struct {
	Figure, Says string
	News         string // its class: good, bad, unknown, none
}

func (r *Report) facts(s *incident.Incident) {
	if s.Looks == 0 {
		return
	}
	affected, unknown, open := len(s.In(inventory.Affected)), len(s.In(inventory.Unknown)), len(s.Left())
	news := func(n int, bad string) string {
		if n == 0 {
			return "good"
		}
		return bad
	}
	r.Facts = []Fact{
		{fmt.Sprint(len(s.First)), "hosts ran affected code", "none"},
		{fmt.Sprint(affected), "still do", news(affected, "bad")},
		{fmt.Sprint(unknown), "unknown", news(unknown, "unknown")},
		{fmt.Sprintf("%d of %d", s.Seen, s.Known), "hosts seen", news(s.Known-s.Seen, "unknown")},
		{fmt.Sprint(open), "things open", news(open, "warn")},
	}
	if at := since(s, incident.PublicClean); !at.IsZero() {
		r.Facts = append(r.Facts, Fact{at.Sub(s.OpenedAt).Round(time.Second).String(), "until the public part was clean", "good"})
	}
}
