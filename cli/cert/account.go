package cert

import (
	"fmt"
	"strings"

	"staunch/cli/desk"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertAccount(env *desk.Env, f *certFlags) *cobra.Command {
	var roll bool
	cmd := &cobra.Command{
		Use:   "account AUTHORITY FILE",
		Short: "Make an account at a CA, or change its key; the key is written encrypted to the custodians only",
		Long: `Makes a key, registers it at the CA, and writes it to FILE (which certs.yaml lists under accounts), encrypted to every custodian: never in plain.
With --rollover the account in FILE gets a new key: needed when the old one lay on an affected host. A CA that cannot do that says so; then make
a new account, and the old one is deactivated.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.settings(env)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.MakeAccount(cmd.Context(), args[0], args[1], roll); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "the account's key is in %s, encrypted to %s\n", tame.Line(args[1]), strings.Join(c.People(), ", "))
			return err
		},
	}
	cmd.Flags().BoolVar(&roll, "rollover", false, "change the key of the account in FILE")
	return cmd
}
