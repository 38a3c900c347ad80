package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
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
		Long: `Says for each certificate of a key what is known, and no more: accepted (the CA took the request, its list does not show it yet), listed, unverifiable
(the certificate names no list and no responder), unknown (its list cannot be had or believed), or not asked (no request of ours, and not on the list).
In every case browsers may still accept it until the day that is named: most look at no list. Exit code 0: all are listed. 3: they are not.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.at(cmd, env, func(ctx context.Context, d *desk, c *certsFile) error { return d.verifyCerts(ctx, c, f.logs, args[0]) })
		},
	}
}

func (d *desk) verifyCerts(ctx context.Context, c *certsFile, logs []string, what string) error {
	g, err := d.gather(ctx, c, c.logs(logs))
	if err != nil {
		return err
	}
	list := g.Find(what)
	planned, issuers, err := d.revokedLeaves(ctx, what)
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
	accepted, err := d.answered(ctx, leaves)
	if err != nil {
		return err
	}
	w := &lines{w: d.env.Stdout}
	sure := true
	for _, s := range errand.Verify(ctx, leaves, append(issuers, g.Issuers...), accepted, d.Now()) {
		w.say("%s: %s", s.State, tame.Line(s.Says))
		sure = sure && s.State == errand.Listed
	}
	if w.err == nil && !sure {
		return exit(ExitIncomplete)
	}
	return w.err
}

// answered is what the CAs said themselves: a promise, not yet a revocation that anybody else can see.
func (d *desk) answered(ctx context.Context, leaves [][]byte) ([]acme.Accepted, error) {
	var out []acme.Accepted
	asked := map[string]bool{}
	for _, der := range leaves {
		c, err := x509.ParseCertificate(der)
		if err != nil || asked[cert.SPKI(c)] {
			continue // what cannot be read is told by the look at its list
		}
		asked[cert.SPKI(c)] = true
		list, err := (&errand.Desk{Shelf: certShelf{d.Store}}).Accepted(ctx, cert.SPKI(c))
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// revokedLeaves finds the certificates that plans of ours revoke, of one key or name or ("") all, and who issued them: neither is served
// anywhere any more.
func (d *desk) revokedLeaves(ctx context.Context, what string) (leaves, issuers [][]byte, err error) {
	for doc, err := range d.Store.List(ctx, "plan") {
		if err != nil {
			return nil, nil, err
		}
		sealed, err := plan.Open(doc.Body)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range sealed.Plan().Steps {
			var at replace.At
			if json.Unmarshal(s.With, &at) != nil {
				continue // a step of another kind
			}
			issuers = append(issuers, at.Issuers...)
			for _, der := range at.Certificates {
				if s.Kind == plan.Revoke && meant(der, s.Targets[0].SPKI, what) {
					leaves = append(leaves, der)
				}
			}
		}
	}
	return leaves, issuers, nil
}

// meant tells whether a person's word names a key or one of its certificates; "" names all.
func meant(der []byte, spki, what string) bool {
	leaf, err := x509.ParseCertificate(der)
	return err == nil && (what == "" || len(what) >= 6 && strings.HasPrefix(spki, strings.ToLower(what)) || slices.Contains(leaf.DNSNames, what))
}
