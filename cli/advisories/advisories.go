// Package advisories holds the verbs that bring advisories to where scans judge by them: advisories, and bundle for hosts without a network.
package advisories

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/see/advisory"
	"staunch/see/advisory/feed"
	"staunch/see/tell"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// New fetches, shows and takes in what is known to be bad.
func New(env *desk.Env) *cobra.Command {
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

func advisoriesUpdate(env *desk.Env) *cobra.Command {
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
	desk.Complete(cmd, "only", sourceNames())
	desk.Complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func sourceNames() []string {
	var names []string
	for _, s := range feed.Sources() {
		names = append(names, s.Name)
	}
	return names
}

func runUpdate(ctx context.Context, env *desk.Env, o feed.Options, format string) error {
	if err := desk.TableOrJSON(format); err != nil {
		return err
	}
	dir, err := desk.AdvisoriesDir(env)
	if err != nil {
		return err
	}
	bar := desk.NewProgress(env)
	o.Client, o.Now = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: 30 * time.Second}}, time.Now
	o.Progress = func(_, says string, done, total int64) { bar.Say(says, done, total) }
	results, err := feed.Open(dir).Update(ctx, o)
	bar.Done()
	if err != nil {
		return err
	}
	if format == "json" {
		err = desk.JSON(env.Stdout, results)
	} else {
		err = tell.Updates(env.Stdout, env.Stderr, results)
	}
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.State == "failed" {
			return desk.Exit(desk.ExitFound)
		}
	}
	return nil
}

func advisoriesList(env *desk.Env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "list", Short: "Which advisories are here, from where, of which date", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := desk.TableOrJSON(format); err != nil {
				return err
			}
			set, err := advisory.Builtin()
			if err != nil {
				return err
			}
			held := append([]feed.Held{{Source: "built in", Records: len(advisory.NewCatalogue(set).All()), Date: set.Date}}, desk.AdvisoryStore(env).List()...)
			if format == "json" {
				return desk.JSON(env.Stdout, held)
			}
			return tell.Held(env.Stdout, held)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "how to print: table, json")
	desk.Complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func advisoriesShow(env *desk.Env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Everything that is known of one advisory", Args: cobra.ExactArgs(1),
		Example: "  staunch advisories show CVE-2014-0160\n  staunch advisories show log4shell --format json",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := desk.TableOrJSON(format); err != nil {
				return err
			}
			c, err := desk.LoadCatalogue(env, nil, args[0])
			if err != nil {
				return err
			}
			if err := desk.MustKnow(c, args[0]); err != nil {
				return err
			}
			a, _ := c.Find(args[0])
			if format == "json" {
				return desk.JSON(env.Stdout, a)
			}
			return tell.Advisory(env.Stdout, ink.Paint(desk.Colour(env)), a)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "how to print: table, json")
	desk.Complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func advisoriesAdd(env *desk.Env) *cobra.Command {
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
			dir, err := desk.AdvisoriesDir(env)
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
			_, err = fmt.Fprintf(env.Stdout, "added %s: %s\n", ink.Count(len(ids), "advisory", "advisories"), tame.Line(ink.Few(ids, 10)))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "keep it under this name instead of the file's")
	return cmd
}

func openInput(env *desk.Env, path, name string) (io.ReadCloser, string, error) {
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
