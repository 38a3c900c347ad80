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
	"staunch/hub/news"
	"staunch/hub/steps"
	"staunch/incident"
	"staunch/ink"
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
	defer certs.close()
	if err := o.start(ctx, d, sealed, list); err != nil {
		return err
	}
	holder, err := holderName(d.Hub)
	if err != nil {
		return err
	}
	planID := sealed.Plan().ID
	runner := run.Runner{
		Plan: sealed, Name: holder, Recorder: d.Record(planID), Lease: d.Lease(holder), Stay: o.stay, Executor: d.executor(sealed, list, certs),
	}
	state, err := d.shown(ctx, sealed, list, &runner)
	if err != nil {
		return err
	}
	if _, err := d.Judge(ctx, id); err != nil {
		return err
	}
	return d.ended(ctx, sealed, state)
}

// start records that somebody wants the plan carried out, as far as its votes reach, and says so.
func (o *running) start(ctx context.Context, d *desk, sealed *plan.Sealed, list *mandate.Signers) error {
	p := sealed.Plan()
	a, err := d.Approval(ctx, sealed, list)
	if err != nil {
		return err
	}
	if a.Votes() == 0 && len(a.Glass) == 0 {
		return fault.New(fault.Denied, "plan %s may not begin: %s", p.ID, strings.Join(a.Missing, "; ")).Hinted("`staunch plan show %s`, then `staunch approve %s`", p.ID, p.ID)
	}
	for _, line := range votesInWords(a, d.Now()) {
		fmt.Fprintln(d.env.Stderr, tame.Line(line))
	}
	e := a.Grant(run.Event{Kind: run.Started, By: d.Who, Until: o.until})
	return run.Tell(ctx, sealed, d.Record(p.ID), e)
}

// sideTick is how often people are told what a run has come to while it goes on.
const sideTick = 20 * time.Second

// shown runs the runner and shows what happens meanwhile, the last line included. Beside it votes are counted, people told, and seals made.
func (d *desk) shown(ctx context.Context, sealed *plan.Sealed, list *mandate.Signers, runner *run.Runner) (run.State, error) {
	planID := sealed.Plan().ID
	var seq int64 // of the last event before
	for e, err := range d.Store.Read(ctx, ledger.Query{Stream: "run/" + planID}) {
		if err != nil {
			return "", err
		}
		seq = e.Seq
	}
	view := newBoardView(d.env)
	runner.Show = view.show
	beside, stop := context.WithCancel(ctx)
	defer stop()
	const parts = 4
	ended := make(chan error, parts)
	go func() {
		var err error
		seq, err = d.print(view, d.Store.Follow(beside, ledger.Query{After: seq}), planID, seq)
		ended <- err
	}()
	go func() { ended <- (&ledger.Sealer{Ledger: d.Store, Now: d.Now, By: "hub"}).Run(beside) }()
	go func() { ended <- d.KeepAllowing(beside, sealed, list) }()
	go func() { d.keepTelling(beside, view, sealed); ended <- nil }()
	state, err := runner.Run(ctx)
	stop()
	for range parts {
		err = errors.Join(err, <-ended)
	}
	view.end()
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, last := d.print(view, d.Store.Read(rest, ledger.Query{After: seq}), planID, seq)
	if d.Notify != nil && state != "" {
		if told := d.Announce(rest, sealed); told != nil {
			fmt.Fprintf(d.env.Stderr, "warning: not everybody was told: %s\n", tame.Line(told.Error()))
		}
	}
	return state, errors.Join(err, last)
}

// keepTelling tells people about the run until ctx ends. That somebody could not be told is said once, and does not stop the run.
func (d *desk) keepTelling(ctx context.Context, view *boardView, sealed *plan.Sealed) {
	if d.Notify == nil {
		return
	}
	tick := time.NewTicker(sideTick)
	defer tick.Stop()
	before := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := d.Announce(ctx, sealed)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if says := "warning: not everybody was told: " + err.Error(); says != before {
			if view.say(says) != nil {
				return // nobody reads it any more; the ledger has it
			}
			before = says
		}
	}
}

// executor carries steps out on hosts; what concerns certificates goes through their own errands, which use the hosts in their turn.
func (d *desk) executor(sealed *plan.Sealed, list *mandate.Signers, certs *certsFile) run.Executor {
	one := func() *steps.Executor {
		return &steps.Executor{Hub: d.Hub, Plan: sealed, Incident: sealed.Plan().Incident, Payload: d.payload, Signatures: func(ctx context.Context) ([]string, error) {
			return d.Signatures(ctx, sealed, list)
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

func holderName(h *hub.Hub) (string, error) {
	b := make([]byte, 4)
	if _, err := rand.Read(b); err != nil {
		return "", fault.New(fault.Unsupported, "no random numbers: %v", err)
	}
	return h.Who + "@" + h.Machine + "/" + hex.EncodeToString(b), nil
}

// print shows the events of a run and its incident; it returns the number of the last event that it saw.
func (d *desk) print(view *boardView, events iter.Seq2[ledger.Event, error], planID string, seq int64) (int64, error) {
	of, _, _ := strings.Cut(planID, ".")
	for e, err := range events {
		if err != nil {
			return seq, err
		}
		seq = e.Seq
		if e.Stream != "run/"+planID && e.Stream != "incident/"+of {
			continue
		}
		if err := view.say(e.At.Local().Format("15:04:05") + "  " + news.Words(e)); err != nil {
			return seq, err
		}
	}
	return seq, nil
}

// ended says how the run stands and chooses the exit code.
func (d *desk) ended(ctx context.Context, sealed *plan.Sealed, state run.State) error {
	id := sealed.Plan().ID
	p, err := d.Progress(ctx, id)
	if err != nil {
		return err
	}
	m, err := run.Load(ctx, sealed, d.Record(id))
	if err != nil {
		return err
	}
	w := &lines{w: d.env.Stdout}
	w.say("")
	b := m.Board(d.Now())
	b.Now, b.Waits, b.Failed = nil, nil, nil // said below, with what to do about it
	for _, line := range drawBoard(b, terminalWidth(d.env), mostLines, ink.Paint(colour(d.env))) {
		w.say("%s", line)
	}
	w.say("\nplan %s: %s, %d of %d settled", id, state, p.Settled, p.Total)
	d.leftovers(w, sealed, m, p)
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

// leftovers says what failed, was left behind, and waits for whom.
func (d *desk) leftovers(w *lines, sealed *plan.Sealed, m *run.Machine, p incident.Progress) {
	for _, x := range p.Failed {
		w.say("  failed: %s", tame.Line(x))
	}
	for _, x := range p.Left {
		w.say("  left behind: %s", tame.Line(x))
	}
	for _, x := range m.Board(d.Now()).Waits {
		w.say("  waits: %s", tame.Line(x))
	}
	for i := range sealed.Plan().Steps {
		if s := &sealed.Plan().Steps[i]; s.Kind == plan.Person && m.Asks(s.ID) {
			w.say("  to say that it is done: staunch incident confirm %s %s TARGET", sealed.Plan().Incident, s.ID)
		}
	}
}
