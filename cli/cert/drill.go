package cert

import (
	"context"
	"crypto/x509"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/ledger"
	"staunch/mend/cert"
	"staunch/mend/cert/tell"
	"staunch/steer/run"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertDrill(env *desk.Env, f *certFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "drill PLAN...",
		Short: "How long each key took in a run (a drill's, or a real one), and which endpoints a hasty revocation would have broken",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, true, func(d *office) error {
				for _, id := range args {
					if err := d.drilled(cmd.Context(), id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// rehearsed refuses a drill with what the world trusts: it would put a test CA's certificate in its place, and every client would be turned away.
func rehearsed(list []cert.Key, issuers [][]byte, roots *x509.CertPool, now time.Time) error {
	between := x509.NewCertPool()
	for _, der := range issuers {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	for _, k := range list {
		for _, one := range k.Certificates {
			c, err := x509.ParseCertificate(one.DER)
			if err != nil {
				continue // not seen whole: nobody can tell whom it is trusted by
			}
			if _, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now}); err == nil {
				return fault.New(fault.Denied, "key %.12s has a certificate that every client trusts (%s, until %s): a drill would put a test CA's in its place", k.SPKI, c.Issuer, c.NotAfter.UTC().Format(time.DateOnly)).
					Hinted("drill with an inventory of test hosts: `--config test-hosts.yaml`")
			}
		}
	}
	return nil
}

// drilled reads a run's events: when each step began and was proven, and which points were seen with the old key when somebody looked.
func (d *office) drilled(ctx context.Context, id string) error {
	sealed, err := d.Plan(ctx, id)
	if err != nil {
		return err
	}
	var events []run.Event
	for e, err := range d.Store.Read(ctx, ledger.Query{Stream: "run/" + id}) {
		if err != nil {
			return err
		}
		var one run.Event
		if err := e.Decode(&one); err != nil {
			return err
		}
		one.At, one.Kind = e.At, run.Kind(strings.TrimPrefix(e.Kind, "run."))
		events = append(events, one)
	}
	w := &ink.Lines{W: d.Env.Stdout}
	w.Say("plan %s: %s", id, tame.Line(sealed.Plan().Title))
	for _, k := range sealed.Plan().Keys {
		tell.Timing(w, sealed.Plan(), k, events)
	}
	late, err := d.certs.Late(ctx, id)
	if err != nil {
		return err
	}
	for _, l := range late {
		w.Say("  would have broken: %s, for %s (%s)", tame.Line(l.Endpoint), l.Last.Sub(l.First).Round(time.Second), tame.Line(l.Says))
	}
	return w.Err
}
