package cert

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub/certs"
	"staunch/ink"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/setup"
	"staunch/see/probe/chain"
	"staunch/tame"

	"github.com/spf13/cobra"
)

func newCertWatch(env *desk.Env, f *certFlags) *cobra.Command {
	var every time.Duration
	w := &watching{asked: map[string]wish{}, clients: map[string]*acme.Client{}}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Alarm if anybody serves an old key again, a certificate is about to end, a chain breaks, or a CA wants a certificate replaced",
		Long: `Looks at every endpoint once (for a timer), or again and again with --every. Old keys are those that a plan of ours replaced. The CAs of
certs.yaml are asked whether they want a certificate replaced (ACME renewal information, RFC 9773): before a mass revocation that is the only warning.
Logs (--log, or logs: in certs.yaml) are read for certificates of old keys that nobody knew of. With --hosts every host is asked for its files as well.
Exit code 1: there is an alarm. 3: none, but something could not be looked at.`,
		Example: "  staunch cert watch\n  staunch cert watch --every 10m\n  staunch cert watch --hosts --soon 720h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.at(cmd, env, func(ctx context.Context, d *office, c *setup.File) error {
				for {
					err := w.round(ctx, d, c, f.logs)
					if every == 0 {
						return err
					}
					select {
					case <-ctx.Done():
						return err
					case <-time.After(every):
					}
				}
			})
		},
	}
	cmd.Flags().DurationVar(&every, "every", 0, "look again so often, until interrupted")
	cmd.Flags().DurationVar(&w.soon, "soon", 14*day, "how long before its end a certificate is an alarm")
	cmd.Flags().BoolVar(&w.hosts, "hosts", false, "ask every host for its keys as well: files that no endpoint serves")
	return cmd
}

// watching is what cert watch was asked for, and what it need not ask again yet.
type watching struct {
	soon    time.Duration
	hosts   bool
	asked   map[string]wish // by the leaf's SHA-256
	clients map[string]*acme.Client
}

// wish is what a CA last said of one certificate.
type wish struct {
	says  string    // an alarm, or ""
	again time.Time // not to be asked before
}

// watched is one round's result.
type watched struct {
	alarms []string
	unseen []cert.Unseen
	points int
	old    int
}

func (r *watched) alarm(where, says string) {
	if line := where + ": " + says; !slices.Contains(r.alarms, line) {
		r.alarms = append(r.alarms, line)
	}
}

func (w *watching) round(ctx context.Context, d *office, c *setup.File, logs []string) error {
	old, err := d.certs.OldKeys(ctx)
	if err != nil {
		return err
	}
	r := &watched{old: len(old)}
	served, err := w.seen(ctx, d, c, old, r)
	if err != nil {
		return err
	}
	roots, err := c.Trusted()
	if err != nil {
		return err
	}
	if err := w.elsewhere(ctx, d, c, served, old, r); err != nil {
		return err
	}
	for _, s := range served {
		for _, says := range alarmsAt(ctx, s, chain.Trust{Name: askedFor(s.Point), Now: d.Now(), Roots: roots}, old, w.soon) {
			r.alarm(s.Point.String(), says)
		}
	}
	if err := w.wishes(ctx, d, c, served, r); err != nil {
		return err
	}
	if err := d.oldInLogs(ctx, c.AllLogs(logs), old, r); err != nil {
		return err
	}
	return r.print(d.Env.Stdout)
}

// seen meets every endpoint; with --hosts every host is asked as well.
func (w *watching) seen(ctx context.Context, d *office, c *setup.File, old map[string]string, r *watched) ([]cert.Served, error) {
	var served []cert.Served
	if w.hosts {
		g, err := d.certs.Gather(ctx, c, nil) // a log says nothing of a file
		if err != nil {
			return nil, err
		}
		r.unseen, r.points, served = g.Unseen, len(g.Points), g.Served
		for _, k := range g.Keys {
			w.onHosts(k, old, d.Now(), r)
		}
	} else {
		var all []cert.Point
		all, r.unseen = certs.Points(ctx, d.Fleet)
		r.points, served = len(all), certs.SeeAll(ctx, &d.certs, all)
		for _, s := range served {
			if why := cmp.Or(s.Unseen, s.Partly); why != "" {
				r.unseen = append(r.unseen, cert.Unseen{Where: s.Point.String(), Why: why})
			}
		}
	}
	return slices.DeleteFunc(served, func(s cert.Served) bool { return s.Unseen != "" }), nil
}

// elsewhere looks for old keys from the hosts that certs.yaml selects: another place may meet another server.
func (w *watching) elsewhere(ctx context.Context, d *office, c *setup.File, served []cert.Served, old map[string]string, r *watched) error {
	lookers, err := d.certs.Lookers(c)
	if err != nil || len(old) == 0 || len(lookers) == 1 {
		return err
	}
	var all []cert.Point
	for _, s := range served {
		all = append(all, s.Point)
	}
	for _, g := range cert.Observe(ctx, all, lookers[1:], cert.Watch{Times: 1, Timeout: 20 * time.Second}).Sightings() {
		if g.Unseen != "" {
			r.unseen = append(r.unseen, cert.Unseen{Where: g.Point.String() + " from " + g.From, Why: g.Unseen})
		}
		for _, k := range g.Keys {
			if by := old[k]; by != "" {
				r.alarm(g.Point.String(), fmt.Sprintf("serves the old key %.12s again, which %s replaced, seen from %s", k, by, g.From))
			}
		}
	}
	return nil
}

// onHosts looks at what lies in files.
func (w *watching) onHosts(k cert.Key, old map[string]string, now time.Time, r *watched) {
	for _, f := range k.Files {
		where := f.Host + ":" + f.Path
		if by := old[k.SPKI]; by != "" && f.Private {
			r.alarm(where, fmt.Sprintf("the old key %.12s lies there, which %s replaced", k.SPKI, by))
		}
	}
	if len(k.Holders()) == 0 || len(k.Certificates) == 0 || old[k.SPKI] != "" {
		return
	}
	if left := k.Ends().Sub(now); left < w.soon {
		r.alarm(strings.Join(k.Holders(), ", "), fmt.Sprintf("the last certificate of key %.12s (%s) ends %s", k.SPKI, ink.Few(k.Names(), 3), k.Ends().UTC().Format("2006-01-02 15:04Z")))
	}
}

// print names everything, and chooses the exit code.
func (r *watched) print(out io.Writer) error {
	w := &ink.Lines{W: out}
	for _, a := range r.alarms {
		w.Say("ALARM %s", tame.Line(a))
	}
	for _, u := range r.unseen {
		w.Say("not seen: %s: %s", tame.Line(u.Where), tame.Line(u.Why))
	}
	w.Say("%s looked at, %s, %d not seen; %s watched for", ink.Count(r.points, "address", "addresses"), ink.Count(len(r.alarms), "alarm", "alarms"), len(r.unseen), ink.Count(r.old, "old key", "old keys"))
	switch {
	case w.Err != nil:
		return w.Err
	case len(r.alarms) > 0:
		return desk.Exit(desk.ExitFound)
	case len(r.unseen) > 0:
		return desk.Exit(desk.ExitIncomplete)
	}
	return nil
}

// wishes asks the CAs which of the served certificates they want replaced. A CA is not asked again before it wants to be.
func (w *watching) wishes(ctx context.Context, d *office, c *setup.File, served []cert.Served, r *watched) error {
	from, err := d.certs.OrderedAt(ctx)
	if err != nil {
		return err
	}
	for _, s := range served {
		for _, one := range append([][][]byte{s.Chain}, s.Others...) {
			if len(one) == 0 {
				continue
			}
			leaf, err := x509.ParseCertificate(one[0])
			if err != nil {
				continue // a chain that cannot be read is an alarm already
			}
			id := cert.SHA256(leaf)
			told, had := w.asked[id]
			if !had || !d.Now().Before(told.again) {
				told = w.ask(ctx, c, leaf, from[id], d.Now(), r)
				w.asked[id] = told
			}
			if told.says != "" {
				r.alarm(s.Point.String(), told.says)
			}
		}
	}
	return nil
}

// ask asks the CA that issued a certificate: the one that we ordered it from, else those whose name is said to be in the issuer's.
func (w *watching) ask(ctx context.Context, c *setup.File, leaf *x509.Certificate, from string, now time.Time, r *watched) wish {
	for _, a := range c.Authorities {
		if a.ACME == "" || from != "" && a.Name != from || from == "" && (a.Matches == "" || !strings.Contains(strings.ToLower(leaf.Issuer.String()), strings.ToLower(a.Matches))) {
			continue
		}
		client, err := w.client(ctx, c, a)
		if err == nil {
			var window acme.Window
			window, err = client.RenewalInfo(ctx, leaf)
			if err == nil {
				return wishOf(a.Name, window, now)
			}
		}
		if !fault.Is(err, fault.Unsupported) {
			r.unseen = append(r.unseen, cert.Unseen{Where: a.Name, Why: "whether it wants " + leaf.SerialNumber.Text(16) + " replaced: " + err.Error()})
		}
	}
	return wish{}
}

func wishOf(ca string, window acme.Window, now time.Time) wish {
	out := wish{again: window.Again}
	if out.again.IsZero() {
		out.again = now.Add(6 * time.Hour) // RFC 9773 section 4.3 wants one; this is what Let's Encrypt names
	}
	if window.Now(now) {
		out.says = fmt.Sprintf("%s wants its certificate replaced since %s, until %s", ca, window.Start.UTC().Format("2006-01-02 15:04Z"), window.End.UTC().Format("2006-01-02 15:04Z"))
		if window.Says != "" {
			out.says += " (" + window.Says + ")"
		}
		out.says += "; `staunch cert replace`"
	}
	return out
}

// client reaches a CA without an account: renewal information is for everybody.
func (w *watching) client(ctx context.Context, c *setup.File, a setup.Authority) (*acme.Client, error) {
	if known := w.clients[a.Name]; known != nil {
		return known, nil
	}
	ca, err := c.CA(a)
	if err != nil {
		return nil, err
	}
	client, err := acme.Connect(ctx, acme.Client{CA: ca, Agent: "staunch"})
	if err == nil {
		w.clients[a.Name] = client
	}
	return client, err
}

// oldInLogs looks for certificates of replaced keys that no plan knew: somebody had the old key certified once more. A log that cannot be read
// is named as not seen: it must not hide the alarms of the endpoints.
func (d *office) oldInLogs(ctx context.Context, sources []string, old map[string]string, r *watched) error {
	var logged []cert.Logged
	for _, src := range sources {
		entries, err := setup.ReadLogs(ctx, []string{src})
		if err != nil {
			r.unseen = append(r.unseen, cert.Unseen{Where: "log " + src, Why: err.Error()})
		}
		logged = append(logged, entries...)
	}
	planned, _, err := d.certs.RevokedLeaves(ctx, "")
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, der := range planned {
		if c, err := x509.ParseCertificate(der); err == nil {
			known[c.SerialNumber.String()+c.Issuer.String()] = true
		}
	}
	for _, l := range logged {
		c, err := x509.ParseCertificate(l.DER)
		if err != nil {
			continue // cert list names what cannot be read
		}
		if by := old[cert.SPKI(c)]; by != "" && !known[c.SerialNumber.String()+c.Issuer.String()] {
			r.alarm(l.Source, fmt.Sprintf("a certificate (%s, by %s) of the old key %.12s, which %s replaced; no plan of ours knew it", c.SerialNumber.Text(16), c.Issuer, cert.SPKI(c), by))
		}
	}
	return nil
}

// alarmsAt judges what one point serves.
func alarmsAt(ctx context.Context, s cert.Served, trust chain.Trust, old map[string]string, soon time.Duration) []string {
	var out []string
	for _, k := range s.Keys {
		if by := old[k]; by != "" {
			out = append(out, fmt.Sprintf("serves the old key %.12s again, which %s replaced", k, by))
		}
	}
	for _, k := range s.Nameless {
		if by := old[k]; by != "" && !slices.Contains(s.Keys, k) {
			out = append(out, fmt.Sprintf("serves the old key %.12s again to those who ask for no name, which %s replaced", k, by))
		}
	}
	for _, served := range append([][][]byte{s.Chain}, s.Others...) {
		out = append(out, alarmsOf(ctx, served, trust, soon)...)
	}
	return out
}

// alarmsOf judges one chain.
func alarmsOf(ctx context.Context, served [][]byte, trust chain.Trust, soon time.Duration) (out []string) {
	c, err := chain.Judge(ctx, served, trust)
	if err != nil {
		return []string{"its chain cannot be read: " + err.Error()}
	}
	if left := c.NotAfter.Sub(trust.Now); left < soon {
		out = append(out, fmt.Sprintf("its certificate ends %s (in %s)", c.NotAfter.UTC().Format("2006-01-02 15:04Z"), left.Round(time.Hour)))
	}
	for _, p := range c.Problems {
		if !strings.HasPrefix(p, "expired") {
			out = append(out, p)
		}
	}
	return out
}

func askedFor(p cert.Point) string {
	if p.SNI != "" {
		return p.SNI
	}
	if strings.Contains(p.Name, ".") {
		return p.Name
	}
	return ""
}

// day is the grain of expiry.
const day = 24 * time.Hour
