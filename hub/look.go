package hub

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/inventory"
	"staunch/ledger"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/scan"
	"staunch/see/verdict"
)

// Scanned is one host's turn in a look at many.
type Scanned struct {
	Host string
	Err  error
	Done int
	Of   int
}

// Scan looks at hosts, a few at a time, and keeps what they tell. A host that does not answer is noted with its reason; that is no error.
func (h *Hub) Scan(ctx context.Context, hosts []fleet.Host, show func(Scanned)) error {
	jobs, done := make(chan fleet.Host), make(chan Scanned)
	var wg sync.WaitGroup
	for range min(len(hosts), cmp.Or(h.Forks, 20)) {
		wg.Go(func() {
			for where := range jobs {
				_, err := h.ScanHost(ctx, where)
				done <- Scanned{Host: where.Name, Err: err}
			}
		})
	}
	go func() {
		for _, where := range hosts {
			jobs <- where
		}
		close(jobs)
		wg.Wait()
		close(done)
	}()
	n := 0
	for s := range done {
		n++
		s.Done, s.Of = n, len(hosts)
		if show != nil {
			show(s)
		}
	}
	return ctx.Err()
}

// ScanHost looks at one host and keeps what it tells, in memory and in the store.
func (h *Hub) ScanHost(ctx context.Context, where fleet.Host) (*scan.Report, error) {
	r, err := h.Look(ctx, where)
	if err != nil {
		return nil, errors.Join(err, h.unread(ctx, where.Name, err))
	}
	// Whose clock is right is not the question: what counts is when the answer was here.
	r.Taken = ledger.Millis(h.Now())
	if err := h.Inventory.Tell(where.Name, r); err != nil {
		return nil, err
	}
	whole, err := h.Inventory.Report(where.Name) // with what was known before of files that are gone now: the next command must know it, too
	if err != nil {
		return nil, err
	}
	packed, err := inventory.Pack(whole)
	if err != nil {
		return nil, err
	}
	if err := h.Store.Drop(ctx, unreadDocument, where.Name); err != nil {
		return nil, err
	}
	return r, h.Store.Put(ctx, ledger.Document{Kind: reportDocument, ID: where.Name, Body: packed}, ledger.Any)
}

// unread notes why a host could not be asked, so that the next command knows it, too.
func (h *Hub) unread(ctx context.Context, name string, why error) error {
	h.Inventory.Unread(name, why.Error())
	if ctx.Err() != nil {
		return nil // the command was stopped: the host did nothing wrong
	}
	return h.Store.Put(ctx, ledger.Document{Kind: unreadDocument, ID: name, Body: []byte(why.Error())}, ledger.Any)
}

// Look asks a host for its processes, and keeps nothing of what it tells.
func (h *Hub) Look(ctx context.Context, where fleet.Host) (*scan.Report, error) {
	q := scan.Question{}
	if h.Catalogue != nil {
		q.Anchors = h.Catalogue.Anchors()
	}
	a, err := h.Ask(ctx, where, host.Question{Scan: &q})
	if err != nil {
		return nil, err
	}
	if a.Scan == nil {
		return nil, fault.New(fault.Corrupt, "%s answered a scan with something else", where.Name)
	}
	return a.Scan, nil
}

// Ask connects to a host, asks one question, and hangs up.
func (h *Hub) Ask(ctx context.Context, where fleet.Host, q host.Question) (host.Answer, error) {
	// a host that is not covered is asked whether it is there, and what its restart hook would do: nothing else can be told
	if why := where.NotCovered(); why != "" && !(where.TakesHooks() && (q.Health != nil || q.Check != nil)) {
		return host.Answer{}, fault.New(fault.Unsupported, "%s", why)
	}
	if h.Open == nil {
		return host.Answer{}, fault.New(fault.Unsupported, "no way to reach hosts was set up")
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(h.Patience, 2*time.Minute))
	defer cancel()
	at, err := h.Open(ctx, where)
	if err != nil {
		return host.Answer{}, err
	}
	defer at.Close() // a look changes nothing: how the connection ends does not matter
	return at.Look(ctx, q, nil)
}

// answer asks the inventory about an incident's advisory or component.
func (h *Hub) answer(s *incident.Incident) (incident.Look, error) {
	if h.Fleet == nil || h.Catalogue == nil {
		return incident.Look{}, fault.New(fault.Usage, "which hosts exist is not known").Hinted("write them into staunch.yaml, or name an inventory with --config")
	}
	q := inventory.Question{Catalogue: h.Catalogue, Fleet: h.part(s), Now: h.Now(), Fresh: h.Fresh, Component: s.Opened.Component}
	if s.Advisory != nil {
		q.Advisory, q.Component = s.Advisory.ID, ""
	}
	a, err := h.Inventory.Ask(q)
	if err != nil {
		return incident.Look{}, err
	}
	look := incident.Look{Answer: a, Units: map[string][]incident.UnitState{}}
	outside := h.Fleet.Outside()
	for _, one := range a.Hosts {
		if one.State == inventory.Clean || one.Taken.IsZero() || q.Advisory == "" {
			continue
		}
		doc, err := h.Inventory.Document(one.Host, h.Catalogue, outside, q.Advisory)
		if err != nil {
			return incident.Look{}, err
		}
		look.Units[one.Host] = units(doc.Findings)
	}
	return look, nil
}

// part is the part of the fleet that an incident is about.
func (h *Hub) part(s *incident.Incident) *fleet.Fleet {
	if len(s.Opened.Hosts) == 0 {
		return h.Fleet
	}
	f := *h.Fleet
	f.Hosts = nil
	for _, one := range h.Fleet.Hosts {
		if slices.Contains(s.Opened.Hosts, one.Name) {
			f.Hosts = append(f.Hosts, one)
		}
	}
	return &f
}

// maxUnits bounds the units that one host's state names; the document has them all.
const maxUnits = 40

func units(findings []verdict.Finding) []incident.UnitState {
	var out []incident.UnitState
	for _, f := range findings {
		switch f.State {
		case verdict.Affected, verdict.Stale, verdict.Unknown, verdict.Dormant:
		default:
			continue
		}
		u := incident.UnitState{Unit: f.Unit, Process: f.Process, State: string(f.State), Component: f.Component, Version: f.Version, Exposure: f.Exposure.In, Fix: f.Fix.What, Count: 1}
		at := slices.IndexFunc(out, func(o incident.UnitState) bool {
			o.Count, o.Exposure, o.Fix = u.Count, u.Exposure, u.Fix
			return o == u
		})
		switch {
		case at >= 0:
			out[at].Count++
		case len(out) < maxUnits:
			out = append(out, u)
		}
	}
	return out
}
