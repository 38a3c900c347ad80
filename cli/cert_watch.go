package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ink"
	"staunch/ledger"
	"staunch/mend/cert"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/see/probe/chain"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/tame"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/spf13/cobra"
)

func newCertWatch(env *Env, f *certFlags) *cobra.Command {
	var every, soon time.Duration
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Alarm if anybody serves an old key again, a certificate is about to end, or a chain breaks",
		Long: `Looks at every endpoint once (for a timer), or again and again with --every. Old keys are those that a plan of ours replaced.
Exit code 1: there is an alarm. 3: none, but something could not be looked at.`,
		Example: "  staunch cert watch\n  staunch cert watch --every 10m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.at(cmd, env, func(ctx context.Context, d *desk, c *certsFile) error {
				for {
					err := d.watchCerts(ctx, soon)
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
	cmd.Flags().DurationVar(&soon, "soon", 14*day, "how long before its end a certificate is an alarm")
	return cmd
}

func (d *desk) watchCerts(ctx context.Context, soon time.Duration) error {
	old, err := d.oldKeys(ctx)
	if err != nil {
		return err
	}
	all, unseen := points(ctx, d.Fleet)
	w := &lines{w: d.env.Stdout}
	alarms := 0
	for _, p := range all {
		s := see(ctx, p, d.Machine)
		if s.Unseen != "" {
			unseen = append(unseen, cert.Unseen{Where: p.String(), Why: s.Unseen})
			continue
		}
		for _, says := range alarmsAt(ctx, s, old, d.Now(), soon) {
			alarms++
			w.say("ALARM %s: %s", tame.Line(p.String()), tame.Line(says))
		}
	}
	for _, u := range unseen {
		w.say("not seen: %s: %s", tame.Line(u.Where), tame.Line(u.Why))
	}
	w.say("%s looked at, %s, %d not seen; %d old keys watched for", ink.Count(len(all), "address", "addresses"), ink.Count(alarms, "alarm", "alarms"), len(unseen), len(old))
	switch {
	case w.err != nil:
		return w.err
	case alarms > 0:
		return exit(ExitFound)
	case len(unseen) > 0:
		return exit(ExitIncomplete)
	}
	return nil
}

func alarmsAt(ctx context.Context, s cert.Served, old map[string]string, now time.Time, soon time.Duration) []string {
	var out []string
	for _, k := range s.Keys {
		if by := old[k]; by != "" {
			out = append(out, fmt.Sprintf("serves the old key %.12s again, which %s replaced", k, by))
		}
	}
	c, err := chain.Judge(ctx, s.Chain, chain.Trust{Name: askedFor(s.Point), Now: now})
	if err != nil {
		return append(out, "its chain cannot be read: "+err.Error())
	}
	if left := c.NotAfter.Sub(now); left < soon {
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

// oldKeys maps each key that was replaced to the name of the new one.
func (d *desk) oldKeys(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for doc, err := range d.Store.List(ctx, certDocument) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(doc.ID, "made/") {
			continue
		}
		var m replace.Made
		if err := json.Unmarshal(doc.Body, &m); err != nil {
			return nil, fault.New(fault.Corrupt, "what is stored as %s cannot be read: %v", doc.ID, err)
		}
		if m.Old != "" && m.Chain != "" {
			out[m.Old] = m.Name
		}
	}
	return out, nil
}

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
	w := &lines{w: d.env.Stdout}
	sure := true
	for _, s := range errand.Verify(ctx, leaves, append(issuers, g.Issuers...), d.Now()) {
		w.say("%s: %s", s.State, tame.Line(s.Says))
		sure = sure && s.State == "revoked"
	}
	if w.err == nil && !sure {
		return exit(ExitIncomplete)
	}
	return w.err
}

// revokedLeaves finds the certificates that plans of ours revoke, and who issued them: neither is served anywhere any more.
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

// meant tells whether a person's word names a key or one of its certificates.
func meant(der []byte, spki, what string) bool {
	leaf, err := x509.ParseCertificate(der)
	return err == nil && (len(what) >= 6 && strings.HasPrefix(spki, strings.ToLower(what)) || slices.Contains(leaf.DNSNames, what))
}

func newCertAccount(env *Env, f *certFlags) *cobra.Command {
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
			if err := c.account(cmd.Context(), args[0], args[1], roll); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "the account's key is in %s, encrypted to %s\n", tame.Line(args[1]), strings.Join(c.people(), ", "))
			return err
		},
	}
	cmd.Flags().BoolVar(&roll, "rollover", false, "change the key of the account in FILE")
	return cmd
}

// account makes or changes an account. A new key is on disk (under FILE.new for a rollover) before the CA hears of it, so that a crash never loses it.
func (c *certsFile) account(ctx context.Context, ca, file string, roll bool) error {
	a, known := c.authority(ca)
	if !known || a.ACME == "" {
		return fault.New(fault.NotFound, "no ACME authority is called %s", ca)
	}
	if len(c.Custodians) < 2 {
		return fault.New(fault.Denied, "%d custodians are named, an account needs two", len(c.Custodians)).Hinted("certs.yaml: custodians; never one person alone")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fault.New(fault.Bug, "%v", err)
	}
	sealed, err := c.sealKey(key)
	if err != nil {
		return err
	}
	path := c.path(file)
	if !roll {
		if err := writeNew(path, sealed); err != nil {
			return err
		}
		_, err := c.connect(ctx, ca, file) // registers
		return err
	}
	client, err := c.connect(ctx, ca, file)
	if err != nil {
		return err
	}
	if err := writeNew(path+".new", sealed); err != nil {
		return err
	}
	if _, err := client.Rollover(ctx, key); err != nil {
		return fault.From(err, fault.KindOf(err)).Hinted("the new key is in %s.new; if the CA took it, rename that file", file)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fault.New(fault.Denied, "the CA took the new key, which is in %s.new: %v", file, err)
	}
	return nil
}

func (c *certsFile) sealKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	var to []age.Recipient
	for _, name := range c.people() {
		r, err := age.ParseX25519Recipient(c.Custodians[name])
		if err != nil {
			return nil, fault.New(fault.Usage, "custodian %s: %v", name, err)
		}
		to = append(to, r)
	}
	var b bytes.Buffer
	arm := armor.NewWriter(&b)
	w, err := age.Encrypt(arm, to...)
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	if err := pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	if err := w.Close(); err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	if err := arm.Close(); err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	return b.Bytes(), nil
}

// writeNew writes a file that must not exist yet, and sees it on disk.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.New(fault.Denied, "%v", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fault.New(fault.Full, "%s: %v", path, err)
	}
	return nil
}

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
	return w.err
}

func (l *lines) timing(p *plan.Plan, k plan.Key, events []run.Event) {
	of := map[string]bool{}
	for _, s := range p.Steps {
		of[s.ID] = strings.Contains(s.ID, k.SPKI[:12])
	}
	var first, last time.Time
	late := map[string]string{}
	for _, e := range events {
		if !of[e.Step] {
			continue
		}
		if e.Kind == run.Begun && first.IsZero() {
			first = e.At
		}
		if e.Kind == run.Proven {
			last = e.At
		}
		if (e.Kind == run.Unproven || e.Kind == run.Held) && strings.Contains(e.Says, "@") {
			late[e.Target] = e.Says
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
	var names []string
	for t := range late {
		names = append(names, t)
	}
	slices.Sort(names)
	for _, t := range names {
		l.say("    would have broken: %s (%s)", tame.Line(t), tame.Line(late[t]))
	}
}
