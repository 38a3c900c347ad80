package acme_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert/acme"
	"staunch/testbed/real"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestCalendarKeepsEveryLimit(t *testing.T) {
	limits := acme.Limits{Account: acme.Rate{N: 7, Per: time.Hour}, Domain: acme.Rate{N: 3, Per: 24 * time.Hour}, Set: acme.Rate{N: 2, Per: 48 * time.Hour}}
	random := rand.New(rand.NewPCG(real.Seed(t, 1), 2))
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

// TestReplacementsCostNothing, if the account that ordered the certificate orders its successor, and no other order replaces it.
func TestReplacementsCostNothing(t *testing.T) {
	routes := []acme.Route{{CA: "le", Accounts: []string{"a", "b"}, Limits: acme.LetsEncrypt()}, {CA: "strict", Accounts: []string{"s"}, Limits: acme.Limits{Account: acme.Rate{N: 1, Per: time.Hour}}}}
	for what, c := range map[string]struct {
		replaces *acme.Predecessor
		free     bool
		account  string
		because  string
	}{
		"of our second account":     {&acme.Predecessor{ID: "1", CA: "le", Account: "b"}, true, "b", "the same account"},
		"nothing":                   {nil, false, "a", "no certificate"},
		"of nobody knows whom":      {&acme.Predecessor{ID: "1"}, false, "a", "not known"},
		"of another CA":             {&acme.Predecessor{ID: "1", CA: "gone", Account: "a"}, false, "a", "account a at gone"},
		"of an account that left":   {&acme.Predecessor{ID: "1", CA: "le", Account: "left"}, false, "a", "account left at le"},
		"what was replaced before":  {&acme.Predecessor{ID: "1", CA: "le", Account: "a", Replaced: true}, false, "a", "another order"},
		"at a CA that exempts none": {&acme.Predecessor{ID: "1", CA: "strict", Account: "s"}, false, "a", "exempts no"},
	} {
		slots, err := acme.Calendar(start, []acme.Want{{Names: []string{"one.example"}, Replaces: c.replaces}}, routes)
		if err != nil || slots[0].Free != c.free || slots[0].Account != c.account || !strings.Contains(slots[0].Because, c.because) {
			t.Errorf("it replaces a certificate %s: %+v, %v", what, slots, err)
		}
	}
}

// TestOnlyTheSameAccountIsExempt: over random predecessors, what counts keeps within every limit, what does not count is ordered where its
// predecessor was, and no certificate is replaced twice.
func TestOnlyTheSameAccountIsExempt(t *testing.T) {
	limits := acme.Limits{Account: acme.Rate{N: 5, Per: time.Hour}, Domain: acme.Rate{N: 4, Per: 24 * time.Hour}, Set: acme.Rate{N: 3, Per: 48 * time.Hour}}
	free := limits
	free.ReplacingFree = true
	routes := []acme.Route{{CA: "strict", Accounts: []string{"s"}, Limits: limits}, {CA: "le", Accounts: []string{"a", "b"}, Limits: free}, {CA: "zero", Accounts: []string{"z"}, Limits: free}}
	random := rand.New(rand.NewPCG(real.Seed(t, 6), 3))
	exempt := 0
	for round := range 200 {
		var wants []acme.Want
		for range 80 {
			w := acme.Want{Names: []string{fmt.Sprintf("h%d.d%d.example", random.IntN(3), random.IntN(8))}}
			if random.IntN(5) > 0 {
				w.Replaces = &acme.Predecessor{
					ID: fmt.Sprint(random.IntN(60)), CA: []string{"", "strict", "le", "zero", "gone"}[random.IntN(5)], Account: []string{"", "s", "a", "b", "z", "left"}[random.IntN(6)], Replaced: random.IntN(6) == 0,
				}
			}
			wants = append(wants, w)
		}
		slots, err := acme.Calendar(start, wants, routes)
		if err != nil {
			t.Fatal(err)
		}
		replaced := map[string]bool{}
		var counted []acme.Want
		var at []acme.Slot
		for i, s := range slots {
			if s.Because == "" {
				t.Fatalf("round %d: slot %+v says not why", round, s)
			}
			if !s.Free {
				counted, at = append(counted, wants[i]), append(at, s)
				continue
			}
			exempt++
			p := wants[i].Replaces
			if p == nil || p.CA != s.CA || p.Account != s.Account || p.Replaced || s.CA == "strict" || replaced[p.ID] || !s.At.Equal(start) {
				t.Fatalf("round %d: %+v is free of limits for %+v", round, s, p)
			}
			replaced[p.ID] = true
		}
		checkWindows(t, round, counted, at, limits)
	}
	if exempt < 500 {
		t.Errorf("%d exempt orders: the property was hardly tried", exempt)
	}
}

// TestAWildcardGoesWhereItCanBeProven, also past the first CA of the order; where that is nowhere, the plan is not written.
func TestAWildcardGoesWhereItCanBeProven(t *testing.T) {
	web := acme.Route{CA: "web", Accounts: []string{"a"}, NoWildcard: true}
	dns := acme.Route{CA: "dns", Accounts: []string{"b"}, Limits: acme.LetsEncrypt()}
	wants := []acme.Want{{Names: []string{"a.example"}}, {Names: []string{"a.example", "*.a.example"}}}
	slots, err := acme.Calendar(start, wants, []acme.Route{web, dns})
	if err != nil || slots[0].CA != "web" || slots[1].CA != "dns" {
		t.Errorf("%+v, %v", slots, err)
	}
	if _, err := acme.Calendar(start, wants, []acme.Route{web}); err == nil || !strings.Contains(err.Error(), "*.a.example") || !strings.Contains(fault.HintOf(err), "dns-01") {
		t.Errorf("%v", err)
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("h%d.example", i)
	}
	if err := acme.Impossible(many, []acme.Route{dns}); err == nil || !strings.Contains(err.Error(), "101 names") {
		t.Errorf("more names than the CA takes: %v", err)
	}
	if slots, err := acme.Calendar(start, []acme.Want{{Names: many}}, []acme.Route{dns, web}); err != nil || slots[0].CA != "web" || acme.Impossible(many, []acme.Route{dns, web}) != nil {
		t.Errorf("%+v, %v", slots, err)
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
		if i%3 > 0 { // a third each: ordered by the same account, by nobody knows whom, replacing nothing
			wants[i].Replaces = &acme.Predecessor{ID: fmt.Sprint(i), CA: []string{"le", ""}[i%3-1], Account: "b"}
		}
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
