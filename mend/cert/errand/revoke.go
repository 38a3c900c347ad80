package errand

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// ended is what CAs said to one key's revocation.
type ended struct {
	Asked     time.Time       `json:"asked,omitzero"` // the last time: stored ahead, so that a crash does not hide that a CA may know of it
	Accepted  []acme.Accepted `json:"accepted"`
	Overrides []cert.Obstacle `json:"overrides,omitempty"`
	Watched   []string        `json:"watched"` // the points that were seen without the key right before
	From      []string        `json:"from"`    // vantage points
}

// revoke is the last wall: it looks at every endpoint once more, those that the plan did not know included, and asks the gate. Nothing here
// decides anything: without the right that cert.Allow gives, cert.Revoke does nothing.
func (d *Desk) revoke(ctx context.Context, w run.Work) (act.Outcome, error) {
	at, err := with[replace.At](w)
	if err != nil {
		return act.Outcome{}, err
	}
	leaves, err := parseAll(at.Certificates)
	if err != nil {
		return act.Outcome{}, err
	}
	spki := w.Target.SPKI
	if err := ruled(w, at); err != nil {
		return act.Outcome{}, err
	}
	right, proof, err := d.patiently(ctx, spki, leaves, at)
	if err != nil {
		return act.Outcome{}, d.refused(ctx, spki, err)
	}
	by := func(c *x509.Certificate) (cert.Revoker, error) { return d.Revoker(ctx, c) }
	if w.Step.Act != nil {
		one := &onHost{hosts: d.Hosts, work: w}
		by = func(*x509.Certificate) (cert.Revoker, error) { return one, nil }
	} else if d.Revoker == nil {
		return act.Outcome{}, fault.New(fault.Unsupported, "no CA account that can revoke is set up")
	}
	if err := d.asking(ctx, spki); err != nil {
		return act.Outcome{}, fault.From(err, fault.Denied) // nobody was asked
	}
	accepted, failed := cert.Revoke(ctx, right, by, d.now())
	e := ended{Asked: d.now().UTC(), Accepted: accepted, Overrides: right.Overridden(), From: proof.From()}
	for _, p := range proof.Points() {
		e.Watched = append(e.Watched, p.String())
	}
	if err := d.keepEnded(ctx, spki, e); err != nil {
		return act.Outcome{}, errors.Join(err, errors.Join(failed...))
	}
	if len(failed) > 0 {
		return act.Outcome{}, fault.New(verdict(failed), "%d of %d certificates were not accepted for revocation: %v", len(failed), len(leaves), failed[0])
	}
	return d.done(fmt.Sprintf("accepted by the CA for %d certificates, asked by %s; browsers may still accept them until %s", len(accepted), askedBy(accepted), lastDay(leaves)) + overruled(at.Override, e.Overrides)), nil
}

// ruled holds the plan's step to the rules of revocations once more: they were asked when the plan was proposed, and what lies in a store can be another
// plan by now.
func ruled(w run.Work, at replace.At) error {
	if w.Plan == nil {
		return fault.New(fault.Denied, "no plan says that key %.12s may be revoked", w.Target.SPKI)
	}
	world := plan.World{Now: w.Plan.Made, Endpoints: map[string][]string{}}
	for _, p := range at.Points {
		world.Endpoints[w.Target.SPKI] = append(world.Endpoints[w.Target.SPKI], p.String())
	}
	return plan.Refuse(plan.LintEnd(w.Plan, w.Step.ID, world))
}

// patiently asks for the right again where all that stood against it was that something could not be seen: lines break for a moment, and a step that was
// refused waits for a person.
func (d *Desk) patiently(ctx context.Context, spki string, leaves []*x509.Certificate, at replace.At) (*cert.Revocation, cert.Serving, error) {
	for tries := 0; ; tries++ {
		right, proof, err := d.right(ctx, spki, leaves, at)
		serves := slices.ContainsFunc(proof.Against(spki), func(o cert.Obstacle) bool { return o.Kind != "unseen" })
		if err == nil || serves || tries >= len(d.Again) {
			return right, proof, err
		}
		select {
		case <-ctx.Done():
			return nil, proof, err
		case <-time.After(d.Again[tries]):
		}
	}
}

// refused is why there is no right to revoke. Where CAs were asked before, and what they said was lost in a crash, it says so: the key may be revoked already.
func (d *Desk) refused(ctx context.Context, spki string, why error) error {
	if ctx.Err() != nil {
		return fault.New(fault.Unsure, "the last look before the revocation was broken off; nobody was asked")
	}
	kind, hint := fault.Denied, fault.HintOf(why)
	var e ended
	if had, err := d.load(ctx, revokedDoc(spki), &e); had && err == nil && !e.Asked.IsZero() && len(e.Accepted) == 0 {
		why = fault.New(kind, "%v; a CA was asked at %s, and what it said is not known: look at its list (`staunch cert verify`)", why, e.Asked.Format("2006-01-02 15:04Z"))
	}
	return fault.From(why, kind).Hinted("%s", hint)
}

// asking notes that CAs are asked from now on.
func (d *Desk) asking(ctx context.Context, spki string) error {
	var e ended
	if _, err := d.load(ctx, revokedDoc(spki), &e); err != nil {
		return err
	}
	e.Asked = d.now().UTC()
	return d.save(ctx, revokedDoc(spki), e)
}

// Asked is when CAs were last asked to revoke a key's certificates, whatever came of it; zero where they never were.
func (d *Desk) Asked(ctx context.Context, spki string) (time.Time, error) {
	var e ended
	_, err := d.load(ctx, revokedDoc(spki), &e)
	return e.Asked, err
}

// overruled names what stood against a revocation that an override let through: what may be broken now.
func overruled(o *cert.Override, against []cert.Obstacle) string {
	if o == nil || len(against) == 0 {
		return ""
	}
	var says []string
	for _, a := range against {
		says = append(says, a.Says)
	}
	return "; OVERRIDDEN (" + o.Reason + "): " + strings.Join(says, "; ")
}

// onHost lets the host that has the old key ask for all of its certificates, once.
type onHost struct {
	hosts Hosts
	work  run.Work
	asked bool
	err   error
}

// Revoke tells what came of it, certificate by certificate.
func (o *onHost) Revoke(ctx context.Context, leaf *x509.Certificate) (acme.Accepted, error) {
	if !o.asked {
		o.asked = true
		out, err := o.hosts.Do(ctx, o.work)
		switch {
		case err != nil:
			o.err = fault.From(err, fault.Unsure)
		case out.Status == act.Unknown:
			o.err = fault.New(fault.Unsure, "%s: %s", o.work.Target.Host, out.Says)
		case out.Status != act.Done && out.Status != act.Already:
			o.err = fault.New(fault.Denied, "%s: %s", o.work.Target.Host, out.Says)
		}
	}
	a := acme.Accepted{CA: "asked by " + o.work.Target.Host, Serial: leaf.SerialNumber.Text(16), SPKI: cert.SPKI(leaf), At: time.Now().UTC().Truncate(time.Millisecond), By: "certificate_key"}
	return a, o.err
}

// askedBy says whose right it was: an account's, or that of the certificate's own key.
func askedBy(accepted []acme.Accepted) string {
	says := map[string]bool{}
	for _, a := range accepted {
		says[strings.ReplaceAll(a.By, "_", " ")] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(says)), " and ")
}

// verdict is Denied where every CA said no or was not reached, and Unsure where one of them may have taken it.
func verdict(failed []error) fault.Kind {
	for _, err := range failed {
		switch fault.KindOf(err) {
		case fault.Denied, fault.Usage, fault.NotFound, fault.Unsupported, fault.Unreachable, fault.Full:
		default:
			return fault.Unsure
		}
	}
	return fault.Denied
}

// right looks and asks for the right to revoke.
func (d *Desk) right(ctx context.Context, spki string, leaves []*x509.Certificate, at replace.At) (*cert.Revocation, cert.Serving, error) {
	known, lookers, err := d.where(ctx, spki, at)
	if err != nil {
		return nil, cert.Serving{}, err
	}
	if d.Voters == nil {
		return nil, cert.Serving{}, fault.New(fault.Denied, "nobody's vote can be verified here")
	}
	people, err := d.Voters(ctx)
	if err != nil {
		return nil, cert.Serving{}, err
	}
	consent := cert.Consent{People: people}
	if at.Override != nil {
		o := *at.Override
		o.By = people // it stands in the plan that they signed
		consent.Override = &o
	}
	proof := cert.Observe(ctx, known, lookers, d.Watch)
	r, err := cert.Allow(spki, leaves, known, proof, consent, d.now())
	return r, proof, err
}

// where lists every point that may serve the key now, those learned since the plan was made included, and everybody who has to look.
func (d *Desk) where(ctx context.Context, spki string, at replace.At) ([]cert.Point, []cert.Looker, error) {
	var learned []cert.Point
	if _, err := d.load(ctx, learnedDoc(spki), &learned); err != nil {
		return nil, nil, err
	}
	known := joined(slices.Clone(at.Points), learned)
	if d.Points != nil {
		more, err := d.Points(ctx, spki)
		if err != nil {
			return nil, nil, fault.New(fault.Denied, "which endpoints may serve the key now is not known: %v", err)
		}
		known = joined(known, more)
	}
	return known, d.lookers(at), nil
}

// lookers are this machine and the hosts that the plan names. One that cannot look sees nothing, and what is not seen holds.
func (d *Desk) lookers(at replace.At) []cert.Looker {
	out := slices.Clone(d.Lookers)
	for _, host := range at.From {
		if d.Vantage != nil {
			out = append(out, d.Vantage(host))
			continue
		}
		out = append(out, cert.Looker{From: host, See: func(context.Context, cert.Point) ([]string, error) {
			return nil, fault.New(fault.Unsupported, "no way to look from there")
		}})
	}
	return out
}

// Accepted is what CAs answered to revocations of a key, oldest first; empty where none was asked.
func (d *Desk) Accepted(ctx context.Context, spki string) ([]acme.Accepted, error) {
	var e ended
	_, err := d.load(ctx, revokedDoc(spki), &e)
	return e.Accepted, err
}

// keepEnded adds to what was accepted before: a second attempt after a crash must not lose the first one's answers.
func (d *Desk) keepEnded(ctx context.Context, spki string, e ended) error {
	var before ended
	if _, err := d.load(ctx, revokedDoc(spki), &before); err != nil {
		return err
	}
	for _, a := range before.Accepted {
		if !slices.ContainsFunc(e.Accepted, func(b acme.Accepted) bool { return a.Serial == b.Serial && a.CA == b.CA }) {
			e.Accepted = append(e.Accepted, a)
		}
	}
	return d.save(ctx, revokedDoc(spki), e)
}

func parseAll(ders [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fault.New(fault.Corrupt, "a certificate of the plan cannot be read: %v", err)
		}
		out = append(out, c)
	}
	return out, nil
}

func lastDay(leaves []*x509.Certificate) string {
	var last time.Time
	for _, c := range leaves {
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	return last.UTC().Format(time.DateOnly)
}

func serialList(list []acme.Accepted) string {
	var out []string
	for _, a := range list {
		out = append(out, a.Serial)
	}
	return strings.Join(out, ", ")
}
