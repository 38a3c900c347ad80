package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertVerify(env *Env, f *certFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify SPKI|NAME",
		Short: "Ask the CA's list (and OCSP where there is any) whether a key's certificates are revoked",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.at(cmd, env, func(ctx context.Context, d *desk, c *certsFile) error { return d.verifyCerts(ctx, c, f.logs, args[0]) })
		},
	}
}

func (d *desk) verifyCerts(ctx context.Context, c *certsFile, logs []string, what string) error {
	g, err := d.gather(ctx, c, logs)
	if err != nil {
		return err
	}
	list := g.Find(what)
	planned, err := d.revokedLeaves(ctx, what)
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
	w := &lines{w: d.env.Stdout}
	sure := true
	for _, s := range errand.Verify(ctx, leaves, g.Issuers, d.Now()) {
		w.say("%s: %s", s.State, tame.Line(s.Says))
		sure = sure && s.State == "revoked"
	}
	if w.err == nil && !sure {
		return exit(ExitIncomplete)
	}
	return w.err
}

// revokedLeaves finds the certificates that plans of ours revoke, of one key or name or ("") all: they are served nowhere any more.
func (d *desk) revokedLeaves(ctx context.Context, what string) ([][]byte, error) {
	var out [][]byte
	for doc, err := range d.Store.List(ctx, "plan") {
		if err != nil {
			return nil, err
		}
		sealed, err := plan.Open(doc.Body)
		if err != nil {
			return nil, err
		}
		for _, s := range sealed.Plan().Steps {
			var at replace.At
			if s.Kind != plan.Revoke || json.Unmarshal(s.With, &at) != nil {
				continue
			}
			for _, der := range at.Certificates {
				leaf, err := x509.ParseCertificate(der)
				if err == nil && (what == "" || len(what) >= 6 && strings.HasPrefix(s.Targets[0].SPKI, strings.ToLower(what)) || slices.Contains(leaf.DNSNames, what)) {
					out = append(out, der)
				}
			}
		}
	}
	return out, nil
}
