// Package probe learns what a stranger meets at our addresses: versions, suites, certificates, Heartbleed, and a letter for all of it.
package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"staunch/fault"
	"staunch/see/probe/chain"
	"staunch/see/probe/door"
	"staunch/see/probe/handshake"
	"staunch/see/probe/hello"
	"staunch/see/probe/list"
	"staunch/see/probe/target"
)

// Probe looks at every address of every target and returns one result for each, in the order of the targets.
// An endpoint that cannot be seen is a result with Error set, never an error: the picture is then incomplete.
// Errors: Usage and Denied when the question itself is wrong; nothing was sent then. progress may be nil.
func Probe(ctx context.Context, q Question, progress func(Progress)) ([]Result, error) {
	var mu sync.Mutex
	var all []Result
	err := Each(ctx, q, nil, progress, func(r Result) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r)
	})
	if err != nil {
		return nil, err
	}
	Sort(all, q)
	return all, nil
}

// Sort brings results into the order in which the question names their targets.
func Sort(all []Result, q Question) {
	slices.SortStableFunc(all, func(a, b Result) int {
		if at, bt := slices.Index(q.Targets, a.Target), slices.Index(q.Targets, b.Target); at != bt {
			return at - bt
		}
		x, _ := netip.ParseAddr(a.Address) // a name that did not resolve has none, and sorts first
		y, _ := netip.ParseAddr(b.Address)
		return cmp.Or(x.Compare(y), a.Port-b.Port)
	})
}

// Each is Probe for many endpoints: every result is handed to take as soon as it is there, by several goroutines at once, and not kept.
// Endpoints for which done says true are left out (they were answered by an earlier run).
func Each(ctx context.Context, q Question, done func(Endpoint) bool, progress func(Progress), take func(Result)) error {
	if err := q.check(); err != nil {
		return err
	}
	endpoints, failed, err := Resolve(ctx, q)
	if err != nil {
		return err
	}
	look, err := newLook(q)
	if err != nil {
		return err
	}
	for _, text := range q.Targets {
		if err := failed[text]; err != nil {
			take(Result{Target: text, Error: err.Error(), Heartbleed: Heartbleed{Verdict: NotTested, Reason: err.Error()}, NotTested: []string{"everything: " + err.Error()}})
		}
	}
	var todo []Endpoint
	for _, e := range endpoints {
		if done == nil || !done(e) {
			todo = append(todo, e)
		}
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	look.all(ctx, todo, progress, take)
	return ctx.Err()
}

// Endpoint is one address and port, with the name to ask it for.
type Endpoint = target.Endpoint

// Resolve asks DNS for every address of every target, in the order given, each address once per name and port.
// A name that cannot be resolved comes back as an error beside the others: it is an address that could not be seen.
func Resolve(ctx context.Context, q Question) ([]Endpoint, map[string]error, error) {
	return target.Resolve(ctx, target.Asked{Targets: q.Targets, Allow: q.Allow, StartTLS: q.StartTLS, Domain: q.Domain, SNI: q.SNI})
}

// look is one question made ready: what all its endpoints share.
type look struct {
	q      Question
	limits *door.Limits
	roots  *x509.CertPool
	fetch  *chain.Fetcher
}

func newLook(q Question) (*look, error) {
	l := &look{q: q, limits: door.NewLimits(q.AtOnce, q.PerSecond, q.TotalRate)}
	if !q.Offline {
		l.fetch = chain.NewFetcher()
	}
	if q.CA != "" {
		l.roots = x509.NewCertPool()
		if !l.roots.AppendCertsFromPEM([]byte(q.CA)) {
			return nil, fault.New(fault.Usage, "the trusted certificates hold no PEM certificate")
		}
	}
	return l, nil
}

// all works on at most q.Parallel endpoints at once.
func (l *look) all(ctx context.Context, todo []Endpoint, progress func(Progress), take func(Result)) {
	queue := make(chan Endpoint)
	var wait sync.WaitGroup
	var mu sync.Mutex
	finished := int64(0)
	tell := func(says string, more int64) {
		mu.Lock()
		defer mu.Unlock()
		finished += more
		progress(Progress{Says: says, Done: finished, Total: int64(len(todo))})
	}
	for range min(l.q.parallel(), len(todo)) {
		wait.Go(func() {
			for e := range queue {
				tell("looking at "+e.String(), 0)
				r, keep := l.one(ctx, e)
				if keep {
					take(r)
				}
				tell("probed "+e.String(), 1)
			}
		})
	}
	for _, e := range todo {
		select {
		case queue <- e:
		case <-ctx.Done():
			close(queue)
			wait.Wait()
			return
		}
	}
	close(queue)
	wait.Wait()
}

// one looks at one endpoint; keep is false for a closed port inside a range, which is no endpoint, and when we were told to stop.
func (l *look) one(ctx context.Context, e Endpoint) (r Result, keep bool) {
	started := time.Now()
	d := door.New(e, l.limits, l.q.timeout())
	r = Result{Target: e.Target, Address: e.Address.String(), Port: int(e.Port), SNI: e.SNI, StartTLS: e.StartTLS, NotTested: []string{}}
	s := &sight{d: d, l: l, r: &r}
	closed := s.see(ctx)
	s.expect()
	r.Connections, r.TookMS = d.Opened(), time.Since(started).Milliseconds()
	return r, ctx.Err() == nil && !(closed && e.Ranged) && !(s.noTLS && l.q.OnlyTLS)
}

// sight is one endpoint being looked at.
type sight struct {
	d       *door.Door
	l       *look
	r       *Result
	mu      sync.Mutex    // for what several connections write at once
	flight  *hello.Flight // of the Heartbleed connection: TLS 1.2 or older
	asked   uint16        // the version that its hello offered
	served  [][]byte      // the chain as served
	trust   chain.Trust
	seen    map[uint16]*list.Version // by number
	tls     *met
	cache   tls.ClientSessionCache // of tls, for a second handshake
	dhBits  int                    // the weakest prime seen; 0: none
	session *handshake.Session     // finished and closed: its id
	noTLS   bool                   // whoever listens there does not speak TLS
}

func (s *sight) skip(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r.NotTested = append(s.r.NotTested, fmt.Sprintf(format, args...))
}

// expect compares the served key with the one that the user wants to see everywhere.
func (s *sight) expect() {
	switch want := s.l.q.ExpectSPKI; {
	case want == "":
	case s.r.Certificate == nil:
		s.r.ExpectSPKI = "unseen"
	case s.r.Certificate.SPKISHA256 == want:
		s.r.ExpectSPKI = "served"
	default:
		s.r.ExpectSPKI = "different"
	}
}
