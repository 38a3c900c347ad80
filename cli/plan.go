package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ink"
	"staunch/phrase"
	"staunch/steer/picture"
	"staunch/steer/plan"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newPlan(env *Env) *cobra.Command {
	f := &deskFlags{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "What will be done, in which order, how it is proven and undone",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.add(cmd)
	cmd.AddCommand(newPlanMake(env, f), newPlanShow(env, f))
	return cmd
}

func newPlanShow(env *Env, f *deskFlags) *cobra.Command {
	var graph bool
	var format string
	cmd := &cobra.Command{
		Use:     "show PLAN",
		Short:   "Read a plan before you sign it",
		Example: "  staunch plan show 7.1\n  staunch plan show 7.1 --graph\n  staunch plan show 7.1 --format html > plan.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch format {
			case "table", "json", "svg", "dot", "html":
			default:
				return fault.New(fault.Usage, "--format %q: table, json, svg, dot or html", format)
			}
			return f.with(cmd.Context(), env, true, "", func(d *desk) error {
				sealed, err := d.Plan(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				said, err := d.votesOn(cmd.Context(), sealed, f.config)
				if err != nil {
					return err
				}
				switch {
				case format == "json":
					return indented(env.Stdout, struct {
						Digest string     `json:"digest"`
						Plan   *plan.Plan `json:"plan"`
					}{sealed.Digest, sealed.Plan()})
				case format == "svg":
					return picture.SVG(env.Stdout, sealed.Plan())
				case format == "dot":
					return picture.DOT(env.Stdout, sealed.Plan())
				case format == "html":
					return picture.HTML(env.Stdout, sealed)
				case graph:
					w := &lines{w: env.Stdout}
					for _, line := range picture.Lines(sealed.Plan(), terminalWidth(env), ink.Paint(colour(env))) {
						w.say("%s", line)
					}
					return w.err
				}
				return printPlan(env, sealed, said)
			})
		},
	}
	cmd.Flags().BoolVar(&graph, "graph", false, "as a picture: what waits for what")
	cmd.Flags().StringVar(&format, "format", "table", "table, json, or a picture: svg, dot (Graphviz), html (with everything that the plan says)")
	return cmd
}

// votesOn says how a plan's votes stand; where nobody is listed who may vote, or the plan was replaced, it says that.
func (d *desk) votesOn(ctx context.Context, sealed *plan.Sealed, config string) ([]string, error) {
	list, err := readSigners(d.env, config, "")
	if fault.Is(err, fault.NotFound) {
		return []string{"nobody is listed who may vote"}, nil
	}
	if err != nil {
		return nil, err
	}
	if d.Fleet, err = findFleet(d.env, config); err != nil {
		return nil, err
	}
	a, err := d.Approval(ctx, sealed, list)
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
		return []string{err.Error()}, nil
	}
	return votesInWords(a, d.Now()), err
}

func printPlan(env *Env, sealed *plan.Sealed, said []string) error {
	p, paint := sealed.Plan(), ink.Paint(colour(env))
	w := &lines{w: env.Stdout}
	w.say("%s", paint.Bold(fmt.Sprintf("plan %s: %s", p.ID, tame.Line(p.Title))))
	w.say("digest %s", sealed.Digest)
	w.say("made %s by %s; no step begins after %s", p.Made.Local().Format("2006-01-02 15:04 MST"), tame.Line(p.MadeBy), p.Expires.Local().Format("2006-01-02 15:04 MST"))
	w.say("urgency %s: %s after each ring, stops after %s", p.Pace.Urgency, waited(p.Pace.SoakMS), phrase.Count(max(p.Pace.StopAfter, 1), "failure", "failures"))
	for _, g := range p.Pace.GaveUp {
		w.say("%s", paint.Yellow("  given up for speed: "+tame.Line(g)))
	}
	for _, u := range p.Unseen {
		w.say("%s", paint.Yellow(fmt.Sprintf("  not reached: %s (%s)", tame.Line(u.Host), tame.Line(u.Why))))
	}
	for _, x := range p.Waivers {
		w.say("%s", paint.Red(fmt.Sprintf("  waiver: %s may be vulnerable to %s until %s: %s (%s)", tame.Line(x.Host), x.Advisory, x.Until.Local().Format("2006-01-02 15:04"), tame.Line(x.Reason), tame.Line(x.By))))
	}
	if p.DelayMS > 0 {
		w.say("after the vote of one person alone nothing begins for %s", time.Duration(p.DelayMS)*time.Millisecond)
	}
	for _, line := range said {
		w.say("votes: %s", tame.Line(line))
	}
	for _, ring := range append(ringNames(p), "") {
		w.ring(p, ring, paint)
	}
	for _, x := range p.Watches {
		says := "watch: " + x.What
		if x.Host != "" {
			says += " on " + x.Host
		}
		if x.Contact != "" {
			says += ", ask " + x.Contact
		}
		w.say("%s, look again %s", tame.Line(says), x.Due.Local().Format("2006-01-02"))
	}
	return w.err
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

func (l *lines) ring(p *plan.Plan, name string, paint ink.Paint) {
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
			l.say("\n%s", paint.Bold(title))
			first = false
		}
		l.step(s)
	}
}

func (l *lines) step(s *plan.Step) {
	marks := ""
	for _, m := range []struct {
		on   bool
		word string
	}{{s.Public, "public"}, {s.Safer, "makes safer"}} {
		if m.on {
			marks += " [" + m.word + "]"
		}
	}
	l.say("  %s%s: %s", s.ID, marks, tame.Line(s.Says))
	l.say("      on      %s", tame.Line(strings.Join(targetsOf(s), ", ")))
	if s.Act != nil {
		l.say("      does    %s %s", s.Act.Kind, tame.Line(compact(s.Act.With)))
	}
	if s.Task != nil {
		l.say("      person  %s: %s (until %s)", tame.Line(s.Task.Owner), tame.Line(s.Task.Asks), s.Task.Due.Local().Format("2006-01-02 15:04"))
	}
	if after := slices.Concat(s.After, s.Each); len(after) > 0 {
		l.say("      after   %s", strings.Join(after, ", "))
	}
	l.say("      needs   %s", predicates(s.Needs))
	l.say("      proves  %s", predicates(s.Proves))
	l.say("      undo    %s: %s", s.Undo.Kind, tame.Line(s.Undo.Says))
	if s.Harm.Says != "" || len(s.Harm.Down) > 0 {
		harm := s.Harm.Says
		if len(s.Harm.Down) > 0 {
			harm += " down: " + strings.Join(s.Harm.Down, ", ")
		}
		l.say("      harm    %s", tame.Line(strings.TrimSpace(harm)))
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
