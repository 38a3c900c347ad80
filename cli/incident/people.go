package incident

import (
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/incident"
	"staunch/incident/tell"

	"github.com/spf13/cobra"
)

// peopleVerbs are what people add to an incident by hand.
func peopleVerbs(env *desk.Env, f *desk.Flags) []*cobra.Command {
	return []*cobra.Command{
		newComment(env, f), newCheck(env, f), newSearched(env, f), newLesson(env, f), newImpact(env, f), newRenamed(env, f), newWaive(env, f), newRemind(env, f), newClose(env, f),
	}
}

// record runs one command on an incident: no host is asked, so no inventory is needed.
func record(f *desk.Flags, cmd *cobra.Command, env *desk.Env, id string, c incident.Command) error {
	d, err := f.Open(cmd.Context(), env, false, "")
	if err != nil {
		return err
	}
	_, err = d.Do(cmd.Context(), id, c)
	return d.Close(err)
}

func newComment(env *desk.Env, f *desk.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "comment ID TEXT...",
		Short: "Write something down",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return record(f, cmd, env, args[0], incident.Remark{Says: strings.Join(args[1:], " ")})
		},
	}
}

func newCheck(env *desk.Env, f *desk.Flags) *cobra.Command {
	var owner, due, drop, add, done string
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "check ID [ENTRY]",
		Short: "The checklist for people: list it, add to it, give an owner, say it is done",
		Example: "  staunch incident check 7\n  staunch incident check 7 customers --owner cleo --due 2014-04-08T12:00\n  staunch incident check 7 customers --done \"mail sent\"\n" +
			"  staunch incident check 7 --add \"call the payment provider\" --owner ben --due 2h --remind 30m\n  staunch incident check 7 vendors --drop \"we have none\"",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			e := incident.Entry{Says: add, Owner: owner, Every: every}
			if len(args) == 2 {
				e.ID = args[1]
			}
			if e.ID == "" && add == "" {
				return listEntries(cmd, env, f, args[0])
			}
			at, err := desk.Later(due, time.Now())
			if err != nil {
				return err
			}
			e.Due = at
			switch {
			case cmd.Flags().Changed("done"):
				e.State, e.Reason = incident.DoneEntry, done
			case cmd.Flags().Changed("drop"):
				e.State, e.Reason = incident.Dropped, drop
			}
			return record(f, cmd, env, args[0], incident.Enter{Entry: e})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&add, "add", "", "a new entry, or new words for ENTRY")
	fl.StringVar(&owner, "owner", "", "who sees to it")
	fl.StringVar(&due, "due", "", "until when: a time, or how long from now (2h)")
	fl.DurationVar(&every, "remind", 0, "remind again so often once it is due")
	fl.StringVar(&done, "done", "", "it is done, and how")
	fl.StringVar(&drop, "drop", "", "it is not needed, and why")
	return cmd
}

func listEntries(cmd *cobra.Command, env *desk.Env, f *desk.Flags, id string) error {
	return f.With(cmd.Context(), env, true, "", func(d *desk.Desk) error {
		s, _, err := d.Incident(cmd.Context(), id)
		if err != nil {
			return err
		}
		return tell.Checklist(env.Stdout, s)
	})
}

func newSearched(env *desk.Env, f *desk.Flags) *cobra.Command {
	var s incident.Search
	var since string
	cmd := &cobra.Command{
		Use:     "searched ID WHAT...",
		Short:   "Record a search for signs that the bug was used: where, since when, and what could not be searched",
		Example: "  staunch incident searched 7 \"proxy logs\" --since 2014-03-01 --found nothing --cannot \"packet captures: none are kept\"",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := desk.Moment(since, time.Now())
			if err != nil {
				return err
			}
			s.What, s.Since = strings.Join(args[1:], " "), at
			return record(f, cmd, env, args[0], incident.Searched{Search: s})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&since, "since", "", "the search covers from then on")
	fl.StringVar(&s.Found, "found", "", "nothing, signs or unsure")
	fl.StringVar(&s.Says, "says", "", "what was seen")
	fl.StringVar(&s.Cannot, "cannot", "", "what could not be searched, and why")
	return cmd
}

func newLesson(env *desk.Env, f *desk.Flags) *cobra.Command {
	var owner string
	cmd := &cobra.Command{
		Use:   "lesson ID well|wrong|action TEXT...",
		Short: "A line for the end of the report",
		Args:  cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return record(f, cmd, env, args[0], incident.Note{Lesson: incident.Lesson{Kind: args[1], Says: strings.Join(args[2:], " "), Owner: owner}})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "who sees to an action")
	return cmd
}

func newImpact(env *desk.Env, f *desk.Flags) *cobra.Command {
	var reason, follows string
	cmd := &cobra.Command{
		Use:   "impact ID HARM",
		Short: "Decide what the bug can do, over what its CVSS vector and CWE say",
		Long: `HARM is one of: denial, integrity, access, memory, execution, unknown. What must follow comes from it, unless --follow says otherwise:
nothing, review, tokens, secrets, rebuild, unknown.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			harm := incident.Harm(args[1])
			switch incident.Follow(follows) {
			case "", incident.FollowNothing, incident.FollowReview, incident.FollowTokens, incident.FollowSecrets, incident.FollowRebuild, incident.FollowUnknown:
			default:
				return fault.New(fault.Usage, "--follow %q: nothing, review, tokens, secrets, rebuild or unknown", follows)
			}
			return record(f, cmd, env, args[0], incident.Override{Harm: harm, Follows: incident.Follow(follows), Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why (needed)")
	cmd.Flags().StringVar(&follows, "follow", "", "what must follow")
	return cmd
}

func newRenamed(env *desk.Env, f *desk.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "renamed ID OLD NEW",
		Short: "A host has another name in the fleet now: keep its story together",
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return record(f, cmd, env, args[0], incident.Rename{From: args[1], To: args[2]})
		},
	}
}

func newClose(env *desk.Env, f *desk.Flags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "close ID",
		Short: "End an incident; what is still open is named, and needs a reason",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return record(f, cmd, env, args[0], incident.Close{Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it is closed although something is open or unknown")
	return cmd
}
