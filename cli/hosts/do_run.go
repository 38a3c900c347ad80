package hosts

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bounds"
	"staunch/reach/act/carry"
	"staunch/reach/tell"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// engine is this machine's. Root that types on the machine itself counts as local.
func (d *doing) engine(says func(string)) (*carry.Engine, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fault.New(fault.Unsupported, "where this program lies: %v", err)
	}
	return &carry.Engine{Places: bounds.Standard(), Local: os.Geteuid() == 0, Self: []string{exe, "do", "self-undo"}, Says: says}, nil
}

// act makes an order of an act, shows it, asks, and does it.
func (d *doing) act(ctx context.Context, kind act.Kind, with act.Params) error {
	a, err := act.New(kind, with)
	if err != nil {
		return err
	}
	if d.on != "" {
		if err := d.known(); err != nil {
			return err
		}
		return d.onFleet(ctx, a)
	}
	order, err := d.newOrder(a)
	if err != nil {
		return err
	}
	return d.carry(ctx, order)
}

func (d *doing) known() error {
	if d.format != "text" && d.format != "json" {
		return fault.New(fault.Usage, "unknown format %q", d.format).Hinted("known: text, json")
	}
	return nil
}

func (d *doing) newOrder(a act.Act) (act.Order, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return act.Order{}, fault.New(fault.Unsupported, "no randomness: %v", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return act.Order{}, fault.New(fault.Unsupported, "this machine's name: %v", err)
	}
	return act.Order{ID: act.OrderID(id.String(), string(a.Kind), host, 1), Host: host, Step: string(a.Kind), Act: a, DeadlineMS: d.deadline.Milliseconds()}, nil
}

func (d *doing) carry(ctx context.Context, order act.Order) error {
	if err := d.known(); err != nil {
		return err
	}
	progress := desk.NewProgress(d.env)
	engine, err := d.engine(func(says string) { progress.Say(says, 0, 0) })
	if err != nil {
		return err
	}
	if err := d.put(ctx, engine); err != nil {
		return err
	}
	preview, err := engine.Check(ctx, order)
	progress.Done()
	if err != nil {
		return err
	}
	if d.format == "text" {
		tell.Preview(d.env.Stdout, preview)
	}
	switch {
	case preview.Refused != "" || d.preview:
		return d.previewed(preview)
	case !d.yes && !preview.Already:
		if err := d.agree(); err != nil {
			return err
		}
	}
	outcome, err := engine.Do(ctx, order)
	progress.Done()
	if err != nil {
		return err
	}
	return d.ended(outcome)
}

func (d *doing) put(ctx context.Context, engine *carry.Engine) error {
	for sum, path := range d.puts {
		if err := putFile(ctx, engine, sum, path); err != nil {
			return err
		}
	}
	return nil
}

func (d *doing) previewed(p act.Preview) error {
	if d.format == "json" {
		if err := printJSON(d.env.Stdout, p); err != nil {
			return err
		}
	}
	if p.Refused != "" {
		return desk.Exit(desk.ExitFound)
	}
	return nil
}

// agree asks a person at a terminal; nobody there means: say --yes.
func (d *doing) agree() error {
	in, ok := d.env.Stdin.(*os.File)
	if !ok || !desk.IsTerminal(in) || d.format != "text" {
		return fault.New(fault.Usage, "nobody is here to agree").Hinted("look with --preview, then repeat with --yes")
	}
	fmt.Fprint(d.env.Stdout, "do it? [y/N] ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		return fault.New(fault.Usage, "no answer: nothing was done")
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return fault.New(fault.Usage, "not agreed: nothing was done")
	}
	return nil
}

func (d *doing) ended(out act.Outcome) error {
	var err error
	if d.format == "json" {
		err = printJSON(d.env.Stdout, out)
	} else {
		tell.Outcome(d.env.Stdout, out)
	}
	switch out.Status {
	case act.Refused, act.Failed:
		return desk.Exit(desk.ExitFound)
	case act.Unknown:
		return desk.Exit(desk.ExitIncomplete)
	}
	return err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fault.New(fault.Bug, "printing: %v", err)
	}
	return nil
}

func (d *doing) undo() *cobra.Command {
	return &cobra.Command{
		Use: "undo ORDER", Short: "Take back what an order did here, or a round of orders (--on) did on its hosts", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], "/") {
				return d.again(cmd.Context(), args[0], true)
			}
			return d.of(cmd.Context(), args[0], func(o *act.Order) { o.Undo = true })
		},
	}
}

func (d *doing) confirmed() *cobra.Command {
	return &cobra.Command{
		Use: "confirm ORDER", Short: "Keep what an order did: it will not undo itself", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], "/") {
				return d.again(cmd.Context(), args[0], false)
			}
			return d.of(cmd.Context(), args[0], func(o *act.Order) { o.Confirm = true })
		},
	}
}

// of makes an order about an earlier one.
func (d *doing) of(ctx context.Context, id string, change func(*act.Order)) error {
	engine, err := d.engine(nil)
	if err != nil {
		return err
	}
	past, err := engine.Recorded(id)
	if err != nil {
		return err
	}
	order, err := d.newOrder(past.Order.Act)
	if err != nil {
		return err
	}
	order.Of = id
	change(&order)
	return d.carry(ctx, order)
}

func (d *doing) list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "What this host did by order, and what has no end yet", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			engine, err := d.engine(nil)
			if err != nil {
				return err
			}
			past, err := engine.History()
			if err != nil {
				return err
			}
			if d.format == "json" {
				return printJSON(d.env.Stdout, past)
			}
			tell.Past(d.env.Stdout, past)
			return nil
		},
	}
}

// order carries a whole order with its mandate that was brought here in a file: for a night without hub and network.
func (d *doing) order() *cobra.Command {
	return &cobra.Command{
		Use: "order FILE", Short: "Carry out a whole order (JSON, with its mandate) that was brought here in a file", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := d.readSmall(args[0])
			if err != nil {
				return err
			}
			var order act.Order
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&order); err != nil {
				return fault.New(fault.Usage, "%s is not an order: %v", args[0], err)
			}
			return d.carry(cmd.Context(), order)
		},
	}
}

// selfUndo is what the timer of an unconfirmed order runs.
func (d *doing) selfUndo() *cobra.Command {
	return &cobra.Command{
		Use: "self-undo ORDER", Short: "Undo an order that nobody confirmed", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := d.engine(nil)
			if err != nil {
				return err
			}
			outcome, err := engine.SelfUndo(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return d.ended(outcome)
		},
	}
}

// readSmall reads a file of at most 4 MB, or standard input for "-".
func (d *doing) readSmall(path string) ([]byte, error) {
	in := d.env.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fault.New(fault.NotFound, "%v", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 4<<20+1))
	if err != nil || len(text) > 4<<20 {
		return nil, fault.New(fault.Full, "%s: more than 4 MB, or not readable (%v)", path, err)
	}
	return text, nil
}

func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.New(fault.NotFound, "%v", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fault.New(fault.Corrupt, "%s: %v", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
