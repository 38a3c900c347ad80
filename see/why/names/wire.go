package names

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Exchanger sends one DNS question to one server (host:port) and returns its answer.
type Exchanger interface {
	Exchange(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error)
}

// Wire asks over UDP, and over TCP where the answer was cut short.
type Wire struct {
	Timeout time.Duration // for both tries over UDP together, and again for TCP
}

// Exchange tries UDP twice (one datagram may get lost) before it gives up.
func (d Wire) Exchange(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	udp := dns.Client{Net: "udp", Timeout: d.Timeout / 2, UDPSize: 1232}
	in, _, err := udp.ExchangeContext(ctx, m, server)
	if err != nil && ctx.Err() == nil {
		if t, ok := err.(net.Error); !ok || !t.Timeout() {
			return nil, err
		}
		in, _, err = udp.ExchangeContext(ctx, m, server)
	}
	if err == nil && in.Truncated {
		tcp := dns.Client{Net: "tcp", Timeout: d.Timeout}
		in, _, err = tcp.ExchangeContext(ctx, m, server)
	}
	return in, err
}

// Question asks for name's records of one type, signatures included.
func Question(name string, qtype uint16, recursive bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.RecursionDesired = recursive
	m.SetEdns0(1232, true)
	return m
}

// WithPort53 is addr with the port of DNS, if it has none.
func WithPort53(addr string) string {
	if _, err := netip.ParseAddrPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(addr, "53")
}
