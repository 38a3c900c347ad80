// Package tell is an incident on a terminal: what is affected, what could have leaked, what people have to do.
package tell

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"staunch/incident"
	"staunch/incident/blast"
	"staunch/ink"
	"staunch/inventory"
	"staunch/phrase"
	"staunch/tame"
)

// mostRows bounds what a terminal gets; the report has everything.
const mostRows = 40

// Incident writes what an incident can do, which hosts are affected, and what could have leaked.
func Incident(out io.Writer, paint ink.Paint, s *incident.Incident) error {
	w := &ink.Lines{W: out}
	w.Say("%s", paint.Bold(fmt.Sprintf("incident %s: %s", s.Opened.ID, tame.Line(s.Opened.Title))))
	w.Say("opened %s by %s", s.OpenedAt.Local().Format("2006-01-02 15:04 MST"), tame.Line(s.OpenedBy))
	w.Say("it can: %s", s.Impact.Harm.Says())
	w.Say("must follow: %s", s.Impact.Follows.Says())
	if s.Looks == 0 {
		w.Say("nobody has looked at the fleet yet: staunch incident look %s", s.Opened.ID)
		return w.Err
	}
	affected, unknown, dormant := s.In(inventory.Affected), s.In(inventory.Unknown), s.In(inventory.Dormant)
	tellHosts(w, paint.Red(fmt.Sprintf("\naffected: %s, %d of the processes face strangers", phrase.Count(len(affected), "host", "hosts"), s.Facing())), affected)
	tellHosts(w, paint.Yellow("\nunknown: "+phrase.Count(len(unknown), "host", "hosts")), unknown)
	tellHosts(w, "\ndormant only: "+phrase.Count(len(dormant), "host", "hosts"), dormant)
	if s.Blast != nil {
		tellBlast(w, s.Blast)
	}
	for _, m := range s.Milestones {
		w.Say("%s", paint.Green(m.At.Local().Format("15:04 ")+tame.Line(m.Says)))
	}
	for _, p := range s.Plans {
		w.Say("plan %s: %s, %d steps, %d votes%s", p.Plan, tame.Line(p.Title), p.Steps, len(p.Votes), map[bool]string{true: ", replaced"}[p.Void])
	}
	w.Say("\n%d of %d known hosts seen, %d clean; looked %s; catalogue of %s", s.Seen, s.Known, len(s.In(inventory.Clean)),
		s.LookedAt.Local().Format("15:04:05"), s.Catalogue.UTC().Format("2006-01-02"))
	return w.Err
}

func tellHosts(l *ink.Lines, title string, hosts []*incident.HostState) {
	if len(hosts) == 0 {
		return
	}
	l.Say("%s", title)
	for i, h := range hosts {
		if i == mostRows {
			l.Say("  and %d more hosts", len(hosts)-i)
			return
		}
		l.Say("  %s (%s) %s", tame.Line(h.Host), tame.Line(h.Ring), tame.Line(h.Why))
		for _, u := range h.Units {
			name := u.Unit
			if name == "" {
				name = u.Process
			}
			l.Say("    %s: %s %s, %s, %s, listens %s; %s", tame.Line(name), tame.Line(u.Component), tame.Line(u.Version), u.State, phrase.Count(u.Count, "process", "processes"), u.Exposure, tame.Line(u.Fix))
		}
	}
}

func tellBlast(l *ink.Lines, b *blast.Radius) {
	l.Say("\ncould have leaked: %s", tame.Line(b.Says()))
	for i, k := range b.Keys {
		if i == mostRows {
			break
		}
		l.Say("  key %.16s %s %s: in reach of %s", k.SPKI, k.Type, tame.Line(strings.Join(k.Names, ", ")), tame.Line(strings.Join(k.Readers, ", ")))
	}
	for i, x := range b.Secrets {
		if i == mostRows {
			break
		}
		l.Say("  %s %s (%s): in reach of %s", x.Kind, tame.Line(x.Name), x.Where, tame.Line(strings.Join(x.Readers, ", ")))
	}
	for _, x := range b.Services {
		holds := strings.Join(x.Holds, ", ")
		if holds == "" {
			holds = "what it holds is not said in the inventory"
		}
		l.Say("  service %s: %s", tame.Line(x.Service), tame.Line(holds))
	}
}

// Incidents lists incidents, a line each.
func Incidents(w io.Writer, list []*incident.Incident) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no incidents")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tOPENED\tSTATE\tAFFECTED\tUNKNOWN\tCLEAN AGAIN\tTITLE")
	for _, s := range list {
		state := "open"
		if s.Closed {
			state = "closed"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", s.Opened.ID, s.OpenedAt.Local().Format("2006-01-02 15:04"), state,
			len(s.In(inventory.Affected)), len(s.In(inventory.Unknown)), len(s.CleanSince), tame.Line(s.Opened.Title))
	}
	return t.Flush()
}

// Checklist lists what people have to do, with whoever sees to it.
func Checklist(w io.Writer, s *incident.Incident) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ENTRY\tSTATE\tOWNER\tDUE\tWHAT")
	for _, e := range s.Checklist {
		owner, due := e.Owner, "-"
		if owner == "" {
			owner = "NOBODY"
		}
		if !e.Due.IsZero() {
			due = e.Due.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", tame.Line(e.ID), e.State, tame.Line(owner), due, tame.Line(e.Says+suffix(e.Reason)))
	}
	return t.Flush()
}

func suffix(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
