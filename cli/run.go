// Package cli is what a person types: verbs, their flags, and how answers are printed.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/host"

	"github.com/spf13/cobra"
)

// Env is everything that the command line takes from outside; nothing below cli reads the environment.
type Env struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Version string
	// Reach connects to hosts in another way than staunch.yaml says: for drills and tests on a pretend fleet.
	Reach func(ctx context.Context, h fleet.Host) (host.Host, error)
}

// Exit codes shared by every verb; scan and probe give 1 and 3 their own meaning (docs/exit-codes.md).
const (
	ExitClean      = 0
	ExitFound      = 1 // something affected, refused or failed
	ExitCannot     = 2 // could not look or act at all: usage, configuration, rights
	ExitIncomplete = 3 // nothing bad seen, but the picture is incomplete
)

// exit ends a verb with a code and nothing more to print.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// Run executes one command line and returns the process's exit code.
func Run(ctx context.Context, env Env) int {
	root := newRoot(&env)
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	var code exit
	switch {
	case err == nil:
		return ExitClean
	case errors.As(err, &code):
		return int(code)
	default:
		complain(env.Stderr, err)
		return ExitCannot
	}
}

// complain prints an error the way people read it: what, then what to do.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "error: %v\n", err)
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "staunch",
		Short:         "From \"a vulnerability was just announced\" to \"nothing we run has it\"",
		Version:       env.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New(fault.Usage, "%v", err).Hinted("see: %s --help", cmd.CommandPath())
	})
	for _, c := range chapters() {
		root.AddGroup(&cobra.Group{ID: c.title, Title: c.title})
		for _, verb := range c.verbs {
			cmd := verb(env)
			cmd.GroupID = c.title
			root.AddCommand(cmd)
		}
	}
	return root
}
