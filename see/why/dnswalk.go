package why

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// exchanger sends one DNS question to one server (host:port) and returns its answer.
type exchanger interface {
	Exchange(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error)
}

// wireDNS asks over UDP, and over TCP where the answer was cut short.
type wireDNS struct{ timeout time.Duration }

// Exchange tries UDP twice (one datagram may get lost) before it gives up.
func (d wireDNS) Exchange(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	udp := dns.Client{Net: "udp", Timeout: d.timeout / 2, UDPSize: 1232}
	in, _, err := udp.ExchangeContext(ctx, m, server)
	if err != nil && ctx.Err() == nil {
		if t, ok := err.(net.Error); !ok || !t.Timeout() {
			return nil, err
		}
		in, _, err = udp.ExchangeContext(ctx, m, server)
	}
	if err == nil && in.Truncated {
		tcp := dns.Client{Net: "tcp", Timeout: d.timeout}
		in, _, err = tcp.ExchangeContext(ctx, m, server)
	}
	return in, err
}

// Limits of one walk, so that a hostile zone costs a bounded number of questions.
const (
	maxQuestions = 240
	maxDepth     = 6 // name servers whose names have to be looked up on the way
	maxZones     = 24
	maxAliases   = 10
	maxServers   = 16 // addresses asked for one zone
)

// zone is one step of the delegation.
type zone struct {
	name    string
	servers []server
	ds      []dns.RR // as the parent published them, with their signatures
	proof   []dns.RR // what the parent said instead of them
	parent  *zone
	sure    bool // the zone's own SOA says that it begins here
}

// server is one address of one name server and how it answered.
type server struct {
	name  string
	addr  string // host:port
	reply *dns.Msg
	err   error
	took  time.Duration
}

// walker follows delegations from the root; it remembers the zones it saw.
type walker struct {
	ask       exchanger
	roots     []string
	zones     map[string]*zone
	mu        sync.Mutex // guards questions: the servers of one zone are asked side by side
	questions int
}

func newWalker(ask exchanger, roots []string) *walker {
	return &walker{ask: ask, roots: roots, zones: map[string]*zone{}}
}

func question(name string, qtype uint16, recursive bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.RecursionDesired = recursive
	m.SetEdns0(1232, true)
	return m
}

func (w *walker) spend() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.questions++
	return w.questions <= maxQuestions
}

// query asks one server one thing and checks that the answer answers just that.
func (w *walker) query(ctx context.Context, addr, name string, qtype uint16) (*dns.Msg, time.Duration, error) {
	if !w.spend() {
		return nil, 0, errTooMany
	}
	began := time.Now()
	m := question(name, qtype, false)
	in, err := w.ask.Exchange(ctx, m, addr)
	took := time.Since(began)
	if err != nil {
		return nil, took, err
	}
	if len(in.Question) != 1 || !strings.EqualFold(in.Question[0].Name, m.Question[0].Name) || in.Question[0].Qtype != qtype {
		return nil, took, errMismatch
	}
	return in, took, nil
}

// askAll asks every address of a zone side by side.
func (w *walker) askAll(ctx context.Context, z *zone, name string, qtype uint16) []server {
	out := slices.Clone(z.servers)
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() {
			out[i].reply, out[i].took, out[i].err = w.query(ctx, out[i].addr, name, qtype)
		})
	}
	wg.Wait()
	return out
}

// askAny asks the addresses of a zone in turn until one gives an answer that helps.
func (w *walker) askAny(ctx context.Context, z *zone, name string, qtype uint16) (*dns.Msg, []server) {
	tried := make([]server, 0, 3)
	for _, s := range z.servers {
		s.reply, s.took, s.err = w.query(ctx, s.addr, name, qtype)
		tried = append(tried, s)
		if s.err == nil && useful(s.reply) {
			return s.reply, tried
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, tried
}

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

func (w *walker) root() *zone {
	if z := w.zones["."]; z != nil {
		return z
	}
	z := &zone{name: "."}
	for _, addr := range w.roots {
		z.servers = append(z.servers, server{name: "root", addr: withPort53(addr)})
	}
	w.zones["."] = z
	return z
}

func withPort53(addr string) string {
	if _, err := netip.ParseAddrPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(addr, "53")
}

// authority walks from the root to the zone that answers for name. The zones passed are returned root first;
// stuck holds the servers of the last zone when none of them gave an answer that helps.
func (w *walker) authority(ctx context.Context, name string, depth int) (path []*zone, stuck []server) {
	name = dns.CanonicalName(dns.Fqdn(name))
	z := w.root()
	for range maxZones {
		path = append(path, z)
		if next := w.known(z, name); next != nil {
			z = next
			continue
		}
		reply, tried := w.askAny(ctx, z, name, dns.TypeA)
		if reply == nil {
			return path, tried
		}
		cut := w.delegation(ctx, z, reply, name, depth)
		if cut == nil {
			cut = w.apex(ctx, z, name)
		}
		if cut == nil {
			return path, nil
		}
		z = cut
	}
	return path, nil
}

// apex finds a zone that the same servers hold below z: no referral ever shows such a cut, only the SOA does.
func (w *walker) apex(ctx context.Context, z *zone, name string) *zone {
	if z.sure {
		return nil
	}
	reply, _ := w.askAny(ctx, z, name, dns.TypeSOA)
	if reply == nil {
		return nil
	}
	for _, rr := range append(append([]dns.RR{}, reply.Answer...), reply.Ns...) {
		if rr.Header().Rrtype != dns.TypeSOA {
			continue
		}
		owner := dns.CanonicalName(rr.Header().Name)
		if owner == z.name {
			z.sure = true
			return nil
		}
		if !dns.IsSubDomain(z.name, owner) || !dns.IsSubDomain(owner, name) {
			return nil
		}
		next := &zone{name: owner, servers: z.servers, parent: z, sure: true}
		if ds, _ := w.askAny(ctx, z, owner, dns.TypeDS); ds != nil {
			next.ds, next.proof = ds.Answer, ds.Ns
		}
		w.zones[owner] = next
		return next
	}
	return nil
}

// known returns the closest zone below z on the way to name that an earlier walk found.
func (w *walker) known(z *zone, name string) *zone {
	for _, have := range w.zones {
		if have.parent == z && dns.IsSubDomain(have.name, name) {
			return have
		}
	}
	return nil
}

// delegation turns a referral into the next zone; nil when the reply is no (honest) referral.
func (w *walker) delegation(ctx context.Context, z *zone, reply *dns.Msg, name string, depth int) *zone {
	ns := referral(reply)
	if len(ns) == 0 {
		return nil
	}
	owner := dns.CanonicalName(ns[0].Hdr.Name)
	// A referral has to lead down towards the name, else it is a loop or a lie.
	if owner == z.name || !dns.IsSubDomain(z.name, owner) || !dns.IsSubDomain(owner, name) {
		return nil
	}
	next := &zone{name: owner, parent: z}
	glue := glueOf(reply)
	for _, record := range ns {
		if dns.CanonicalName(record.Hdr.Name) != owner {
			continue
		}
		host := dns.CanonicalName(record.Ns)
		addrs := glue[host]
		if len(addrs) == 0 && depth < maxDepth {
			addrs = w.lookup(ctx, host, depth+1)
		}
		if len(addrs) == 0 {
			next.servers = append(next.servers, server{name: host, err: errNoAddress})
		}
		for _, a := range addrs {
			next.servers = append(next.servers, server{name: host, addr: net.JoinHostPort(a, "53")})
		}
	}
	if len(next.servers) > maxServers {
		next.servers = next.servers[:maxServers]
	}
	next.proof = reply.Ns
	for _, rr := range reply.Ns {
		if t := rr.Header().Rrtype; (t == dns.TypeDS || t == dns.TypeRRSIG) && dns.CanonicalName(rr.Header().Name) == owner {
			next.ds = append(next.ds, rr)
		}
	}
	w.zones[owner] = next
	return next
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

// lookup finds the addresses of a name server whose parent sent no glue.
func (w *walker) lookup(ctx context.Context, host string, depth int) []string {
	path, stuck := w.authority(ctx, host, depth)
	if len(path) == 0 || stuck != nil {
		return nil
	}
	var out []string
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		reply, _ := w.askAny(ctx, path[len(path)-1], host, qtype)
		if reply != nil {
			out = append(out, addressesIn(reply, host)...)
		}
	}
	return out
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
