package incident

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/steer/vote"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// newWaive signs "vulnerable until".
func newWaive(env *desk.Env, f *desk.Flags) *cobra.Command {
	var until, list, reason, key string
	cmd := &cobra.Command{
		Use:   "waive ID HOSTS",
		Short: "Sign that hosts may stay vulnerable until a time, with a reason",
		Long: `Signs with your ssh key that hosts may stay vulnerable to the incident's advisory until a time (at most 90 days). The next plan leaves them alone
and says so, the brief names them, and the end of the waiver stands on the checklist. It waives nothing by itself: the plan that holds it needs its votes.`,
		Example: "  staunch incident waive 7 db1 --until 2014-04-10 --reason \"the vendor's appliance, unplugged from the network\"",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.With(cmd.Context(), env, false, "", func(d *desk.Desk) error {
				signers, err := desk.ReadSigners(env, f.Config, list)
				if err != nil {
					return err
				}
				end, err := desk.Later(until, d.Now())
				if err != nil {
					return err
				}
				w := vote.Word{Kind: vote.StayVulnerable, Incident: args[0], Reason: reason, At: d.Now(), Until: end}
				if err := waives(d, cmd, &w, args[1]); err != nil {
					return err
				}
				signer, done, err := desk.SigningKey(env, key, signers)
				if err != nil {
					return err
				}
				spoken, err := vote.Speak(signer, w)
				if err := errors.Join(err, done()); err != nil {
					return err
				}
				who, err := d.Speak(cmd.Context(), spoken, signers)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(env.Stdout, "%s signed: %s may be vulnerable to %s until %s\nnext: staunch plan make %s, which leaves them alone\n",
					tame.Line(who), tame.Line(strings.Join(w.On, ", ")), tame.Line(w.About), end.Local().Format("2006-01-02 15:04 MST"), tame.Line(args[0]))
				return err
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&until, "until", "", "when it ends: a time, or how long from now (48h)")
	fl.StringVar(&reason, "reason", "", "why")
	fl.StringVar(&key, "key", "", "private key file (default: the ssh agent)")
	fl.StringVar(&list, "signers", "", "allowed_signers file")
	return cmd
}

// waives fills in which hosts and which advisory are meant.
func waives(d *desk.Desk, cmd *cobra.Command, w *vote.Word, selector string) error {
	if w.Until.IsZero() || !w.Until.After(w.At) {
		return fault.New(fault.Usage, "a waiver needs an end that lies ahead").Hinted("--until 48h")
	}
	if w.Reason == "" {
		return fault.New(fault.Usage, "a waiver needs a --reason: others will read it")
	}
	s, _, err := d.Incident(cmd.Context(), w.Incident)
	if err != nil {
		return err
	}
	if s.Advisory == nil {
		return fault.New(fault.Unsupported, "incident %s has no advisory yet: nobody can say what would be waived", w.Incident)
	}
	hosts, err := d.Fleet.Select(selector, os.ReadFile)
	if err != nil {
		return err
	}
	for _, h := range hosts {
		w.On = append(w.On, h.Name)
	}
	w.About = s.Advisory.ID
	return nil
}

// newRemind tells owners what is due: for cron.
func newRemind(env *desk.Env, f *desk.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "remind [ID]",
		Short: "Tell owners what is due, by the notify command; for cron",
		Long: `Tells the owners of checklist entries, of steps for people and of watches what is due, by the notify command of staunch.yaml (docs/notify.md).
Nobody is told twice before their time. Without ID: for every open incident. A run does the same while it goes on.
Exit code 0: nothing is due, or everybody was told. 1: somebody could not be told.`,
		Example: "  staunch incident remind 7\n  */10 * * * * staunch incident remind",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.With(cmd.Context(), env, false, "", func(d *desk.Desk) error {
				ids := args
				if len(ids) == 0 {
					all, err := d.Incidents(cmd.Context())
					if err != nil {
						return err
					}
					for _, s := range all {
						if !s.Closed {
							ids = append(ids, s.Opened.ID)
						}
					}
				}
				return remind(d, cmd, ids)
			})
		},
	}
}

func remind(d *desk.Desk, cmd *cobra.Command, ids []string) error {
	untold := false
	for _, id := range ids {
		due, err := newsOf(d).Remind(cmd.Context(), id)
		for _, n := range due {
			to := n.To
			if to == "" {
				to = "NOBODY OWNS IT"
			}
			fmt.Fprintf(d.Env.Stdout, "%s  %s: %s\n", time.Now().Local().Format("15:04"), tame.Line(to), tame.Line(n.Says))
		}
		if err != nil {
			untold = true
			desk.Complain(d.Env.Stderr, fault.New(fault.KindOf(err), "incident %s: somebody could not be told: %v", id, err).Hinted("%s", fault.HintOf(err)))
		}
	}
	if untold {
		return desk.Exit(desk.ExitFound)
	}
	return nil
}
