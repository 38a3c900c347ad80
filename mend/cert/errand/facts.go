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
	"staunch/see/probe/chain"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// look sees one point of a plan's step from every vantage point.
func (d *Desk) look(ctx context.Context, p plan.Predicate, w run.Work) (cert.Serving, replace.At, *run.Seen) {
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
	return cert.Observe(ctx, at.Points[i:i+1], d.lookers(at), cert.Watch{Times: 1}), at, nil
}

// serves: every look shows the new key. Another one beside it (RSA and ECDSA) is no obstacle; the old one is looked for by notServed.
func (d *Desk) serves(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	proof, at, bad := d.look(ctx, p, w)
	if bad != nil {
		return *bad
	}
	all, against := proof.All(p.SPKI)
	if all {
		return yes(p.Endpoint + " serves the new key")
	}
	return d.judged(at, against)
}

// notServed: every look shows something else. What cannot be seen is unknown, and unknown holds the gate, unless the plan carries an override
// that names it: whether that one counts is asked once more by the gate of the revocation, where people are counted.
func (d *Desk) notServed(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	proof, at, bad := d.look(ctx, p, w)
	if bad != nil {
		return *bad
	}
	against := proof.Against(p.SPKI)
	if len(against) == 0 {
		return yes(p.Endpoint + " serves another key, seen from " + strings.Join(proof.From(), ", "))
	}
	return d.judged(at, against)
}

// judged words what stands against a point. An override that names it lets the plan go on.
func (d *Desk) judged(at replace.At, against []cert.Obstacle) run.Seen {
	if len(against) == 0 {
		return unknown("nobody looked")
	}
	if o := at.Override; o != nil && !slices.ContainsFunc(against, func(a cert.Obstacle) bool { return !o.Covers(o.SPKI, a, d.now()) }) {
		return yes("OVERRIDDEN (" + o.Reason + "): " + against[0].Says)
	}
	for _, o := range against {
		if o.Kind == "serves" {
			return no(o.Says)
		}
	}
	return unknown(against[0].Says)
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
	return yes("accepted by the CA: " + serialList(e.Accepted) + "; browsers may still accept them until " + lastDay(leaves))
}

// onCRL asks the lists that the certificates name. Certificates that name none can never be verified, and are said so.
func (d *Desk) onCRL(ctx context.Context, _ plan.Predicate, w run.Work) run.Seen {
	at, err := with[replace.At](w)
	if err != nil {
		return unknown(err.Error())
	}
	leaves, err := parseAll(at.Certificates)
	if err != nil {
		return unknown(err.Error())
	}
	listed, blind := 0, ""
	for _, s := range Verify(ctx, at.Certificates, at.Issuers, d.now()) {
		switch s.State {
		case "revoked":
			listed++
		case "unverifiable":
			blind += "; " + s.Says
		case "good":
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

// Standing is what a CA's list says of one certificate.
type Standing struct {
	Serial   string    `json:"serial"`
	State    string    `json:"state"` // revoked, good (accepted at most: not listed yet), unverifiable, unknown
	Says     string    `json:"says"`
	Reason   int       `json:"reason,omitempty"`
	NotAfter time.Time `json:"not_after"`
}

// Verify asks the lists (and OCSP responders) that certificates name.
func Verify(ctx context.Context, leaves, issuers [][]byte, now time.Time) []Standing {
	fetch := chain.NewFetcher()
	var out []Standing
	for _, der := range leaves {
		c, err := chain.Judge(ctx, append([][]byte{der}, issuers...), chain.Trust{Now: now, Fetch: fetch})
		if err != nil {
			out = append(out, Standing{State: "unknown", Says: err.Error()})
			continue
		}
		s := Standing{Serial: c.Serial, State: c.Revocation.State, Reason: c.Revocation.Reason, NotAfter: c.NotAfter}
		until := c.NotAfter.UTC().Format(time.DateOnly)
		switch s.State {
		case "good":
			s.Says = c.Serial + " is not on its list yet (" + c.Revocation.Says + ")"
			if c.Revocation.Next != nil {
				s.Says += "; the next list is due by " + c.Revocation.Next.UTC().Format("2006-01-02 15:04Z")
			}
		case "unverifiable":
			s.Says = c.Serial + " cannot be verified: " + c.Revocation.Says
		default:
			s.Says = c.Serial + ": " + c.Revocation.Says
		}
		s.Says += "; browsers may still accept it until " + until
		out = append(out, s)
	}
	return out
}
