// Package names leads from a name to the servers that answer for it: it walks the delegations from the root, and checks what is signed.
package names

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

var (
	errTooMany   = errors.New("too many questions: the delegation goes round in circles")
	errMismatch  = errors.New("the answer belongs to another question")
	errNoAddress = errors.New("its name has no address")
)

// Limits of one walk, so that a hostile zone costs a bounded number of questions.
const (
	maxQuestions = 240
	maxDepth     = 6 // name servers whose names have to be looked up on the way
	maxZones     = 24
	maxServers   = 16 // addresses asked for one zone
)

// MaxAliases is how many CNAMEs in a row are followed.
const MaxAliases = 10

// Zone is one step of the delegation.
type Zone struct {
	Name    string // fully qualified, in lower case
	Servers []Server
	ds      []dns.RR // as the parent published them, with their signatures
	proof   []dns.RR // what the parent said instead of them
	parent  *Zone
	sure    bool // the zone's own SOA says that it begins here
}

// Server is one address of one name server and how it answered.
type Server struct {
	Name  string
	Addr  string   // host:port; empty when the name has no address
	Reply *dns.Msg // nil when Err is set, or when it was not asked
	Err   error
	Took  time.Duration
}

// Walker follows delegations from the root; it remembers the zones it saw.
type Walker struct {
	ask       Exchanger
	roots     []string
	zones     map[string]*Zone
	mu        sync.Mutex // guards questions: the servers of one zone are asked side by side
	questions int
}

// NewWalker starts at the addresses of roots, with or without a port.
func NewWalker(ask Exchanger, roots []string) *Walker {
	return &Walker{ask: ask, roots: roots, zones: map[string]*Zone{}}
}

func (w *Walker) spend() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.questions++
	return w.questions <= maxQuestions
}

// query asks one server one thing and checks that the answer answers just that.
func (w *Walker) query(ctx context.Context, addr, name string, qtype uint16) (*dns.Msg, time.Duration, error) {
	if !w.spend() {
		return nil, 0, errTooMany
	}
	began := time.Now()
	m := Question(name, qtype, false)
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

// AskAll asks every address of a zone side by side.
func (w *Walker) AskAll(ctx context.Context, z *Zone, name string, qtype uint16) []Server {
	out := slices.Clone(z.Servers)
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() {
			out[i].Reply, out[i].Took, out[i].Err = w.query(ctx, out[i].Addr, name, qtype)
		})
	}
	wg.Wait()
	return out
}

// askAny asks the addresses of a zone in turn until one gives an answer that helps.
func (w *Walker) askAny(ctx context.Context, z *Zone, name string, qtype uint16) (*dns.Msg, []Server) {
	tried := make([]Server, 0, 3)
	for _, s := range z.Servers {
		s.Reply, s.Took, s.Err = w.query(ctx, s.Addr, name, qtype)
		tried = append(tried, s)
		if s.Err == nil && useful(s.Reply) {
			return s.Reply, tried
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, tried
}

func (w *Walker) root() *Zone {
	if z := w.zones["."]; z != nil {
		return z
	}
	z := &Zone{Name: "."}
	for _, addr := range w.roots {
		z.Servers = append(z.Servers, Server{Name: "root", Addr: WithPort53(addr)})
	}
	w.zones["."] = z
	return z
}

// Authority walks from the root to the zone that answers for name. The zones passed are returned root first;
// stuck holds the servers of the last zone when none of them gave an answer that helps.
func (w *Walker) Authority(ctx context.Context, name string) (path []*Zone, stuck []Server) {
	return w.walkTo(ctx, name, 0)
}

// walkTo is Authority, for a name that was met depth look-ups down.
func (w *Walker) walkTo(ctx context.Context, name string, depth int) (path []*Zone, stuck []Server) {
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
func (w *Walker) apex(ctx context.Context, z *Zone, name string) *Zone {
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
		if owner == z.Name {
			z.sure = true
			return nil
		}
		if !dns.IsSubDomain(z.Name, owner) || !dns.IsSubDomain(owner, name) {
			return nil
		}
		next := &Zone{Name: owner, Servers: z.Servers, parent: z, sure: true}
		if ds, _ := w.askAny(ctx, z, owner, dns.TypeDS); ds != nil {
			next.ds, next.proof = ds.Answer, ds.Ns
		}
		w.zones[owner] = next
		return next
	}
	return nil
}

// known returns the closest zone below z on the way to name that an earlier walk found.
func (w *Walker) known(z *Zone, name string) *Zone {
	for _, have := range w.zones {
		if have.parent == z && dns.IsSubDomain(have.Name, name) {
			return have
		}
	}
	return nil
}

// delegation turns a referral into the next zone; nil when the reply is no (honest) referral.
func (w *Walker) delegation(ctx context.Context, z *Zone, reply *dns.Msg, name string, depth int) *Zone {
	ns := referral(reply)
	if len(ns) == 0 {
		return nil
	}
	owner := dns.CanonicalName(ns[0].Hdr.Name)
	// A referral has to lead down towards the name, else it is a loop or a lie.
	if owner == z.Name || !dns.IsSubDomain(z.Name, owner) || !dns.IsSubDomain(owner, name) {
		return nil
	}
	next := &Zone{Name: owner, parent: z}
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
			next.Servers = append(next.Servers, Server{Name: host, Err: errNoAddress})
		}
		for _, a := range addrs {
			next.Servers = append(next.Servers, Server{Name: host, Addr: net.JoinHostPort(a, "53")})
		}
	}
	if len(next.Servers) > maxServers {
		next.Servers = next.Servers[:maxServers]
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

// lookup finds the addresses of a name server whose parent sent no glue.
func (w *Walker) lookup(ctx context.Context, host string, depth int) []string {
	path, stuck := w.walkTo(ctx, host, depth)
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
