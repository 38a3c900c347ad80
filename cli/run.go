// Package cli is the command line as a whole: every verb, in the order of a night.
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"

	"github.com/spf13/cobra"
)

// Env is everything that the command line takes from outside.
type Env = desk.Env

// Run executes one command line and returns the process's exit code.
func Run(ctx context.Context, env Env) int {
	root := newRoot(&env)
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	var code desk.Exit
	switch {
	case err == nil:
		return desk.ExitClean
	case errors.As(err, &code):
		return int(code)
	default:
		desk.Complain(env.Stderr, err)
		return desk.ExitCannot
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
	root.AddCommand(desk.NewKeeper(env))
	mindArgs(root)
	return root
}
