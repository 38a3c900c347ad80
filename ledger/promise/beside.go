package promise

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"staunch/fault"
	"staunch/ledger"
)

func documents(t *testing.T, s Subject) {
	l := open(t, s)
	put := func(id, body string, rev int64) error {
		return l.Put(t.Context(), ledger.Document{Kind: "report", ID: id, Body: []byte(body)}, rev)
	}
	for _, err := range []error{put("b", "1", 0), put("a", "1", ledger.Any), put("b", "2", 1), put("b", "\x00\xff", 2)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := put("b", "late", 1); !fault.Is(err, fault.Conflict) {
		t.Errorf("a put over an unseen revision: %v, want a conflict", err)
	}
	d, err := l.Get(t.Context(), "report", "b")
	if err != nil || string(d.Body) != "\x00\xff" || d.Rev != 3 || d.Stored.IsZero() {
		t.Errorf("got %+v, %v", d, err)
	}
	var ids []string
	for d, err := range l.List(t.Context(), "report") {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	if strings.Join(ids, " ") != "a b" {
		t.Errorf("listed %v", ids)
	}
	if err := errors.Join(l.Drop(t.Context(), "report", "b"), l.Drop(t.Context(), "report", "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Get(t.Context(), "report", "b"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a dropped document: %v, want not found", err)
	}
	if err := l.Put(t.Context(), ledger.Document{Kind: "report"}, 0); !fault.Is(err, fault.Usage) {
		t.Errorf("a document without an id: %v", err)
	}
}

func leases(t *testing.T, s Subject) {
	clock := &Clock{T: time.Date(2014, 4, 8, 1, 0, 0, 0, time.UTC)}
	l := s.Open(t, clock.Now)
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, err := l.Acquire(t.Context(), "run/7.1", "ada", time.Minute)
	if err != nil || a.Epoch != 1 || !a.Until.Equal(clock.Now().Add(time.Minute)) {
		t.Fatalf("first lease %+v, %v", a, err)
	}
	if _, err := l.Acquire(t.Context(), "run/7.1", "ben", time.Minute); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "ada") {
		t.Errorf("a second holder: %v, want a conflict that names ada", err)
	}
	clock.Add(30 * time.Second)
	if again, err := l.Acquire(t.Context(), "run/7.1", "ada", time.Minute); err != nil || again.Epoch != 1 || !again.Until.After(a.Until) {
		t.Errorf("renewed: %+v, %v", again, err)
	}
	clock.Add(2 * time.Minute)
	b, err := l.Acquire(t.Context(), "run/7.1", "ben", time.Minute)
	if err != nil || b.Epoch != 2 {
		t.Errorf("after it ran out: %+v, %v", b, err)
	}
	if err := l.Release(t.Context(), a); err != nil { // too late: it is ben's
		t.Fatal(err)
	}
	if _, err := l.Acquire(t.Context(), "run/7.1", "ada", time.Minute); !fault.Is(err, fault.Conflict) {
		t.Errorf("a stale release freed it: %v", err)
	}
	if err := l.Release(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Acquire(t.Context(), "run/7.1", "ada", time.Minute); err != nil || c.Epoch != 3 {
		t.Errorf("after a release: %+v, %v", c, err)
	}
}

// Clock is a clock that tests move.
type Clock struct {
	mu sync.Mutex
	T  time.Time
}

// Now tells the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.T
}

// Add moves it.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.T = c.T.Add(d)
}
