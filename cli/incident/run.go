package incident

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub"
	"staunch/hub/certs"
	"staunch/hub/news"
	"staunch/hub/steps"
	"staunch/incident"
	"staunch/ink"
	"staunch/ledger"
	"staunch/mandate"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/setup"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/steer/tell"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// running is what `incident run` was asked for.
type running struct {
	until, plan, signers string
	certs, identity      string
	stay                 bool
}

func newIncidentRun(env *desk.Env, f *desk.Flags) *cobra.Command {
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
			return f.With(cmd.Context(), env, false, "", func(d *desk.Desk) error { return o.run(cmd.Context(), d, f, args[0]) })
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

func (o *running) run(ctx context.Context, d *desk.Desk, f *desk.Flags, id string) error {
	sealed, err := current(ctx, d, id, o.plan)
	if err != nil {
		return err
	}
	list, err := desk.ReadSigners(d.Env, f.Config, o.signers)
	if err != nil {
		return err
	}
	settings, err := setup.Read(d.Env.Getenv("HOME"), f.Config, o.certs, o.identity)
	if err != nil {
		return err
	}
	defer settings.Close()
	if err := o.start(ctx, d, sealed, list); err != nil {
		return err
	}
	holder, err := holderName(d.Hub)
	if err != nil {
		return err
	}
	planID := sealed.Plan().ID
	runner := run.Runner{
		Plan: sealed, Name: holder, Recorder: d.Record(planID), Lease: d.Lease(holder), Stay: o.stay, Executor: executor(d, sealed, list, settings),
	}
	state, err := shown(ctx, d, sealed, list, &runner)
	if err != nil {
		return err
	}
	if _, err := d.Judge(ctx, id); err != nil {
		return err
	}
	return ended(ctx, d, sealed, state)
}

// start records that somebody wants the plan carried out, as far as its votes reach, and says so.
func (o *running) start(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, list *mandate.Signers) error {
	p := sealed.Plan()
	a, err := d.Approval(ctx, sealed, list)
	if err != nil {
		return err
	}
	if a.Votes() == 0 && len(a.Glass) == 0 {
		return fault.New(fault.Denied, "plan %s may not begin: %s", p.ID, strings.Join(a.Missing, "; ")).Hinted("`staunch plan show %s`, then `staunch approve %s`", p.ID, p.ID)
	}
	for _, line := range news.Votes(a, d.Now()) {
		fmt.Fprintln(d.Env.Stderr, tame.Line(line))
	}
	e := a.Grant(run.Event{Kind: run.Started, By: d.Who, Until: o.until})
	return run.Tell(ctx, sealed, d.Record(p.ID), e)
}

// sideTick is how often people are told what a run has come to while it goes on.
const sideTick = 20 * time.Second

// shown runs the runner and shows what happens meanwhile, the last line included. Beside it votes are counted, people told, and seals made.
func shown(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, list *mandate.Signers, runner *run.Runner) (run.State, error) {
	planID := sealed.Plan().ID
	var seq int64 // of the last event before
	for e, err := range d.Store.Read(ctx, ledger.Query{Stream: "run/" + planID}) {
		if err != nil {
			return "", err
		}
		seq = e.Seq
	}
	view := newBoardView(d.Env)
	runner.Show = view.Show
	beside, stop := context.WithCancel(ctx)
	defer stop()
	const parts = 4
	ended := make(chan error, parts)
	go func() {
		var err error
		seq, err = follow(d, view, d.Store.Follow(beside, ledger.Query{After: seq}), planID, seq)
		ended <- err
	}()
	go func() { ended <- (&ledger.Sealer{Ledger: d.Store, Now: d.Now, By: "hub"}).Run(beside) }()
	go func() { ended <- d.KeepAllowing(beside, sealed, list) }()
	go func() { keepTelling(beside, d, view, sealed); ended <- nil }()
	state, err := runner.Run(ctx)
	stop()
	for range parts {
		err = errors.Join(err, <-ended)
	}
	view.End()
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, last := follow(d, view, d.Store.Read(rest, ledger.Query{After: seq}), planID, seq)
	if d.Notify != nil && state != "" {
		if told := newsOf(d).Announce(rest, sealed); told != nil {
			fmt.Fprintf(d.Env.Stderr, "warning: not everybody was told: %s\n", tame.Line(told.Error()))
		}
	}
	return state, errors.Join(err, last)
}

// keepTelling tells people about the run until ctx ends. That somebody could not be told is said once, and does not stop the run.
func keepTelling(ctx context.Context, d *desk.Desk, view *tell.View, sealed *plan.Sealed) {
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
		err := newsOf(d).Announce(ctx, sealed)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if says := "warning: not everybody was told: " + err.Error(); says != before {
			if view.Say(says) != nil {
				return // nobody reads it any more; the ledger has it
			}
			before = says
		}
	}
}

// executor carries steps out on hosts; what concerns certificates goes through their own errands, which use the hosts in their turn.
func executor(d *desk.Desk, sealed *plan.Sealed, list *mandate.Signers, settings *setup.File) run.Executor {
	one := func() *steps.Executor {
		return &steps.Executor{Hub: d.Hub, Plan: sealed, Incident: sealed.Plan().Incident, Payload: d.Payload, Signatures: func(ctx context.Context) ([]string, error) {
			return d.Signatures(ctx, sealed, list)
		}}
	}
	x := withCerts(one(), (&certs.Desk{Hub: d.Hub}).Errands(settings, sealed, list, one()))
	x.Facts[plan.NotVulnerable] = func(ctx context.Context, p plan.Predicate, _ run.Work) run.Seen {
		return steps.NotVulnerable(ctx, d.Hub, p)
	}
	return x
}

// withCerts puts certificate errands into an executor.
func withCerts(x *steps.Executor, e *errand.Desk) *steps.Executor {
	if x.Deeds == nil {
		x.Deeds = map[plan.Kind]steps.Deed{}
	}
	if x.Facts == nil {
		x.Facts = map[plan.Fact]func(context.Context, plan.Predicate, run.Work) run.Seen{}
	}
	for kind, deed := range e.Deeds() {
		x.Deeds[kind] = deed
	}
	for fact, f := range e.Facts() {
		x.Facts[fact] = f
	}
	return x
}

// current is the plan that is meant: the newest, or one by name.
func current(ctx context.Context, d *desk.Desk, id, named string) (*plan.Sealed, error) {
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

// follow shows the events of a run and its incident; it returns the number of the last event that it saw.
func follow(d *desk.Desk, view *tell.View, events iter.Seq2[ledger.Event, error], planID string, seq int64) (int64, error) {
	of, _, _ := strings.Cut(planID, ".")
	for e, err := range events {
		if err != nil {
			return seq, err
		}
		seq = e.Seq
		if e.Stream != "run/"+planID && e.Stream != "incident/"+of {
			continue
		}
		if err := view.Say(e.At.Local().Format("15:04:05") + "  " + news.Words(e)); err != nil {
			return seq, err
		}
	}
	return seq, nil
}

// ended says how the run stands and chooses the exit code.
func ended(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, state run.State) error {
	id := sealed.Plan().ID
	p, err := newsOf(d).Progress(ctx, id)
	if err != nil {
		return err
	}
	m, err := run.Load(ctx, sealed, d.Record(id))
	if err != nil {
		return err
	}
	w := &ink.Lines{W: d.Env.Stdout}
	w.Say("")
	b := m.Board(d.Now())
	b.Now, b.Waits, b.Failed = nil, nil, nil // said below, with what to do about it
	for _, line := range tell.Draw(b, desk.Width(d.Env), tell.MostLines, ink.Paint(desk.Colour(d.Env))) {
		w.Say("%s", line)
	}
	w.Say("\nplan %s: %s, %d of %d settled", id, state, p.Settled, p.Total)
	leftovers(d, w, sealed, m, p)
	switch {
	case w.Err != nil:
		return w.Err
	case state == run.Complete:
		return nil
	case len(p.Failed) > 0 || state == run.GivenUp:
		return desk.Exit(desk.ExitFound)
	}
	return desk.Exit(desk.ExitIncomplete)
}

// leftovers says what failed, was left behind, and waits for whom.
func leftovers(d *desk.Desk, w *ink.Lines, sealed *plan.Sealed, m *run.Machine, p incident.Progress) {
	for _, x := range p.Failed {
		w.Say("  failed: %s", tame.Line(x))
	}
	for _, x := range p.Left {
		w.Say("  left behind: %s", tame.Line(x))
	}
	for _, x := range m.Board(d.Now()).Waits {
		w.Say("  waits: %s", tame.Line(x))
	}
	for i := range sealed.Plan().Steps {
		if s := &sealed.Plan().Steps[i]; s.Kind == plan.Person && m.Asks(s.ID) {
			w.Say("  to say that it is done: staunch incident confirm %s %s TARGET", sealed.Plan().Incident, s.ID)
		}
	}
}

// newBoardView is the board on our standard output.
func newBoardView(env *desk.Env) *tell.View {
	return &tell.View{
		Out: env.Stdout, Live: desk.IsTerminal(env.Stdout), Paint: ink.Paint(desk.Colour(env)),
		Width:  func() int { return desk.Width(env) },
		Height: func() int { return desk.Height(env) },
	}
}
