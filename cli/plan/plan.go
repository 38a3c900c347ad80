// Package plan holds the verbs before anything is done: plan, approve, and build for what no distribution has fixed.
package plan

import (
	"context"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub/news"
	"staunch/ink"
	"staunch/steer/picture"
	"staunch/steer/plan"
	"staunch/steer/tell"

	"github.com/spf13/cobra"
)

// New is `staunch plan`: make one, read one.
func New(env *desk.Env) *cobra.Command {
	f := &desk.Flags{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "What will be done, in which order, how it is proven and undone",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.Add(cmd)
	cmd.AddCommand(newPlanMake(env, f), newPlanShow(env, f))
	return cmd
}

func newPlanShow(env *desk.Env, f *desk.Flags) *cobra.Command {
	var graph bool
	var format string
	cmd := &cobra.Command{
		Use:     "show PLAN",
		Short:   "Read a plan before you sign it",
		Example: "  staunch plan show 7.1\n  staunch plan show 7.1 --graph\n  staunch plan show 7.1 --format html > plan.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch format {
			case "table", "json", "svg", "dot", "html":
			default:
				return fault.New(fault.Usage, "--format %q: table, json, svg, dot or html", format)
			}
			return f.With(cmd.Context(), env, true, "", func(d *desk.Desk) error {
				sealed, err := d.Plan(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				said, err := votesOn(cmd.Context(), d, sealed, f.Config)
				if err != nil {
					return err
				}
				switch {
				case format == "json":
					return desk.JSON(env.Stdout, struct {
						Digest string     `json:"digest"`
						Plan   *plan.Plan `json:"plan"`
					}{sealed.Digest, sealed.Plan()})
				case format == "svg":
					return picture.SVG(env.Stdout, sealed.Plan())
				case format == "dot":
					return picture.DOT(env.Stdout, sealed.Plan())
				case format == "html":
					return picture.HTML(env.Stdout, sealed)
				case graph:
					w := &ink.Lines{W: env.Stdout}
					for _, line := range picture.Lines(sealed.Plan(), desk.Width(env), ink.Paint(desk.Colour(env))) {
						w.Say("%s", line)
					}
					return w.Err
				}
				return tell.Plan(env.Stdout, ink.Paint(desk.Colour(env)), sealed, said)
			})
		},
	}
	cmd.Flags().BoolVar(&graph, "graph", false, "as a picture: what waits for what")
	cmd.Flags().StringVar(&format, "format", "table", "table, json, or a picture: svg, dot (Graphviz), html (with everything that the plan says)")
	return cmd
}

// votesOn says how a plan's votes stand; where nobody is listed who may vote, or the plan was replaced, it says that.
func votesOn(ctx context.Context, d *desk.Desk, sealed *plan.Sealed, config string) ([]string, error) {
	list, err := desk.ReadSigners(d.Env, config, "")
	if fault.Is(err, fault.NotFound) {
		return []string{"nobody is listed who may vote"}, nil
	}
	if err != nil {
		return nil, err
	}
	if d.Fleet, err = desk.FindFleet(d.Env, config); err != nil {
		return nil, err
	}
	a, err := d.Approval(ctx, sealed, list)
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
		return []string{err.Error()}, nil
	}
	return news.Votes(a, d.Now()), err
}
