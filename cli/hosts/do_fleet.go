package hosts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/tell"
	"staunch/see/scan"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// round is one act for many hosts: kept before it begins, so that it can be undone or confirmed on all of them.
type round struct {
	ID    string    `json:"id"`
	Made  time.Time `json:"made"`
	On    string    `json:"on"`
	Hosts []string  `json:"hosts"`
	Act   act.Act   `json:"act"`
	Of    string    `json:"of,omitempty"` // the round that this one undoes or confirms
	Undo  bool      `json:"undo,omitempty"`
}

func newRound(on string, a act.Act, hosts []fleet.Host) (round, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return round{}, fault.New(fault.Unsupported, "no randomness: %v", err)
	}
	r := round{ID: id.String(), Made: time.Now().UTC().Truncate(time.Millisecond), On: on, Act: a}
	for _, h := range hosts {
		r.Hosts = append(r.Hosts, h.Name)
	}
	return r, nil
}

// order is the round's order for one host.
func (r round) order(d *doing, name string) act.Order {
	o := act.Order{ID: act.OrderID(r.ID, string(r.Act.Kind), name, 1), Host: name, Step: string(r.Act.Kind), Act: r.Act, DeadlineMS: d.deadline.Milliseconds()}
	if r.Of != "" {
		o.Of, o.Undo, o.Confirm = act.OrderID(r.Of, string(r.Act.Kind), name, 1), r.Undo, !r.Undo
	}
	return o
}

func roundFile(env *desk.Env, id string) (string, error) {
	dir, err := desk.StateDir(env)
	if err != nil {
		return "", err
	}
	if _, err := uuid.Parse(id); err != nil {
		return "", fault.New(fault.Usage, "%.60q is not the id of a round of orders", id)
	}
	return filepath.Join(dir, "orders", id+".json"), nil
}

func (r round) keep(env *desk.Env) error {
	path, err := roundFile(env, r.ID)
	if err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fault.New(fault.Bug, "the round cannot be encoded: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.New(fault.Denied, "nothing was done: %v", err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fault.New(fault.Denied, "nothing was done: %v", err)
	}
	return nil
}

func readRound(env *desk.Env, id string) (round, error) {
	var r round
	path, err := roundFile(env, id)
	if err != nil {
		return r, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return r, fault.New(fault.NotFound, "there is no record of %s here", id).Hinted("it is kept where the order was given")
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fault.New(fault.Corrupt, "%s: %v", path, err)
	}
	return r, nil
}

// onFleet does one act on the hosts that --on names: first all previews, then one question, then a few at a time.
func (d *doing) onFleet(ctx context.Context, a act.Act) error {
	_, hosts, err := d.reach.Hosts(d.env, d.on)
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if err := h.OnlyBy(a.HookName()); err != nil {
			return err
		}
	}
	r, err := newRound(d.on, a, hosts)
	if err != nil {
		return err
	}
	return d.carryRound(ctx, r, hosts)
}

// again undoes or confirms a whole round on its hosts.
func (d *doing) again(ctx context.Context, id string, undo bool) error {
	of, err := readRound(d.env, id)
	if err != nil {
		return err
	}
	_, hosts, err := d.reach.Hosts(d.env, "name="+strings.Join(of.Hosts, "|name="))
	if err != nil {
		return err
	}
	r, err := newRound(of.On, of.Act, hosts)
	if err != nil {
		return err
	}
	r.Of, r.Undo = of.ID, undo
	return d.carryRound(ctx, r, hosts)
}

func (d *doing) carryRound(ctx context.Context, r round, hosts []fleet.Host) error {
	previews := desk.Each(ctx, d.env, &d.reach, hosts, func(ctx context.Context, h host.Host, _ func(host.Progress)) (act.Preview, error) {
		return d.lookAt(ctx, r, h)
	})
	willing, code := d.weigh(previews)
	if d.format == "text" {
		tell.Groups(d.env.Stdout, saidOf(previews, previewed))
	}
	if d.preview || len(willing) == 0 {
		return d.told(previews, nil, code)
	}
	if !d.yes {
		if err := d.agree(); err != nil {
			return err
		}
	}
	if err := r.keep(d.env); err != nil {
		return err
	}
	return d.begin(ctx, r, willing, previews, code)
}

// begin gives the round's orders, hears how they ended, and tells.
func (d *doing) begin(ctx context.Context, r round, willing []fleet.Host, previews []desk.Told[act.Preview], code int) error {
	outcomes := d.settle(ctx, r, d.doAll(ctx, r, willing))
	for _, o := range outcomes { // a failure outweighs an end that was not seen
		if c := outcomeCode(o.Got.Status, o.Err); code != desk.ExitFound && c != desk.ExitClean {
			code = c
		}
	}
	if d.format == "text" {
		tell.Groups(d.env.Stdout, saidOf(outcomes, ended))
		printWays(d.env.Stdout, r, outcomes)
	}
	return d.told(previews, outcomes, code)
}

func (d *doing) lookAt(ctx context.Context, r round, h host.Host) (act.Preview, error) {
	if store, can := h.(host.Store); can {
		for sum, path := range d.puts {
			if err := putFile(ctx, store, sum, path); err != nil {
				return act.Preview{}, err
			}
		}
	}
	o := r.order(d, h.Name())
	a, err := h.Look(ctx, host.Question{Check: &o}, nil)
	if err != nil || a.Check == nil {
		return act.Preview{}, err
	}
	return *a.Check, nil
}

func putFile(ctx context.Context, store host.Store, sum, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.New(fault.NotFound, "%v", err)
	}
	defer f.Close()
	return store.Put(ctx, sum, f)
}

// weigh picks the hosts that can do it, and the exit code that the others cost.
func (d *doing) weigh(previews []desk.Told[act.Preview]) (willing []fleet.Host, code int) {
	for _, p := range previews {
		switch {
		case p.Err != nil || p.Got.Refused != "":
			code = desk.ExitFound
		case !p.Got.Already:
			willing = append(willing, p.Host)
		}
	}
	return willing, code
}

// doAll carries the round out, so many hosts at once, and begins on no further host after one has failed.
func (d *doing) doAll(ctx context.Context, r round, hosts []fleet.Host) []desk.Told[act.Outcome] {
	var stopped atomic.Bool
	reach := d.reach
	reach.Forks, reach.Patience = max(1, d.atOnce), max(reach.Patience, d.deadline+time.Minute, 17*time.Minute)
	return desk.Each(ctx, d.env, &reach, hosts, func(ctx context.Context, h host.Host, p func(host.Progress)) (act.Outcome, error) {
		if stopped.Load() {
			return act.Outcome{}, fault.New(fault.Conflict, "not begun: another host failed before")
		}
		out, err := h.Do(ctx, r.order(d, h.Name()), p)
		if outcomeCode(out.Status, err) != desk.ExitClean && !d.keepGoing {
			stopped.Store(true)
		}
		return out, err
	})
}

// settle asks again where the end of an order was not seen: the machine was to reboot, or the connection was lost. The same order is
// answered by the host's journal, never done twice.
func (d *doing) settle(ctx context.Context, r round, outcomes []desk.Told[act.Outcome]) []desk.Told[act.Outcome] {
	for end := time.Now().Add(max(d.deadline, 2*time.Minute)); time.Now().Before(end) && ctx.Err() == nil; {
		var open []fleet.Host
		for _, o := range outcomes {
			if fault.Is(o.Err, fault.Unsure) || r.Act.Kind == act.Reboot && (fault.Is(o.Err, fault.Unreachable) || fault.Is(o.Err, fault.Timeout) || o.Got.Status == act.Unknown) {
				open = append(open, o.Host)
			}
		}
		if len(open) == 0 {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
		for _, o := range d.doAll(ctx, r, open) {
			i := slices.IndexFunc(outcomes, func(was desk.Told[act.Outcome]) bool { return was.Host.Name == o.Host.Name })
			if !fault.Is(o.Err, fault.Conflict) { // not asked: another host failed meanwhile
				outcomes[i] = o
			}
		}
	}
	return outcomes
}

// printWays says what can be done about a round from here.
func printWays(w io.Writer, r round, outcomes []desk.Told[act.Outcome]) {
	says := "orders " + r.ID
	if slices.ContainsFunc(outcomes, func(o desk.Told[act.Outcome]) bool { return o.Got.CanUndo }) {
		says += "; staunch do undo " + r.ID + " takes back what can be undone"
	}
	if slices.ContainsFunc(outcomes, func(o desk.Told[act.Outcome]) bool { return o.Err != nil || o.Got.Status == act.Unknown }) {
		says += "; staunch do repeat " + r.ID + " asks again how it ended, and begins where it was not begun"
	}
	fmt.Fprintln(w, says)
}

// repeat gives the orders of a round once more: what was done is answered, not repeated.
func (d *doing) repeat() *cobra.Command {
	return &cobra.Command{
		Use: "repeat ORDERS", Short: "Ask the hosts of a round (--on) again how it ended; what never began is done now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := readRound(d.env, args[0])
			if err != nil {
				return err
			}
			_, hosts, err := d.reach.Hosts(d.env, "name="+strings.Join(r.Hosts, "|name="))
			if err != nil {
				return err
			}
			if d.preview {
				return fault.New(fault.Usage, "repeat has no preview of its own").Hinted("what was done is answered from each host's journal; what never began is done now")
			}
			if d.format == "text" {
				fmt.Fprintf(d.env.Stdout, "%s on %s, ordered %s\n", r.Act.Kind, ink.Few(r.Hosts, 8), r.Made.Local().Format(time.DateTime))
			}
			if !d.yes {
				if err := d.agree(); err != nil {
					return err
				}
			}
			return d.begin(cmd.Context(), r, hosts, make([]desk.Told[act.Preview], 0), desk.ExitClean)
		},
	}
}

func outcomeCode(s act.Status, err error) int {
	switch {
	case fault.Is(err, fault.Unsure) || err == nil && s == act.Unknown:
		return desk.ExitIncomplete
	case err != nil || s == act.Refused || s == act.Failed:
		return desk.ExitFound
	}
	return desk.ExitClean
}

// told ends a round: in JSON with one object for each host.
func (d *doing) told(previews []desk.Told[act.Preview], outcomes []desk.Told[act.Outcome], code int) error {
	type line struct {
		Host    string       `json:"host"`
		Preview *act.Preview `json:"preview,omitempty"`
		Outcome *act.Outcome `json:"outcome,omitempty"`
		Error   *fault.Error `json:"error,omitempty"`
	}
	if d.format == "json" {
		lines := []line{}
		for _, p := range previews {
			lines = append(lines, line{Host: p.Host.Name, Preview: &p.Got, Error: fault.From(p.Err, fault.Unreachable)})
		}
		for _, o := range outcomes {
			i := slices.IndexFunc(lines, func(l line) bool { return l.Host == o.Host.Name })
			if i < 0 {
				i, lines = len(lines), append(lines, line{Host: o.Host.Name})
			}
			lines[i].Outcome, lines[i].Error = &o.Got, fault.From(o.Err, fault.Unreachable)
		}
		if err := printJSON(d.env.Stdout, lines); err != nil {
			return err
		}
	}
	if code != desk.ExitClean {
		return desk.Exit(code)
	}
	return nil
}

// previewed and ended put in words what one host told.
func previewed(p desk.Told[act.Preview]) string { return tell.PreviewText(p.Got, p.Err) }

func ended(o desk.Told[act.Outcome]) string {
	return tell.OutcomeText(o.Got, o.Err, outcomeCode(o.Got.Status, nil) != desk.ExitClean)
}

func saidOf[T any](all []desk.Told[T], text func(desk.Told[T]) string) []tell.Said {
	list := make([]tell.Said, len(all))
	for i, one := range all {
		list[i] = tell.Said{Host: one.Host.Name, Text: text(one)}
	}
	return list
}

// rebootOn reads each host's own boot id: one boot is ended, whoever asks twice.
func (d *doing) rebootOn(ctx context.Context) error {
	_, hosts, err := d.reach.Hosts(d.env, d.on)
	if err != nil {
		return err
	}
	boots := desk.Each(ctx, d.env, &d.reach, hosts, func(ctx context.Context, h host.Host, p func(host.Progress)) (string, error) {
		a, err := h.Look(ctx, host.Question{Scan: &scan.Question{PIDs: []int{1}, NoDormant: true}}, p)
		if err != nil || a.Scan == nil {
			return "", err
		}
		return a.Scan.Machine.BootID, nil
	})
	if len(boots) != 1 {
		return fault.New(fault.Usage, "reboot goes to one host at a time, %q names %d", d.on, len(boots)).Hinted("reboots of many hosts are the work of a plan, which watches over what stays up")
	}
	if boots[0].Err != nil {
		return boots[0].Err
	}
	a, err := act.New(act.Reboot, &act.RebootWith{BootID: boots[0].Got})
	if err != nil {
		return err
	}
	return d.onFleet(ctx, a)
}
