package cert

import (
	"context"
	"io"
	"slices"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/mend/cert"
	"staunch/mend/cert/picture"
	"staunch/mend/cert/setup"
	"staunch/mend/cert/tell"

	"github.com/spf13/cobra"
)

func newCertList(env *desk.Env, f *certFlags) *cobra.Command {
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
			return f.at(cmd, env, func(ctx context.Context, d *office, c *setup.File) error {
				g, err := d.certs.Gather(ctx, c, c.AllLogs(f.logs))
				if err != nil {
					return err
				}
				if err := d.certs.Remember(ctx, g.Catalogue); err != nil {
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

func printKeys(env *desk.Env, c cert.Catalogue, settings *setup.File, format string, graph bool) error {
	var err error
	switch {
	case format == "json":
		err = desk.JSON(env.Stdout, c)
	case format == "html":
		err = picture.Page(env.Stdout, c, settings.Who, time.Now())
	case format == "svg":
		_, err = io.WriteString(env.Stdout, picture.File(c, settings.Who))
	case graph:
		err = tell.Draw(env.Stdout, ink.Paint(desk.Colour(env)), c, settings.Who)
	default:
		err = tell.Keys(env.Stdout, c)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(c.Keys, func(k cert.Key) bool { return len(k.Exposed) > 0 }) {
		return desk.Exit(desk.ExitFound)
	}
	if len(c.Unseen) > 0 {
		return desk.Exit(desk.ExitIncomplete)
	}
	return nil
}
