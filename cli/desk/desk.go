package desk

import (
	"context"
	"errors"
	"time"

	"staunch/hub"
	"staunch/ledger/sqlite"
	"staunch/notify"

	"github.com/spf13/cobra"
)

// Desk is what commands on incidents work at: the ledger, the fleet, the catalogue, and a way to the hosts.
type Desk struct {
	*hub.Hub
	Notify func(ctx context.Context, m notify.Message) error // nil: nobody is told anything
	Env    *Env
	store  *sqlite.Store
	crew   *Crew
	reads  bool // nothing is written, so nothing is sealed at the end
}

// Flags are the flags that all of these commands share.
type Flags struct {
	Reaching
	ledger string
}

// Add gives a verb, and all below it, the flags.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&f.ledger, "ledger", "", "ledger file (default: ledger.db in the state directory)")
	f.defineOn(cmd.PersistentFlags())
}

// Open opens everything. Readers only read the ledger, and get no catalogue.
func (f *Flags) Open(ctx context.Context, env *Env, reader bool, advisory string) (*Desk, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	store, err := OpenLedger(ctx, env, f.ledger, reader)
	if err != nil {
		return nil, err
	}
	crew := f.Crew(env)
	h := &hub.Hub{Store: store, Now: time.Now, Who: person(env), Machine: MachineName(), Forks: f.Forks, Patience: f.Patience, Open: crew.open}
	d := &Desk{Env: env, store: store, crew: crew, reads: reader, Hub: h}
	if err := d.furnish(ctx, f, reader, advisory); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return d, nil
}

func (d *Desk) furnish(ctx context.Context, f *Flags, reader bool, advisory string) error {
	if reader {
		return nil
	}
	var err error
	if d.Fleet, err = FindFleet(d.Env, f.Config); err != nil {
		return err
	}
	d.notifies()
	if d.Catalogue, err = LoadCatalogue(d.Env, nil, advisory); err != nil {
		return err
	}
	return d.Warm(ctx)
}

// notifies sets the inventory's notify command, which gets little of our environment.
func (d *Desk) notifies() {
	if len(d.Fleet.Notify) == 0 {
		return
	}
	c := notify.Command{Args: d.Fleet.Notify}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v := d.Env.Getenv(name); v != "" {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	d.Notify = c.Send
}

// Close seals what was written and closes the ledger; it joins what went wrong before.
func (d *Desk) Close(before error) error {
	d.crew.Close()
	var sealed error
	if !d.reads {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		sealed = d.Seal(ctx)
	}
	return errors.Join(before, sealed, d.store.Close())
}

// With runs f at a desk.
func (f *Flags) With(ctx context.Context, env *Env, reader bool, advisory string, do func(d *Desk) error) error {
	d, err := f.Open(ctx, env, reader, advisory)
	if err != nil {
		return err
	}
	return d.Close(do(d))
}
