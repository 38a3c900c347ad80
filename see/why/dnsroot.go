package why

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/miekg/dns"

	"staunch/see/why/names"
	"staunch/tame"
)

// fromRoot walks the delegation and asks every server of the zone that answers for the name.
func (n *nameLook) fromRoot(ctx context.Context) Layer {
	n.detail.Asked = "root"
	roots := n.q.RootHints
	if roots == nil {
		roots = names.RootServers()
	}
	walker := names.NewWalker(n.ask, roots)
	name, check := n.host, "dig +trace "+n.host
	var found []address
	for range names.MaxAliases + 1 {
		path, stuck := walker.Authority(ctx, name)
		n.recordPath(path)
		if stuck != nil {
			return n.stuck(ctx, path, stuck, check)
		}
		zone := path[len(path)-1]
		votes := walker.AskAll(ctx, zone, name, dns.TypeA)
		six := walker.AskAll(ctx, zone, name, dns.TypeAAAA)
		n.recordServers(ctx, walker, zone, votes)
		n.compare(zone, name, votes, check)
		best := agreed(votes)
		if best == nil {
			return n.stuck(ctx, path, votes, check)
		}
		best6 := agreed(six)
		if sec, refused := n.security(ctx, walker, path, name, best, best6); refused {
			return n.failed(DNSBroken, "delv "+n.host, sec.Says, "The name's digital signature does not check out ("+sec.Says+"): resolvers that check signatures refuse it.",
				"The domain's owner has to renew or mend its DNSSEC signatures.")
		}
		if best.Rcode == dns.RcodeNameError {
			n.own(ctx, nil)
			return n.noSuchName(check)
		}
		aliases, ips := names.Follow(best.Answer, name, zone.Name)
		if best6 != nil {
			_, more := names.Follow(best6.Answer, name, zone.Name)
			ips = append(ips, more...)
		}
		n.detail.Aliases = append(n.detail.Aliases, aliases...)
		for _, alias := range aliases {
			n.note(OK, "dig "+n.host+" CNAME", "the name is another name for %s", tame.Short(alias, 2048))
		}
		for _, ip := range ips {
			found = append(found, address{ip, "dns"})
		}
		if len(found) > 0 || len(aliases) == 0 {
			break
		}
		name = aliases[len(aliases)-1]
	}
	if len(found) == 0 {
		return n.noAddress(check)
	}
	n.own(ctx, found)
	return n.found(found, check)
}

func (n *nameLook) recordPath(path []*names.Zone) {
	for _, z := range path {
		if slices.ContainsFunc(n.detail.Path, func(d ZoneDetail) bool { return d.Zone == z.Name }) {
			continue
		}
		d := ZoneDetail{Zone: z.Name}
		for _, s := range z.Servers {
			d.Servers = append(d.Servers, ServerDetail{Name: strings.TrimSuffix(s.Name, "."), Addr: s.Addr, State: "not_asked"})
		}
		n.detail.Path = append(n.detail.Path, d)
		if z.Name != "." {
			n.note(OK, "dig NS "+z.Name, "%s is delegated to %s", tame.Short(z.Name, 2048), plural(len(z.Servers), "name server address", "name server addresses"))
		}
	}
}

// recordServers notes how each server of the last zone answered.
func (n *nameLook) recordServers(ctx context.Context, walker *names.Walker, z *names.Zone, votes []names.Server) {
	serials := map[string]uint32{}
	for _, s := range walker.AskAll(ctx, z, z.Name, dns.TypeSOA) {
		if s.Err == nil {
			for _, rr := range s.Reply.Answer {
				if soa, ok := rr.(*dns.SOA); ok {
					serials[s.Addr] = soa.Serial
				}
			}
		}
	}
	for i := range n.detail.Path {
		if n.detail.Path[i].Zone != z.Name {
			continue
		}
		n.detail.Path[i].Servers = nil
		for _, s := range votes {
			state, says := serverState(s)
			n.detail.Path[i].Servers = append(n.detail.Path[i].Servers, ServerDetail{
				Name: strings.TrimSuffix(s.Name, "."), Addr: s.Addr, State: state, Says: says, TookMS: ms(s.Took), Serial: serials[s.Addr],
			})
		}
	}
	distinct := map[uint32]bool{}
	for _, serial := range serials {
		distinct[serial] = true
	}
	if len(distinct) > 1 {
		n.note(Slowly, "dig +nssearch "+z.Name, "the name servers of %s hold different versions of the zone (%d serial numbers): a change may still be under way", tame.Short(z.Name, 2048), len(distinct))
	}
}

// serverState names how one server answered.
func serverState(s names.Server) (state, says string) {
	switch {
	case s.Err != nil:
		if isTimeout(s.Err) {
			return "timeout", "no answer"
		}
		return "error", plainNet(s.Err)
	case s.Reply.Rcode == dns.RcodeNameError && s.Reply.Authoritative:
		return "nxdomain", "says the name does not exist"
	case s.Reply.Rcode == dns.RcodeRefused:
		return "refused", "refuses to answer for this zone (lame delegation)"
	case s.Reply.Rcode == dns.RcodeServerFailure:
		return "servfail", "says it failed"
	case s.Reply.Rcode != dns.RcodeSuccess && s.Reply.Authoritative:
		return "error", "answers " + dns.RcodeToString[s.Reply.Rcode]
	case !s.Reply.Authoritative:
		return "lame", "is named for this zone but does not hold it (lame delegation)"
	case len(s.Reply.Answer) == 0:
		return "no_data", "knows the name, but no address"
	}
	return "ok", ""
}

// compare points out servers that do not answer, and servers that disagree.
func (n *nameLook) compare(z *names.Zone, name string, votes []names.Server, check string) {
	answers := map[string][]string{}
	for _, s := range votes {
		state, says := serverState(s)
		who := strings.TrimSuffix(s.Name, ".")
		if s.Addr != "" {
			who += " (" + hostOf(s.Addr) + ")"
		}
		switch state {
		case "ok", "no_data", "nxdomain":
			key := answerKey(s.Reply, name)
			answers[key] = append(answers[key], who)
		default:
			n.note(Slowly, "dig @"+hostOf(s.Addr)+" "+name+" A +norecurse", "%s of %s %s", tame.Short(who, 2048), tame.Short(z.Name, 2048), says)
		}
	}
	if len(answers) < 2 {
		return
	}
	var says []string
	for key, who := range answers {
		sort.Strings(who)
		says = append(says, strings.Join(who, ", ")+": "+key)
	}
	sort.Strings(says)
	n.note(Slowly, check, "the name servers disagree: %s", tame.Short(strings.Join(says, " / "), 2048))
}

// answerKey is what one server says, comparable.
func answerKey(m *dns.Msg, name string) string {
	if m.Rcode == dns.RcodeNameError {
		return "no such name"
	}
	aliases, ips := names.Follow(m.Answer, name, ".")
	parts := slices.Clone(aliases)
	for _, ip := range ips {
		parts = append(parts, ip.String())
	}
	if len(parts) == 0 {
		return "no address"
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}

// agreed picks the answer to go on with: one with records before one without, an answer before a denial.
func agreed(votes []names.Server) *dns.Msg {
	var best *dns.Msg
	rank := func(m *dns.Msg) int {
		switch {
		case m == nil:
			return -1
		case m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0:
			return 2
		case m.Rcode == dns.RcodeSuccess:
			return 1
		}
		return 0
	}
	for _, s := range votes {
		switch state, _ := serverState(s); state {
		case "ok", "no_data", "nxdomain":
			if rank(s.Reply) > rank(best) {
				best = s.Reply
			}
		}
	}
	return best
}

// stuck explains why the walk ended before an answer.
func (n *nameLook) stuck(ctx context.Context, path []*names.Zone, tried []names.Server, check string) Layer {
	z := path[len(path)-1]
	if z.Name == "." && n.q.RootHints == nil && len(n.q.System) > 0 {
		return n.byResolver(ctx, n.q.System, "the root servers cannot be asked from here (this network may answer in their place, or let only its own resolver out): asked that instead, so the name servers were not looked at one by one")
	}
	n.recordTried(z, tried)
	states := map[string]int{}
	for _, s := range tried {
		state, says := serverState(s)
		states[state]++
		n.note(Failed, "dig @"+hostOf(s.Addr)+" "+n.host+" A +norecurse", "%s (%s) %s", tame.Short(strings.TrimSuffix(s.Name, "."), 2048), hostOf(s.Addr), says)
	}
	says := fmt.Sprintf("none of the %s for %s gives an answer", plural(len(tried), "name server address", "name server addresses"), tame.Short(z.Name, 2048))
	return n.failed(DNSBroken, check, says, "The name service of "+tame.Short(z.Name, 2048)+" is broken: "+says+".",
		"Only the domain's owner or its DNS provider can mend this; a cached answer may still work for some people.")
}

func (n *nameLook) recordTried(z *names.Zone, tried []names.Server) {
	for i := range n.detail.Path {
		if n.detail.Path[i].Zone != z.Name {
			continue
		}
		n.detail.Path[i].Servers = nil
		for _, s := range tried {
			state, says := serverState(s)
			n.detail.Path[i].Servers = append(n.detail.Path[i].Servers, ServerDetail{Name: strings.TrimSuffix(s.Name, "."), Addr: s.Addr, State: state, Says: says, TookMS: ms(s.Took)})
		}
	}
}

// own compares with what this machine's resolver tells its programs.
func (n *nameLook) own(ctx context.Context, found []address) {
	if len(n.q.System) == 0 {
		return
	}
	look := &nameLook{walk: n.walk, host: n.host, ask: n.ask}
	theirs, code, err := look.recurse(ctx, n.q.System[0])
	check := "dig " + n.host
	switch {
	case err != nil:
		n.note(Slowly, check, "this machine's own resolver %s does not answer (%s): programs here cannot find the site, although its name service works", n.q.System[0], plainNet(err))
	case code == dns.RcodeNameError && found != nil:
		n.note(Slowly, check, "this machine's own resolver says that the name does not exist, although it does: an old answer, or a filter")
	case code != dns.RcodeSuccess && code != dns.RcodeNameError:
		n.note(Slowly, check, "this machine's own resolver answers %s, although the site's name servers work", dns.RcodeToString[code])
	case found == nil && len(theirs) > 0:
		n.note(Slowly, check, "this machine's own resolver still has an address for the name: an old answer")
	}
	for _, a := range theirs {
		n.detail.Own = append(n.detail.Own, a.ip.String())
	}
	if found != nil && len(theirs) > 0 && !overlap(found, theirs) {
		n.note(OK, check, "this machine's own resolver gives other addresses: usual with CDNs, else an old answer or a filter")
	}
}

func overlap(a, b []address) bool {
	seen := map[netip.Addr]bool{}
	for _, x := range a {
		seen[x.ip] = true
	}
	return slices.ContainsFunc(b, func(x address) bool { return seen[x.ip] })
}
