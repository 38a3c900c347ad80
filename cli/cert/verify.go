package cert

import (
	"bytes"
	"context"
	"slices"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/setup"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertVerify(env *desk.Env, f *certFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify SPKI|NAME",
		Short: "Ask the CA's list (and OCSP where there is any) whether a key's certificates are revoked",
		Long: `Says for each certificate of a key what is known, and no more: accepted (the CA took the request, its list does not show it yet), listed, unverifiable
(the certificate names no list and no responder), unknown (its list cannot be had or believed), or not asked (no request of ours, and not on the list).
In every case browsers may still accept it until the day that is named: most look at no list. Exit code 0: all are listed. 3: they are not.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.at(cmd, env, func(ctx context.Context, d *office, c *setup.File) error {
				return d.verifyCerts(ctx, c, f.logs, args[0])
			})
		},
	}
}

func (d *office) verifyCerts(ctx context.Context, c *setup.File, logs []string, what string) error {
	g, err := d.certs.Gather(ctx, c, c.AllLogs(logs))
	if err != nil {
		return err
	}
	list := g.Find(what)
	planned, issuers, err := d.certs.RevokedLeaves(ctx, what)
	if err != nil {
		return err
	}
	var leaves [][]byte
	for _, k := range list {
		for _, x := range k.Certificates {
			if x.DER != nil {
				leaves = append(leaves, x.DER)
			}
		}
	}
	for _, der := range planned {
		if !slices.ContainsFunc(leaves, func(l []byte) bool { return bytes.Equal(l, der) }) {
			leaves = append(leaves, der)
		}
	}
	if len(leaves) == 0 {
		return fault.New(fault.NotFound, "no certificate is known by %q", what)
	}
	accepted, err := d.certs.Answered(ctx, leaves)
	if err != nil {
		return err
	}
	w := &ink.Lines{W: d.Env.Stdout}
	sure := true
	for _, s := range errand.Verify(ctx, leaves, append(issuers, g.Issuers...), accepted, d.Now()) {
		w.Say("%s: %s", s.State, tame.Line(s.Says))
		sure = sure && s.State == errand.Listed
	}
	if w.Err == nil && !sure {
		return desk.Exit(desk.ExitIncomplete)
	}
	return w.Err
}
