package names

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The order of RFC 4034 section 6.1, with its example.
func TestNamesAreOrderedAsSignedZonesAre(t *testing.T) {
	sorted := []string{".", "example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.", "\\001.z.example.", "*.z.example.", "\\200.z.example."}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := compare(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

func nsec(owner, next string, types ...uint16) *dns.NSEC {
	return &dns.NSEC{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC, Class: dns.ClassINET}, NextDomain: next, TypeBitMap: types}
}

// Proofs that are signed, but for something else, prove nothing: what somebody on the way could replay.
func TestReplayedProofsProveNothing(t *testing.T) {
	apex := nsec("z.test.", "b.z.test.", dns.TypeSOA, dns.TypeNS)
	for _, c := range []struct {
		name   string
		d      denial
		asked  string
		noName bool
		noData bool
	}{
		{"covered, wildcard too", denial{zone: "z.test.", nsec: []*dns.NSEC{apex, nsec("b.z.test.", "m.z.test.", dns.TypeA)}}, "c.z.test.", true, false},
		{"the wildcard may exist", denial{zone: "z.test.", nsec: []*dns.NSEC{nsec("b.z.test.", "m.z.test.", dns.TypeA)}}, "c.z.test.", false, false},
		{"another gap", denial{zone: "z.test.", nsec: []*dns.NSEC{apex, nsec("b.z.test.", "m.z.test.", dns.TypeA)}}, "n.z.test.", false, false},
		{"the name itself is there", denial{zone: "z.test.", nsec: []*dns.NSEC{apex, nsec("b.z.test.", "m.z.test.", dns.TypeA)}}, "b.z.test.", false, false},
		{"there, with other records", denial{zone: "z.test.", nsec: []*dns.NSEC{nsec("b.z.test.", "m.z.test.", dns.TypeTXT)}}, "b.z.test.", false, true},
		{"only an alias", denial{zone: "z.test.", nsec: []*dns.NSEC{nsec("b.z.test.", "m.z.test.", dns.TypeCNAME)}}, "b.z.test.", false, false},
		{"from above a delegation", denial{zone: "z.test.", nsec: []*dns.NSEC{apex, nsec("kid.z.test.", "m.z.test.", dns.TypeNS)}}, "www.kid.z.test.", false, false},
		{"names below it exist", denial{zone: "z.test.", nsec: []*dns.NSEC{nsec("b.z.test.", "deep.down.z.test.", dns.TypeA)}}, "down.z.test.", false, true},
		{"the last gap", denial{zone: "z.test.", nsec: []*dns.NSEC{apex, nsec("m.z.test.", "z.test.", dns.TypeA)}}, "x.z.test.", true, false},
	} {
		noName, _ := c.d.noName(c.asked)
		noData, _ := c.d.noData(c.asked, dns.TypeA)
		if noName != c.noName || noData != c.noData {
			t.Errorf("%s: no name %v, no data %v", c.name, noName, noData)
		}
	}
}

// Whatever names and types a server makes up: no panic, and nothing is proven to have no A that is listed with one.
func FuzzDenial(f *testing.F) {
	f.Add("a.z.test.", "b.z.test.", "c.z.test.", []byte{1, 2})
	f.Add(".", "\\000.", "*.", []byte{46})
	f.Fuzz(func(t *testing.T, owner, next, name string, types []byte) {
		if len(owner)+len(next)+len(name) > 600 {
			return
		}
		for _, s := range []string{owner, next, name} {
			if _, ok := dns.IsDomainName(s); !ok {
				return
			}
		}
		owner, next, name = dns.CanonicalName(dns.Fqdn(owner)), dns.CanonicalName(dns.Fqdn(next)), dns.CanonicalName(dns.Fqdn(name))
		var list []uint16
		for _, b := range types {
			list = append(list, uint16(b))
		}
		label, _, _ := strings.Cut(owner, ".")
		d := denial{zone: next, nsec: []*dns.NSEC{nsec(owner, next, list...)}, hash: []*dns.NSEC3{{
			Hdr: dns.RR_Header{Name: label + "." + next, Rrtype: dns.TypeNSEC3}, Hash: 1, NextDomain: strings.ToUpper(label), TypeBitMap: list,
		}}}
		d.noName(name)
		if proven, _ := d.noData(name, dns.TypeA); proven && name == owner && slices.Contains(list, dns.TypeA) {
			t.Error("an address that is there was denied")
		}
		if compare(owner, name) != 0 && (compare(owner, name) < 0) == (compare(name, owner) < 0) {
			t.Error("no order")
		}
	})
}
