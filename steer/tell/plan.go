// Package tell is a plan before it is signed, and its run on a screen, as text.
package tell

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"staunch/ink"
	"staunch/phrase"
	"staunch/steer/plan"
	"staunch/tame"
)

// Plan writes a plan for whoever is to sign it; said is how its votes stand.
func Plan(out io.Writer, paint ink.Paint, sealed *plan.Sealed, said []string) error {
	p, w := sealed.Plan(), &ink.Lines{W: out}
	w.Say("%s", paint.Bold(fmt.Sprintf("plan %s: %s", p.ID, tame.Line(p.Title))))
	w.Say("digest %s", sealed.Digest)
	w.Say("made %s by %s; no step begins after %s", p.Made.Local().Format("2006-01-02 15:04 MST"), tame.Line(p.MadeBy), p.Expires.Local().Format("2006-01-02 15:04 MST"))
	w.Say("urgency %s: %s after each ring, stops after %s", p.Pace.Urgency, waited(p.Pace.SoakMS), phrase.Count(max(p.Pace.StopAfter, 1), "failure", "failures"))
	for _, g := range p.Pace.GaveUp {
		w.Say("%s", paint.Yellow("  given up for speed: "+tame.Line(g)))
	}
	for _, u := range p.Unseen {
		w.Say("%s", paint.Yellow(fmt.Sprintf("  not reached: %s (%s)", tame.Line(u.Host), tame.Line(u.Why))))
	}
	for _, x := range p.Waivers {
		w.Say("%s", paint.Red(fmt.Sprintf("  waiver: %s may be vulnerable to %s until %s: %s (%s)", tame.Line(x.Host), x.Advisory, x.Until.Local().Format("2006-01-02 15:04"), tame.Line(x.Reason), tame.Line(x.By))))
	}
	if p.DelayMS > 0 {
		w.Say("after the vote of one person alone nothing begins for %s", time.Duration(p.DelayMS)*time.Millisecond)
	}
	for _, line := range said {
		w.Say("votes: %s", tame.Line(line))
	}
	for _, ring := range append(ringNames(p), "") {
		tellRing(w, p, ring, paint)
	}
	for _, x := range p.Watches {
		says := "watch: " + x.What
		if x.Host != "" {
			says += " on " + x.Host
		}
		if x.Contact != "" {
			says += ", ask " + x.Contact
		}
		w.Say("%s, look again %s", tame.Line(says), x.Due.Local().Format("2006-01-02"))
	}
	return w.Err
}

func waited(ms int64) string {
	if ms == 0 {
		return "no watch"
	}
	return fmt.Sprintf("%d s of watch", ms/1000)
}

func ringNames(p *plan.Plan) []string {
	var names []string
	for _, r := range p.Rings {
		names = append(names, r.Name)
	}
	return names
}

func tellRing(l *ink.Lines, p *plan.Plan, name string, paint ink.Paint) {
	title := "outside of the rings"
	if r, at := p.RingOf(name); at >= 0 {
		title = fmt.Sprintf("ring %s: %s at once, %s needed", name, phrase.Count(r.Width, "host", "hosts"), phrase.Count(max(r.Quorum, 1), "vote", "votes"))
	}
	first := true
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Ring != name {
			continue
		}
		if first {
			l.Say("\n%s", paint.Bold(title))
			first = false
		}
		tellStep(l, s)
	}
}

func tellStep(l *ink.Lines, s *plan.Step) {
	marks := ""
	for _, m := range []struct {
		on   bool
		word string
	}{{s.Public, "public"}, {s.Safer, "makes safer"}} {
		if m.on {
			marks += " [" + m.word + "]"
		}
	}
	l.Say("  %s%s: %s", s.ID, marks, tame.Line(s.Says))
	l.Say("      on      %s", tame.Line(strings.Join(targetsOf(s), ", ")))
	if s.Act != nil {
		l.Say("      does    %s %s", s.Act.Kind, tame.Line(compact(s.Act.With)))
	}
	if s.Task != nil {
		l.Say("      person  %s: %s (until %s)", tame.Line(s.Task.Owner), tame.Line(s.Task.Asks), s.Task.Due.Local().Format("2006-01-02 15:04"))
	}
	if after := slices.Concat(s.After, s.Each); len(after) > 0 {
		l.Say("      after   %s", strings.Join(after, ", "))
	}
	l.Say("      needs   %s", predicates(s.Needs))
	l.Say("      proves  %s", predicates(s.Proves))
	l.Say("      undo    %s: %s", s.Undo.Kind, tame.Line(s.Undo.Says))
	if s.Harm.Says != "" || len(s.Harm.Down) > 0 {
		harm := s.Harm.Says
		if len(s.Harm.Down) > 0 {
			harm += " down: " + strings.Join(s.Harm.Down, ", ")
		}
		l.Say("      harm    %s", tame.Line(strings.TrimSpace(harm)))
	}
}

const mostTargets = 12

func targetsOf(s *plan.Step) []string {
	var names []string
	for i, t := range s.Targets {
		if i == mostTargets {
			return append(names, fmt.Sprintf("and %d more", len(s.Targets)-i))
		}
		names = append(names, t.Key())
	}
	return names
}

func predicates(list []plan.Predicate) string {
	if len(list) == 0 {
		return "nothing"
	}
	var words []string
	for _, p := range list {
		words = append(words, p.String())
	}
	return tame.Line(strings.Join(words, "; "))
}

func compact(with json.RawMessage) string {
	const most = 300
	if len(with) > most {
		return strings.ToValidUTF8(string(with[:most]), "") + "..."
	}
	return string(with)
}

// Made says what a new plan is, and how it differs from the one that it replaces (nil: from none).
func Made(out io.Writer, sealed *plan.Sealed, diff *plan.Diff) error {
	p, w := sealed.Plan(), &ink.Lines{W: out}
	w.Say("plan %s: %s on %s", p.ID, phrase.Count(len(p.Steps), "step", "steps"), phrase.Count(len(p.Hosts()), "host", "hosts"))
	w.Say("digest %s", sealed.Digest)
	for _, g := range p.Pace.GaveUp {
		w.Say("  given up for speed: %s", tame.Line(g))
	}
	for _, u := range p.Unseen {
		w.Say("  not reached: %s (%s)", tame.Line(u.Host), tame.Line(u.Why))
	}
	if diff != nil {
		for _, line := range diff.Lines() {
			w.Say("%s", tame.Line(line))
		}
	}
	w.Say("%s", fmt.Sprintf("next: staunch plan show %s, then staunch approve %s", p.ID, p.ID))
	return w.Err
}
