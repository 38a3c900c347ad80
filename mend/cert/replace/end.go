package replace

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/edge"
	"staunch/steer/plan"
)

// edges brings the new key to CDNs and balancers, after the origins: staged, then switched on.
func (d *draft) edges(s *swap, before []string) {
	for _, name := range d.edgesOf(s) {
		e := d.o.Edges[name]
		m, own := s.byEdge[name]
		switch {
		case e.Driver == "", e.requests() && !own, !e.requests() && (e.Recipient == "" || s.made.Sealed == ""):
			s.all = append(s.all, d.person(word("edge", name, s.old.SPKI[:12]), "put the new certificate for "+subject(s.old)+" on "+name,
				"no driver of ours can do it there: upload key and chain (or the chain for its own request), activate, and say so when its edges serve it; the gate behind this looks for itself", e.Owner, slices.Concat(before, s.before)))
			continue
		case !own:
			m = s.made
		}
		note := ""
		if v := edge.Verified(e.Driver); v != "vendor" {
			note = " (driver " + e.Driver + ": " + v + ")"
		}
		stage := d.add(plan.Step{
			ID: word("stage", name, s.old.SPKI[:12]), Kind: plan.Deploy, Says: "bring the certificate for " + subject(s.old) + " to " + name + ", not yet served" + note, Targets: []plan.Target{{Service: name}},
			After: slices.Concat(before, s.before), Proves: []plan.Predicate{{Kind: plan.Issued, Name: m.Name}}, Repeat: true, Tries: 3, DeadlineMS: (30 * time.Minute).Milliseconds(), Votes: d.strictest(),
			Undo: plan.Undo{Kind: plan.NoUndo, Says: "what is staged serves nobody"},
		}, At{Key: m.Name, Edge: name})
		active := d.add(plan.Step{
			ID: word("activate", name, s.old.SPKI[:12]), Kind: plan.Activate, Says: "switch " + name + " to the new certificate for " + subject(s.old) + note, Targets: []plan.Target{{Service: name}},
			After: []string{stage}, Proves: []plan.Predicate{{Kind: plan.Issued, Name: m.Name}}, Repeat: true, Tries: 3, DeadlineMS: (2 * time.Hour).Milliseconds(), Votes: d.strictest(),
			Undo: plan.Undo{Kind: plan.ByPerson, Says: "the old certificate stays at the edge until it was retired: switch back to it there"},
		}, At{Key: m.Name, Edge: name, Serials: serials(s.old)})
		s.all = append(s.all, active)
	}
}

// strictest is the most votes that a ring asks for: edges serve everybody.
func (d *draft) strictest() int {
	most := 1
	for _, r := range d.Rings {
		most = max(most, r.Quorum)
	}
	return most
}

// edgesOf names every CDN and balancer between us and strangers: those that said they hold the key, and those the inventory puts before its endpoints.
func (d *draft) edgesOf(s *swap) []string {
	names := slices.Clone(s.old.Edges)
	for _, p := range s.points {
		if b := d.behind(p); b != "" {
			names = append(names, b)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func serials(k cert.Key) []string {
	var out []string
	for _, c := range k.Certificates {
		out = append(out, c.Serial)
	}
	return out
}

// end is the proof at every endpoint, and behind it the revocation with its own look, and the list that must say so.
func (d *draft) end(s *swap, gates []string) {
	who, id := subject(s.old), s.old.SPKI[:12]
	if len(s.points) == 0 {
		d.person(word("who-serves", id), "find out who serves key "+id+" ("+who+")",
			"no endpoint is known that serves it, which is not the same as nobody serving it: add the endpoint to the inventory, or say why there is none; then plan its revocation", "", slices.Concat(gates, s.all))
		d.watch("key "+id+" is not revoked: nobody knows which endpoints serve it", s.old.Ends())
		return
	}
	var needs []plan.Predicate
	for _, p := range s.points {
		needs = append(needs, plan.Predicate{Kind: plan.NotServed, Endpoint: p.String(), SPKI: s.old.SPKI})
	}
	proof := d.seen(s, word("gone", id), "", s.points, unique(slices.Concat(gates, s.all)), d.soak(), plan.Predicate{Kind: plan.NotServed, SPKI: s.old.SPKI})
	leaves, blind, ends := d.revocable(s.old)
	if len(leaves) == 0 {
		d.watch("key "+id+" is not revoked: no whole certificate of it that still counts was seen, so there is nothing to hand to a CA", s.old.Ends())
		return
	}
	revoke := d.add(plan.Step{
		ID: word("revoke", id), Kind: plan.Revoke,
		Says:    fmt.Sprintf("revoke all %d certificates of the old key for %s (%s); a CA may revoke further ones of the same key by itself", len(leaves), who, strings.Join(serialsOf(leaves), ", ")),
		Targets: []plan.Target{{SPKI: s.old.SPKI}}, After: []string{proof}, Needs: needs, Proves: []plan.Predicate{{Kind: plan.Revoked, SPKI: s.old.SPKI}}, Votes: max(2, d.strictest()),
		Repeat: true, Tries: 3, DeadlineMS: (30 * time.Minute).Milliseconds(), Public: true,
		Undo: plan.Undo{Kind: plan.NoUndo, Says: "a revocation is for ever"},
		Harm: plan.Harm{Says: "whoever still serves the old key is refused by clients that check"},
	}, At{Points: s.points, Certificates: ders(leaves), Key: s.made.Name, Override: d.o.Override})
	for _, c := range blind {
		d.watch(fmt.Sprintf("certificate %s of key %s names no CRL and no OCSP responder: its revocation cannot be verified, and it ends on %s", c.SerialNumber.Text(16), id, c.NotAfter.UTC().Format(time.DateOnly)), c.NotAfter.UTC())
	}
	if len(blind) < len(leaves) {
		d.add(plan.Step{
			ID: word("listed", id), Kind: plan.Gate, Says: "the CAs' lists say that the old key for " + who + " is revoked; browsers may still accept it until " + ends.UTC().Format(time.DateOnly),
			Targets: []plan.Target{{SPKI: s.old.SPKI}}, After: []string{revoke}, Proves: []plan.Predicate{{Kind: plan.OnCRL, SPKI: s.old.SPKI}}, DeadlineMS: (2 * day).Milliseconds(),
		}, At{Certificates: ders(leaves), Issuers: d.issuersOf(leaves)})
	}
	d.watch("alarm if anybody ever serves key "+id+" again (`staunch cert watch`)", ends)
}

// soak is how long the old key must stay gone: an edge network changes over while one looks.
func (d *draft) soak() int64 {
	if d.o.Drill {
		return 0
	}
	return max(d.Pace.SoakMS, (2 * time.Minute).Milliseconds())
}

// revocable reads the certificates of a key that still count; blind are those whose revocation nobody can verify.
func (d *draft) revocable(k cert.Key) (leaves, blind []*x509.Certificate, ends time.Time) {
	for _, c := range k.Certificates {
		if !c.NotAfter.After(d.o.Now) {
			continue
		}
		leaf, err := x509.ParseCertificate(c.DER)
		if err != nil {
			d.unseen(subject(k), "certificate %s of key %s was not seen whole, so it cannot be handed to its CA for revocation", c.Serial, short(k.SPKI))
			continue
		}
		leaves = append(leaves, leaf)
		if len(leaf.CRLDistributionPoints)+len(leaf.OCSPServer) == 0 {
			blind = append(blind, leaf)
		}
		if leaf.NotAfter.After(ends) {
			ends = leaf.NotAfter
		}
	}
	return leaves, blind, ends
}

// issuersOf picks the CA certificates that signed the leaves.
func (d *draft) issuersOf(leaves []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, der := range d.o.Chains {
		ca, err := x509.ParseCertificate(der)
		if err == nil && slices.ContainsFunc(leaves, func(l *x509.Certificate) bool { return bytes.Equal(l.RawIssuer, ca.RawSubject) }) {
			out = append(out, der)
		}
	}
	return out
}

func ders(leaves []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range leaves {
		out = append(out, c.Raw)
	}
	return out
}

func serialsOf(leaves []*x509.Certificate) []string {
	var out []string
	for _, c := range leaves {
		out = append(out, c.SerialNumber.Text(16))
	}
	return out
}

func unique(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}
