package names

import (
	"bytes"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"staunch/tame"
)

// denial is the signed part of an answer that says "no": the NSEC (RFC 4034) or NSEC3 (RFC 5155) records whose signatures hold.
type denial struct {
	zone string
	nsec []*dns.NSEC
	hash []*dns.NSEC3
}

// maxIterations is how often a name may be hashed for NSEC3; resolvers give up at this or below it (RFC 9276 section 3.2).
const maxIterations = 150

// newDenial takes the records of section whose signatures hold; sec says why there is nothing to go by.
func newDenial(zone string, section []dns.RR, keys []*dns.DNSKEY) (d denial, sec DNSSEC) {
	d = denial{zone: dns.CanonicalName(zone)}
	sec = DNSSEC{"broken", "the zone " + tame.Short(zone, 2048) + " is signed, but its denial carries no proof"}
	for _, set := range setsOf(section) {
		kind := set[0].Header().Rrtype
		if kind != dns.TypeNSEC && kind != dns.TypeNSEC3 {
			continue
		}
		one, sig := verify(set, section, keys, "the proof of the denial")
		if one.State != "valid" || int(sig.Labels) != labels(set[0].Header().Name) { // one made from a wildcard proves nothing
			sec = one
			continue
		}
		for _, rr := range set {
			switch r := rr.(type) {
			case *dns.NSEC:
				d.nsec = append(d.nsec, r)
			case *dns.NSEC3:
				if r.Iterations > maxIterations {
					return d, DNSSEC{"unknown", "the proof hashes names more often than resolvers put up with"}
				}
				d.hash = append(d.hash, r)
			}
		}
	}
	if len(d.nsec)+len(d.hash) > 0 {
		sec = DNSSEC{State: "valid"}
	}
	return d, sec
}

// labels counts as RFC 4034 section 3.1.3 does: without the root and without a leading asterisk.
func labels(name string) int {
	n := dns.CountLabel(name)
	if strings.HasPrefix(name, "*.") {
		n--
	}
	return n
}

// denied judges an answer without records: the name does not exist, or has nothing of this type.
func denied(answer *dns.Msg, name string, qtype uint16, zone string, keys []*dns.DNSKEY) DNSSEC {
	name = dns.CanonicalName(dns.Fqdn(name))
	d, sec := newDenial(zone, answer.Ns, keys)
	if sec.State != "valid" {
		return sec
	}
	good := DNSSEC{"valid", "signed, and the signatures prove that there is no such name"}
	proven, optOut := d.noName(name)
	if answer.Rcode != dns.RcodeNameError {
		good.Says = "signed, and the signatures prove that the name has no such record"
		proven, optOut = d.noData(name, qtype)
	}
	switch {
	case proven && optOut:
		return DNSSEC{"unknown", "the proof leaves room for names that are not signed (opt-out)"}
	case proven:
		return good
	}
	return DNSSEC{"broken", "the denial is signed, but does not prove what it says"}
}

// noKey judges whether a parent's referral proves that a child zone has no key: only then may the child be unsigned.
func noKey(child *Zone, keys []*dns.DNSKEY) DNSSEC {
	if len(child.proof) == 0 {
		return DNSSEC{"unknown", "whether " + tame.Short(child.Name, 2048) + " has a key could not be asked"}
	}
	d, sec := newDenial(child.parent.Name, child.proof, keys)
	switch sec.State {
	case "unknown":
		return sec
	case "valid":
		if proven, _ := d.noData(child.Name, dns.TypeDS); proven {
			return DNSSEC{"unsigned", "not signed: " + tame.Short(child.parent.Name, 2048) + " proves that it has no key for " + tame.Short(child.Name, 2048)}
		}
	}
	return DNSSEC{"broken", tame.Short(child.parent.Name, 2048) + " is signed, but does not prove that " + tame.Short(child.Name, 2048) + " has no key"}
}

// noName tells whether name and every wildcard above it are proven not to exist; optOut: unsigned delegations may hide there.
func (d denial) noName(name string) (proven, optOut bool) {
	if n := d.covering(name); n != nil {
		return !dns.IsSubDomain(name, n.NextDomain) && d.covering(wildcard(encloser(name, n))) != nil, false
	}
	encloser, optOut := d.closest(name)
	return encloser != "" && slices.ContainsFunc(d.hash, func(h *dns.NSEC3) bool { return h.Cover(wildcard(encloser)) }), optOut
}

// noData tells whether name, or the wildcard that stands for it, is proven to have no records of a type.
func (d denial) noData(name string, qtype uint16) (proven, optOut bool) {
	for _, n := range d.nsec {
		switch {
		case dns.CanonicalName(n.Hdr.Name) == name:
			return lacks(n.TypeBitMap, qtype), false
		case covers(n, name) && dns.IsSubDomain(name, n.NextDomain):
			return true, false // nothing but names below it
		}
	}
	if n := d.covering(name); n != nil {
		return slices.ContainsFunc(d.nsec, func(w *dns.NSEC) bool {
			return dns.CanonicalName(w.Hdr.Name) == wildcard(encloser(name, n)) && lacks(w.TypeBitMap, qtype)
		}), false
	}
	for _, h := range d.hash {
		if h.Match(name) {
			return lacks(h.TypeBitMap, qtype), false
		}
	}
	encloser, optOut := d.closest(name)
	if encloser == "" {
		return false, false
	}
	if qtype == dns.TypeDS && optOut {
		return true, true
	}
	return slices.ContainsFunc(d.hash, func(h *dns.NSEC3) bool { return h.Match(wildcard(encloser)) && lacks(h.TypeBitMap, qtype) }), optOut
}

// lacks holds when a list of types has neither this one nor what would stand for it. The parent's side of a cut says nothing about the
// child's records, and the child's side nothing about the parent's DS.
func lacks(types []uint16, qtype uint16) bool {
	has := func(t uint16) bool { return slices.Contains(types, t) }
	if has(qtype) || has(dns.TypeCNAME) {
		return false
	}
	if qtype == dns.TypeDS {
		return !has(dns.TypeSOA)
	}
	return !has(dns.TypeNS) || has(dns.TypeSOA)
}

// closest finds the deepest ancestor that a hash proves to exist, with the name below it proven not to.
func (d denial) closest(name string) (encloser string, optOut bool) {
	next := name
	for _, here := range above(name) {
		if dns.IsSubDomain(d.zone, here) && slices.ContainsFunc(d.hash, func(h *dns.NSEC3) bool { return h.Match(here) && !cut(h.TypeBitMap) }) {
			for _, h := range d.hash {
				if h.Cover(next) {
					return here, h.Flags&1 == 1
				}
			}
			return "", false
		}
		next = here
	}
	return "", false
}

// above are the names above name, the root last.
func above(name string) (all []string) {
	for at, end := dns.NextLabel(name, 0); !end; at, end = dns.NextLabel(name, at) {
		all = append(all, name[at:])
	}
	return append(all, ".")
}

func wildcard(name string) string { return "*." + strings.TrimPrefix(name, ".") }

// cut holds for the parent's side of a delegation, and for what a DNAME stands for: below it, the zone has no say.
func cut(types []uint16) bool {
	return slices.Contains(types, dns.TypeDNAME) || slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA)
}

func (d denial) covering(name string) *dns.NSEC {
	for _, n := range d.nsec {
		if covers(n, name) {
			return n
		}
	}
	return nil
}

// covers holds when name would stand between the record's name and the next one, in the order of RFC 4034 section 6.1.
func covers(n *dns.NSEC, name string) bool {
	owner, next := n.Hdr.Name, n.NextDomain
	if cut(n.TypeBitMap) && dns.IsSubDomain(owner, name) {
		return false
	}
	last := compare(next, owner) <= 0 // the last record of the zone points to the first
	return compare(owner, name) < 0 && (last || compare(name, next) < 0)
}

// encloser is the deepest name above name that exists, seen from the record that covers it.
func encloser(name string, n *dns.NSEC) string {
	depth := max(dns.CompareDomainName(name, n.Hdr.Name), dns.CompareDomainName(name, n.NextDomain))
	start, _ := dns.PrevLabel(name, depth)
	if depth == 0 {
		return "."
	}
	return name[start:]
}

// compare orders names as signed zones do: label by label from the right, as bytes in lower case.
func compare(a, b string) int {
	x, y := wireLabels(a), wireLabels(b)
	for i := 1; i <= min(len(x), len(y)); i++ {
		if c := bytes.Compare(x[len(x)-i], y[len(y)-i]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

// wireLabels gives the labels as they are on the wire, so that escapes do not matter.
func wireLabels(name string) (out [][]byte) {
	wire := make([]byte, 256)
	n, err := dns.PackDomainName(dns.CanonicalName(name), wire, 0, nil, false)
	if err != nil {
		return nil
	}
	for at := 0; at < n && wire[at] != 0; at += 1 + int(wire[at]) {
		out = append(out, wire[at+1:at+1+int(wire[at])])
	}
	return out
}
