package ledger

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"staunch/fault"
)

// Memory is a ledger that lives as long as its process: for drills, previews and tests of what stands on a ledger.
// It keeps every promise except surviving the process.
type Memory struct {
	now func() time.Time

	mu     sync.Mutex
	events []Event
	ends   map[string]Position
	ids    map[string]int64
	docs   map[[2]string]Document
	leases map[string]Lease
	more   chan struct{} // closed and replaced at each append
	closed bool
}

// NewMemory makes an empty one that tells time by now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now: now, ends: map[string]Position{}, ids: map[string]int64{}, docs: map[[2]string]Document{},
		leases: map[string]Lease{}, more: make(chan struct{}),
	}
}

// Append implements Ledger.
func (m *Memory) Append(ctx context.Context, stream string, after Position, events ...Event) (Receipt, error) {
	batch, err := PrepareAll(stream, events)
	if err != nil {
		return Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return Receipt{}, fault.New(fault.Timeout, "not appended: %v", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Receipt{}, Closed()
	}
	repeat, err := m.repeated(batch)
	if err != nil || repeat.Repeat {
		return repeat, err
	}
	end := m.ends[stream]
	if after != Any && after != end {
		return Receipt{}, Moved(stream, after, end)
	}
	r := Receipt{First: int64(len(m.events)) + 1, Promise: m.promise}
	stored := Millis(m.now())
	for _, e := range batch {
		end++
		e.Seq, e.Pos, e.Stored = int64(len(m.events))+1, end, stored
		m.events = append(m.events, e)
		m.ids[e.ID] = e.Seq
	}
	m.ends[stream] = end
	r.Last, r.Pos = int64(len(m.events)), end
	close(m.more)
	m.more = make(chan struct{})
	return r, nil
}

// repeated answers an append whose events are all there; some, or others under the same id, are a conflict.
func (m *Memory) repeated(batch []Event) (Receipt, error) {
	var found []Event
	for _, e := range batch {
		if seq, ok := m.ids[e.ID]; ok {
			found = append(found, m.events[seq-1])
		}
	}
	r, err := Repeated(batch, found)
	r.Promise = m.promise
	return r, err
}

func (m *Memory) promise(_ context.Context, c Class) error {
	if n, ok := c.Count(); ok && n == 1 {
		return nil
	}
	return Lacks("a ledger in memory", c)
}

// Read implements Ledger.
func (m *Memory) Read(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		events, _ := m.snapshot()
		given := 0
		for _, e := range events {
			if ctx.Err() != nil {
				yield(Event{}, fault.New(fault.Timeout, "reading the ledger: %v", ctx.Err()))
				return
			}
			if !q.Match(e) {
				continue
			}
			if given++; !yield(e, nil) || given == q.Limit {
				return
			}
		}
	}
}

// Follow implements Ledger.
func (m *Memory) Follow(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		given := 0
		for {
			events, more := m.snapshot()
			for _, e := range events[min(q.After, int64(len(events))):] {
				q.After = e.Seq
				if !(Query{Stream: q.Stream}).Match(e) {
					continue
				}
				if given++; !yield(e, nil) || given == q.Limit {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-more:
			}
		}
	}
}

func (m *Memory) snapshot() ([]Event, chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events[:len(m.events):len(m.events)], m.more
}

// Close implements Ledger.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Put implements Documents.
func (m *Memory) Put(_ context.Context, d Document, rev int64) error {
	if err := PrepareDocument(d); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{d.Kind, d.ID}
	have := m.docs[key].Rev
	if rev != Any && rev != have {
		return Newer(d, rev, have)
	}
	d.Rev, d.Stored, d.Body = have+1, Millis(m.now()), slices.Clone(d.Body)
	m.docs[key] = d
	return nil
}

// Get implements Documents.
func (m *Memory) Get(_ context.Context, kind, id string) (Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.docs[[2]string{kind, id}]
	if !ok {
		return Document{}, fault.New(fault.NotFound, "there is no %s %s", kind, id)
	}
	d.Body = slices.Clone(d.Body)
	return d, nil
}

// List implements Documents, sorted by id.
func (m *Memory) List(_ context.Context, kind string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		m.mu.Lock()
		var docs []Document
		for key, d := range m.docs {
			if key[0] == kind {
				docs = append(docs, d)
			}
		}
		m.mu.Unlock()
		slices.SortFunc(docs, func(a, b Document) int { return cmp.Compare(a.ID, b.ID) })
		for _, d := range docs {
			d.Body = slices.Clone(d.Body)
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Drop implements Documents.
func (m *Memory) Drop(_ context.Context, kind, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.docs, [2]string{kind, id})
	return nil
}

// Acquire implements Leases.
func (m *Memory) Acquire(_ context.Context, name, holder string, ttl time.Duration) (Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := Grant(m.leases[name], name, holder, m.now(), ttl)
	if err == nil {
		m.leases[name] = l
	}
	return l, err
}

// Release implements Leases.
func (m *Memory) Release(_ context.Context, l Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.leases[l.Name]; held.Holder == l.Holder && held.Epoch == l.Epoch {
		m.leases[l.Name] = Lease{Name: l.Name, Epoch: l.Epoch}
	}
	return nil
}
