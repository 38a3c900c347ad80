package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ledger"
	"staunch/mend/cert"
	"staunch/mend/cert/errand"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertDrill(env *Env, f *certFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "drill PLAN...",
		Short: "How long each key took in a run (a drill's, or a real one), and which endpoints a hasty revocation would have broken",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, true, "", func(d *desk) error {
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
func (d *desk) drilled(ctx context.Context, id string) error {
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
	w := &lines{w: d.env.Stdout}
	w.say("plan %s: %s", id, tame.Line(sealed.Plan().Title))
	for _, k := range sealed.Plan().Keys {
		w.timing(sealed.Plan(), k, events)
	}
	if err := d.late(ctx, w, id); err != nil {
		return err
	}
	return w.err
}

// late names the endpoints that served an old key when the plan looked.
func (d *desk) late(ctx context.Context, w *lines, id string) error {
	for doc, err := range d.Store.List(ctx, certDocument) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(doc.ID, errand.LateDoc(id)) {
			continue
		}
		var l errand.Late
		if err := json.Unmarshal(doc.Body, &l); err != nil {
			return fault.New(fault.Corrupt, "what is stored as %s cannot be read: %v", doc.ID, err)
		}
		w.say("  would have broken: %s, for %s (%s)", tame.Line(l.Endpoint), l.Last.Sub(l.First).Round(time.Second), tame.Line(l.Says))
	}
	return nil
}

// timing says how long a key took.
func (l *lines) timing(p *plan.Plan, k plan.Key, events []run.Event) {
	of := map[string]bool{}
	for _, s := range p.Steps {
		of[s.ID] = strings.Contains(s.ID, k.SPKI[:12])
	}
	var first, last time.Time
	for _, e := range events {
		switch {
		case !of[e.Step]:
		case e.Kind == run.Begun && first.IsZero():
			first = e.At
		case e.Kind == run.Proven:
			last = e.At
		}
	}
	switch {
	case first.IsZero():
		l.say("  key %.12s: nothing was begun", k.SPKI)
	case last.IsZero():
		l.say("  key %.12s: begun, nothing proven yet", k.SPKI)
	default:
		l.say("  key %.12s: %s from the first step to the last proof", k.SPKI, last.Sub(first).Round(time.Millisecond))
	}
}
