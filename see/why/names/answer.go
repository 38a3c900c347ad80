package names

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// useful tells an answer from a shrug: an authoritative answer or denial, or a referral. An answer without authority comes from
// a server that does not hold the zone, or from a box on the way that answers in the server's place.
func useful(m *dns.Msg) bool {
	if m.Authoritative {
		return m.Rcode == dns.RcodeNameError || m.Rcode == dns.RcodeSuccess
	}
	return m.Rcode == dns.RcodeSuccess && len(referral(m)) > 0
}

// referral returns the NS records of a delegation, or nothing.
func referral(m *dns.Msg) []*dns.NS {
	if m.Authoritative && len(m.Answer) > 0 {
		return nil
	}
	var out []*dns.NS
	for _, rr := range m.Ns {
		if ns, ok := rr.(*dns.NS); ok {
			out = append(out, ns)
		}
	}
	return out
}

// Follow goes along the CNAMEs of one answer section and returns the addresses at its end. What a server says about names
// outside of its zone is not taken: the walk goes there itself.
func Follow(answer []dns.RR, host, zone string) (aliases []string, ips []netip.Addr) {
	name := dns.CanonicalName(dns.Fqdn(host))
	for range MaxAliases {
		next := ""
		for _, rr := range answer {
			if dns.CanonicalName(rr.Header().Name) != name {
				continue
			}
			switch r := rr.(type) {
			case *dns.A:
				if ip, ok := netip.AddrFromSlice(r.A.To4()); ok {
					ips = append(ips, ip)
				}
			case *dns.AAAA:
				if ip, ok := netip.AddrFromSlice(r.AAAA.To16()); ok {
					ips = append(ips, ip)
				}
			case *dns.CNAME:
				next = dns.CanonicalName(r.Target)
			}
		}
		if next == "" {
			break
		}
		aliases = append(aliases, strings.TrimSuffix(next, "."))
		if !dns.IsSubDomain(zone, next) {
			break
		}
		name = next
	}
	return aliases, ips
}

func glueOf(m *dns.Msg) map[string][]string {
	glue := map[string][]string{}
	for _, rr := range m.Extra {
		host := dns.CanonicalName(rr.Header().Name)
		switch r := rr.(type) {
		case *dns.A:
			glue[host] = append(glue[host], r.A.String())
		case *dns.AAAA:
			glue[host] = append(glue[host], r.AAAA.String())
		}
	}
	return glue
}

func addressesIn(m *dns.Msg, host string) []string {
	var out []string
	for _, rr := range m.Answer {
		if !strings.EqualFold(rr.Header().Name, dns.Fqdn(host)) {
			continue
		}
		switch r := rr.(type) {
		case *dns.A:
			out = append(out, r.A.String())
		case *dns.AAAA:
			out = append(out, r.AAAA.String())
		}
	}
	return out
}
