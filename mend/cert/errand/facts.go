package errand

import (
	"context"
	"fmt"
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

// look sees one point of a plan's step from every vantage point; with a wanted key until that one was met.
func (d *Desk) look(ctx context.Context, p plan.Predicate, w run.Work, want string) (cert.Serving, replace.At, *run.Seen) {
	at, err := with[replace.At](w)
	if err != nil {
		s := unknown(err.Error())
		return cert.Serving{}, at, &s
	}
	i := slices.IndexFunc(at.Points, func(one cert.Point) bool { return one.String() == p.Endpoint })
	if i < 0 {
		s := unknown("the plan does not say where " + p.Endpoint + " is")
		return cert.Serving{}, at, &s
	}
	lookers := d.lookers(at)
	if want != "" {
		for i := range lookers {
			lookers[i] = lookers[i].For(want)
		}
	}
	return cert.Observe(ctx, at.Points[i:i+1], lookers, cert.Watch{Times: 1}), at, nil
}

// serves: every look shows the new key. Another one beside it (RSA and ECDSA) is no obstacle; the old one is looked for by notServed.
func (d *Desk) serves(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	proof, at, bad := d.look(ctx, p, w, p.SPKI)
	if bad != nil {
		return *bad
	}
	all, against := proof.All(p.SPKI)
	if all {
		return yes(p.Endpoint + " serves the new key")
	}
	spki := at.Old
	if at.Override != nil && spki == "" {
		spki = at.Override.SPKI // plans of before named the old key there alone
	}
	return d.judged(ctx, w, p.Endpoint, spki, at, against)
}

// notServed: every look shows something else. What cannot be seen is unknown, and unknown holds the gate, unless the plan carries an override
// that names it: whether that one counts is asked once more by the gate of the revocation, where people are counted.
func (d *Desk) notServed(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	proof, at, bad := d.look(ctx, p, w, "")
	if bad != nil {
		return *bad
	}
	against := proof.Against(p.SPKI)
	elsewhere, err := d.elsewhere(ctx, p, at)
	if err != nil {
		return unknown(err.Error())
	}
	if against = append(against, elsewhere...); len(against) == 0 {
		return yes(p.Endpoint + " serves another key, seen from " + strings.Join(proof.From(), ", "))
	}
	return d.judged(ctx, w, p.Endpoint, p.SPKI, at, against)
}

// elsewhere looks at addresses that the endpoint's name leads to by now and that the plan does not know. The first point of a name does it for all. What was
// met once is remembered for the revocation's own look: that a name does not lead there any more says nothing of who still goes there.
func (d *Desk) elsewhere(ctx context.Context, p plan.Predicate, at replace.At) ([]cert.Obstacle, error) {
	name, _, _ := strings.Cut(p.Endpoint, "@")
	i := slices.IndexFunc(at.Points, func(one cert.Point) bool { return one.Name == name })
	if d.Addresses == nil || i < 0 || at.Points[i].String() != p.Endpoint {
		return nil, nil
	}
	now, err := d.Addresses(ctx, name)
	if err != nil {
		return nil, err
	}
	now = slices.DeleteFunc(slices.Clone(now), func(one cert.Point) bool { return slices.Contains(at.Points, one) })
	if len(now) == 0 {
		return nil, nil
	}
	if err := d.learn(ctx, p.SPKI, now); err != nil {
		return nil, err
	}
	return cert.Observe(ctx, now, d.lookers(at), cert.Watch{Times: 1}).Against(p.SPKI), nil
}

func (d *Desk) learn(ctx context.Context, spki string, points []cert.Point) error {
	d.learning.Lock()
	defer d.learning.Unlock()
	var known []cert.Point
	if _, err := d.load(ctx, learnedDoc(spki), &known); err != nil {
		return err
	}
	all := joined(known, points)
	if len(all) == len(known) {
		return nil
	}
	return d.save(ctx, learnedDoc(spki), all)
}

// joined is both lists, each point once.
func joined(known, more []cert.Point) []cert.Point {
	for _, p := range more {
		if !slices.Contains(known, p) {
			known = append(known, p)
		}
	}
	return known
}

// judged words what stands against a point. An override of this old key that names it lets the plan go on.
func (d *Desk) judged(ctx context.Context, w run.Work, endpoint, spki string, at replace.At, against []cert.Obstacle) run.Seen {
	if len(against) == 0 {
		return unknown("nobody looked")
	}
	if o := at.Override; o != nil && !slices.ContainsFunc(against, func(a cert.Obstacle) bool { return !o.Covers(spki, a, d.now()) }) {
		return yes("OVERRIDDEN (" + o.Reason + "): " + against[0].Says)
	}
	for _, o := range against {
		if o.Kind == "serves" {
			if err := d.late(ctx, w, endpoint, o.Says); err != nil {
				return unknown(err.Error())
			}
			return no(o.Says)
		}
	}
	return unknown(against[0].Says)
}

// Late is an endpoint that served the old key when a plan looked: what a revocation at that moment would have broken.
type Late struct {
	Endpoint string    `json:"endpoint"`
	Says     string    `json:"says"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// LateDoc is where the late ones of a plan are kept: the beginning of their documents' names.
func LateDoc(planID string) string { return "late/" + planID + "/" }

func (d *Desk) late(ctx context.Context, w run.Work, endpoint, says string) error {
	if w.Plan == nil {
		return nil
	}
	l := Late{Endpoint: endpoint, Says: says, First: d.now().UTC()}
	if _, err := d.load(ctx, LateDoc(w.Plan.ID)+endpoint, &l); err != nil {
		return err
	}
	l.Last, l.Says = d.now().UTC(), says
	return d.save(ctx, LateDoc(w.Plan.ID)+endpoint, l)
}

// keyExists: for a key that a host made, its name and request are stored; for one that was sealed for a host, the host says so.
func (d *Desk) keyExists(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	if w.Step.Act != nil && w.Step.Act.Kind == act.Unseal {
		return d.Hosts.Happened(ctx, w)
	}
	m, err := d.Made(ctx, p.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		return no(err.Error())
	case err != nil:
		return unknown(err.Error())
	case m.Host != p.Host:
		return no("the key " + p.Name + " is on " + m.Host)
	}
	return yes("the key " + p.Name + " is on " + p.Host)
}

func (d *Desk) issued(ctx context.Context, p plan.Predicate, _ run.Work) run.Seen {
	m, err := d.Made(ctx, p.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		return no(err.Error())
	case err != nil:
		return unknown(err.Error())
	case m.Chain == "":
		return no("no certificate for " + p.Name + " is stored")
	}
	return yes("the certificate for " + p.Name + " is stored, from " + m.CA)
}

// revoked says no more than is known: the CA took the request.
func (d *Desk) revoked(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	at, err := with[replace.At](w)
	if err != nil {
		return unknown(err.Error())
	}
	leaves, err := parseAll(at.Certificates)
	if err != nil {
		return unknown(err.Error())
	}
	var e ended
	if _, err := d.load(ctx, revokedDoc(p.SPKI), &e); err != nil {
		return unknown(err.Error())
	}
	for _, c := range leaves {
		if !slices.ContainsFunc(e.Accepted, func(a acme.Accepted) bool { return a.Serial == c.SerialNumber.Text(16) }) {
			return no("no CA has accepted the revocation of " + c.SerialNumber.Text(16))
		}
	}
	return yes("accepted by the CA: " + serialList(e.Accepted) + "; browsers may still accept them until " + lastDay(leaves) + overruled(at.Override, e.Overrides))
}

// onCRL asks the lists that the certificates name. Certificates that name none can never be verified, and are said so.
func (d *Desk) onCRL(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	at, err := with[replace.At](w)
	if err != nil {
		return unknown(err.Error())
	}
	leaves, err := parseAll(at.Certificates)
	if err != nil {
		return unknown(err.Error())
	}
	accepted, err := d.Accepted(ctx, p.SPKI)
	if err != nil {
		return unknown(err.Error())
	}
	listed, blind := 0, ""
	for _, s := range Verify(ctx, at.Certificates, at.Issuers, accepted, d.now()) {
		switch s.State {
		case Listed:
			listed++
		case Unverifiable:
			blind += "; " + s.Says
		case Pending, NotRevoked:
			return no(s.Says)
		default:
			return unknown(s.Says)
		}
	}
	says := fmt.Sprintf("%d of %d certificates are listed as revoked%s; browsers may still accept them until %s", listed, len(leaves), blind, lastDay(leaves))
	if listed == 0 {
		return unknown(says)
	}
	return yes(says)
}
