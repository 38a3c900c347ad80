package plan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub"
	"staunch/hub/news"
	"staunch/mandate"
	"staunch/steer/plan"
	"staunch/steer/vote"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// NewApprove signs a plan, or one of the words that are no votes.
func NewApprove(env *desk.Env) *cobra.Command {
	f := &desk.Flags{}
	var o approving
	var list string
	cmd := &cobra.Command{
		Use:   "approve PLAN",
		Short: "Sign a plan's digest with your ssh key",
		Long: `Signs the digest of exactly the plan that ` + "`staunch plan show`" + ` prints, as ssh-keygen -Y sign -n staunch-plan would. The key comes from the ssh
agent (the first that is on the list), or from a file. People who may vote stand in an allowed_signers file (ssh-keygen(1)): beside staunch.yaml,
in the configuration directory, or in /etc/staunch. A vote that is the only one of a team of one begins to count after a delay (alone: in staunch.yaml),
and people are told by the notify command. docs/votes.md explains the words that are not votes: --break-glass, --review, --widen.`,
		Example: "  staunch approve 7.1\n  staunch approve 7.1 --key ~/.ssh/id_ed25519\n  staunch approve 7.1 --signature vote.sig   # made elsewhere with ssh-keygen -Y sign\n" +
			"  staunch approve 7.1 --widen 5 --rings production --for 12h --reason \"the rest answers later tonight\"\n" +
			"  staunch approve 7.1 --break-glass --reason \"nobody else answers the phone\"\n  staunch approve 7.1 --review --reason \"I looked at what was done\"",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.With(cmd.Context(), env, false, "", func(d *desk.Desk) error {
				signers, err := desk.ReadSigners(env, f.Config, list)
				if err != nil {
					return err
				}
				if err := o.proper(); err != nil {
					return err
				}
				return o.run(cmd.Context(), d, args[0], signers)
			})
		},
	}
	f.Add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&o.key, "key", "", "private key file (default: the ssh agent)")
	fl.StringVar(&list, "signers", "", "allowed_signers file")
	fl.StringVar(&o.signature, "signature", "", "a signature made elsewhere")
	fl.BoolVar(&o.glass, "break-glass", false, "let the plan run without the votes that it asks for: loud, and somebody else must review it")
	fl.BoolVar(&o.review, "review", false, "review a broken glass")
	fl.IntVar(&o.widen, "widen", 0, "a standing vote: re-plans may take in so many more hosts")
	fl.StringSliceVar(&o.rings, "rings", nil, "with --widen: in these rings")
	fl.DurationVar(&o.lasts, "for", 12*time.Hour, "with --widen: how long it holds, at most 7 days")
	fl.StringVar(&o.reason, "reason", "", "with --break-glass, --review, --widen: why")
	return cmd
}

// approving is what somebody signs, and with what.
type approving struct {
	key, signature, reason string
	glass, review          bool
	widen                  int
	rings                  []string
	lasts                  time.Duration
}

// proper refuses words that contradict each other: one signature says one thing.
func (o *approving) proper() error {
	said := 0
	for _, on := range []bool{o.glass, o.review, o.widen != 0} {
		if on {
			said++
		}
	}
	switch {
	case said > 1 || said == 1 && o.signature != "":
		return fault.New(fault.Usage, "one signature says one thing: a vote, --break-glass, --review or --widen")
	case o.widen < 0:
		return fault.New(fault.Usage, "--widen: how many more hosts, at least 1")
	case o.reason == "" && said > 0:
		return fault.New(fault.Usage, "it needs a --reason: others will read it")
	}
	return nil
}

func (o *approving) run(ctx context.Context, d *desk.Desk, planID string, list *mandate.Signers) error {
	sealed, err := d.Plan(ctx, planID)
	if err != nil {
		return err
	}
	var who, did string
	if o.glass || o.review || o.widen > 0 {
		who, did, err = o.word(ctx, d, sealed, list)
	} else {
		who, err = o.vote(ctx, d, sealed, list)
		did = "approved plan " + planID
	}
	if err != nil {
		return err
	}
	a, err := d.Approval(ctx, sealed, list)
	if err != nil {
		return err
	}
	warn(ctx, d, sealed, a)
	fmt.Fprintf(d.Env.Stdout, "%s %s (digest %s)\n", tame.Line(who), did, sealed.Digest)
	for _, line := range news.Votes(a, d.Now()) {
		if _, err := fmt.Fprintln(d.Env.Stdout, tame.Line(line)); err != nil {
			return err
		}
	}
	return nil
}

// warn tells people what must not happen silently: a plan that begins on one vote alone, and a broken glass. Both stand in the ledger, told or not.
func warn(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, a hub.Approval) {
	people := &news.Desk{Hub: d.Hub, Notify: d.Notify}
	if err := errors.Join(people.WarnOfLoneVote(ctx, sealed, a), people.WarnOfGlass(ctx, sealed, a)); err != nil {
		fmt.Fprintf(d.Env.Stderr, "warning: people were not told: %s\n", tame.Line(err.Error()))
		if hint := fault.HintOf(err); hint != "" {
			fmt.Fprintf(d.Env.Stderr, "hint: %s\n", hint)
		}
	}
}

func (o *approving) vote(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, list *mandate.Signers) (string, error) {
	v := vote.Vote{Plan: sealed.Plan().ID, Digest: sealed.Digest, At: d.Now().UTC().Truncate(time.Millisecond)}
	if o.signature != "" {
		b, err := os.ReadFile(o.signature)
		if err != nil {
			return "", fault.New(fault.NotFound, "%v", err)
		}
		v.Signature = string(b)
		return d.Vote(ctx, v, list)
	}
	signer, done, err := desk.SigningKey(d.Env, o.key, list)
	if err != nil {
		return "", err
	}
	v, err = vote.Sign(signer, sealed, d.Now())
	if err := errors.Join(err, done()); err != nil {
		return "", err
	}
	return d.Vote(ctx, v, list)
}

// word signs something that is not a vote.
func (o *approving) word(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, list *mandate.Signers) (who, did string, err error) {
	w := vote.Word{Incident: sealed.Plan().Incident, Plan: sealed.Digest, Reason: o.reason, At: d.Now()}
	switch {
	case o.glass:
		w.Kind, did = vote.BreakGlass, "BROKE THE GLASS for plan "+sealed.Plan().ID
	case o.review:
		w.Kind, did = vote.Review, "reviewed the broken glass of plan "+sealed.Plan().ID
	default:
		w.Kind, w.Hosts, w.Rings, w.Until, did = vote.Widen, o.widen, o.rings, d.Now().Add(o.lasts), "gave a standing vote to widen"
	}
	signer, done, err := desk.SigningKey(d.Env, o.key, list)
	if err != nil {
		return "", "", err
	}
	spoken, err := vote.Speak(signer, w)
	if err := errors.Join(err, done()); err != nil {
		return "", "", err
	}
	who, err = d.Speak(ctx, spoken, list)
	return who, did, err
}
