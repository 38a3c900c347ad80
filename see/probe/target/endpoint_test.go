package target

import (
	"context"
	"net"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// nameServer answers A and AAAA questions out of a table.
func nameServer(t *testing.T, table map[string][]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, a := range table[q.Question[0].Name] {
			ip := net.ParseIP(a)
			head := dns.RR_Header{Name: q.Question[0].Name, Class: dns.ClassINET, Ttl: 1, Rrtype: q.Question[0].Qtype}
			switch {
			case q.Question[0].Qtype == dns.TypeA && ip.To4() != nil:
				m.Answer = append(m.Answer, &dns.A{Hdr: head, A: ip})
			case q.Question[0].Qtype == dns.TypeAAAA && ip.To4() == nil:
				m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: ip})
			}
		}
		if table[q.Question[0].Name] == nil {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m) // a lost answer is asked for again
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// Every A and AAAA of a name is an endpoint of its own, with the name to ask for; a name that is not there is said, and hides no other.
func TestEveryAddressOfAName(t *testing.T) {
	resolver := nameServer(t, map[string][]string{
		"www.example.test.": {"192.0.2.2", "2001:db8::2", "192.0.2.1", "192.0.2.2"},
		"v6.example.test.":  {"2001:db8::3"},
	})
	q := Asked{Targets: []string{"www.example.test:8443", "gone.example.test", "v6.example.test", "www.example.test:8443", "192.0.2.1:8443"}}
	all, failed, err := resolve(t.Context(), q, resolver)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.AddrPort().String()+" "+e.SNI)
	}
	want := []string{
		"192.0.2.1:8443 www.example.test", "192.0.2.2:8443 www.example.test", "[2001:db8::2]:8443 www.example.test",
		"[2001:db8::3]:443 v6.example.test", "192.0.2.1:8443 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(failed) != 1 || failed["gone.example.test"] == nil {
		t.Errorf("failed: %v", failed)
	}
}
