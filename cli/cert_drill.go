package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"staunch/ledger"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertDrill(env *Env, f *certFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "drill PLAN...",
		Short: "How long each key took in a run (a drill's, or a real one), and which endpoints a hasty revocation would have broken",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, true, "", func(d *desk) error {
				for _, id := range args {
					if err := d.drilled(cmd.Context(), id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// drilled reads a run's events: when each step began and was proven, and which points were seen with the old key when somebody looked.
func (d *desk) drilled(ctx context.Context, id string) error {
	sealed, err := d.Plan(ctx, id)
	if err != nil {
		return err
	}
	var events []run.Event
	for e, err := range d.Store.Read(ctx, ledger.Query{Stream: "run/" + id}) {
		if err != nil {
			return err
		}
		var one run.Event
		if err := e.Decode(&one); err != nil {
			return err
		}
		one.At, one.Kind = e.At, run.Kind(strings.TrimPrefix(e.Kind, "run."))
		events = append(events, one)
	}
	w := &lines{w: d.env.Stdout}
	w.say("plan %s: %s", id, tame.Line(sealed.Plan().Title))
	for _, k := range sealed.Plan().Keys {
		w.timing(sealed.Plan(), k, events)
	}
	return w.err
}

func (l *lines) timing(p *plan.Plan, k plan.Key, events []run.Event) {
	of := map[string]bool{}
	for _, s := range p.Steps {
		of[s.ID] = strings.Contains(s.ID, k.SPKI[:12])
	}
	var first, last time.Time
	late := map[string]string{}
	for _, e := range events {
		if !of[e.Step] {
			continue
		}
		if e.Kind == run.Begun && first.IsZero() {
			first = e.At
		}
		if e.Kind == run.Proven {
			last = e.At
		}
		if (e.Kind == run.Unproven || e.Kind == run.Held) && strings.Contains(e.Says, "@") {
			late[e.Target] = e.Says
		}
	}
	switch {
	case first.IsZero():
		l.say("  key %.12s: nothing was begun", k.SPKI)
	case last.IsZero():
		l.say("  key %.12s: begun, nothing proven yet", k.SPKI)
	default:
		l.say("  key %.12s: %s from the first step to the last proof", k.SPKI, last.Sub(first).Round(time.Millisecond))
	}
	var names []string
	for t := range late {
		names = append(names, t)
	}
	slices.Sort(names)
	for _, t := range names {
		l.say("    would have broken: %s (%s)", tame.Line(t), tame.Line(late[t]))
	}
}
