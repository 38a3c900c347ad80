package replace

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/mend/cert"
	"staunch/phrase"
	"staunch/reach/act"
	"staunch/steer/plan"
)

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
		d.retire(s, proof, needs)
		d.watch("key "+id+" is not revoked: no whole certificate of it that still counts was seen, so there is nothing to hand to a CA", s.old.Ends())
		return
	}
	by := plan.Step{
		ID: word("revoke", id), Kind: plan.Revoke,
		Says:    fmt.Sprintf("revoke all %d certificates of the old key for %s (%s); the CA may revoke further ones of the same key by itself, and has 24 hours for it", len(leaves), who, strings.Join(serialsOf(leaves), ", ")),
		Targets: []plan.Target{{SPKI: s.old.SPKI}}, After: []string{proof}, Needs: needs, Proves: []plan.Predicate{{Kind: plan.Revoked, SPKI: s.old.SPKI}}, Votes: max(2, d.strictest()),
		Repeat: true, Tries: 3, DeadlineMS: (30 * time.Minute).Milliseconds(), Public: true,
		Undo: plan.Undo{Kind: plan.NoUndo, Says: "a revocation is for ever"},
		Harm: plan.Harm{Says: "whoever still serves the old key is refused by clients that check"},
	}
	d.overridden(s, &by)
	d.byOwnKey(s, leaves, &by)
	revoke := d.add(by, At{Points: s.points, Certificates: ders(leaves), Key: s.made.Name, Override: d.o.Override, From: d.o.Vantage})
	d.bar(s, revoke)
	d.retire(s, revoke, needs)
	if d.o.Voters == 1 {
		d.watch("key "+id+" will not be revoked by this plan: that takes the votes of two people, and one may vote; add a second signer, or report the key to its CA yourself when nobody serves it", ends)
	}
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

// overridden writes out what two custodians sign with this plan: which addresses nobody waits for, why, and until when.
func (d *draft) overridden(s *swap, step *plan.Step) {
	o := d.o.Override
	if o == nil || o.SPKI != s.old.SPKI {
		return
	}
	step.Harm.Says += fmt.Sprintf("; OVERRIDE (%s): the revocation does not wait for %s, until %s, if two of %s approve this plan; whoever meets the old key there is refused from then on",
		o.Reason, strings.Join(o.Points, ", "), o.Until.UTC().Format("2006-01-02 15:04Z"), strings.Join(o.Custodians, ", "))
	d.Title += "; OVERRIDE (" + o.Reason + "): not waiting for " + strings.Join(phrase.Some(o.Points, 3), ", ")
}

// byOwnKey lets a host ask for the revocation that has the old key among the files which it keeps: the key never leaves it.
func (d *draft) byOwnKey(s *swap, leaves []*x509.Certificate, step *plan.Step) {
	if d.o.OwnKey == nil {
		return
	}
	if len(s.hosts) == 0 {
		d.unseen(subject(s.old), "no host of the fleet has the old key %s, so it cannot ask for its own revocation", short(s.old.SPKI))
		return
	}
	step.Act = d.act(act.RevokeOwn, &act.RevokeOwnWith{SPKI: s.old.SPKI, Certificates: ders(leaves), Directory: d.o.OwnKey.Directory, Roots: d.o.OwnKey.Roots})
	step.Targets = []plan.Target{{Host: s.hosts[0], SPKI: s.old.SPKI}}
	step.Says += "; the old key itself asks for it, on " + s.hosts[0]
}

// bar keeps every host that had the old key from putting it back: the files that undo keeps hold it for 30 days.
func (d *draft) bar(s *swap, revoke string) {
	for _, h := range s.hosts {
		d.add(plan.Step{
			ID: word("bar", s.old.SPKI[:12], h), Kind: plan.Act, Says: "no undo and no bundle puts the old key for " + subject(s.old) + " back on " + h, Ring: d.ringOf(h),
			Targets: []plan.Target{{Host: h}}, After: []string{revoke}, Act: d.act(act.BarKey, &act.BarKeyWith{SPKI: s.old.SPKI}), Proves: []plan.Predicate{{Kind: plan.Reachable}}, Tries: 3,
			Undo: plan.Undo{Kind: plan.NoUndo, Says: "a revoked key stays barred"},
		}, nil)
	}
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
