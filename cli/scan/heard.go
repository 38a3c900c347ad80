package scan

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"staunch/cli/desk"
	"staunch/ink"
	"staunch/see/heard"
	"staunch/see/scan"
	"staunch/see/tell"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// NewHeard is the sixty seconds before an id exists.
func NewHeard(env *desk.Env) *cobra.Command {
	var component, format string
	cmd := &cobra.Command{
		Use:   "heard WHAT",
		Short: "Something is out about a component: start the clock, and say who runs it and who of them is public",
		Long: `For the first minute, when there is a rumour and no advisory yet: notes when you heard it, and lists every process that has the
component in memory, in which version, and who of them faces the public. Nothing is judged, because nothing is known yet.

The component is taken from the words if one of them names a component that runs here; --component names it exactly.
The note is kept in the state directory: staunch incident open --from-heard ID continues from it, with the clock already running.`,
		Example: "  staunch heard \"openssl memory leak\"\n  staunch heard \"something in the xz library\" --component liblzma\n  staunch heard \"openssl memory leak\" --format json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := desk.TableOrJSON(format); err != nil {
				return err
			}
			return runHeard(cmd.Context(), env, args[0], component, format)
		},
	}
	cmd.Flags().StringVar(&component, "component", "", "the component's name (openssl, liblzma, curl, log4j-core ...)")
	cmd.Flags().StringVar(&format, "format", "table", "how to print: table, json")
	desk.Complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func runHeard(ctx context.Context, env *desk.Env, says, component, format string) error {
	r, err := heard.New(says, component, time.Now())
	if err != nil {
		return err
	}
	dir, noteErr := desk.StateDir(env)
	dir = filepath.Join(dir, "heard")
	if noteErr == nil {
		noteErr = r.Keep(dir) // first of all: whatever happens to the look, the clock runs
	}
	bar := desk.NewProgress(env)
	report, err := scan.Look(ctx, scan.Question{NoDormant: true}, scan.Env{Cache: desk.ScanCache(env), Version: env.Version}, bar.Scan)
	bar.Done()
	if err != nil {
		return err
	}
	names := r.Look(report)
	if noteErr == nil {
		noteErr = r.Keep(dir)
	}
	if format == "json" {
		err = desk.JSON(env.Stdout, r)
	} else {
		err = tell.Rumour(env.Stdout, ink.Paint(desk.Colour(env)), r, names)
	}
	if noteErr != nil {
		fmt.Fprintf(env.Stderr, "warning: the note could not be kept, so write the time down: %s\n", tame.Line(noteErr.Error()))
	}
	return err
}
