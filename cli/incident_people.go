package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// peopleVerbs are what people add to an incident by hand.
func peopleVerbs(env *Env, f *deskFlags) []*cobra.Command {
	return []*cobra.Command{
		newComment(env, f), newCheck(env, f), newSearched(env, f), newLesson(env, f), newImpact(env, f), newRenamed(env, f), newWaive(env, f), newRemind(env, f), newClose(env, f),
	}
}

// tell runs one command on an incident: no host is asked, so no inventory is needed.
func (f *deskFlags) tell(cmd *cobra.Command, env *Env, id string, c incident.Command) error {
	d, err := f.desk(cmd.Context(), env, false, "")
	if err != nil {
		return err
	}
	_, err = d.Do(cmd.Context(), id, c)
	return d.close(err)
}

func newComment(env *Env, f *deskFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "comment ID TEXT...",
		Short: "Write something down",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.tell(cmd, env, args[0], incident.Remark{Says: strings.Join(args[1:], " ")})
		},
	}
}

func newCheck(env *Env, f *deskFlags) *cobra.Command {
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
			at, err := later(due, time.Now())
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
			return f.tell(cmd, env, args[0], incident.Enter{Entry: e})
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

// later reads a point in time in the future; a bare duration is from now.
func later(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(d), nil
	}
	return moment(s, now)
}

func listEntries(cmd *cobra.Command, env *Env, f *deskFlags, id string) error {
	return f.with(cmd.Context(), env, true, "", func(d *desk) error {
		s, _, err := d.Incident(cmd.Context(), id)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
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
	})
}

func suffix(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func newSearched(env *Env, f *deskFlags) *cobra.Command {
	var s incident.Search
	var since string
	cmd := &cobra.Command{
		Use:     "searched ID WHAT...",
		Short:   "Record a search for signs that the bug was used: where, since when, and what could not be searched",
		Example: "  staunch incident searched 7 \"proxy logs\" --since 2014-03-01 --found nothing --cannot \"packet captures: none are kept\"",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := moment(since, time.Now())
			if err != nil {
				return err
			}
			s.What, s.Since = strings.Join(args[1:], " "), at
			return f.tell(cmd, env, args[0], incident.Searched{Search: s})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&since, "since", "", "the search covers from then on")
	fl.StringVar(&s.Found, "found", "", "nothing, signs or unsure")
	fl.StringVar(&s.Says, "says", "", "what was seen")
	fl.StringVar(&s.Cannot, "cannot", "", "what could not be searched, and why")
	return cmd
}

func newLesson(env *Env, f *deskFlags) *cobra.Command {
	var owner string
	cmd := &cobra.Command{
		Use:   "lesson ID well|wrong|action TEXT...",
		Short: "A line for the end of the report",
		Args:  cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.tell(cmd, env, args[0], incident.Note{Lesson: incident.Lesson{Kind: args[1], Says: strings.Join(args[2:], " "), Owner: owner}})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "who sees to an action")
	return cmd
}

func newImpact(env *Env, f *deskFlags) *cobra.Command {
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
			return f.tell(cmd, env, args[0], incident.Override{Harm: harm, Follows: incident.Follow(follows), Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why (needed)")
	cmd.Flags().StringVar(&follows, "follow", "", "what must follow")
	return cmd
}

func newRenamed(env *Env, f *deskFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "renamed ID OLD NEW",
		Short: "A host has another name in the fleet now: keep its story together",
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.tell(cmd, env, args[0], incident.Rename{From: args[1], To: args[2]})
		},
	}
}

func newClose(env *Env, f *deskFlags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "close ID",
		Short: "End an incident; what is still open is named, and needs a reason",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.tell(cmd, env, args[0], incident.Close{Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it is closed although something is open or unknown")
	return cmd
}
