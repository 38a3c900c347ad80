package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"staunch/fault"
	"staunch/ink"
	"staunch/mend/cert"
	"staunch/mend/cert/picture"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertList(env *Env, f *certFlags) *cobra.Command {
	var graph bool
	var format string
	cmd := &cobra.Command{
		Use:   "list [SPKI|NAME]",
		Short: "Every key with its certificates, files, programs and endpoints, exposed ones first",
		Long: `Asks every host of the inventory for its keys (hashes only), shakes hands with every endpoint at every address, and reads logs and declarations.
What could not be looked at stands at the end: a key that lies there is not in the list.
Exit code 0: everything was seen. 1: a key is exposed by an open incident. 3: nothing exposed, but something could not be looked at.`,
		Example: "  staunch cert list\n  staunch cert list --graph shop.example.com\n  staunch cert list --format html > keys.html\n  staunch cert list --format svg shop.example.com > shop.svg",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"table", "json", "html", "svg"}, format) {
				return fault.New(fault.Usage, "unknown format %q", format).Hinted("known: table, json, html, svg")
			}
			return f.at(cmd, env, func(ctx context.Context, d *desk, c *certsFile) error {
				g, err := d.gather(ctx, c, c.logs(f.logs))
				if err != nil {
					return err
				}
				if err := d.remember(ctx, g.Catalogue); err != nil {
					return err
				}
				if len(args) == 1 {
					if g.Keys = g.Find(args[0]); len(g.Keys) == 0 {
						return fault.New(fault.NotFound, "no key is known by %q", args[0])
					}
				}
				return printKeys(env, g.Catalogue, c, format, graph)
			})
		},
	}
	cmd.Flags().BoolVar(&graph, "graph", false, "as a picture: key, certificates, files, programs, endpoints")
	cmd.Flags().StringVar(&format, "format", "table", "table, json, html (a page with the picture of each key) or svg (the picture alone)")
	return cmd
}

func printKeys(env *Env, c cert.Catalogue, settings *certsFile, format string, graph bool) error {
	var err error
	switch {
	case format == "json":
		err = indented(env.Stdout, c)
	case format == "html":
		err = picture.Page(env.Stdout, c, settings.who, time.Now())
	case format == "svg":
		_, err = io.WriteString(env.Stdout, picture.File(c, settings.who))
	case graph:
		err = drawKeys(env, c, settings)
	default:
		err = tableOfKeys(env, c)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(c.Keys, func(k cert.Key) bool { return len(k.Exposed) > 0 }) {
		return exit(ExitFound)
	}
	if len(c.Unseen) > 0 {
		return exit(ExitIncomplete)
	}
	return nil
}

func tableOfKeys(env *Env, c cert.Catalogue) error {
	t := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tTYPE\tCERTS\tFILES\tSERVED AT\tENDS\tEXPOSED\tNAMES")
	for _, k := range c.Keys {
		exposed := "-"
		if len(k.Exposed) > 0 {
			exposed = "incident " + k.Exposed[0].Incident
		}
		fmt.Fprintf(t, "%.12s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", k.SPKI, picture.Type(k), len(k.Certificates), len(k.Files), len(k.Served), picture.Ends(k), exposed, tame.Line(ink.Few(k.Names(), 3)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	w := &lines{w: env.Stdout}
	w.unseen(c)
	return w.err
}

func (l *lines) unseen(c cert.Catalogue) {
	if len(c.Unseen) == 0 {
		return
	}
	l.say("\nnot seen (keys that lie there are not in the list):")
	for i, u := range c.Unseen {
		if i == mostRows {
			l.say("  and %d more", len(c.Unseen)-i)
			return
		}
		l.say("  %s: %s", tame.Line(u.Where), tame.Line(u.Why))
	}
}

// drawKeys is the picture: what hangs on each key.
func drawKeys(env *Env, c cert.Catalogue, settings *certsFile) error {
	w, paint := &lines{w: env.Stdout}, ink.Paint(colour(env))
	for _, k := range c.Keys {
		w.say("%s", paint.Bold(fmt.Sprintf("key %.16s (%s)", k.SPKI, picture.Type(k))))
		for _, e := range k.Exposed {
			w.say("%s", paint.Red(fmt.Sprintf("|- EXPOSED by incident %s on %s: %s %s", e.Incident, tame.Line(e.Host), tame.Line(e.Unit), tame.Line(e.How))))
		}
		for _, x := range k.Certificates {
			w.say("|- certificate %s for %s, by %s, ends %s (from %s)", tame.Line(x.Serial), tame.Line(ink.Few(x.Names, 4)), tame.Line(x.Issuer), x.NotAfter.Format(time.DateOnly), strings.Join(x.From, ", "))
			w.say("|    can be replaced or revoked by: %s", tame.Line(settings.who(x.Issuer)))
		}
		for _, f := range k.Files {
			mark := "file"
			if f.Private {
				mark = "PRIVATE KEY"
			}
			w.say("|- %s %s:%s (%s %s %s)", mark, tame.Line(f.Host), tame.Line(f.Path), f.Holds, f.Mode, tame.Line(f.Owner))
		}
		var said []string
		for _, r := range k.Readers {
			line := fmt.Sprintf("|- read by %s on %s (%s)", tame.Line(r.Name+" "+r.Unit), tame.Line(r.Host), tame.Line(cmp.Or(r.Says, r.How)))
			if !slices.Contains(said, line) { // a server has many processes
				said = append(said, line)
				w.say("%s", line)
			}
		}
		for _, p := range k.Served {
			w.say("|- served at %s", tame.Line(p.String()))
		}
		for _, e := range k.Edges {
			w.say("|- held by %s", tame.Line(e))
		}
		for _, p := range k.Pinned {
			w.say("%s", paint.Yellow("|- a new key breaks "+tame.Line(p)))
		}
		w.say("")
	}
	w.unseen(c)
	return w.err
}

// who can reach the account at the CA that issued a certificate.
func (c *certsFile) who(issuer string) string {
	people := strings.Join(c.people(), ", ")
	if people == "" {
		people = "nobody is named as a custodian"
	}
	var ways []string
	for _, a := range c.Authorities {
		if a.Matches == "" || strings.Contains(strings.ToLower(issuer), strings.ToLower(a.Matches)) {
			ways = append(ways, a.Name)
		}
	}
	if len(ways) == 0 {
		return "no authority is set up for it; custodians: " + people
	}
	return strings.Join(ways, ", ") + " (" + people + ")"
}
