package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/mend/patch"
	"staunch/phrase"
	"staunch/steer/plan"
	"staunch/tame"

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

func newPlanMake(env *Env, f *deskFlags) *cobra.Command {
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
			return f.with(cmd.Context(), env, false, "", func(d *desk) error {
				m := hub.Making{Urgency: plan.Urgency(o.urgency), Owner: o.owner, Because: o.because, Delay: o.delay, Choices: choices}
				if cmd.Flags().Changed("soak") {
					m.Soak = &o.soak
				}
				if m.Choices.Built, err = d.takeBuilt(cmd.Context(), o.built); err != nil {
					return err
				}
				if m.Choices.Waivers, err = d.waived(cmd.Context(), args[0], f.config); err != nil {
					return err
				}
				sealed, diff, err := d.MakePlan(cmd.Context(), args[0], m)
				if err != nil {
					return err
				}
				return planMade(env, sealed, diff)
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
func (d *desk) waived(ctx context.Context, id, config string) ([]plan.Waiver, error) {
	list, err := readSigners(d.env, config, "")
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

func planMade(env *Env, sealed *plan.Sealed, diff *plan.Diff) error {
	p, w := sealed.Plan(), &lines{w: env.Stdout}
	w.say("plan %s: %s on %s", p.ID, phrase.Count(len(p.Steps), "step", "steps"), phrase.Count(len(p.Hosts()), "host", "hosts"))
	w.say("digest %s", sealed.Digest)
	for _, g := range p.Pace.GaveUp {
		w.say("  given up for speed: %s", tame.Line(g))
	}
	for _, u := range p.Unseen {
		w.say("  not reached: %s (%s)", tame.Line(u.Host), tame.Line(u.Why))
	}
	if diff != nil {
		for _, line := range diff.Lines() {
			w.say("%s", tame.Line(line))
		}
	}
	w.say("%s", fmt.Sprintf("next: staunch plan show %s, then staunch approve %s", p.ID, p.ID))
	return w.err
}
