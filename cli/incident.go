package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"staunch/fault"
	"staunch/hub"
	"staunch/incident"
	"staunch/incident/blast"
	"staunch/ink"
	"staunch/inventory"
	"staunch/phrase"
	"staunch/reach/fleet"
	"staunch/see/heard"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newIncident(env *Env) *cobra.Command {
	f := &deskFlags{}
	cmd := &cobra.Command{
		Use:   "incident",
		Short: "The night: open, look, plan, run, hand over, write up",
		Long: `An incident is one advisory (or one rumour, or one vendor's trouble) against the whole fleet, from the first minute to the write-up.
Everything that happens in it is kept in the ledger; nothing is asked twice.`,
		Example: "  staunch incident open CVE-2014-0160\n  staunch plan make 7\n  staunch approve 7.1\n  staunch incident run 7\n  staunch incident brief 7\n  staunch incident report 7 --format html -o report.html",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.add(cmd)
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

func newIncidentOpen(env *Env, f *deskFlags) *cobra.Command {
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
			return f.with(cmd.Context(), env, false, what, func(d *desk) error { return o.run(cmd, d, what) })
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

func (o *opening) run(cmd *cobra.Command, d *desk, what string) error {
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
	fmt.Fprintf(d.env.Stdout, "incident %s: %s\n", s.Opened.ID, tame.Line(s.Opened.Title))
	if o.noLook {
		return nil
	}
	return d.look(cmd, s.Opened.ID, !o.noKeys)
}

func (o *opening) command(d *desk, what string) (incident.Open, error) {
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
		dir, err := stateDir(d.env)
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
func (d *desk) look(cmd *cobra.Command, id string, trace bool) error {
	ctx := cmd.Context()
	if err := d.refresh(ctx, id); err != nil {
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
	if err := printIncident(d.env, s); err != nil {
		return err
	}
	switch {
	case len(s.In(inventory.Affected)) > 0:
		return exit(ExitFound)
	case len(s.In(inventory.Unknown)) > 0:
		return exit(ExitIncomplete)
	}
	return nil
}

// refresh looks at every host that an incident is about.
func (d *desk) refresh(ctx context.Context, id string) error {
	s, _, err := d.Incident(ctx, id)
	if err != nil {
		return err
	}
	hosts := d.Fleet.Hosts
	if len(s.Opened.Hosts) > 0 {
		hosts = slices.DeleteFunc(slices.Clone(hosts), func(h fleet.Host) bool { return !slices.Contains(s.Opened.Hosts, h.Name) })
	}
	bar := newProgress(d.env)
	err = d.Scan(ctx, hosts, func(one hub.Scanned) { bar.say("looked at "+one.Host, int64(one.Done), int64(one.Of)) })
	bar.done()
	return err
}

func newIncidentLook(env *Env, f *deskFlags) *cobra.Command {
	var noKeys bool
	cmd := &cobra.Command{
		Use:   "look ID",
		Short: "Look at the fleet again, and say what changed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, false, "", func(d *desk) error { return d.look(cmd, args[0], !noKeys) })
		},
	}
	cmd.Flags().BoolVar(&noKeys, "no-keys", false, "do not ask which keys the affected processes could see")
	return cmd
}

func newIncidentList(env *Env, f *deskFlags) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "All incidents, the newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), env, true, "", func(d *desk) error {
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
		return indented(w, rows)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no incidents")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tOPENED\tSTATE\tAFFECTED\tUNKNOWN\tCLEAN AGAIN\tTITLE")
	for _, s := range list {
		state := "open"
		if s.Closed {
			state = "closed"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", s.Opened.ID, s.OpenedAt.Local().Format("2006-01-02 15:04"), state,
			len(s.In(inventory.Affected)), len(s.In(inventory.Unknown)), len(s.CleanSince), tame.Line(s.Opened.Title))
	}
	return t.Flush()
}

func newIncidentShow(env *Env, f *deskFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "What it can do, which hosts are affected, what could have leaked",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, true, "", func(d *desk) error {
				s, _, err := d.Incident(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return printIncident(env, s)
			})
		},
	}
}

// mostRows bounds what a terminal gets; the report has everything.
const mostRows = 40

func printIncident(env *Env, s *incident.Incident) error {
	paint := ink.Paint(colour(env))
	w := &lines{w: env.Stdout}
	w.say("%s", paint.Bold(fmt.Sprintf("incident %s: %s", s.Opened.ID, tame.Line(s.Opened.Title))))
	w.say("opened %s by %s", s.OpenedAt.Local().Format("2006-01-02 15:04 MST"), tame.Line(s.OpenedBy))
	w.say("it can: %s", s.Impact.Harm.Says())
	w.say("must follow: %s", s.Impact.Follows.Says())
	if s.Looks == 0 {
		w.say("nobody has looked at the fleet yet: staunch incident look %s", s.Opened.ID)
		return w.err
	}
	affected, unknown, dormant := s.In(inventory.Affected), s.In(inventory.Unknown), s.In(inventory.Dormant)
	w.hosts(paint.Red(fmt.Sprintf("\naffected: %s, %d of the processes face strangers", phrase.Count(len(affected), "host", "hosts"), s.Facing())), affected)
	w.hosts(paint.Yellow("\nunknown: "+phrase.Count(len(unknown), "host", "hosts")), unknown)
	w.hosts("\ndormant only: "+phrase.Count(len(dormant), "host", "hosts"), dormant)
	if s.Blast != nil {
		w.blast(s.Blast)
	}
	for _, m := range s.Milestones {
		w.say("%s", paint.Green(m.At.Local().Format("15:04 ")+tame.Line(m.Says)))
	}
	for _, p := range s.Plans {
		w.say("plan %s: %s, %d steps, %d votes%s", p.Plan, tame.Line(p.Title), p.Steps, len(p.Votes), map[bool]string{true: ", replaced"}[p.Void])
	}
	w.say("\n%d of %d known hosts seen, %d clean; looked %s; catalogue of %s", s.Seen, s.Known, len(s.In(inventory.Clean)),
		s.LookedAt.Local().Format("15:04:05"), s.Catalogue.UTC().Format("2006-01-02"))
	return w.err
}

// lines writes lines and remembers the first error.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) say(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format+"\n", args...)
	}
}

func (l *lines) hosts(title string, hosts []*incident.HostState) {
	if len(hosts) == 0 {
		return
	}
	l.say("%s", title)
	for i, h := range hosts {
		if i == mostRows {
			l.say("  and %d more hosts", len(hosts)-i)
			return
		}
		l.say("  %s (%s) %s", tame.Line(h.Host), tame.Line(h.Ring), tame.Line(h.Why))
		for _, u := range h.Units {
			name := u.Unit
			if name == "" {
				name = u.Process
			}
			l.say("    %s: %s %s, %s, %s, listens %s; %s", tame.Line(name), tame.Line(u.Component), tame.Line(u.Version), u.State, phrase.Count(u.Count, "process", "processes"), u.Exposure, tame.Line(u.Fix))
		}
	}
}

func (l *lines) blast(b *blast.Radius) {
	l.say("\ncould have leaked: %s", tame.Line(b.Says()))
	for i, k := range b.Keys {
		if i == mostRows {
			break
		}
		l.say("  key %.16s %s %s: in reach of %s", k.SPKI, k.Type, tame.Line(strings.Join(k.Names, ", ")), tame.Line(strings.Join(k.Readers, ", ")))
	}
	for i, x := range b.Secrets {
		if i == mostRows {
			break
		}
		l.say("  %s %s (%s): in reach of %s", x.Kind, tame.Line(x.Name), x.Where, tame.Line(strings.Join(x.Readers, ", ")))
	}
	for _, x := range b.Services {
		holds := strings.Join(x.Holds, ", ")
		if holds == "" {
			holds = "what it holds is not said in the inventory"
		}
		l.say("  service %s: %s", tame.Line(x.Service), tame.Line(holds))
	}
}
