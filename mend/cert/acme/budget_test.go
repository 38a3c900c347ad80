package acme_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"staunch/mend/cert/acme"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestCalendarKeepsEveryLimit(t *testing.T) {
	limits := acme.Limits{Account: acme.Rate{N: 7, Per: time.Hour}, Domain: acme.Rate{N: 3, Per: 24 * time.Hour}, Set: acme.Rate{N: 2, Per: 48 * time.Hour}}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var wants []acme.Want
		for range 120 {
			wants = append(wants, acme.Want{Names: []string{fmt.Sprintf("h%d.d%d.example", random.IntN(3), random.IntN(8))}})
		}
		routes := []acme.Route{{CA: "one", Accounts: []string{"a", "b"}, Limits: limits, Past: []acme.Past{{Account: "a", Names: []string{"h0.d0.example"}, At: start.Add(-time.Hour)}}}, {CA: "two", Accounts: []string{"c"}, Limits: limits}}
		slots, err := acme.Calendar(start, wants, routes)
		if err != nil {
			t.Fatal(err)
		}
		checkWindows(t, round, wants, slots, limits)
	}
}

// checkWindows counts, for every slot, what else falls into the windows that end with it.
func checkWindows(t *testing.T, round int, wants []acme.Want, slots []acme.Slot, limits acme.Limits) {
	t.Helper()
	for i, s := range slots {
		account, domain := 0, 0
		for j, o := range slots {
			if o.CA != s.CA || o.At.After(s.At) {
				continue
			}
			if o.Account == s.Account && s.At.Sub(o.At) < limits.Account.Per {
				account++
			}
			if wants[j].Names[0][3:] == wants[i].Names[0][3:] && s.At.Sub(o.At) < limits.Domain.Per {
				domain++
			}
		}
		if account > limits.Account.N || domain > limits.Domain.N {
			t.Fatalf("round %d: slot %d (%+v): %d of the account, %d of the domain in one window", round, i, s, account, domain)
		}
	}
}

func TestCalendarPrefersTheFirstCAAndOverflows(t *testing.T) {
	one := acme.Route{CA: "one", Accounts: []string{"a"}, Limits: acme.Limits{Account: acme.Rate{N: 2, Per: time.Hour}}}
	two := acme.Route{CA: "two", Accounts: []string{"b"}, Limits: acme.Limits{Account: acme.Rate{N: 1, Per: time.Hour}}}
	wants := make([]acme.Want, 4)
	for i := range wants {
		wants[i].Names = []string{fmt.Sprintf("x%d.example", i)}
	}
	slots, err := acme.Calendar(start, wants, []acme.Route{one, two})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range slots {
		got += fmt.Sprintf("%s+%s ", s.CA, s.At.Sub(start))
	}
	if got != "one+0s one+0s two+0s one+1h0m0s " {
		t.Error(got)
	}
}

func TestReplacementsCostNothing(t *testing.T) {
	wants := make([]acme.Want, 1000)
	for i := range wants {
		wants[i] = acme.Want{Names: []string{"one.example"}, Replacing: true}
	}
	slots, err := acme.Calendar(start, wants, []acme.Route{{CA: "le", Accounts: []string{"a"}, Limits: acme.LetsEncrypt()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		if !s.Free || !s.At.Equal(start) {
			t.Fatalf("%+v", s)
		}
	}
}

func TestNoAccountNoCalendar(t *testing.T) {
	if _, err := acme.Calendar(start, []acme.Want{{Names: []string{"a.example"}}}, []acme.Route{{CA: "x"}}); err == nil {
		t.Error("planned without an account")
	}
}

// BenchmarkCalendar30000 plans thirty thousand certificates under Let's Encrypt's limits.
func BenchmarkCalendar30000(b *testing.B) {
	wants := make([]acme.Want, 30_000)
	for i := range wants {
		wants[i].Names = []string{fmt.Sprintf("www%d.customer%d.example.com", i%7, i/7), fmt.Sprintf("customer%d.org", i/7)}
	}
	for b.Loop() {
		slots, err := acme.Calendar(start, wants, []acme.Route{{CA: "le", Accounts: []string{"a", "b"}, Limits: acme.LetsEncrypt()}, {CA: "two", Accounts: []string{"c"}, Limits: acme.Limits{Account: acme.Rate{N: 500, Per: time.Hour}}}})
		if err != nil {
			b.Fatal(err)
		}
		last := start
		for _, s := range slots {
			if s.At.After(last) {
				last = s.At
			}
		}
		b.ReportMetric(last.Sub(start).Hours(), "calendar-hours")
	}
}
