package why

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// liar answers every question with the same bytes.
type liar struct{ raw []byte }

func (l liar) Exchange(_ context.Context, m *dns.Msg, _ string) (*dns.Msg, error) {
	in := new(dns.Msg)
	if err := in.Unpack(l.raw); err != nil {
		return nil, err
	}
	in.Question = m.Question
	return in, nil
}

func FuzzHostileNameServer(f *testing.F) {
	refer := new(dns.Msg)
	refer.SetQuestion("www.example.", dns.TypeA)
	refer.Response = true
	for _, text := range []string{"example. 60 IN NS ns.example.", "example. 60 IN DS 1 8 2 00"} {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		refer.Ns = append(refer.Ns, rr)
	}
	glue, err := dns.NewRR("ns.example. 60 IN A 192.0.2.1")
	if err != nil {
		f.Fatal(err)
	}
	refer.Extra = append(refer.Extra, glue)
	raw, err := refer.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	refer.Authoritative = true
	alias, err := dns.NewRR("www.example. 60 IN CNAME www.example.")
	if err != nil {
		f.Fatal(err)
	}
	refer.Answer = []dns.RR{alias}
	if raw, err = refer.Pack(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		q := Question{URL: "http://www.example/", RootHints: []string{"192.0.2.9"}, Timeout: time.Second}
		answer := Answer{}
		look := &nameLook{walk: &walk{q: q, answer: &answer}, host: "www.example", ask: liar{raw}}
		layer := look.fromRoot(t.Context())
		if layer.State == Failed && answer.Verdict == "" {
			t.Error("failed without a verdict")
		}
	})
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://example.org/a?b#c", "http://[::1]:80/", "example.org", "https://bücher.example/", "http://user@host:1/%zz", "//", "http://xn--/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, says := parseURL(s)
		if says == "" && (parts.port < 1 || parts.port > 65535 || (parts.host == "" && parts.ip == netip.Addr{})) {
			t.Errorf("%q accepted as %+v", s, parts)
		}
	})
}
