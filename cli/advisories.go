package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"staunch/fault"
	"staunch/see/advisory"
	"staunch/see/advisory/feed"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// newAdvisories fetches, shows and takes in what is known to be bad.
func newAdvisories(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "advisories",
		Short: "Fetch, list, show and add the advisories that scans judge by",
		Long: `A scan judges by the built-in catalogue (every OpenSSL CVE and a few famous rules), and by what was fetched or added here.
A distribution patches its packages without changing upstream's version numbers, so its own data is needed to judge them:
run "staunch advisories update" once, and then daily from a timer.`,
		Example: `  staunch advisories update                              everything (a few hundred MB)
  staunch advisories update --only debian,kev,epss       what a Debian server needs
  staunch advisories update --mirror file:///srv/mirror  without a network
  staunch advisories list
  staunch advisories show heartbleed
  staunch advisories add vendor-osv.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(advisoriesUpdate(env), advisoriesList(env), advisoriesShow(env), advisoriesAdd(env))
	return cmd
}

func advisoriesUpdate(env *Env) *cobra.Command {
	var o feed.Options
	var format string
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Fetch OSV exports, CISA's known-exploited list and EPSS scores",
		Long: `Fetches each source that changed, checks it whole, and swaps it in at once. A download that breaks off, is truncated or does not
match its checksum leaves the old data in place. Exit codes: 0 all fetched or unchanged, 1 some source failed, 2 nothing could be tried.

A mirror holds the same files: osv/<Ecosystem>/all.zip, kev.json, epss.csv.gz, each optionally with NAME.sha256 beside it.
$STAUNCH_MIRROR sets one for good.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runUpdate(cmd.Context(), env, o, format) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Mirror, "mirror", env.Getenv("STAUNCH_MIRROR"), "address (https:// or file://) of a mirror")
	f.StringSliceVar(&o.Only, "only", nil, "only these sources: "+strings.Join(sourceNames(), ", "))
	f.BoolVar(&o.Force, "force", false, "fetch also what did not change")
	f.StringVar(&format, "format", "table", "how to print: table, json")
	complete(cmd, "only", sourceNames())
	complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func sourceNames() []string {
	var names []string
	for _, s := range feed.Sources() {
		names = append(names, s.Name)
	}
	return names
}

func runUpdate(ctx context.Context, env *Env, o feed.Options, format string) error {
	if err := tableOrJSON(format); err != nil {
		return err
	}
	dir, err := advisoriesDir(env)
	if err != nil {
		return err
	}
	bar := newProgress(env)
	o.Client, o.Now = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: 30 * time.Second}}, time.Now
	o.Progress = func(_, says string, done, total int64) { bar.say(says, done, total) }
	results, err := feed.Open(dir).Update(ctx, o)
	bar.done()
	if err != nil {
		return err
	}
	if format == "json" {
		err = indented(env.Stdout, results)
	} else {
		err = printResults(env, results)
	}
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.State == "failed" {
			return exit(ExitFound)
		}
	}
	return nil
}

func printResults(env *Env, results []feed.Result) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 4, 2, ' ', 0)
	for _, r := range results {
		switch {
		case r.Error != nil && r.Records > 0:
			fmt.Fprintf(w, "%s\tfailed: %s; the data of %s stays in use\n", r.Source, tame.Line(r.Error.Error()), r.Date.Format("2006-01-02"))
		case r.Error != nil:
			fmt.Fprintf(w, "%s\tfailed: %s\n", r.Source, tame.Line(r.Error.Error()))
		case r.State == "unchanged":
			fmt.Fprintf(w, "%s\tunchanged, data of %s\n", r.Source, r.Date.Format("2006-01-02"))
		default:
			fmt.Fprintf(w, "%s\tupdated: %d records, data of %s%s\n", r.Source, r.Records, r.Date.Format("2006-01-02"), skipped(r.Skipped))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if hint := fault.HintOf(errorOf(r.Error)); hint != "" {
			fmt.Fprintf(env.Stderr, "hint: %s\n", tame.Line(hint))
			break
		}
	}
	return nil
}

func errorOf(e *fault.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func skipped(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d could not be read)", n)
}

func tableOrJSON(format string) error {
	if format != "table" && format != "json" {
		return fault.New(fault.Usage, "unknown format %q", format).Hinted("known: table, json")
	}
	return nil
}

func advisoriesList(env *Env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "list", Short: "Which advisories are here, from where, of which date", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := tableOrJSON(format); err != nil {
				return err
			}
			set, err := advisory.Builtin()
			if err != nil {
				return err
			}
			held := append([]feed.Held{{Source: "built in", Records: len(advisory.NewCatalogue(set).All()), Date: set.Date}}, advisoryStore(env).List()...)
			if format == "json" {
				return indented(env.Stdout, held)
			}
			return printHeld(env.Stdout, held)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "how to print: table, json")
	complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func printHeld(out io.Writer, held []feed.Held) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tRECORDS\tDATA OF\tON DISK\tSPEAKS FOR")
	for _, h := range held {
		if h.Broken != "" {
			fmt.Fprintf(w, "%s\tbroken: %s\n", tame.Line(h.Source), tame.Line(h.Broken))
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", tame.Line(h.Source), h.Records, h.Date.Format("2006-01-02"), size(h.Bytes), tame.Line(few(h.Ecosystems, 6)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(held) == 1 {
		_, err := fmt.Fprintln(out, "\nOnly the built-in catalogue is here: staunch advisories update fetches the distributions' data.")
		return err
	}
	return nil
}

func size(n int64) string {
	switch {
	case n == 0:
		return "-"
	case n < 1<<20:
		return fmt.Sprintf("%d kB", (n+1023)>>10)
	}
	return fmt.Sprintf("%d MB", n>>20)
}

func advisoriesShow(env *Env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Everything that is known of one advisory", Args: cobra.ExactArgs(1),
		Example: "  staunch advisories show CVE-2014-0160\n  staunch advisories show log4shell --format json",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := tableOrJSON(format); err != nil {
				return err
			}
			c, err := loadCatalogue(env, nil, args[0])
			if err != nil {
				return err
			}
			if err := mustKnow(c, args[0]); err != nil {
				return err
			}
			a, _ := c.Find(args[0])
			if format == "json" {
				return indented(env.Stdout, a)
			}
			return showAdvisory(env, a)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "how to print: table, json")
	complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func showAdvisory(env *Env, a *advisory.Advisory) error {
	var b strings.Builder
	p := painter(colour(env))
	fmt.Fprintln(&b, p.bold(tame.Line(strings.TrimSpace(a.ID+" "+strings.Join(a.Names, ", ")))))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-10s %s\n", name, tame.Line(value))
		}
	}
	line("aliases", strings.Join(a.Aliases, ", "))
	if !a.Published.IsZero() {
		line("published", a.Published.Format("2006-01-02"))
	}
	line("severity", string(a.Severity))
	if a.KnownExploited {
		line("exploited", "yes: it is on CISA's list of known-exploited vulnerabilities")
	}
	if a.EPSS > 0 {
		line("epss", fmt.Sprintf("%.1f%% chance of being exploited within 30 days", a.EPSS*100))
	}
	line("weakness", strings.Join(a.CWE, ", "))
	fmt.Fprintln(&b, "  affects")
	for _, aff := range a.Affects {
		fmt.Fprintf(&b, "    %s\n", tame.Line(affectedLine(aff)))
	}
	showRule(&b, a.Rule)
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

func affectedLine(aff advisory.Affected) string {
	where := aff.Ecosystem
	if where == "" {
		where = "upstream"
	}
	var ranges []string
	for _, r := range aff.Ranges {
		ranges = append(ranges, advisory.Span{Range: r}.String())
	}
	if len(aff.Versions) > 0 {
		ranges = append(ranges, few(aff.Versions, 6))
	}
	text := fmt.Sprintf("%-14s %s: %s", where, aff.Name, strings.Join(ranges, " or "))
	if aff.Unfixed {
		text += " (no fix known)"
	}
	if aff.Says != "" {
		text += " (" + aff.Says + ")"
	}
	return text
}

func showRule(b *strings.Builder, r *advisory.Rule) {
	if r == nil {
		return
	}
	fmt.Fprintln(b, "  beyond versions")
	for _, group := range []struct {
		n    int
		says string
	}{
		{len(r.Presence), "the affected code is looked for in every object that holds " + r.Component},
		{len(r.Fix), "the fix is looked for in that code, so that a backport is seen"},
		{len(r.Flags), "a build flag that leaves the code out is looked for"},
	} {
		if group.n > 0 {
			fmt.Fprintf(b, "    %s\n", tame.Line(group.says))
		}
	}
	if r.Probe != "" {
		fmt.Fprintf(b, "    a live probe can prove it: staunch probe\n")
	}
	for _, says := range r.Needs {
		fmt.Fprintf(b, "    exploiting it needs: %s\n", tame.Line(says))
	}
	for _, says := range r.Disputes {
		fmt.Fprintf(b, "    sources disagree: %s\n", tame.Line(says))
	}
}

func advisoriesAdd(env *Env) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "add FILE", Short: "Take advisories from a file: OSV 1.x, CVE-JSON 5.x, or staunch's own form with rules", Args: cobra.ExactArgs(1),
		Long: `Takes one record or a list, checks it, and keeps it under the file's name; adding the same name again replaces it. "-" reads standard input.
Anchors of rules in it are looked for from the next scan on. The forms are in docs/advisories.md.`,
		Example: "  staunch advisories add vendor-osv.json\n  curl -s https://example.org/CVE-2099-1.json | staunch advisories add - --name vendor",
		RunE: func(_ *cobra.Command, args []string) error {
			in, label, err := openInput(env, args[0], name)
			if err != nil {
				return err
			}
			defer in.Close()
			dir, err := advisoriesDir(env)
			if err != nil {
				return err
			}
			set, err := feed.Open(dir).Add(in, label, time.Now())
			if err != nil {
				return err
			}
			var ids []string
			for _, a := range set.Advisories {
				ids = append(ids, a.ID)
			}
			_, err = fmt.Fprintf(env.Stdout, "added %s: %s\n", count(len(ids), "advisory", "advisories"), tame.Line(few(ids, 10)))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "keep it under this name instead of the file's")
	return cmd
}

func openInput(env *Env, path, name string) (io.ReadCloser, string, error) {
	if path == "-" {
		if name == "" {
			name = "stdin"
		}
		return io.NopCloser(env.Stdin), name, nil
	}
	if name == "" {
		name = path
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", fault.New(fault.NotFound, "%v", err)
	}
	return f, name, nil
}
