// Package cli is what a person types: verbs, their flags, and how answers are printed.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"staunch/fault"
	"staunch/ink"
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

// mindArgs makes every verb below cmd say in our words what was wrong with its arguments, and what it takes.
func mindArgs(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	if takes := cmd.Args; takes != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := takes(cmd, args)
			if err == nil || fault.HintOf(err) != "" {
				return err
			}
			return misplaced(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		mindArgs(sub)
	}
}

// misplaced refuses arguments that a verb does not take; of a word where a verb is wanted it names those that it may have meant.
func misplaced(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || !cmd.HasAvailableSubCommands() {
		return fault.New(fault.Usage, "%s was given %s", cmd.CommandPath(), ink.Count(len(args), "argument", "arguments")).
			Hinted("it is used like this: %s", cmd.UseLine())
	}
	hint := fmt.Sprintf("all verbs: %s --help", cmd.CommandPath())
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		hint = fmt.Sprintf("did you mean %s? %s", strings.Join(meant, " or "), hint)
	}
	return fault.New(fault.Usage, "%q is no verb of %s", args[0], cmd.CommandPath()).Hinted("%s", hint)
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
	mindArgs(root)
	return root
}
