// Package tell is keys as text: what hangs on each, and what replacing them asks of the CAs.
package tell

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"staunch/ink"
	"staunch/mend/cert"
	"staunch/mend/cert/picture"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/tame"
)

// Keys lists keys, a line each, and what could not be looked at.
func Keys(out io.Writer, c cert.Catalogue) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tTYPE\tCERTS\tFILES\tSERVED AT\tENDS\tEXPOSED\tNAMES")
	for _, k := range c.Keys {
		exposed := "-"
		if len(k.Exposed) > 0 {
			exposed = "incident " + k.Exposed[0].Incident
		}
		fmt.Fprintf(t, "%.12s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", k.SPKI, picture.Type(k), len(k.Certificates), len(k.Files), len(k.Served), picture.Ends(k), exposed, tame.Line(ink.Few(k.Names(), 3)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	w := &ink.Lines{W: out}
	tellUnseen(w, c)
	return w.Err
}

// mostUnseen bounds what a terminal gets.
const mostUnseen = 40

func tellUnseen(l *ink.Lines, c cert.Catalogue) {
	if len(c.Unseen) == 0 {
		return
	}
	l.Say("\nnot seen (keys that lie there are not in the list):")
	for i, u := range c.Unseen {
		if i == mostUnseen {
			l.Say("  and %d more", len(c.Unseen)-i)
			return
		}
		l.Say("  %s: %s", tame.Line(u.Where), tame.Line(u.Why))
	}
}

// Draw is the picture: what hangs on each key. Who says who can have a certificate of an issuer replaced or revoked.
func Draw(out io.Writer, paint ink.Paint, c cert.Catalogue, who func(issuer string) string) error {
	w := &ink.Lines{W: out}
	for _, k := range c.Keys {
		w.Say("%s", paint.Bold(fmt.Sprintf("key %.16s (%s)", k.SPKI, picture.Type(k))))
		for _, e := range k.Exposed {
			w.Say("%s", paint.Red(fmt.Sprintf("|- EXPOSED by incident %s on %s: %s %s", e.Incident, tame.Line(e.Host), tame.Line(e.Unit), tame.Line(e.How))))
		}
		for _, x := range k.Certificates {
			w.Say("|- certificate %s for %s, by %s, ends %s (from %s)", tame.Line(x.Serial), tame.Line(ink.Few(x.Names, 4)), tame.Line(x.Issuer), x.NotAfter.Format(time.DateOnly), strings.Join(x.From, ", "))
			w.Say("|    can be replaced or revoked by: %s", tame.Line(who(x.Issuer)))
		}
		for _, f := range k.Files {
			mark := "file"
			if f.Private {
				mark = "PRIVATE KEY"
			}
			w.Say("|- %s %s:%s (%s %s %s)", mark, tame.Line(f.Host), tame.Line(f.Path), f.Holds, f.Mode, tame.Line(f.Owner))
		}
		var said []string
		for _, r := range k.Readers {
			line := fmt.Sprintf("|- read by %s on %s (%s)", tame.Line(r.Name+" "+r.Unit), tame.Line(r.Host), tame.Line(cmp.Or(r.Says, r.How)))
			if !slices.Contains(said, line) { // a server has many processes
				said = append(said, line)
				w.Say("%s", line)
			}
		}
		for _, p := range k.Served {
			w.Say("|- served at %s", tame.Line(p.String()))
		}
		for _, e := range k.Edges {
			w.Say("|- held by %s", tame.Line(e))
		}
		for _, p := range k.Pinned {
			w.Say("%s", paint.Yellow("|- a new key breaks "+tame.Line(p)))
		}
		w.Say("")
	}
	tellUnseen(w, c)
	return w.Err
}

// Budget shows what the plan asks of each account, before anybody votes.
func Budget(out io.Writer, shares []replace.Share) error {
	w := &ink.Lines{W: out}
	if len(shares) > 0 {
		w.Say("\nbudget (what the CAs' limits leave room for, our own earlier orders counted):")
	}
	for _, s := range shares {
		text := fmt.Sprintf("  %s %s: %s", tame.Line(s.CA), tame.Line(s.Account), ink.Count(s.Orders, "order", "orders"))
		if s.Free > 0 {
			text += fmt.Sprintf(", %d of them free of limits", s.Free)
		}
		if s.Later > 0 {
			text += fmt.Sprintf(", %d of them wait, the last one until %s", s.Later, s.Last.UTC().Format("2006-01-02 15:04Z"))
		}
		w.Say("%s", text)
		for _, y := range s.Why {
			w.Say("    %d: %s", y.Orders, tame.Line(y.Because))
		}
	}
	return w.Err
}

// Timing says how long a key took.
func Timing(l *ink.Lines, p *plan.Plan, k plan.Key, events []run.Event) {
	of := map[string]bool{}
	for _, s := range p.Steps {
		of[s.ID] = strings.Contains(s.ID, k.SPKI[:12])
	}
	var first, last time.Time
	for _, e := range events {
		switch {
		case !of[e.Step]:
		case e.Kind == run.Begun && first.IsZero():
			first = e.At
		case e.Kind == run.Proven:
			last = e.At
		}
	}
	switch {
	case first.IsZero():
		l.Say("  key %.12s: nothing was begun", k.SPKI)
	case last.IsZero():
		l.Say("  key %.12s: begun, nothing proven yet", k.SPKI)
	default:
		l.Say("  key %.12s: %s from the first step to the last proof", k.SPKI, last.Sub(first).Round(time.Millisecond))
	}
}
