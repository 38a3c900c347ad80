package plan

import (
	"context"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub"
	"staunch/mend/patch"
	"staunch/steer/plan"
	"staunch/steer/tell"

	"github.com/spf13/cobra"
)

// making is what `plan make` was asked for.
type making struct {
	urgency, owner, because string
	off, mitigate, built    []string
	byHook                  []string
	reboot                  bool
	delay, soak             time.Duration
}

func newPlanMake(env *desk.Env, f *desk.Flags) *cobra.Command {
	var o making
	cmd := &cobra.Command{
		Use:   "make INCIDENT",
		Short: "Turn what is known about an incident into a plan to vote on",
		Long: `Makes a plan from the newest look at the fleet: which library packages to upgrade, which units to restart, in which order, proven by what.
Nothing is done. A plan that breaks a rule (docs/plan-rules.md) is not made. A new plan replaces the one before, shows the difference, and needs new votes.`,
		Example: "  staunch plan make 7\n  staunch plan make 7 --urgency now --off report.service\n  staunch plan make 7 --mitigate web.service=no-heartbeat,LEVEL=2\n  staunch plan make 7 --built built/\n  staunch plan make 7 --because \"web9 answers again\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			choices, err := o.choices()
			if err != nil {
				return err
			}
			return f.With(cmd.Context(), env, false, "", func(d *desk.Desk) error {
				m := hub.Making{Urgency: plan.Urgency(o.urgency), Owner: o.owner, Because: o.because, Delay: o.delay, Choices: choices}
				if cmd.Flags().Changed("soak") {
					m.Soak = &o.soak
				}
				if m.Choices.Built, err = d.TakeBuilt(cmd.Context(), o.built); err != nil {
					return err
				}
				if m.Choices.Waivers, err = waived(cmd.Context(), d, args[0], f.Config); err != nil {
					return err
				}
				sealed, diff, err := d.MakePlan(cmd.Context(), args[0], m)
				if err != nil {
					return err
				}
				return tell.Made(env.Stdout, sealed, diff)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.urgency, "urgency", string(plan.Tonight), "now, tonight or week: soak times, widths, and what a silent host stops")
	fl.StringVar(&o.owner, "owner", "", "who does what no service's owner does (default: you)")
	fl.StringVar(&o.because, "because", "", "why the plan before is replaced")
	fl.StringSliceVar(&o.off, "off", nil, "units to switch off until a fixed version exists")
	fl.StringArrayVar(&o.mitigate, "mitigate", nil, "UNIT=HOOK[,NAME=VALUE...]: a host-side hook that takes the danger away until a fixed version exists")
	fl.StringSliceVar(&o.byHook, "restart-by-hook", nil, "`HOST`s that are not covered: a person mends them, then their restart_hook restarts them")
	fl.StringSliceVar(&o.built, "built", nil, "folders that staunch build wrote: these libraries are installed instead of upgrading")
	fl.BoolVar(&o.reboot, "reboot", false, "reboot hosts whose affected units must not be restarted casually, instead of asking a person")
	fl.DurationVar(&o.delay, "delay", 0, "nothing begins so soon after this moment, nor so soon after the vote of one person alone: others can still object")
	fl.DurationVar(&o.soak, "soak", 0, "how long each ring is watched (default: what the urgency says)")
	return cmd
}

// waived are the signed words by which hosts are left alone; where nobody is listed who may sign, there are none.
func waived(ctx context.Context, d *desk.Desk, id, config string) ([]plan.Waiver, error) {
	list, err := desk.ReadSigners(d.Env, config, "")
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return d.Waivers(ctx, id, list)
}

func (o *making) choices() (patch.Choices, error) {
	c := patch.Choices{Off: o.off, Reboot: o.reboot, Uncovered: o.byHook, Mitigate: map[string]patch.Mitigation{}}
	for _, one := range o.mitigate {
		unit, m, err := mitigation(one)
		if err != nil {
			return c, err
		}
		c.Mitigate[unit] = m
	}
	return c, nil
}

// mitigation reads UNIT=HOOK[,NAME=VALUE...].
func mitigation(s string) (unit string, m patch.Mitigation, err error) {
	unit, words, ok := strings.Cut(s, "=")
	hook, params, _ := strings.Cut(words, ",")
	if !ok || unit == "" || hook == "" {
		return "", m, fault.New(fault.Usage, "--mitigate %q: UNIT=HOOK, or UNIT=HOOK,NAME=VALUE,...", s)
	}
	m.Hook = hook
	for _, p := range strings.FieldsFunc(params, func(r rune) bool { return r == ',' }) {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return "", m, fault.New(fault.Usage, "--mitigate %q: %q is no NAME=VALUE", s, p)
		}
		if m.Params == nil {
			m.Params = map[string]string{}
		}
		m.Params[name] = value
	}
	return unit, m, nil
}
