package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/mandate"
	"staunch/steer/plan"
	"staunch/steer/vote"
	"staunch/tame"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func newApprove(env *Env) *cobra.Command {
	f := &deskFlags{}
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
			return f.with(cmd.Context(), env, false, "", func(d *desk) error {
				signers, err := readSigners(env, f.config, list)
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
	f.add(cmd)
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

// readSigners reads who may vote: the file named, or the first of the usual places.
func readSigners(env *Env, config, named string) (*mandate.Signers, error) {
	places := []string{named}
	if named == "" {
		places = signerPlaces(env, config)
	}
	for _, place := range places {
		b, err := os.ReadFile(place)
		if errors.Is(err, fs.ErrNotExist) && named == "" {
			continue
		}
		if err != nil {
			return nil, fault.New(fault.Denied, "the list of signers: %v", err)
		}
		s, err := mandate.ParseSigners(b, time.Local)
		if err != nil {
			return nil, fault.New(fault.KindOf(err), "%s: %v", place, err)
		}
		return s, nil
	}
	return nil, fault.New(fault.NotFound, "nobody is listed who may vote").
		Hinted("write allowed_signers beside staunch.yaml, a line a person: `ada ssh-ed25519 AAAA...`")
}

func signerPlaces(env *Env, config string) []string {
	var places []string
	if config != "" {
		places = append(places, filepath.Join(filepath.Dir(config), "allowed_signers"))
	} else if dir, err := os.Getwd(); err == nil {
		places = append(places, filepath.Join(dir, "allowed_signers"))
	}
	home := env.Getenv("XDG_CONFIG_HOME")
	if h := env.Getenv("HOME"); home == "" && filepath.IsAbs(h) {
		home = filepath.Join(h, ".config")
	}
	if home != "" {
		places = append(places, filepath.Join(home, "staunch", "allowed_signers"))
	}
	return append(places, "/etc/staunch/allowed_signers")
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

func (o *approving) run(ctx context.Context, d *desk, planID string, list *mandate.Signers) error {
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
	d.warn(ctx, sealed, a)
	fmt.Fprintf(d.env.Stdout, "%s %s (digest %s)\n", tame.Line(who), did, sealed.Digest)
	for _, line := range votesInWords(a, d.Now()) {
		if _, err := fmt.Fprintln(d.env.Stdout, tame.Line(line)); err != nil {
			return err
		}
	}
	return nil
}

// warn tells people what must not happen silently: a plan that begins on one vote alone, and a broken glass. Both stand in the ledger, told or not.
func (d *desk) warn(ctx context.Context, sealed *plan.Sealed, a hub.Approval) {
	if err := errors.Join(d.WarnOfLoneVote(ctx, sealed, a), d.WarnOfGlass(ctx, sealed, a)); err != nil {
		fmt.Fprintf(d.env.Stderr, "warning: people were not told: %s\n", tame.Line(err.Error()))
		if hint := fault.HintOf(err); hint != "" {
			fmt.Fprintf(d.env.Stderr, "hint: %s\n", hint)
		}
	}
}

// votesInWords says how far a plan's votes reach, a line each.
func votesInWords(a hub.Approval, now time.Time) (out []string) {
	if len(a.People) > 0 {
		out = append(out, "approved by "+strings.Join(a.People, ", "))
	}
	if len(a.Carried) > 0 {
		out = append(out, "counted from the plan before, by a standing vote: "+strings.Join(a.Carried, ", ")+" (never for a revocation, nor on hosts that ask for signatures)")
	}
	for _, v := range a.Void {
		out = append(out, "does not count: "+cmp.Or(v.By, "a vote")+": "+v.Why)
	}
	for _, g := range a.Glass {
		state := "reviewed by " + g.Reviewed
		if g.Reviewed == "" {
			state = "NOBODY HAS REVIEWED IT YET"
		}
		out = append(out, fmt.Sprintf("%s BROKE THE GLASS at %s: %s; %s", g.By, clockOf(g.At, now), g.Reason, state))
	}
	out = append(out, a.Missing...)
	switch {
	case len(a.Glass) > 0:
	case a.All:
		out = append(out, "all votes are there")
	case a.Until != "":
		out = append(out, "the votes reach up to ring "+a.Until+", and everywhere to what only makes safer")
	case a.Votes() > 0:
		out = append(out, "the votes reach only to what makes safer")
	}
	if a.From.After(now) {
		out = append(out, fmt.Sprintf("it is one vote alone: nothing begins before %s (in %s), so that others can object", clockOf(a.From, now), a.From.Sub(now).Round(time.Second)))
	}
	return out
}

func (o *approving) vote(ctx context.Context, d *desk, sealed *plan.Sealed, list *mandate.Signers) (string, error) {
	v := vote.Vote{Plan: sealed.Plan().ID, Digest: sealed.Digest, At: d.Now().UTC().Truncate(time.Millisecond)}
	if o.signature != "" {
		b, err := os.ReadFile(o.signature)
		if err != nil {
			return "", fault.New(fault.NotFound, "%v", err)
		}
		v.Signature = string(b)
		return d.Vote(ctx, v, list)
	}
	signer, done, err := o.signer(d.env, list)
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
func (o *approving) word(ctx context.Context, d *desk, sealed *plan.Sealed, list *mandate.Signers) (who, did string, err error) {
	w := vote.Word{Incident: sealed.Plan().Incident, Plan: sealed.Digest, Reason: o.reason, At: d.Now()}
	switch {
	case o.glass:
		w.Kind, did = vote.BreakGlass, "BROKE THE GLASS for plan "+sealed.Plan().ID
	case o.review:
		w.Kind, did = vote.Review, "reviewed the broken glass of plan "+sealed.Plan().ID
	default:
		w.Kind, w.Hosts, w.Rings, w.Until, did = vote.Widen, o.widen, o.rings, d.Now().Add(o.lasts), "gave a standing vote to widen"
	}
	signer, done, err := o.signer(d.env, list)
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

// signer is the key that signs; done ends the use of the agent.
func (o *approving) signer(env *Env, list *mandate.Signers) (signer ssh.Signer, done func() error, err error) {
	if o.key == "" {
		return agentSigner(env, list)
	}
	signer, err = vote.FromFile(o.key, func(prompt string) ([]byte, error) {
		p, err := readPassword(env, prompt)
		return []byte(p), err
	})
	return signer, func() error { return nil }, err
}

// agentSigner is the first of the agent's keys that may vote.
func agentSigner(env *Env, list *mandate.Signers) (ssh.Signer, func() error, error) {
	socket := env.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, fault.New(fault.NotFound, "no ssh agent is running").Hinted("name a key with --key")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, nil, fault.New(fault.Unreachable, "the ssh agent: %v", err)
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, nil, errors.Join(fault.New(fault.Unreachable, "the ssh agent: %v", err), conn.Close())
	}
	why := "it holds no key"
	for _, s := range signers {
		if _, err := list.Person(s.PublicKey(), time.Now()); err != nil {
			why = err.Error()
			continue
		}
		return s, conn.Close, nil
	}
	return nil, nil, errors.Join(fault.New(fault.Denied, "none of the agent's %d keys may vote: %s", len(signers), why).
		Hinted("add the key with ssh-add, or the person to allowed_signers"), conn.Close())
}
