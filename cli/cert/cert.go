// Package cert holds the verbs on keys and certificates: list, replace, revoke, watch, verify, and what people do by hand.
package cert

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub/certs"
	"staunch/hub/news"
	"staunch/incident"
	"staunch/ink"
	"staunch/mend/cert"
	"staunch/mend/cert/replace"
	"staunch/mend/cert/setup"
	"staunch/mend/cert/tell"
	"staunch/steer/plan"
	"staunch/steer/run"
	steering "staunch/steer/tell"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// certFlags are shared by the verbs on certificates.
type certFlags struct {
	desk.Flags
	certs, identity string
	logs, paths     []string
}

func (f *certFlags) settings(env *desk.Env) (*setup.File, error) {
	c, err := setup.Read(env.Getenv("HOME"), f.Config, f.certs, f.identity)
	if c != nil {
		c.Paths = append(c.Paths, f.paths...)
	}
	return c, err
}

// New is `staunch cert` with everything below it.
func New(env *desk.Env) *cobra.Command {
	f := &certFlags{}
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Keys and certificates: who has them, who serves them; replace, prove, and only then revoke",
		Long: `The unit of compromise is the key, not the certificate. staunch finds every key by its SPKI (the hash of its public half), with the certificates,
files, programs and endpoints that depend on it; writes the plans that replace it everywhere; proves from outside that nobody serves the old one
any more; and only then, with two people's votes, asks the CA to revoke it. Private keys are never read off a host.`,
		Example: "  staunch cert list --graph\n  staunch cert replace --incident 7\n  staunch approve 7.2 && staunch incident run 7\n  staunch cert replace --incident 7   # the certificates are there: now the rollout\n  staunch cert watch",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.Add(cmd)
	p := cmd.PersistentFlags()
	p.StringVar(&f.certs, "certs", "", "how certificates are got (default: certs.yaml beside the inventory)")
	p.StringVar(&f.identity, "identity", "", "age identity that opens the secrets of certs.yaml (default: ~/.config/staunch/identity)")
	p.StringSliceVar(&f.paths, "path", nil, "on every host: files or directories with keys that no program's configuration names")
	p.StringSliceVar(&f.logs, "log", nil, "file or URL with certificates that transparency logs hold for our names")
	cmd.AddCommand(newCertList(env, f), newCertReplace(env, f), newCertRevoke(env, f), newCertWatch(env, f), newCertVerify(env, f), newCertCSR(env, f), newCertChain(env, f), newCertImport(env, f), newCertAccount(env, f), newCertDrill(env, f))
	return cmd
}

// at runs a verb at a desk with the certificates' settings.
func (f *certFlags) at(cmd *cobra.Command, env *desk.Env, do func(ctx context.Context, d *office, c *setup.File) error) error {
	c, err := f.settings(env)
	if err != nil {
		return err
	}
	defer c.Close()
	return f.with(cmd.Context(), env, false, func(d *office) error { return do(cmd.Context(), d, c) })
}

// office is a desk at which certificates are worked on as well.
type office struct {
	*desk.Desk
	certs certs.Desk
}

// with runs a verb at a desk that needs no settings.
func (f *certFlags) with(ctx context.Context, env *desk.Env, reader bool, do func(d *office) error) error {
	return f.Flags.With(ctx, env, reader, "", func(d *desk.Desk) error { return do(&office{Desk: d, certs: certs.Desk{Hub: d.Hub}}) })
}

// replacing is what `cert replace` was asked for.
type replacing struct {
	incident string
	drill    bool
	again    bool
	anyway   bool
	urgency  string
	override string
	reason   string
	soak     time.Duration
	soaking  bool // soak was asked for
	ownKey   string
}

func newCertReplace(env *desk.Env, f *certFlags) *cobra.Command {
	var o replacing
	cmd := &cobra.Command{
		Use:   "replace SPKI|NAME | --incident N",
		Short: "Write the plan that replaces a key everywhere: first new keys, then (called again) the rollout and the revocation",
		Long: `The content of a new certificate is not known when its key is planned, and people sign exact content: so a replacement is two plans of one incident.
The first makes a new key on a host that is proven clean and gets a certificate for it; nothing that serves is touched. Called again when the
certificates are there, it writes the second: bundles ring by ring, the CDNs, the proof from outside at every endpoint, then the revocation.
With --incident alone, every key that the incident's affected processes could read is replaced. Nothing is carried out here: plans are approved
(` + "`staunch approve`" + `) and run (` + "`staunch incident run`" + `).`,
		Example: "  staunch cert replace shop.example.com\n  staunch cert replace 3f5a9c01b2 --incident 7\n  staunch cert replace --incident 7 --urgency now\n  staunch cert replace --incident 7 --drill --config test-hosts.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := ""
			if len(args) == 1 {
				what = args[0]
			}
			o.soaking = cmd.Flags().Changed("soak")
			return f.at(cmd, env, func(ctx context.Context, d *office, c *setup.File) error { return o.run(ctx, d, c, f, what) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.incident, "incident", "", "the incident it belongs to (default: a new one, opened for it)")
	fl.BoolVar(&o.drill, "drill", false, "against the authorities marked drill in certs.yaml, and nothing else")
	fl.BoolVar(&o.again, "again", false, "plan new keys although some wait to be rolled out")
	fl.BoolVar(&o.anyway, "anyway", false, "although the incident's present plan is not done: it is void then")
	fl.StringVar(&o.urgency, "urgency", "tonight", "now, tonight or week")
	fl.DurationVar(&o.soak, "soak", 0, "how long each ring is watched (default: what the urgency says); the last look before a revocation takes 2 minutes at least, but in drills")
	fl.StringVar(&o.ownKey, "own-key", "", "the ACME authority that the old key itself asks for its revocation, on a host that has it: for when nobody has the account any more")
	fl.StringVar(&o.override, "override", "", "endpoints (name@address:port, with commas) that may break: the revocation does not wait for them; two people have to sign")
	fl.StringVar(&o.reason, "reason", "", "with --override: why")
	return cmd
}

func (o *replacing) run(ctx context.Context, d *office, c *setup.File, f *certFlags, what string) error {
	if what == "" && o.incident == "" {
		return fault.New(fault.Usage, "which key?").Hinted("an SPKI, a name, or --incident N; `staunch cert list` shows all")
	}
	g, err := d.certs.Gather(ctx, c, c.AllLogs(f.logs))
	if err != nil {
		return err
	}
	if err := d.certs.Remember(ctx, g.Catalogue); err != nil {
		return err
	}
	list, err := o.chosen(g.Catalogue, what)
	if err != nil {
		return err
	}
	if roots, err := x509.SystemCertPool(); err == nil && o.drill {
		if err := rehearsed(list, g.Issuers, roots, d.Now()); err != nil {
			return err
		}
	}
	if o.incident == "" { // an incident is only opened for what can be planned at all
		try, err := d.certs.Options(ctx, c, g, &incident.Incident{Opened: incident.Opened{ID: "0"}}, o.drill)
		if err != nil {
			return err
		}
		o.fill(&try)
		if _, err := replace.NewKeys(list, try); err != nil {
			return err
		}
	}
	s, err := o.where(ctx, d, list)
	if err != nil {
		return err
	}
	opts, err := d.certs.Options(ctx, c, g, s, o.drill)
	if err != nil {
		return err
	}
	o.fill(&opts)
	if opts.OwnKey, err = c.OwnKeyAt(o.ownKey, o.drill); err != nil {
		return err
	}
	opts.Voters = desk.Voters(d.Env, f.Config, d.Now())
	if opts.Override, err = o.overriding(list, replace.Endpoints(d.Fleet, g.Points, list[0]), c.People(), d.Now()); err != nil {
		return err
	}
	made, err := d.certs.Waiting(ctx, list)
	if err != nil {
		return err
	}
	var p plan.Plan
	if len(made) > 0 && !o.again {
		p, err = replace.RollOut(list, made, opts)
	} else {
		p, err = replace.NewKeys(list, opts)
	}
	if err != nil {
		return err
	}
	return d.proposed(ctx, &p, g)
}

// proposed holds a certificate plan to the rules, keeps it, and shows it.
func (d *office) proposed(ctx context.Context, p *plan.Plan, g *certs.Gathered) error {
	if err := plan.Refuse(plan.Lint(p, replace.World(d.Fleet, g.Catalogue, g.Points, d.Now()))); err != nil {
		return err
	}
	sealed, err := plan.Seal(*p)
	if err != nil {
		return err
	}
	if _, err := d.Propose(ctx, sealed, "certificates"); err != nil {
		return err
	}
	if err := steering.Plan(d.Env.Stdout, ink.Paint(desk.Colour(d.Env)), sealed, nil); err != nil {
		return err
	}
	if err := tell.Budget(d.Env.Stdout, replace.Budget(p)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.Env.Stdout, "\nread it, then: staunch approve %s\n          then: staunch incident run %s\n", p.ID, p.Incident)
	return err
}

// fill adds what was asked for.
func (o *replacing) fill(opts *replace.Options) {
	opts.Urgency = plan.Urgency(o.urgency)
	if o.soaking {
		opts.Soak = &o.soak
	}
}

// chosen picks the keys that are meant. Every certificate of a chosen key goes with it.
func (o *replacing) chosen(c cert.Catalogue, what string) ([]cert.Key, error) {
	if what != "" {
		list := c.Find(what)
		if len(list) == 0 {
			return nil, fault.New(fault.NotFound, "no key is known by %q", what).Hinted("`staunch cert list` shows what is known, and what could not be looked at")
		}
		return list, nil
	}
	var list []cert.Key
	for _, k := range c.Keys {
		for _, e := range k.Exposed {
			if e.Incident == o.incident {
				list = append(list, k)
				break
			}
		}
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "no key is known that the affected processes of incident %s could read", o.incident).Hinted("`staunch incident look %s` asks again; unseen hosts prove nothing", o.incident)
	}
	return list, nil
}

// where finds or opens the incident. A plan that is being carried out is not pushed aside by the way.
func (o *replacing) where(ctx context.Context, d *office, list []cert.Key) (*incident.Incident, error) {
	if o.incident == "" {
		return d.OpenIncident(ctx, incident.Open{Title: "replace the key of " + cmp.Or(strings.Join(list[0].Names(), ", "), list[0].SPKI[:12])})
	}
	s, _, err := d.Incident(ctx, o.incident)
	if err != nil {
		return nil, err
	}
	if p := s.Current(); p != nil && !o.anyway {
		progress, err := (&news.Desk{Hub: d.Hub}).Progress(ctx, p.Plan)
		if err != nil {
			return nil, err
		}
		if progress.State != string(run.Complete) && progress.State != string(run.GivenUp) {
			return nil, fault.New(fault.Conflict, "plan %s is not done (%s)", p.Plan, progress.State).Hinted("finish it, abort it, or say --anyway: it is void then")
		}
	}
	return s, nil
}

// overriding reads what may break. Each word has to name an endpoint that is known, all its names of this address included.
func (o *replacing) overriding(list []cert.Key, known []cert.Point, custodians []string, now time.Time) (*cert.Override, error) {
	if o.override == "" {
		return nil, nil
	}
	if len(list) != 1 || strings.TrimSpace(o.reason) == "" {
		return nil, fault.New(fault.Usage, "an override is about one key, and says why").Hinted("--reason")
	}
	if len(custodians) < 2 {
		return nil, fault.New(fault.Denied, "%d custodians are named, an override needs two", len(custodians)).Hinted("certs.yaml: custodians, called as in allowed_signers")
	}
	out := &cert.Override{SPKI: list[0].SPKI, Reason: o.reason, Until: now.Add(3 * day), Custodians: custodians}
	for _, word := range strings.Split(o.override, ",") {
		word = strings.TrimSpace(word)
		n := len(out.Points)
		var all []string
		for _, p := range known {
			all = append(all, p.String())
			if means(word, p) {
				out.Points = append(out.Points, p.String())
			}
		}
		if len(out.Points) == n {
			return nil, fault.New(fault.NotFound, "no endpoint of the key is called %q", word).Hinted("known are %s", strings.Join(all, ", "))
		}
	}
	return out, nil
}

// means tells whether a person's word names a point: NAME@ADDRESS:PORT, in whatever case, with or without a closing dot, and however an IPv6 address is spelt.
func means(word string, p cert.Point) bool {
	name, address, _ := strings.Cut(word, "@")
	address, asked, _ := strings.Cut(address, " ")
	if asked != "" && asked != "("+p.SNI+")" {
		return false
	}
	return sameName(name, p.Name) && (address == p.Address || sameAddress(address, p.Address))
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

func sameAddress(a, b string) bool {
	x, err := netip.ParseAddrPort(a)
	if err != nil {
		return false
	}
	y, err := netip.ParseAddrPort(b)
	return err == nil && x.Port() == y.Port() && x.Addr().Unmap() == y.Addr().Unmap()
}

func newCertRevoke(env *desk.Env, f *certFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke SPKI|NAME",
		Short: "Ask the gate whether a key may be revoked now, and say what stands against it",
		Long: `There is no revocation by hand. This looks at every endpoint that may serve the key, now, and says what stands against revoking it. The revocation
itself is a step of a signed plan (` + "`staunch cert replace`" + `): it needs two votes, looks again right before, and does nothing while anybody serves the key.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.at(cmd, env, func(ctx context.Context, d *office, c *setup.File) error {
				return d.revokeByHand(ctx, c, f.logs, args[0])
			})
		},
	}
}

// revokeByHand always refuses: it shows what the gate would say, and where the way is.
func (d *office) revokeByHand(ctx context.Context, c *setup.File, logs []string, what string) error {
	g, err := d.certs.Gather(ctx, c, c.AllLogs(logs))
	if err != nil {
		return err
	}
	list := g.Find(what)
	if len(list) != 1 {
		var which []string
		for _, k := range list {
			which = append(which, fmt.Sprintf("%.12s, served at %s", k.SPKI, ink.Count(len(k.Served), "address", "addresses")))
		}
		return fault.New(fault.NotFound, "%d keys are known by %q: %s", len(list), what, ink.Few(which, 5)).Hinted("name one by its SPKI; `staunch cert list` shows more of them")
	}
	k := list[0]
	w := &ink.Lines{W: d.Env.Stdout}
	w.Say("key %s of %s", k.SPKI, tame.Line(strings.Join(k.Names(), ", ")))
	for _, x := range k.Certificates {
		w.Say("  certificate %s, issued by %s, ends %s", x.Serial, tame.Line(x.Issuer), x.NotAfter.Format(time.DateOnly))
	}
	known := replace.Endpoints(d.Fleet, g.Points, k)
	lookers, err := d.certs.Lookers(c)
	if err != nil {
		return err
	}
	against := cert.Observe(ctx, known, lookers, certs.LastLook()).Against(k.SPKI)
	for _, o := range against {
		w.Say("  against it: %s", tame.Line(o.Says))
	}
	if w.Err != nil {
		return w.Err
	}
	if len(against) > 0 {
		return fault.New(fault.Denied, "key %.12s is not revoked: %s", k.SPKI, against[0].Says).Hinted("replace it there first: `staunch cert replace %.12s`; two people may sign an override in that plan", k.SPKI)
	}
	return fault.New(fault.Denied, "nothing stands against it, but key %.12s is revoked only by a step of a plan that two people signed", k.SPKI).Hinted("`staunch cert replace %.12s`", k.SPKI)
}

func newCertCSR(env *desk.Env, f *certFlags) *cobra.Command {
	return onMade(env, f, "csr KEY", "Print the request of a new key, for a CA that takes it by hand", func(ctx context.Context, d *office, m replace.Made) error {
		_, err := fmt.Fprint(d.Env.Stdout, m.CSR)
		return err
	})
}

func newCertChain(env *desk.Env, f *certFlags) *cobra.Command {
	return onMade(env, f, "chain KEY", "Print the certificate chain of a new key", func(ctx context.Context, d *office, m replace.Made) error {
		if m.Chain == "" {
			return fault.New(fault.NotFound, "there is no certificate for %s yet", m.Name)
		}
		_, err := fmt.Fprint(d.Env.Stdout, m.Chain)
		return err
	})
}

func onMade(env *desk.Env, f *certFlags, use, short string, do func(context.Context, *office, replace.Made) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		return f.with(cmd.Context(), env, true, func(d *office) error {
			m, err := d.certs.Errand().Made(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return do(cmd.Context(), d, m)
		})
	}}
}

func newCertImport(env *desk.Env, f *certFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "import KEY FILE",
		Short: "Take a certificate that a CA made by hand, after the same checks as any other",
		Long:  "The file holds PEM certificates, leaf first. Another key, missing names, wrong dates or a chain that does not hold together are refused, and a private key in it as well.",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), env, false, func(d *office) error {
				file, err := os.Open(args[1])
				if err != nil {
					return fault.New(fault.Denied, "the certificate: %v", err)
				}
				defer file.Close()
				b, err := setup.ReadLimited(file, args[1])
				if err != nil {
					return err
				}
				if err := d.certs.Errand().Import(cmd.Context(), args[0], string(b)); err != nil {
					return err
				}
				_, err = fmt.Fprintf(env.Stdout, "the certificate for %s is stored; confirm the step and go on: staunch incident run\n", tame.Line(args[0]))
				return err
			})
		},
	}
}
