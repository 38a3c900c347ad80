package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/ledger"
	"staunch/mandate"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// running is what `incident run` was asked for.
type running struct {
	until, plan, signers string
	certs, identity      string
	stay                 bool
}

func newIncidentRun(env *Env, f *deskFlags) *cobra.Command {
	var o running
	cmd := &cobra.Command{
		Use:   "run ID",
		Short: "Carry the newest plan out, ring by ring, as far as its votes reach",
		Long: `Carries out the incident's newest plan and shows what happens. It stops at the last ring that has its votes, at the first failed proof,
and where a person has to do something; called again it goes on from there. It may be killed at any time: what had begun is looked at first, and
only then done again. From another terminal: pause, resume, retry, skip, confirm, abort.
Exit code 0: everything is done. 1: something failed or was aborted. 3: it waits for a person or for votes.`,
		Example: "  staunch incident run 7\n  staunch incident run 7 --until canary",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, false, "", func(d *desk) error { return o.run(cmd.Context(), d, f, args[0]) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.until, "until", "", "the last ring to work on")
	fl.StringVar(&o.plan, "plan", "", "another plan than the newest")
	fl.StringVar(&o.signers, "signers", "", "allowed_signers file")
	fl.StringVar(&o.certs, "certs", "", "how certificates are got (default: certs.yaml beside the inventory)")
	fl.StringVar(&o.identity, "identity", "", "age identity that opens the secrets of certs.yaml (default: ~/.config/staunch/identity)")
	fl.BoolVar(&o.stay, "stay", false, "wait for people and votes instead of ending")
	return cmd
}

func (o *running) run(ctx context.Context, d *desk, f *deskFlags, id string) error {
	sealed, err := d.current(ctx, id, o.plan)
	if err != nil {
		return err
	}
	list, err := readSigners(d.env, f.config, o.signers)
	if err != nil {
		return err
	}
	certs, err := readCerts(d.env, f.config, o.certs, o.identity)
	if err != nil {
		return err
	}
	until, err := d.allowed(ctx, sealed, list, o.until)
	if err != nil {
		return err
	}
	rec := d.Record(sealed.Plan().ID)
	if err := run.Tell(ctx, sealed, rec, run.Event{Kind: run.Started, By: d.Who, Until: until}); err != nil {
		return err
	}
	holder, err := holderName(d.Hub)
	if err != nil {
		return err
	}
	runner := run.Runner{
		Plan: sealed, Name: holder, Recorder: rec, Lease: d.Lease(holder), Stay: o.stay, Executor: d.executor(sealed, list, certs),
	}
	state, err := d.shown(ctx, sealed.Plan().ID, &runner)
	if err != nil {
		return err
	}
	if _, err := d.Judge(ctx, id); err != nil {
		return err
	}
	return d.ended(ctx, sealed, list, state)
}

// shown runs the runner and prints what happens meanwhile, the last line included; seals are made in time.
func (d *desk) shown(ctx context.Context, planID string, runner *run.Runner) (run.State, error) {
	var seq int64 // of the last event before
	for e, err := range d.Store.Read(ctx, ledger.Query{Stream: "run/" + planID}) {
		if err != nil {
			return "", err
		}
		seq = e.Seq
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	printed, sealing := make(chan error, 1), make(chan error, 1)
	go func() {
		var err error
		seq, err = d.print(d.Store.Follow(following, ledger.Query{After: seq}), planID, seq)
		printed <- err
	}()
	go func() { sealing <- (&ledger.Sealer{Ledger: d.Store, Now: d.Now, By: "hub"}).Run(following) }()
	state, err := runner.Run(ctx)
	stop()
	err = errors.Join(err, <-printed, <-sealing)
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, last := d.print(d.Store.Read(rest, ledger.Query{After: seq}), planID, seq)
	return state, errors.Join(err, last)
}

// executor carries steps out on hosts; what concerns certificates goes through their own errands, which use the hosts in their turn.
func (d *desk) executor(sealed *plan.Sealed, list *mandate.Signers, certs *certsFile) run.Executor {
	one := func() *hub.Executor {
		return &hub.Executor{Hub: d.Hub, Plan: sealed, Incident: sealed.Plan().Incident, Signatures: func(ctx context.Context) ([]string, error) {
			a, err := d.Approval(ctx, sealed, list)
			return a.Signatures(), err
		}}
	}
	x := withCerts(one(), d.errands(certs, sealed, list, one()))
	x.Facts[plan.NotVulnerable] = d.notVulnerable
	return x
}

// current is the plan that is meant: the newest, or one by name.
func (d *desk) current(ctx context.Context, id, named string) (*plan.Sealed, error) {
	s, _, err := d.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	if named != "" {
		return d.Plan(ctx, named)
	}
	p := s.Current()
	if p == nil {
		return nil, fault.New(fault.NotFound, "incident %s has no plan", id).Hinted("`staunch plan make %s`", id)
	}
	return d.Plan(ctx, p.Plan)
}

// allowed is the last ring to work on: what was asked for, as far as the votes reach.
func (d *desk) allowed(ctx context.Context, sealed *plan.Sealed, list *mandate.Signers, asked string) (string, error) {
	p := sealed.Plan()
	a, err := d.Approval(ctx, sealed, list)
	if err != nil {
		return "", err
	}
	if a.Until == "" && !a.All {
		return "", fault.New(fault.Denied, "plan %s may not begin: %s", p.ID, strings.Join(a.Missing, "; ")).Hinted("`staunch plan show %s`, then `staunch approve %s`", p.ID, p.ID)
	}
	_, wanted := p.RingOf(asked)
	if asked != "" && wanted < 0 {
		return "", fault.New(fault.Usage, "plan %s has no ring %q", p.ID, asked)
	}
	_, reached := p.RingOf(a.Until)
	for _, g := range a.Glass {
		fmt.Fprintf(d.env.Stderr, "warning: %s broke the glass at %s: %s%s\n", tame.Line(g.By), g.At.Local().Format("15:04"), tame.Line(g.Reason), map[bool]string{true: "; nobody has reviewed it yet"}[g.Reviewed == ""])
	}
	switch {
	case asked != "" && wanted <= reached:
		return asked, nil
	case !a.All:
		fmt.Fprintf(d.env.Stderr, "the votes reach up to ring %s; %s\n", a.Until, strings.Join(a.Missing, "; "))
	}
	return a.Until, nil
}

func holderName(h *hub.Hub) (string, error) {
	b := make([]byte, 4)
	if _, err := rand.Read(b); err != nil {
		return "", fault.New(fault.Unsupported, "no random numbers: %v", err)
	}
	return h.Who + "@" + h.Machine + "/" + hex.EncodeToString(b), nil
}

// print shows the events of a run and its incident; it returns the number of the last event that it saw.
func (d *desk) print(events iter.Seq2[ledger.Event, error], planID string, seq int64) (int64, error) {
	of, _, _ := strings.Cut(planID, ".")
	for e, err := range events {
		if err != nil {
			return seq, err
		}
		seq = e.Seq
		if e.Stream != "run/"+planID && e.Stream != "incident/"+of {
			continue
		}
		if _, err := fmt.Fprintf(d.env.Stdout, "%s  %s\n", e.At.Local().Format("15:04:05"), tame.Line(hub.Words(e))); err != nil {
			return seq, err
		}
	}
	return seq, nil
}

// boardWidth fits the narrowest terminal that people use at night.
const boardWidth = 80

// ended says how the run stands and chooses the exit code.
func (d *desk) ended(ctx context.Context, sealed *plan.Sealed, list *mandate.Signers, state run.State) error {
	id := sealed.Plan().ID
	p, err := d.Progress(ctx, id)
	if err != nil {
		return err
	}
	a, err := d.Approval(ctx, sealed, list)
	if err != nil {
		return err
	}
	m, err := run.Load(ctx, sealed, d.Record(id))
	if err != nil {
		return err
	}
	w := &lines{w: d.env.Stdout}
	w.say("")
	for _, line := range m.Board(boardWidth) {
		w.say("%s", tame.Line(line))
	}
	w.say("\nplan %s: %s, %d of %d settled", id, state, p.Settled, p.Total)
	for _, x := range p.Failed {
		w.say("  failed: %s", tame.Line(x))
	}
	for _, x := range p.Left {
		w.say("  left behind: %s", tame.Line(x))
	}
	for _, x := range append(p.Waits, a.Missing...) {
		w.say("  waits: %s", tame.Line(x))
	}
	switch {
	case w.err != nil:
		return w.err
	case state == run.Complete:
		return nil
	case len(p.Failed) > 0 || state == run.GivenUp:
		return exit(ExitFound)
	}
	return exit(ExitIncomplete)
}

// steering are the words that people say to a run.
func steering(env *Env, f *deskFlags) []*cobra.Command {
	return []*cobra.Command{
		newIncidentRun(env, f),
		newWord(env, f, "pause ID", "Begin nothing new; what is running ends", 1, run.Paused),
		newWord(env, f, "resume ID", "Go on after a pause", 1, run.Resumed),
		newWord(env, f, "abort ID", "Begin nothing any more, ever; a new plan is needed then", 1, run.Aborted),
		newWord(env, f, "retry ID STEP TARGET", "Let a failed target go again", 3, run.Retried),
		newWord(env, f, "skip ID STEP TARGET", "Leave a target out, with a reason", 3, run.Skipped),
		newWord(env, f, "confirm ID STEP [TARGET]", "Say that a person's step is done", 2, run.Confirmed),
	}
}

func newWord(env *Env, f *deskFlags, use, short string, least int, kind run.Kind) *cobra.Command {
	var reason string
	var up bool
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.RangeArgs(least, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kind == run.Skipped && reason == "" {
				return fault.New(fault.Usage, "leaving a target out needs a reason").Hinted("--reason")
			}
			e := run.Event{Kind: kind, Says: reason, Up: up}
			if len(args) > 1 {
				e.Step, e.Target = args[1], "all"
			}
			if len(args) > 2 {
				e.Target = args[2]
			}
			return f.with(cmd.Context(), env, false, "", func(d *desk) error {
				sealed, err := d.current(cmd.Context(), args[0], "")
				if err != nil {
					return err
				}
				e.By = d.Who
				return run.Tell(cmd.Context(), sealed, d.Record(sealed.Plan().ID), e)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	if kind == run.Skipped {
		cmd.Flags().BoolVar(&up, "up", false, "the service on that host is up")
	}
	return cmd
}
