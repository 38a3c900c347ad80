package certs

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"staunch/fault"
	"staunch/hub"
	"staunch/ledger"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/setup"
)

// TestASecondPlanCountsWhatTheFirstOrdered: what is stored of earlier orders fills the next plan's calendar, but for what the CA took as a
// replacement, what it was never asked for, and what another CA made.
func TestASecondPlanCountsWhatTheFirstOrdered(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	d := &Desk{&hub.Hub{Store: ledger.NewMemory(time.Now), Now: func() time.Time { return now }}}
	shelf := shelf{d.Store}
	order := func(name string, o acme.Order) {
		t.Helper()
		b, err := json.Marshal(o)
		if err == nil {
			err = shelf.Save(t.Context(), "order/"+name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := &setup.File{Authorities: []setup.Authority{{Name: "le", ACME: "https://le", Accounts: []string{"a"}, Limits: "letsencrypt"}}}
	next := func() time.Time {
		t.Helper()
		before, err := d.history(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slots, err := acme.Calendar(now, []acme.Want{{Names: []string{"shop.example"}}}, c.Routes(false, before.past))
		if err != nil {
			t.Fatal(err)
		}
		return slots[0].At
	}
	one := acme.Order{CA: "le", Place: "a", Names: []string{"shop.example"}, Stage: acme.Issued, Opened: now.Add(-time.Hour)}
	free, never, other := one, one, one
	free.Replacing, never.Opened, other.CA = true, time.Time{}, "corp"
	for i := range 4 { // Let's Encrypt takes five of one set of names in a week
		order(fmt.Sprint("one", i), one)
		order(fmt.Sprint("free", i), free)
		order(fmt.Sprint("never", i), never)
		order(fmt.Sprint("other", i), other)
	}
	if at := next(); !at.Equal(now) {
		t.Errorf("after four orders the fifth waits until %s", at)
	}
	order("last", one)
	if at := next(); !at.Equal(one.Opened.Add(7 * 24 * time.Hour)) {
		t.Errorf("after five orders the next one goes at %s", at)
	}
	if err := shelf.Save(t.Context(), "order/broken", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.history(t.Context()); !fault.Is(err, fault.Corrupt) {
		t.Errorf("an order that cannot be read is not nothing: %v", err)
	}
}
