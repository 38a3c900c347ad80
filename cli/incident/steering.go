package incident

import (
	"context"
	"fmt"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// steering are the words that people say to a run.
func steering(env *desk.Env, f *desk.Flags) []*cobra.Command {
	words := []steerWord{
		{use: "pause ID", short: "Begin nothing new; what is running ends, and a host in its turn finishes it", kind: run.Paused, says: "paused: nothing new begins"},
		{use: "resume ID", short: "Go on after a pause", kind: run.Resumed, says: "resumed"},
		{use: "abort ID", short: "Begin nothing any more, ever; a new plan is needed then", kind: run.Aborted, says: "aborted: nothing begins any more"},
		{use: "retry ID STEP TARGET", short: "Let a failed target go again", args: 3, kind: run.Retried, says: "goes again"},
		{use: "skip ID STEP TARGET", short: "Leave a target out, with a reason", args: 3, kind: run.Skipped, says: "left out"},
		{use: "confirm ID STEP [TARGET]", short: "Say that a person's step is done", args: 3, least: 2, kind: run.Confirmed, says: "confirmed"},
	}
	cmds := []*cobra.Command{newIncidentRun(env, f)}
	for _, w := range words {
		cmds = append(cmds, w.command(env, f))
	}
	return cmds
}

// steerWord is one word of a person to a run.
type steerWord struct {
	use, short, says string
	args, least      int // arguments; 0: the incident alone
	kind             run.Kind
	reason, plan     string
	up               bool
}

func (w steerWord) command(env *desk.Env, f *desk.Flags) *cobra.Command {
	most := max(w.args, 1)
	least := most
	if w.least > 0 {
		least = w.least
	}
	cmd := &cobra.Command{
		Use:     w.use,
		Short:   w.short,
		Args:    cobra.RangeArgs(least, most),
		PreRunE: func(*cobra.Command, []string) error { return w.proper() },
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.With(cmd.Context(), env, false, "", func(d *desk.Desk) error { return w.tell(cmd.Context(), d, args) })
		},
	}
	cmd.Flags().StringVar(&w.reason, "reason", "", "why")
	cmd.Flags().StringVar(&w.plan, "plan", "", "another plan than the newest")
	if w.kind == run.Skipped {
		cmd.Flags().BoolVar(&w.up, "up", false, "the service on that host is up")
	}
	return cmd
}

func (w *steerWord) proper() error {
	if w.kind == run.Skipped && w.reason == "" {
		return fault.New(fault.Usage, "leaving a target out needs a reason").Hinted("--reason")
	}
	return nil
}

// tell records the word, and says whether somebody is at work who hears it.
func (w *steerWord) tell(ctx context.Context, d *desk.Desk, args []string) error {
	sealed, err := current(ctx, d, args[0], w.plan)
	if err != nil {
		return err
	}
	e := run.Event{Kind: w.kind, Says: w.reason, Up: w.up, By: d.Who}
	about := "the run of plan " + sealed.Plan().ID
	if len(args) > 1 {
		e.Step, e.Target = args[1], soleTarget(sealed.Plan(), args[1])
		if len(args) > 2 {
			e.Target = args[2]
		}
		about = e.Step + " on " + e.Target
	}
	if err := run.Tell(ctx, sealed, d.Record(sealed.Plan().ID), e); err != nil {
		return err
	}
	fmt.Fprintf(d.Env.Stdout, "%s: %s\n", tame.Line(about), w.says)
	return whoHeard(ctx, d, sealed, w.kind)
}

// soleTarget is the target of a step that has one; "all" is what a step without hosts calls its own.
func soleTarget(p *plan.Plan, step string) string {
	if s := p.Step(step); s != nil && len(s.Targets) == 1 {
		return s.Targets[0].Key()
	}
	return "all"
}

// whoHeard says who acts on a word: a runner that is at work now, or nobody yet.
func whoHeard(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, kind run.Kind) error {
	holder, err := holderName(d.Hub)
	if err != nil {
		return err
	}
	at, err := d.At(ctx, sealed.Plan().ID, holder)
	switch {
	case err != nil:
		return err
	case at != "" || kind == run.Paused || kind == run.Aborted:
		return nil
	}
	_, err = fmt.Fprintf(d.Env.Stdout, "nobody is carrying it out now: staunch incident run %s\n", sealed.Plan().Incident)
	return err
}
