// Package incident holds the verbs of the night: open, look, carry a plan out, steer it, hand over, write up.
package incident

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub"
	"staunch/incident"
	"staunch/incident/tell"
	"staunch/ink"
	"staunch/inventory"
	"staunch/reach/fleet"
	"staunch/see/heard"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// New is `staunch incident` with everything below it.
func New(env *desk.Env) *cobra.Command {
	f := &desk.Flags{}
	cmd := &cobra.Command{
		Use:   "incident",
		Short: "The night: open, look, plan, run, hand over, write up",
		Long: `An incident is one advisory (or one rumour, or one vendor's trouble) against the whole fleet, from the first minute to the write-up.
Everything that happens in it is kept in the ledger; nothing is asked twice.`,
		Example: "  staunch incident open CVE-2014-0160\n  staunch plan make 7\n  staunch approve 7.1\n  staunch incident run 7\n  staunch incident brief 7\n  staunch incident report 7 --format html -o report.html",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.Add(cmd)
	cmd.AddCommand(newIncidentOpen(env, f), newIncidentList(env, f), newIncidentShow(env, f), newIncidentLook(env, f))
	cmd.AddCommand(peopleVerbs(env, f)...)
	cmd.AddCommand(steering(env, f)...)
	cmd.AddCommand(reportVerbs(env, f)...)
	return cmd
}

// opening is what `incident open` was asked for.
type opening struct {
	component, selector, heard, again, reason string
	noLook, noKeys                            bool
}

func newIncidentOpen(env *desk.Env, f *desk.Flags) *cobra.Command {
	var o opening
	cmd := &cobra.Command{
		Use:   "open ADVISORY | WORDS",
		Short: "Open an incident, look at the whole fleet, and say what could have leaked",
		Long: `Opens an incident about an advisory (id, alias or name), or about words while there is no advisory: "everything that talks to vendor X".
Then looks at every host of the fleet, says which are affected, unknown, dormant or clean, and which keys and secrets the affected processes could see.`,
		Example: "  staunch incident open CVE-2014-0160\n  staunch incident open heartbleed --on 'web & !web9'\n  staunch incident open \"vendor X leaked its tokens\" --on billing\n  staunch incident open --from-heard 0190a5b4",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := ""
			if len(args) == 1 {
				what = args[0]
			}
			return f.With(cmd.Context(), env, false, what, func(d *desk.Desk) error { return o.run(cmd, d, what) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.component, "component", "", "without an advisory: who holds this component")
	fl.StringVar(&o.selector, "on", "", "only this part of the fleet")
	fl.StringVar(&o.heard, "from-heard", "", "go on from a note of `staunch heard` (its id, or the beginning of it)")
	fl.StringVar(&o.again, "again", "", "open this closed incident again")
	fl.StringVar(&o.reason, "reason", "", "with --again: why")
	fl.BoolVar(&o.noLook, "no-look", false, "do not look at the hosts now")
	fl.BoolVar(&o.noKeys, "no-keys", false, "do not ask which keys the affected processes could see")
	return cmd
}

func (o *opening) run(cmd *cobra.Command, d *desk.Desk, what string) error {
	ctx := cmd.Context()
	if o.again != "" {
		_, err := d.Do(ctx, o.again, incident.Reopen{Reason: o.reason})
		return err
	}
	open, err := o.command(d, what)
	if err != nil {
		return err
	}
	s, err := d.OpenIncident(ctx, open)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.Env.Stdout, "incident %s: %s\n", s.Opened.ID, tame.Line(s.Opened.Title))
	if o.noLook {
		return nil
	}
	return look(d, cmd, s.Opened.ID, !o.noKeys)
}

func (o *opening) command(d *desk.Desk, what string) (incident.Open, error) {
	open := incident.Open{Component: o.component, Selector: o.selector}
	if o.selector != "" {
		hosts, err := d.Fleet.Select(o.selector, os.ReadFile)
		if err != nil {
			return open, err
		}
		for _, h := range hosts {
			open.Hosts = append(open.Hosts, h.Name)
		}
	}
	if o.heard != "" {
		dir, err := desk.StateDir(d.Env)
		if err != nil {
			return open, err
		}
		r, err := heard.Read(filepath.Join(dir, "heard"), o.heard)
		if err != nil {
			return open, err
		}
		open.Heard, open.Title = true, r.Says+" (heard "+r.Heard.UTC().Format("2006-01-02 15:04Z")+")"
		if open.Component == "" { // said by hand it wins: the note may not have understood the words
			open.Component = r.Component
		}
		if what == "" {
			return open, nil
		}
	}
	if a, known := d.Catalogue.Find(what); known {
		open.Advisory, open.Component = a, ""
		return open, nil
	}
	if looksLikeID(what) {
		return open, fault.New(fault.NotFound, "no advisory %q is known (catalogue of %s)", what, d.Catalogue.Date().UTC().Format("2006-01-02")).
			Hinted("`staunch advisories update` or `staunch advisories add FILE`; to open it by words, say what it is about")
	}
	if open.Title == "" {
		open.Title = what
	}
	return open, nil
}

// looksLikeID: a single word with a digit in it was meant as an advisory's id, and must not silently become an incident by words.
func looksLikeID(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t") && strings.ContainsAny(s, "0123456789-")
}

// look scans the fleet (or the incident's part of it), judges, traces, and prints.
func look(d *desk.Desk, cmd *cobra.Command, id string, trace bool) error {
	ctx := cmd.Context()
	if err := refresh(ctx, d, id); err != nil {
		return err
	}
	s, err := d.Judge(ctx, id)
	if err != nil {
		return err
	}
	if trace && s.Advisory != nil && len(s.In(inventory.Affected)) > 0 {
		if s, err = d.Trace(ctx, id); err != nil {
			return err
		}
	}
	if err := tell.Incident(d.Env.Stdout, ink.Paint(desk.Colour(d.Env)), s); err != nil {
		return err
	}
	switch {
	case len(s.In(inventory.Affected)) > 0:
		return desk.Exit(desk.ExitFound)
	case len(s.In(inventory.Unknown)) > 0:
		return desk.Exit(desk.ExitIncomplete)
	}
	return nil
}

// refresh looks at every host that an incident is about.
func refresh(ctx context.Context, d *desk.Desk, id string) error {
	s, _, err := d.Incident(ctx, id)
	if err != nil {
		return err
	}
	hosts := d.Fleet.Hosts
	if len(s.Opened.Hosts) > 0 {
		hosts = slices.DeleteFunc(slices.Clone(hosts), func(h fleet.Host) bool { return !slices.Contains(s.Opened.Hosts, h.Name) })
	}
	bar := desk.NewProgress(d.Env)
	err = d.Scan(ctx, hosts, func(one hub.Scanned) { bar.Say("looked at "+one.Host, int64(one.Done), int64(one.Of)) })
	bar.Done()
	return err
}

func newIncidentLook(env *desk.Env, f *desk.Flags) *cobra.Command {
	var noKeys bool
	cmd := &cobra.Command{
		Use:   "look ID",
		Short: "Look at the fleet again, and say what changed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.With(cmd.Context(), env, false, "", func(d *desk.Desk) error { return look(d, cmd, args[0], !noKeys) })
		},
	}
	cmd.Flags().BoolVar(&noKeys, "no-keys", false, "do not ask which keys the affected processes could see")
	return cmd
}

func newIncidentList(env *desk.Env, f *desk.Flags) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "All incidents, the newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.With(cmd.Context(), env, true, "", func(d *desk.Desk) error {
				list, err := d.Incidents(cmd.Context())
				if err != nil {
					return err
				}
				return printIncidents(env.Stdout, format, list)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func printIncidents(w io.Writer, format string, list []*incident.Incident) error {
	if format == "json" {
		rows := make([]map[string]any, 0, len(list))
		for _, s := range list {
			rows = append(rows, map[string]any{
				"id": s.Opened.ID, "title": s.Opened.Title, "opened": s.OpenedAt, "closed": s.Closed, "hosts_known": s.Known, "hosts_seen": s.Seen,
				"affected": len(s.In(inventory.Affected)), "unknown": len(s.In(inventory.Unknown)), "clean_again": len(s.CleanSince),
			})
		}
		return desk.JSON(w, rows)
	}
	return tell.Incidents(w, list)
}

func newIncidentShow(env *desk.Env, f *desk.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "What it can do, which hosts are affected, what could have leaked",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.With(cmd.Context(), env, true, "", func(d *desk.Desk) error {
				s, _, err := d.Incident(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return tell.Incident(env.Stdout, ink.Paint(desk.Colour(env)), s)
			})
		},
	}
}
