package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/hub/news"
	"staunch/ledger/sqlite"
	"staunch/notify"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"

	"github.com/spf13/cobra"
)

// desk is what commands on incidents work at: the ledger, the fleet, the catalogue, and a way to the hosts.
type desk struct {
	*hub.Hub
	*news.Desk
	env   *Env
	store *sqlite.Store
	crew  *crew
	reads bool // nothing is written, so nothing is sealed at the end
}

// deskFlags are the flags that all of these commands share.
type deskFlags struct {
	reaching
	ledger string
}

func (f *deskFlags) add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&f.ledger, "ledger", "", "ledger file (default: ledger.db in the state directory)")
	f.defineOn(cmd.PersistentFlags())
}

// desk opens everything. Readers only read the ledger, and get no catalogue.
func (f *deskFlags) desk(ctx context.Context, env *Env, reader bool, advisory string) (*desk, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	store, err := openLedger(ctx, env, f.ledger, reader)
	if err != nil {
		return nil, err
	}
	crew := f.crew(env)
	h := &hub.Hub{Store: store, Now: time.Now, Who: person(env), Machine: machineName(), Forks: f.forks, Patience: f.patience, Open: crew.open}
	d := &desk{env: env, store: store, crew: crew, reads: reader, Hub: h, Desk: &news.Desk{Hub: h}}
	if err := d.furnish(ctx, f, reader, advisory); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return d, nil
}

func (d *desk) furnish(ctx context.Context, f *deskFlags, reader bool, advisory string) error {
	if reader {
		return nil
	}
	var err error
	if d.Fleet, err = findFleet(d.env, f.config); err != nil {
		return err
	}
	d.notifies()
	if d.Catalogue, err = loadCatalogue(d.env, nil, advisory); err != nil {
		return err
	}
	return d.Warm(ctx)
}

// notifies sets the inventory's notify command, which gets little of our environment.
func (d *desk) notifies() {
	if len(d.Fleet.Notify) == 0 {
		return
	}
	c := notify.Command{Args: d.Fleet.Notify}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v := d.env.Getenv(name); v != "" {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	d.Notify = c.Send
}

// close seals what was written and closes the ledger; it joins what went wrong before.
func (d *desk) close(before error) error {
	d.crew.close()
	var sealed error
	if !d.reads {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		sealed = d.Seal(ctx)
	}
	return errors.Join(before, sealed, d.store.Close())
}

// with runs f at a desk.
func (f *deskFlags) with(ctx context.Context, env *Env, reader bool, advisory string, do func(d *desk) error) error {
	d, err := f.desk(ctx, env, reader, advisory)
	if err != nil {
		return err
	}
	return d.close(do(d))
}

// person is how the ledger names who types.
func person(env *Env) string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(env.Getenv("USER"), fmt.Sprintf("uid %d", os.Getuid()))
}

func machineName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// findFleet reads the inventory: the one named, else the first of the usual places, else this machine alone.
func findFleet(env *Env, named string) (*fleet.Fleet, error) {
	if named != "" {
		return borrow.File(named)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, fault.New(fault.Denied, "the working directory: %v", err)
	}
	home := env.Getenv("XDG_CONFIG_HOME")
	if h := env.Getenv("HOME"); home == "" && filepath.IsAbs(h) {
		home = filepath.Join(h, ".config")
	}
	for _, place := range fleet.Places(dir, home) {
		f, err := borrow.File(place)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return f, err
		}
	}
	name := machineName()
	return fleet.Of("this machine alone, as there is no "+fleet.FileName, []fleet.Host{{Name: cmp.Or(name, "localhost"), Via: fleet.ViaLocal}}), nil
}
