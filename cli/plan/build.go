package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/mend/build"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// NewBuild builds a library on this machine, for hosts whose distribution has no fixed one.
func NewBuild(env *desk.Env) *cobra.Command {
	var into string
	cmd := &cobra.Command{
		Use:   "build RECIPE",
		Short: "Build a library from pinned source on this machine, to be installed by a plan",
		Long: `Builds a library by a recipe (docs/build.md): the source is held to its checksum, unpacked into a folder of its own, and the recipe's commands run
there, by no shell and without our environment. What comes out is kept with its checksum and object id, so that people vote on exactly that content.
Run it on one build host that has the architecture and the C library of the hosts; then: staunch plan make 7 --built DIR.`,
		Example: "  staunch build tally.json -o built/\n  staunch plan make 7 --built built/",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return fault.New(fault.NotFound, "%v", err)
			}
			r, err := build.Read(text)
			if err != nil {
				return err
			}
			j := build.Job{
				Recipe: r, Text: text, From: filepath.Dir(args[0]), Into: into, Path: env.Getenv("PATH"), Host: desk.MachineName(), Now: time.Now, Log: env.Stderr,
			}
			m, err := j.Run(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "built %s (%s, %s)\nsha256 %s\nobject %s\nnext: staunch plan make INCIDENT --built %s\n",
				tame.Line(m.File), tame.Line(m.Soname), tame.Line(m.Arch), m.SHA256, m.Object, tame.Line(into))
			return err
		},
	}
	cmd.Flags().StringVarP(&into, "output", "o", "built", "folder for the library and its description")
	return cmd
}
