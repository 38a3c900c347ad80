// Package hub is the one writer: it takes a command, asks the domain to decide, appends what happened, and folds it.
package hub

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/inventory"
	"staunch/ledger"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/advisory"
)

// Store is what the hub keeps everything in.
type Store interface {
	ledger.Ledger
	ledger.Documents
	ledger.Leases
}

// Opener connects to a host of the fleet: by ssh, in this process, or to a machine of the lab.
type Opener func(ctx context.Context, h fleet.Host) (host.Host, error)

// Hub is everything that a command works with. The zero values of optional fields are sensible; Store, Now and Who are not optional.
type Hub struct {
	Store     Store
	Fleet     *fleet.Fleet        // nil: no host is known
	Catalogue *advisory.Catalogue // nil: no advisory is known
	Inventory *inventory.Inventory
	Open      Opener
	Now       func() time.Time
	Who       string        // the person whose command this is, as the ledger names them
	Machine   string        // where it was typed: tells clocks apart
	Fresh     time.Duration // how old a host's report may be; 0: 24 h
	Forks     int           // hosts asked at once; 0: 20
	Patience  time.Duration // for one host's look; 0: 2 min

	judging sync.Mutex // an answer is appended before a newer one is computed, so that hosts do not flap
}

// The streams of the ledger that the hub writes, each followed by an id, and what the kinds of a run's events begin with.
const (
	IncidentStream = "incident/"
	RunStream      = "run/"
	RunKind        = "run."
)

// What the kinds of an incident's events begin with, and the documents beside the ledger.
const (
	incidentKind   = "incident."
	reportDocument = "report"
	planDocument   = "plan"
	unreadDocument = "unread" // why a host could not be asked
)

// tries bounds how often a command is decided anew because somebody else wrote first.
const tries = 20

// Warm takes what hosts told earlier into memory.
func (h *Hub) Warm(ctx context.Context) error {
	if h.Inventory == nil {
		h.Inventory = inventory.New()
	}
	for d, err := range h.Store.List(ctx, reportDocument) {
		if err != nil {
			return err
		}
		r, err := inventory.Unpack(d.Body)
		if err != nil {
			return fault.From(err, fault.Corrupt).Hinted("look at %s again: its stored report cannot be read", d.ID)
		}
		if err := h.Inventory.Tell(d.ID, r); err != nil {
			return err
		}
	}
	for d, err := range h.Store.List(ctx, unreadDocument) {
		if err != nil {
			return err
		}
		h.Inventory.Unread(d.ID, string(d.Body))
	}
	return nil
}

// Incident folds one incident; pos is the end of its stream.
func (h *Hub) Incident(ctx context.Context, id string) (s *incident.Incident, pos ledger.Position, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for part := range decoded(h.Store.Read(ctx, ledger.Query{Stream: IncidentStream + id})) {
		got := <-part
		for _, e := range got.events {
			if s, err = incident.Fold(s, e); err != nil {
				return nil, 0, broken(got.seq, err)
			}
		}
		if got.err != nil {
			return nil, 0, got.err
		}
		pos = got.pos
	}
	if s == nil {
		return nil, 0, fault.New(fault.NotFound, "there is no incident %s", id).Hinted("`staunch incident list`")
	}
	return s, pos, nil
}

// decodedPart is a part of a stream, ready to be folded. What came before an error is there.
type decodedPart struct {
	events []incident.Event
	pos    ledger.Position
	seq    int64 // of the first
	err    error
}

// decoded reads events and decodes them part by part, several parts at once, and yields the parts in order:
// reading JSON takes longer than folding it, and a long incident has a million events.
func decoded(events iter.Seq2[ledger.Event, error]) iter.Seq[<-chan decodedPart] {
	const size = 1000
	return func(yield func(<-chan decodedPart) bool) {
		queue, ended := make(chan (<-chan decodedPart), runtime.GOMAXPROCS(0)), make(chan struct{})
		defer close(ended)
		send := func(raw []ledger.Event, failed error) bool {
			part := make(chan decodedPart, 1)
			go func() { part <- decode(raw, failed) }()
			select {
			case queue <- part:
				return true
			case <-ended:
				return false
			}
		}
		go func() {
			defer close(queue)
			raw := make([]ledger.Event, 0, size)
			for e, err := range events {
				if err != nil {
					send(raw, err)
					return
				}
				if raw = append(raw, e); len(raw) == size {
					if !send(raw, nil) {
						return
					}
					raw = make([]ledger.Event, 0, size)
				}
			}
			if len(raw) > 0 {
				send(raw, nil)
			}
		}()
		for part := range queue {
			if !yield(part) {
				return
			}
		}
	}
}

func decode(raw []ledger.Event, failed error) decodedPart {
	p := decodedPart{events: make([]incident.Event, 0, len(raw)), err: failed}
	var d incident.Decoder
	for _, e := range raw {
		p.pos = e.Pos
		kind, ours := strings.CutPrefix(e.Kind, incidentKind)
		if !ours {
			continue
		}
		one, err := d.Decode(incident.Kind(kind), e.At, e.By, e.Data)
		if err != nil {
			p.err = broken(e.Seq, err)
			return p
		}
		if len(p.events) == 0 {
			p.seq = e.Seq
		}
		p.events = append(p.events, one)
	}
	return p
}

func broken(seq int64, err error) error {
	return fault.New(fault.Corrupt, "event %d: %v", seq, err).Hinted("`staunch ledger verify` tells whether it was changed")
}

func foldOne(s *incident.Incident, e ledger.Event) (*incident.Incident, error) {
	kind, ours := strings.CutPrefix(e.Kind, incidentKind)
	if !ours {
		return s, nil
	}
	one, err := incident.Decode(incident.Kind(kind), e.At, e.By, e.Data)
	if err == nil {
		s, err = incident.Fold(s, one)
	}
	if err != nil {
		return s, broken(e.Seq, err)
	}
	return s, nil
}

// Incidents folds all of them, newest first.
func (h *Hub) Incidents(ctx context.Context) ([]*incident.Incident, error) {
	states := map[string]*incident.Incident{}
	for e, err := range h.Store.Read(ctx, ledger.Query{Stream: IncidentStream + "*"}) {
		if err != nil {
			return nil, err
		}
		s, err := foldOne(states[e.Stream], e)
		if err != nil {
			return nil, err
		}
		states[e.Stream] = s
	}
	list := make([]*incident.Incident, 0, len(states))
	for _, s := range states {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *incident.Incident) int { return cmp.Compare(number(b.Opened.ID), number(a.Opened.ID)) })
	return list, nil
}

func number(id string) int {
	n, err := strconv.Atoi(id)
	if err != nil {
		return 0
	}
	return n
}

// Do decides a command on an incident and appends what happens. When somebody else wrote meanwhile it is decided anew on what is there then.
func (h *Hub) Do(ctx context.Context, id string, c incident.Command) (*incident.Incident, error) {
	for range tries {
		s, pos, err := h.Incident(ctx, id)
		if err != nil {
			return nil, err
		}
		s, err = h.decide(ctx, s, id, pos, c)
		if !fault.Is(err, fault.Conflict) || !errors.As(err, new(*raced)) {
			return s, err
		}
	}
	return nil, fault.New(fault.Conflict, "incident %s changes faster than this command can be decided", id)
}

// raced marks a conflict of writers, which is tried again, apart from one of the domain, which is an answer.
type raced struct{ error }

func (r *raced) Unwrap() error { return r.error }

func (h *Hub) decide(ctx context.Context, s *incident.Incident, id string, pos ledger.Position, c incident.Command) (*incident.Incident, error) {
	decided, err := incident.Decide(s, c, h.Now(), h.Who)
	if err != nil || len(decided) == 0 {
		return s, err
	}
	var events []ledger.Event
	for _, d := range decided {
		e, err := ledger.New(incidentKind+string(d.Kind), 1, d.At, d.By, d)
		if err != nil {
			return nil, err
		}
		e.Source = h.Machine
		events = append(events, e)
		if s, err = foldOne(s, e); err != nil {
			return nil, err
		}
	}
	_, err = h.append(ctx, IncidentStream+id, pos, events)
	if fault.Is(err, fault.Conflict) {
		return nil, &raced{err}
	}
	return s, err
}

// append writes events; when it is unsure whether they were written it asks again with the same ids, so that the answer becomes certain.
func (h *Hub) append(ctx context.Context, stream string, after ledger.Position, events []ledger.Event) (ledger.Receipt, error) {
	r, err := h.Store.Append(ctx, stream, after, events...)
	for wait := 50 * time.Millisecond; ledger.OutcomeOf(err) == ledger.Unsure && wait < 3*time.Second; wait *= 3 {
		select {
		case <-ctx.Done():
			return r, err
		case <-time.After(wait):
		}
		r, err = h.Store.Append(ctx, stream, after, events...)
	}
	return r, err
}

// OpenIncident begins one under the next number.
func (h *Hub) OpenIncident(ctx context.Context, open incident.Open) (*incident.Incident, error) {
	for range tries {
		list, err := h.Incidents(ctx)
		if err != nil {
			return nil, err
		}
		next := 1
		for _, s := range list {
			next = max(next, number(s.Opened.ID)+1)
			if open.Advisory != nil && !s.Closed && s.Advisory != nil && s.Advisory.ID == open.Advisory.ID {
				return nil, fault.New(fault.Conflict, "incident %s about %s is open already", s.Opened.ID, open.Advisory.ID).
					Hinted("go on there: `staunch incident show %s`", s.Opened.ID)
			}
		}
		open.ID = strconv.Itoa(next)
		s, err := h.decide(ctx, nil, open.ID, ledger.Empty, open)
		if !fault.Is(err, fault.Conflict) || !errors.As(err, new(*raced)) {
			return s, err
		}
	}
	return nil, fault.New(fault.Conflict, "incidents are opened faster than this one can get a number")
}

// Seal closes the past: called when a command ends, so that what it wrote is covered by a seal.
func (h *Hub) Seal(ctx context.Context) error {
	s := ledger.Sealer{Ledger: h.Store, Now: h.Now, By: "hub"}
	for range tries {
		if err := s.Seal(ctx); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil // others seal all the time: then what was written here is covered
}
