package why

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"staunch/see/why/names"
	"staunch/tame"
)

// address is one address of the site.
type address struct {
	ip  netip.Addr
	via string // dns, resolver, hosts file, url
}

// DNSDetail is what the name look-up found.
type DNSDetail struct {
	Asked   string        `json:"asked"` // root, resolver, hosts, none
	Path    []ZoneDetail  `json:"path,omitempty"`
	Aliases []string      `json:"aliases,omitempty"`
	A       []string      `json:"a"`
	AAAA    []string      `json:"aaaa"`
	DNSSEC  *names.DNSSEC `json:"dnssec,omitempty"`
	Own     []string      `json:"own_resolver,omitempty"` // what this machine's resolver says
}

// ZoneDetail is one step of the delegation and how each of its servers answered.
type ZoneDetail struct {
	Zone    string         `json:"zone"`
	Servers []ServerDetail `json:"servers,omitempty"`
}

// ServerDetail is one address of one name server.
type ServerDetail struct {
	Name   string  `json:"name"`
	Addr   string  `json:"address,omitempty"`
	State  string  `json:"state"` // ok, nxdomain, no_data, lame, refused, servfail, timeout, error, not_asked
	Says   string  `json:"says,omitempty"`
	TookMS float64 `json:"took_ms,omitempty"`
	Serial uint32  `json:"serial,omitempty"`
}

func dnsLayer(ctx context.Context, w *walk) Layer {
	host := w.target.host
	if w.target.ip.IsValid() {
		w.addrs = []address{{w.target.ip, "url"}}
		return Layer{State: OK, Says: "no name to look up", Detail: DNSDetail{Asked: "none"}}
	}
	if found := fromHosts(w.q.Hosts, host); len(found) > 0 {
		w.addrs = found
		detail := DNSDetail{Asked: "hosts"}
		detail.add(found)
		return Layer{
			State: OK, Says: fmt.Sprintf("%s stands in this machine's own hosts file", tame.Short(host, 2048)),
			Check: "getent hosts " + host, Detail: detail,
		}
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		w.addrs = []address{{netip.MustParseAddr("127.0.0.1"), "hosts file"}, {netip.IPv6Loopback(), "hosts file"}}
		return Layer{State: OK, Says: "localhost is always this machine", Detail: DNSDetail{Asked: "none", A: []string{"127.0.0.1"}, AAAA: []string{"::1"}}}
	}
	look := &nameLook{walk: w, host: host, ask: names.Wire{Timeout: w.q.Timeout}}
	if w.q.Resolver != "" {
		return look.byResolver(ctx, []string{names.WithPort53(w.q.Resolver)}, "")
	}
	return look.fromRoot(ctx)
}

func (d *DNSDetail) add(found []address) {
	for _, a := range found {
		if a.ip.Is4() {
			d.A = append(d.A, a.ip.String())
		} else {
			d.AAAA = append(d.AAAA, a.ip.String())
		}
	}
}

// fromHosts reads a hosts file as the resolver library would: it beats DNS.
func fromHosts(path, host string) []address {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil // no hosts file is the same as an empty one
	}
	defer f.Close()
	var out []address
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan() && n < 100_000; n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) < 2 || !slices.ContainsFunc(fields[1:], func(s string) bool { return strings.EqualFold(s, host) }) {
			continue
		}
		if ip, err := netip.ParseAddr(fields[0]); err == nil {
			out = append(out, address{ip, "hosts file"})
		}
	}
	return out
}

// nameLook is one name's look-up.
type nameLook struct {
	*walk
	host   string
	ask    names.Exchanger
	detail DNSDetail
	lines  []Line
}

func (n *nameLook) note(state State, check, format string, args ...any) {
	n.lines = append(n.lines, Line{State: state, Says: fmt.Sprintf(format, args...), Check: check})
}

// found ends the look-up with addresses.
func (n *nameLook) found(found []address, check string) Layer {
	n.addrs = found
	n.detail.add(found)
	layer := Layer{State: OK, Check: check, Lines: n.lines, Detail: n.detail}
	layer.Says = fmt.Sprintf("%s has %s", tame.Short(n.host, 2048), plural(len(found), "address", "addresses"))
	for _, line := range n.lines {
		if line.State != OK {
			layer.State = Slowly
			layer.Says += "; " + line.Says
			break
		}
	}
	return layer
}

func (n *nameLook) failed(v Verdict, check, layer, says, next string) Layer {
	n.fail(v, says, next)
	return Layer{State: Failed, Says: layer, Check: check, Lines: n.lines, Detail: n.detail}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// byResolver asks recursive resolvers, the way a browser does.
func (n *nameLook) byResolver(ctx context.Context, servers []string, because string) Layer {
	n.detail.Asked = "resolver"
	if because != "" {
		n.note(Slowly, "dig +trace "+n.host, "%s", because)
	}
	check := "dig " + n.host + " A " + n.host + " AAAA"
	var last string
	for _, server := range servers {
		check = "dig @" + hostOf(server) + " " + n.host + " A"
		found, code, err := n.recurse(ctx, server)
		switch {
		case err != nil:
			last = "resolver " + server + " does not answer: " + plainNet(err)
			n.note(Failed, check, "%s", last)
			continue
		case code == dns.RcodeNameError:
			n.note(Failed, check, "resolver %s: no such name", server)
			return n.noSuchName(check)
		case code != dns.RcodeSuccess:
			last = "resolver " + server + " answers " + dns.RcodeToString[code]
			n.note(Failed, check, "%s", last)
			continue
		case len(found) == 0:
			n.note(Failed, check, "resolver %s: the name exists, but has no address", server)
			return n.noAddress(check)
		}
		return n.found(found, check)
	}
	if last == "" {
		last = "no resolver is known here"
	}
	return n.failed(DNSBroken, check, last, "The name could not be looked up: "+last+".",
		"If other sites fail too, the trouble is your network's name service; else it is the site's.")
}

// recurse asks one resolver for both families.
func (n *nameLook) recurse(ctx context.Context, server string) ([]address, int, error) {
	var found []address
	code := dns.RcodeSuccess
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		in, err := n.ask.Exchange(ctx, names.Question(n.host, qtype, true), server)
		if err != nil {
			return nil, 0, err
		}
		if in.Rcode != dns.RcodeSuccess {
			code = in.Rcode
		}
		aliases, ips := names.Follow(in.Answer, n.host, ".")
		if qtype == dns.TypeA {
			n.detail.Aliases = append(n.detail.Aliases, aliases...)
		}
		for _, ip := range ips {
			found = append(found, address{ip, "resolver"})
		}
	}
	if len(found) > 0 {
		code = dns.RcodeSuccess
	}
	return found, code, nil
}

func (n *nameLook) noSuchName(check string) Layer {
	return n.failed(NoSuchName, check, "the name does not exist",
		"There is no site with the name "+tame.Short(n.host, 2048)+".",
		"Check the spelling. If it used to work, the domain may have expired: ask its owner.")
}

func (n *nameLook) noAddress(check string) Layer {
	return n.failed(NoSuchName, check, "the name exists, but has no address",
		"The name "+tame.Short(n.host, 2048)+" exists, but no web server's address belongs to it.",
		"Perhaps it needs www. in front, or the owner removed the record.")
}

func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport
	}
	return host
}
