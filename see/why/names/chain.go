package names

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"staunch/tame"
)

// DNSSEC is the state of the name's signatures.
type DNSSEC struct {
	State string `json:"state"` // unsigned, valid, broken, unknown
	Says  string `json:"says"`
}

// Chain checks the signatures from the root's anchors (DS records in presentation format; none: they are only held against each other)
// along path to the answers for A and AAAA (which may be nil), and judges each.
func (w *Walker) Chain(ctx context.Context, anchors []string, path []*Zone, name string, four, six *dns.Msg) (of4, of6 DNSSEC) {
	trusted, err := anchorsIn(anchors)
	if err != nil {
		return same(DNSSEC{"unknown", "the trust anchors given cannot be read: " + err.Error()})
	}
	var keys []*dns.DNSKEY
	anchored := true
	for _, z := range path {
		if z.Name == "." {
			if len(trusted) == 0 {
				anchored = false
				continue
			}
		} else {
			next := dsIn(z.ds)
			if len(next) == 0 {
				if anchored {
					return same(noKey(z, keys))
				}
				return same(DNSSEC{"unsigned", "not signed"})
			}
			if anchored {
				if sec, _ := verify(toSet(next), z.ds, keys, "the delegation of "+tame.Short(z.Name, 2048)); sec.State != "valid" {
					return same(sec)
				}
			}
			trusted = next
		}
		var sec DNSSEC
		if keys, sec = w.keysOf(ctx, z, trusted); sec.State != "valid" {
			return same(sec)
		}
	}
	last := path[len(path)-1]
	judge := func(answer *dns.Msg, qtype uint16) DNSSEC {
		sec := answerSigned(answer, name, qtype, last.Name, keys)
		switch {
		case sec.State == "broken" && !last.sure:
			return DNSSEC{"unknown", "where the zone of the answer begins could not be seen, so its signatures were not judged"}
		case sec.State == "valid" && !anchored:
			return DNSSEC{"unknown", "signatures fit each other, but there is no anchor for the root (give one with --trust-anchor)"}
		}
		return sec
	}
	if of4 = judge(four, dns.TypeA); six == nil {
		return same(of4)
	}
	return of4, judge(six, dns.TypeAAAA)
}

// same is one judgement for both families.
func same(sec DNSSEC) (of4, of6 DNSSEC) { return sec, sec }

func dsIn(rrs []dns.RR) []*dns.DS {
	var out []*dns.DS
	for _, rr := range rrs {
		if ds, ok := rr.(*dns.DS); ok {
			out = append(out, ds)
		}
	}
	return out
}

func toSet(ds []*dns.DS) []dns.RR {
	out := make([]dns.RR, len(ds))
	for i := range ds {
		out[i] = ds[i]
	}
	return out
}

// keysOf fetches a zone's keys and checks them against what its parent published.
func (w *Walker) keysOf(ctx context.Context, z *Zone, trusted []*dns.DS) ([]*dns.DNSKEY, DNSSEC) {
	reply, _ := w.askAny(ctx, z, z.Name, dns.TypeDNSKEY)
	if reply == nil {
		return nil, DNSSEC{"unknown", "the keys of " + tame.Short(z.Name, 2048) + " could not be fetched"}
	}
	var keys []*dns.DNSKEY
	var set []dns.RR
	for _, rr := range reply.Answer {
		if key, ok := rr.(*dns.DNSKEY); ok {
			keys, set = append(keys, key), append(set, rr)
		}
	}
	if len(keys) == 0 {
		return nil, DNSSEC{"broken", "the parent says that " + tame.Short(z.Name, 2048) + " is signed, but it has no keys"}
	}
	var entry []*dns.DNSKEY
	understood := false
	for _, ds := range trusted {
		for _, key := range keys {
			if key.KeyTag() != ds.KeyTag || key.Algorithm != ds.Algorithm {
				continue
			}
			made := key.ToDS(ds.DigestType)
			if made == nil {
				continue
			}
			understood = true
			if strings.EqualFold(made.Digest, ds.Digest) {
				entry = append(entry, key)
			}
		}
	}
	if len(entry) == 0 {
		if !understood && !anyDigestKnown(trusted) {
			return nil, DNSSEC{"unknown", "the key of " + tame.Short(z.Name, 2048) + " is published with a digest that we do not know"}
		}
		return nil, DNSSEC{"broken", "none of the keys of " + tame.Short(z.Name, 2048) + " is the one its parent names"}
	}
	sec, _ := verify(set, reply.Answer, entry, "the keys of "+tame.Short(z.Name, 2048))
	return keys, sec
}

func anyDigestKnown(ds []*dns.DS) bool {
	for _, d := range ds {
		if d.DigestType == dns.SHA1 || d.DigestType == dns.SHA256 || d.DigestType == dns.SHA384 {
			return true
		}
	}
	return false
}

// answerSigned checks what an answer says about name: every record set of the zone in it, or the proof of its denial.
func answerSigned(answer *dns.Msg, name string, qtype uint16, zone string, keys []*dns.DNSKEY) DNSSEC {
	sets := slices.DeleteFunc(setsOf(answer.Answer), func(set []dns.RR) bool { return !dns.IsSubDomain(zone, set[0].Header().Name) })
	if len(sets) == 0 {
		return denied(answer, name, qtype, zone, keys)
	}
	var sec DNSSEC
	for _, set := range sets {
		var sig *dns.RRSIG
		if sec, sig = verify(set, answer.Answer, keys, "the answer"); sec.State != "valid" {
			return sec
		}
		if owner := dns.CanonicalName(set[0].Header().Name); int(sig.Labels) < labels(owner) {
			if sec := fromWildcard(answer, owner, int(sig.Labels), zone, keys); sec.State != "valid" {
				return sec
			}
		}
	}
	return sec
}

// fromWildcard checks that the name itself does not exist, without which a wildcard must not answer for it (RFC 4035 section 5.3.4).
func fromWildcard(answer *dns.Msg, owner string, depth int, zone string, keys []*dns.DNSKEY) DNSSEC {
	d, sec := newDenial(zone, answer.Ns, keys)
	if sec.State != "valid" {
		return sec
	}
	start, _ := dns.PrevLabel(owner, depth+1)
	closer := owner[start:]
	if d.covering(owner) == nil && !slices.ContainsFunc(d.hash, func(h *dns.NSEC3) bool { return h.Cover(closer) }) {
		return DNSSEC{"broken", "a wildcard answers, and nothing proves that the name itself does not exist"}
	}
	return sec
}

// setsOf groups records by name and type, signatures left out.
func setsOf(section []dns.RR) [][]dns.RR {
	var sets [][]dns.RR
	for _, rr := range section {
		h := rr.Header()
		if h.Rrtype == dns.TypeRRSIG {
			continue
		}
		at := slices.IndexFunc(sets, func(set []dns.RR) bool {
			return set[0].Header().Rrtype == h.Rrtype && strings.EqualFold(set[0].Header().Name, h.Name)
		})
		if at < 0 {
			sets, at = append(sets, nil), len(sets)
		}
		sets[at] = append(sets[at], rr)
	}
	return sets
}

// verify looks for one signature over set by one of keys that holds now, and returns it.
func verify(set, section []dns.RR, keys []*dns.DNSKEY, what string) (DNSSEC, *dns.RRSIG) {
	var problem string
	signed, understood := false, false
	for _, rr := range section {
		sig, ok := rr.(*dns.RRSIG)
		if !ok || sig.TypeCovered != set[0].Header().Rrtype || !strings.EqualFold(sig.Hdr.Name, set[0].Header().Name) {
			continue
		}
		signed = true
		if len(keys) > 0 && !strings.EqualFold(sig.SignerName, keys[0].Hdr.Name) {
			return DNSSEC{"unknown", what + " is signed by " + tame.Short(sig.SignerName, 2048) + ", a zone whose delegation was not seen"}, nil
		}
		if !knownAlgorithm(sig.Algorithm) {
			continue
		}
		understood = true
		for _, key := range keys {
			if key.KeyTag() != sig.KeyTag || key.Algorithm != sig.Algorithm || !strings.EqualFold(key.Hdr.Name, sig.SignerName) {
				continue
			}
			if err := sig.Verify(key, set); err != nil {
				problem = "the signature over " + what + " is wrong"
				continue
			}
			if !sig.ValidityPeriod(time.Now()) {
				problem = fmt.Sprintf("the signature over %s held from %s to %s only", what, dns.TimeToString(sig.Inception), dns.TimeToString(sig.Expiration))
				continue
			}
			return DNSSEC{"valid", "signed, and every signature from the root to the answer holds"}, sig
		}
	}
	switch {
	case problem != "":
		return DNSSEC{"broken", problem}, nil
	case !signed:
		return DNSSEC{"broken", what + " should be signed, but is not"}, nil
	case !understood:
		return DNSSEC{"unknown", what + " is signed with an algorithm that we do not know"}, nil
	}
	return DNSSEC{"broken", what + " is signed by a key that the zone does not publish"}, nil
}

func knownAlgorithm(a uint8) bool {
	switch a {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}
