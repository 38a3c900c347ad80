package desk

import (
	"staunch/fault"

	"github.com/spf13/cobra"
)

// TableOrJSON refuses other formats than these two.
func TableOrJSON(format string) error {
	if format != "table" && format != "json" {
		return fault.New(fault.Usage, "unknown format %q", format).Hinted("known: table, json")
	}
	return nil
}

// Complete offers the words that a flag takes.
func Complete(cmd *cobra.Command, flag string, words []string) {
	completeWith(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

func completeWith(cmd *cobra.Command, flag string, words cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, words); err != nil {
		panic(err) // the flag is defined above: a mistake of ours, seen by every test
	}
}
