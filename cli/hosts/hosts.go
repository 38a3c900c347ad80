// Package hosts holds the verbs on single machines: hosts lists and checks them, do carries out one act on them.
package hosts

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"
	"staunch/reach/host"
	"staunch/reach/keep"
	"staunch/reach/tell"

	"github.com/spf13/cobra"
)

const hostsExamples = `  staunch hosts                                 every host of staunch.yaml
  staunch hosts 'ring=production & web'         a part of it
  staunch hosts --check                         connects: rights, sudo, disk, systemd, clock
  staunch hosts import /etc/ansible/hosts       begins a staunch.yaml from what you have
  staunch hosts clean web1                      removes what staunch keeps on a host to be fast`

// hostList is what the flags of hosts say.
type hostList struct {
	desk.Reaching
	check  bool
	format string
}

// New lists the fleet.
func New(env *desk.Env) *cobra.Command {
	l := &hostList{}
	cmd := &cobra.Command{
		Use: "hosts [SELECTOR]", Short: "List hosts, check what is missing to reach them, import inventories", Example: hostsExamples,
		Long: `Lists the hosts of the inventory, or those that a selector names: web, ring=canary, 'web & !db1', web[01-20], @file
(docs/fleet.md has the grammar).

With --check it connects to each and tells what is missing: rights, sudo, room on disks, systemd, a right clock.
Exit codes: 0 all well; 1 something is missing; 2 could not look; 3 a host could not be reached.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.format != "table" && l.format != "json" {
				return fault.New(fault.Usage, "unknown format %q", l.format).Hinted("known: table, json")
			}
			known, hosts, err := l.Hosts(env, strings.Join(args, " "))
			if err != nil {
				return err
			}
			switch {
			case len(hosts) == 0:
				fmt.Fprintf(env.Stderr, "note: %s names no host yet\n", known.Source)
			case strings.Contains(known.Source, "there is no "+fleet.FileName):
				fmt.Fprintf(env.Stderr, "note: from %s\n", known.Source)
			}
			if l.check {
				return l.checkAll(cmd.Context(), env, hosts)
			}
			return l.list(env, hosts)
		},
	}
	l.Define(cmd)
	l.DefineKeep(cmd)
	cmd.Flags().BoolVar(&l.check, "check", false, "connect to each host and tell what is missing")
	cmd.Flags().StringVar(&l.format, "format", "table", "table or json")
	cmd.AddCommand(newHostsImport(env), newHostsClean(env))
	return cmd
}

func (l *hostList) list(env *desk.Env, hosts []fleet.Host) error {
	if l.format == "json" {
		return desk.JSON(env.Stdout, hosts)
	}
	return tell.Hosts(env.Stdout, desk.Width(env), hosts)
}

func (l *hostList) checkAll(ctx context.Context, env *desk.Env, hosts []fleet.Host) error {
	all := desk.Each(ctx, env, &l.Reaching, hosts, func(ctx context.Context, h host.Host, p func(host.Progress)) (tell.Checked, error) {
		began := time.Now()
		a, err := h.Look(ctx, host.Question{Health: &host.HealthQuestion{}}, p)
		if err != nil {
			return tell.Checked{}, err
		}
		took := time.Since(began)
		return tell.Checked{Missing: host.Missing(a.Health, began, took), Health: a.Health, TookMS: took.Milliseconds()}, nil
	})
	code, rows := desk.ExitClean, make([]tell.Checked, len(all))
	for i, a := range all {
		rows[i] = a.Got
		rows[i].Host, rows[i].NotCovered = a.Host.Name, a.Host.NotCovered()
		switch {
		case rows[i].NotCovered != "":
			rows[i].Missing = []string{} // nothing is asked of it
		case a.Err != nil:
			rows[i].Error = fault.From(a.Err, fault.Bug)
			rows[i].Missing = []string{a.Err.Error()}
			code = cmp.Or(code, desk.ExitIncomplete)
		case len(a.Got.Missing) > 0:
			code = desk.ExitFound
		}
	}
	if err := l.printChecked(env, rows); err != nil {
		return err
	}
	if code != desk.ExitClean {
		return desk.Exit(code)
	}
	return nil
}

func (l *hostList) printChecked(env *desk.Env, rows []tell.Checked) error {
	if l.format == "json" {
		return desk.JSON(env.Stdout, rows)
	}
	return tell.Missing(env.Stdout, desk.Width(env), rows)
}

func newHostsImport(env *desk.Env) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Print a staunch.yaml made of another inventory", Args: cobra.ExactArgs(1),
		Long: "Reads an Ansible inventory (INI, YAML, or what ansible-inventory --list prints), an ssh configuration or a list of names,\nand prints a staunch.yaml to begin with. \"-\" reads stdin.",
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := borrowed(env, args[0])
			if err != nil {
				return err
			}
			out, err := borrow.Write(f)
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(out)
			return err
		},
	}
}

func borrowed(env *desk.Env, path string) (*fleet.Fleet, error) {
	if path == "-" {
		return borrow.Stream(env.Stdin, "stdin")
	}
	return borrow.File(path)
}

func newHostsClean(env *desk.Env) *cobra.Command {
	r := &desk.Reaching{}
	cmd := &cobra.Command{
		Use: "clean SELECTOR", Short: "Remove from hosts what staunch keeps there to be fast", Args: cobra.ExactArgs(1),
		Long: "Removes the host part and its cache (/var/cache/staunch-host, ~/.cache/staunch-host). The journal of orders\n(/var/lib/staunch-host) stays: it is what keeps an order from being done twice. Connections that were kept for the next command\nare hung up first.",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, hosts, err := r.Hosts(env, args[0])
			if err != nil {
				return err
			}
			return cleanHosts(cmd.Context(), env, r, hosts)
		},
	}
	r.Define(cmd)
	return cmd
}

func cleanHosts(ctx context.Context, env *desk.Env, r *desk.Reaching, hosts []fleet.Host) error {
	keep.Stop(desk.KeepDir(env))
	crew := r.Crew(env)
	defer crew.Close()
	all := desk.Parallel(hosts, r.Forks, func(h fleet.Host) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, r.Patience)
		defer cancel()
		return crew.Dialer.Clean(ctx, h)
	})
	removed, failed := 0, 0
	for _, a := range all {
		switch {
		case a.Err != nil:
			failed++
			desk.Complain(env.Stderr, a.Err)
		case a.Got:
			removed++
		}
	}
	fmt.Fprintf(env.Stdout, "removed from %d hosts, %s had nothing, %d could not be cleaned\n", removed, strconv.Itoa(len(all)-removed-failed), failed)
	if failed > 0 {
		return desk.Exit(desk.ExitIncomplete)
	}
	return nil
}
