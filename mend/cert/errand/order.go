package errand

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/steer/run"
	"staunch/tame"
)

// keyMadeOf is what a host answers to make_key.
type keyMadeOf struct {
	Name      string `json:"name"`
	SPKI      string `json:"spki_sha256"`
	CSR       string `json:"csr_pem"`
	Sealed    string `json:"sealed"`
	Recipient string `json:"recipient"`
}

// makeKey lets the host make the key and stores what may leave it, before anything else is done with it.
func (d *Desk) makeKey(ctx context.Context, w run.Work) (act.Outcome, error) {
	out, err := d.Hosts.Do(ctx, w)
	if err != nil || out.Status != act.Done && out.Status != act.Already {
		return out, err
	}
	var got keyMadeOf
	if err := json.Unmarshal(out.After, &got); err != nil || got.SPKI == "" || got.CSR == "" {
		return out, fault.New(fault.Corrupt, "%s made a key, but does not say which", w.Target.Host)
	}
	m := replace.Made{Name: got.Name, SPKI: got.SPKI, CSR: got.CSR, Sealed: got.Sealed, Host: w.Target.Host}
	var before replace.Made
	had, err := d.load(ctx, madeDoc(got.Name), &before)
	if err != nil {
		return out, err
	}
	if had && before.SPKI != got.SPKI {
		return out, fault.New(fault.Conflict, "another key is stored as %s", got.Name)
	}
	if !had && d.Known != nil {
		known, err := d.Known(ctx, got.SPKI)
		if err != nil {
			return out, err
		}
		if known {
			return out, fault.New(fault.Corrupt, "%s made key %.12s, which was seen before", w.Target.Host, got.SPKI).Hinted("its random numbers repeat: do not trust any key of that host")
		}
	}
	if had {
		m.Chain, m.CA, m.Old = before.Chain, before.CA, before.Old
	}
	return out, d.save(ctx, madeDoc(got.Name), m)
}

// keyMade: until its outcome is stored the key counts as not made; making it again answers with the same key (act make_key).
func (d *Desk) keyMade(ctx context.Context, w run.Work) run.Seen {
	for _, p := range w.Step.Proves {
		if m, err := d.Made(ctx, p.Name); err == nil && m.Host == w.Target.Host {
			return yes("the key " + p.Name + " is stored")
		}
	}
	return no("what the host made is not stored; asked again it answers with the same key")
}

// order gets the certificate for a new key. A stored chain is never ordered again, and an order that a CA may have taken is gone on with
// there and nowhere else.
func (d *Desk) order(ctx context.Context, w run.Work) (act.Outcome, error) {
	o, err := with[replace.Order](w)
	if err != nil {
		return act.Outcome{}, err
	}
	m, err := d.request(ctx, o)
	if err != nil {
		return act.Outcome{}, err
	}
	if m.Chain != "" {
		return d.kept(ctx, o, m)
	}
	if err := d.until(ctx, o.From); err != nil {
		return act.Outcome{}, err
	}
	var chain string
	switch o.By {
	case "acme":
		chain, m.CA, err = d.byACME(ctx, o, m)
	case "hook":
		chain, err = d.byProgram(ctx, o, m)
		m.CA = o.Issuer
	default:
		return act.Outcome{}, fault.New(fault.Conflict, "the certificate for %s is not here yet", o.Key).Hinted("`staunch cert csr %s`, then `staunch cert import %s FILE`", o.Key, o.Key)
	}
	if err != nil {
		return act.Outcome{}, err
	}
	if err := Fits(chain, m, o.Names, d.now()); err != nil {
		return act.Outcome{}, err
	}
	m.Chain, m.Old = chain, o.Old
	if err := d.save(ctx, madeDoc(o.Key), m); err != nil {
		return act.Outcome{}, err
	}
	return d.done("the certificate for " + o.Key + " is stored"), nil
}

// kept checks a chain that was there before: a person's hand brings wrong files as well.
func (d *Desk) kept(ctx context.Context, o replace.Order, m replace.Made) (act.Outcome, error) {
	if err := Fits(m.Chain, m, o.Names, d.now()); err != nil {
		return act.Outcome{}, fault.From(err, fault.Denied)
	}
	if m.Old == "" {
		m.Old = o.Old
		if err := d.save(ctx, madeDoc(o.Key), m); err != nil {
			return act.Outcome{}, err
		}
	}
	return act.Outcome{Status: act.Already, Says: "the certificate for " + o.Key + " is stored", Ended: d.now()}, nil
}

// request gives the stored CSR; an edge that makes its own key is asked for it first.
func (d *Desk) request(ctx context.Context, o replace.Order) (replace.Made, error) {
	m, err := d.Made(ctx, o.Key)
	if o.Edge == "" || !fault.Is(err, fault.NotFound) {
		return m, err
	}
	if d.Edge == nil {
		return m, fault.New(fault.Unsupported, "no driver for %s is set up", o.Edge)
	}
	e, err := d.Edge(ctx, o.Edge)
	if err != nil {
		return m, err
	}
	if e.Requesting == nil {
		return m, fault.New(fault.Usage, "%s makes no keys itself", o.Edge)
	}
	ref, csr, err := e.Requesting.Request(ctx, e.Enrollment)
	if err != nil {
		return m, err
	}
	req, err := parseCSR(string(csr))
	if err != nil {
		return m, err
	}
	raw, err := json.Marshal(ref)
	if err != nil {
		return m, fault.New(fault.Bug, "%v", err)
	}
	m = replace.Made{Old: o.Old, Name: o.Key, SPKI: SPKIOf(req), Edge: o.Edge, CSR: string(csr), Ref: raw}
	if d.Known != nil {
		known, err := d.Known(ctx, m.SPKI)
		if err != nil {
			return m, err
		}
		if known {
			return m, fault.New(fault.Denied, "%s offers a request for key %.12s, which was seen before", o.Edge, m.SPKI).Hinted("have it make a new key there, then retry")
		}
	}
	return m, d.save(ctx, madeDoc(o.Key), m)
}

// until waits for the order's slot in the CA's calendar.
func (d *Desk) until(ctx context.Context, at time.Time) error {
	wait := at.Sub(d.now())
	if wait <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return fault.New(fault.Conflict, "the slot at %s was not reached", at.UTC().Format(time.RFC3339))
	case <-time.After(wait):
		return nil
	}
}

// byACME takes the stored order on, or begins one. Accounts and CAs are asked in the plan's order, and the next one only while nobody can
// have certified the key. Where all say "too many" and when to come back, it comes back then, as long as the step may take.
func (d *Desk) byACME(ctx context.Context, o replace.Order, m replace.Made) (chain, ca string, err error) {
	if d.CA == nil {
		return "", "", fault.New(fault.Unsupported, "no CA is set up").Hinted("certs.yaml beside staunch.yaml lists authorities")
	}
	places := append([]acme.Slot{{CA: o.Issuer, Account: o.Account}}, o.Else...)
	for {
		got, failed, err := d.round(ctx, o, m, places)
		if err != nil || got != nil {
			if err != nil {
				return "", "", err
			}
			return got.Chain, got.CA, nil
		}
		var says []string
		var again time.Time
		for _, f := range failed {
			says = append(says, f.Error())
			if at, said := acme.Again(f); said && (again.IsZero() || at.Before(again)) {
				again = at
			}
		}
		end, bounded := ctx.Deadline()
		if again.IsZero() || bounded && again.After(end) {
			return "", "", fault.New(fault.Denied, "no CA certifies %s: %s", o.Key, strings.Join(says, "; ")).Hinted("the key and its request are stored; retry, or bring a certificate by hand: `staunch cert import %s FILE`", o.Key)
		}
		if err := d.until(ctx, again); err != nil {
			return "", "", err
		}
	}
}

// round asks each place once. Neither an order nor an error means that every place refused.
func (d *Desk) round(ctx context.Context, o replace.Order, m replace.Made, places []acme.Slot) (*acme.Order, []error, error) {
	var stored acme.Order
	had, err := d.load(ctx, orderDoc(o.Key), &stored)
	if err != nil {
		return nil, nil, err
	}
	var failed []error
	for _, place := range places {
		if bound(stored) && stored.CA != place.CA {
			continue
		}
		c, err := d.CA(ctx, place.CA, place.Account)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		ours := had && stored.CA == c.CA.Name && stored.Account == c.Account.Location && stored.Stage != acme.Invalid
		if bound(stored) && !ours {
			continue // another account's order
		}
		next := stored
		if !ours {
			if next, err = begin(o, m); err != nil {
				return nil, nil, err
			}
			next.Place = place.Account
		}
		var lost error
		got, err := c.Run(ctx, next, func(at acme.Order) error {
			lost = d.save(ctx, orderDoc(o.Key), at)
			return lost
		})
		if err == nil {
			return &got, nil, nil
		}
		stored, had = got, true
		if bound(got) || lost != nil || ctx.Err() != nil {
			return nil, nil, err
		}
		failed = append(failed, err)
	}
	switch {
	case bound(stored) && len(failed) > 0:
		return nil, nil, failed[0]
	case bound(stored):
		return nil, nil, fault.New(fault.Conflict, "the request for %s was handed in at %s by account %s, which is not set up here", o.Key, stored.CA, cmp.Or(stored.Place, stored.Account)).
			Hinted("set it up again: nobody else is asked for a certificate of that key")
	}
	return nil, failed, nil
}

// bound tells whether a CA may have certified the key, so that nobody else is asked any more: the request is handed in only after this was stored.
func bound(o acme.Order) bool { return o.Stage == acme.Sent || o.Stage == acme.Issued }

func begin(o replace.Order, m replace.Made) (acme.Order, error) {
	req, err := parseCSR(m.CSR)
	if err != nil {
		return acme.Order{}, err
	}
	var old *x509.Certificate
	if len(o.Replaces) > 0 {
		if old, err = x509.ParseCertificate(o.Replaces); err != nil {
			old = nil // what cannot be read cannot be named as the predecessor; the order is one like any other
		}
	}
	return acme.NewOrder(req.Raw, old)
}

// maxChain bounds a chain that a program or a person brings.
const maxChain = 1 << 20

// byProgram asks the team's own PKI: PROGRAM issue NAME, or PROGRAM fetch NAME after a crash, with the CSR on standard input and the chain
// (PEM, leaf first) on standard output. Only "issue" may begin something new, and it is called once for a key.
func (d *Desk) byProgram(ctx context.Context, o replace.Order, m replace.Made) (string, error) {
	if d.Program == nil {
		return "", fault.New(fault.Unsupported, "no program for %s is set up", o.Issuer)
	}
	path, known := d.Program(o.Issuer)
	if !known {
		return "", fault.New(fault.Unsupported, "no program for %s is set up", o.Issuer)
	}
	verb := "fetch"
	var stored acme.Order
	had, err := d.load(ctx, orderDoc(o.Key), &stored)
	if err != nil {
		return "", err
	}
	if !had {
		verb = "issue"
		if err := d.save(ctx, orderDoc(o.Key), acme.Order{CA: o.Issuer, SPKI: m.SPKI, Names: o.Names, Stage: acme.Sent}); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, path, verb, o.Key)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "STAUNCH_SPKI=" + m.SPKI}
	cmd.Stdin = strings.NewReader(m.CSR)
	cmd.WaitDelay = 5 * time.Second
	var out, says edge.Limited
	out.Left, says.Left = maxChain, 4<<10
	cmd.Stdout, cmd.Stderr = &out, &says
	if err := cmd.Run(); err != nil {
		return "", fault.New(fault.Unsure, "%s %s %s: %v: %s", path, verb, o.Key, err, tame.Short(says.Into.String(), 1000)).Hinted("it is called with \"fetch\" from now on, so that no second certificate is ordered for the key")
	}
	return out.Into.String(), nil
}

func parseCSR(text string) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || !strings.HasSuffix(block.Type, "CERTIFICATE REQUEST") {
		return nil, fault.New(fault.Corrupt, "not a PEM certificate request")
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "the certificate request cannot be read: %v", err)
	}
	return req, nil
}

// SPKIOf names a request's key as everywhere.
func SPKIOf(req *x509.CertificateRequest) string {
	return cert.SPKI(&x509.Certificate{RawSubjectPublicKeyInfo: req.RawSubjectPublicKeyInfo})
}

// Fits says why a chain (PEM, leaf first) must not be deployed for a new key: another key, missing names, dates, a chain that does not hold together.
func Fits(chain string, m replace.Made, names []string, now time.Time) error {
	if len(chain) > maxChain {
		return fault.New(fault.Full, "a chain of %d bytes", len(chain))
	}
	certs, err := parseChain([]byte(chain))
	if err != nil {
		return err
	}
	leaf := certs[0]
	if got := cert.SPKI(leaf); got != m.SPKI {
		return fault.New(fault.Denied, "the certificate is for key %.12s, the new key %s is %.12s", got, m.Name, m.SPKI).Hinted("the leaf comes first, and it must be made from the request that `staunch cert csr %s` prints", m.Name)
	}
	if now.After(leaf.NotAfter) || now.Add(time.Hour).Before(leaf.NotBefore) {
		return fault.New(fault.Denied, "the certificate is good from %s to %s", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	have := map[string]bool{}
	for _, n := range leaf.DNSNames {
		have[strings.ToLower(n)] = true
	}
	for _, ip := range leaf.IPAddresses {
		have[ip.String()] = true
	}
	if missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return have[strings.ToLower(n)] }); len(missing) > 0 {
		return fault.New(fault.Denied, "the certificate lacks %d names, such as %s", len(missing), missing[0])
	}
	for i := 1; i < len(certs); i++ {
		if err := certs[i-1].CheckSignatureFrom(certs[i]); err != nil {
			return fault.New(fault.Denied, "certificate %d of the chain is not signed by the next one: %v", i, err).Hinted("leaf first, then each issuer")
		}
	}
	return nil
}

func parseChain(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = after
		if block.Type != "CERTIFICATE" {
			return nil, fault.New(fault.Corrupt, "there is a %s among the certificates", tame.Short(block.Type, 1000)).Hinted("bring certificates only; a private key is never imported")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.New(fault.Corrupt, "certificate %d cannot be read: %v", len(out)+1, err)
		}
		if out = append(out, c); len(out) > 10 {
			return nil, fault.New(fault.Full, "a chain of more than 10 certificates")
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Corrupt, "not a PEM chain of certificates")
	}
	return out, nil
}

// Import takes a certificate that a person brought, after the same checks as any other.
func (d *Desk) Import(ctx context.Context, key, chain string) error {
	m, err := d.Made(ctx, key)
	if err != nil {
		return err
	}
	if m.Chain != "" && m.Chain != chain {
		return fault.New(fault.Conflict, "another certificate is stored for %s", key)
	}
	req, err := parseCSR(m.CSR)
	if err != nil {
		return err
	}
	if err := Fits(chain, m, req.DNSNames, d.now()); err != nil {
		return err
	}
	m.Chain, m.CA = chain, "by hand"
	return d.save(ctx, madeDoc(key), m)
}

// ordered tells how far an order is.
func (d *Desk) ordered(ctx context.Context, w run.Work) run.Seen {
	o, err := with[replace.Order](w)
	if err != nil {
		return unknown(err.Error())
	}
	m, err := d.Made(ctx, o.Key)
	if err == nil && m.Chain != "" {
		return yes("the certificate for " + o.Key + " is stored")
	}
	return no(fmt.Sprintf("no certificate for %s is stored; going on takes up the stored order", o.Key))
}
