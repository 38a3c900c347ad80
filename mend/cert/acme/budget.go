package acme

import (
	"container/heap"
	"slices"
	"sort"
	"strings"
	"time"

	"staunch/fault"

	"golang.org/x/net/publicsuffix"
)

// Rate is so many in any window of that length; zero means no limit.
type Rate struct {
	N   int           `json:"n"`
	Per time.Duration `json:"per_ns"`
}

// Limits are what a CA allows.
type Limits struct {
	Account Rate `json:"account"`   // new orders per account
	Domain  Rate `json:"domain"`    // certificates per registered domain
	Set     Rate `json:"exact_set"` // certificates per exact set of names
	Names   int  `json:"names"`     // names in one certificate; 0: no limit is known
	// ReplacingFree: an order that replaces a certificate (RFC 9773) counts towards none of them, if the same account ordered that one.
	ReplacingFree bool `json:"replacing_free"`
}

// LetsEncrypt are Let's Encrypt's published limits (letsencrypt.org/docs/rate-limits; they refill gradually, which a window never exceeds).
func LetsEncrypt() Limits {
	const week = 7 * 24 * time.Hour
	return Limits{Account: Rate{300, 3 * time.Hour}, Domain: Rate{50, week}, Set: Rate{5, week}, Names: 100, ReplacingFree: true}
}

// Want is one certificate that a plan needs.
type Want struct {
	Names    []string
	Replaces *Predecessor // nil: it takes the place of none
}

// Route is one CA that may issue, with the accounts we have there. Routes are tried in their order.
type Route struct {
	CA       string
	Accounts []string
	Limits   Limits
	// NoWildcard: no way is set up to prove a wildcard there, which takes dns-01.
	NoWildcard bool
	Past       []Past // what was ordered there lately and still counts
}

// Past is one earlier order.
type Past struct {
	Account string
	Names   []string
	At      time.Time
}

// Slot is when and where one certificate can be ordered.
type Slot struct {
	CA      string    `json:"ca"`
	Account string    `json:"account"`
	At      time.Time `json:"at"`
	Free    bool      `json:"free,omitempty"` // counts towards no limit
	Because string    `json:"because,omitempty"`
}

// Calendar finds the earliest slot for every want (the result is parallel to wants), first come first served, within every limit of
// every CA. It errs when a want can never be ordered.
func Calendar(now time.Time, wants []Want, routes []Route) ([]Slot, error) {
	b := &budget{now: now, wants: wants, slots: make([]Slot, len(wants)), spent: map[string]bool{}}
	for _, r := range routes {
		if len(r.Accounts) > 0 {
			b.routes = append(b.routes, newLane(r))
		}
	}
	if len(b.routes) == 0 && len(wants) > 0 {
		return nil, fault.New(fault.Usage, "no CA with an account is set up").Hinted("a second CA that CAA allows is worth having before the night it is needed")
	}
	return b.slots, b.run()
}

type budget struct {
	now     time.Time
	wants   []Want
	counted []counted
	slots   []Slot
	routes  []*lane
	spent   map[string]bool // predecessors that a slot was given for: each is replaced once
	queue   []int           // wants to look at now, in order
	blocked later           // wants that the limits on names hold back
}

// counted is what a want counts towards, beside an account.
type counted struct {
	domains  []string
	set      string
	names    int
	wildcard bool
}

// lane is one CA with what was ordered there.
type lane struct {
	Route
	used    map[string][]time.Time // by account, domain or set; in order of time
	waiting []int                  // wants that only the limit on accounts holds back, in order
}

func newLane(r Route) *lane {
	l := &lane{Route: r, used: map[string][]time.Time{}}
	past := append([]Past{}, r.Past...)
	sort.SliceStable(past, func(a, b int) bool { return past[a].At.Before(past[b].At) })
	for _, p := range past {
		l.take(p.Account, count(p.Names), p.At)
	}
	return l
}

// Impossible says why no CA of these can issue one certificate for these names, whenever it is ordered; nil where one can.
func Impossible(names []string, routes []Route) error {
	c := count(names)
	if len(routes) == 0 || slices.ContainsFunc(routes, func(r Route) bool { return len(r.Accounts) > 0 && r.takes(c) }) {
		return nil
	}
	return impossible(c, names)
}

func impossible(c counted, names []string) error {
	what := strings.Join(names[:min(3, len(names))], ", ")
	if c.wildcard {
		return fault.New(fault.Usage, "a certificate for %s holds a wildcard, which no CA here can have proven for so many names (%d)", what, c.names).Hinted("a wildcard is proven by dns-01 only: certs.yaml, solve: {dns: ...} or a hook")
	}
	return fault.New(fault.Usage, "a certificate for %s and others holds %d names, more than any CA here takes in one", what, c.names).Hinted("another CA, or several certificates with fewer names each")
}

func (r Route) takes(c counted) bool {
	return (!c.wildcard || !r.NoWildcard) && (r.Limits.Names <= 0 || c.names <= r.Limits.Names)
}

func (l *lane) take(account string, c counted, at time.Time) {
	l.used["account "+account] = append(l.used["account "+account], at)
	if l.Limits.Domain.N > 0 {
		for _, d := range c.domains {
			l.used[d] = append(l.used[d], at)
		}
	}
	if l.Limits.Set.N > 0 {
		l.used[c.set] = append(l.used[c.set], at)
	}
}

func count(names []string) counted {
	c := counted{names: len(names)}
	seen := map[string]bool{}
	for _, name := range names {
		c.wildcard = c.wildcard || strings.HasPrefix(name, "*.")
		if d := "domain " + registered(name); !seen[d] {
			seen[d] = true
			c.domains = append(c.domains, d)
		}
	}
	sorted := append([]string{}, names...)
	sort.Strings(sorted)
	c.set = "set " + strings.Join(sorted, ",")
	return c
}

// registered is the domain that somebody registered: what CAs count by.
func registered(name string) string {
	name = strings.TrimPrefix(strings.ToLower(name), "*.")
	if d, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return d
	}
	return name
}

// free is the earliest moment from t on at which one more fits into a window.
func (l *lane) free(rate Rate, key string, t time.Time) time.Time {
	used := l.used[key]
	if rate.N <= 0 || len(used) < rate.N {
		return t
	}
	if again := used[len(used)-rate.N].Add(rate.Per); again.After(t) {
		return again
	}
	return t
}

// account is the account that is free first, and when.
func (l *lane) account(t time.Time) (name string, at time.Time) {
	for i, a := range l.Accounts {
		if f := l.free(l.Limits.Account, "account "+a, t); i == 0 || f.Before(at) {
			name, at = a, f
		}
	}
	return name, at
}

// names is the earliest moment that the limits on names allow.
func (l *lane) names(c counted, t time.Time) time.Time {
	at := l.free(l.Limits.Set, c.set, t)
	for _, d := range c.domains {
		if f := l.free(l.Limits.Domain, d, t); f.After(at) {
			at = f
		}
	}
	return at
}

func (b *budget) run() error {
	b.counted = make([]counted, len(b.wants))
	for i, w := range b.wants {
		if len(w.Names) == 0 {
			return fault.New(fault.Usage, "certificate %d of the plan names nothing", i+1)
		}
		b.counted[i] = count(w.Names)
		if !slices.ContainsFunc(b.routes, func(l *lane) bool { return l.takes(b.counted[i]) }) {
			return impossible(b.counted[i], w.Names)
		}
		slot, free := b.withoutLimit(w, b.counted[i])
		if b.slots[i] = slot; free {
			continue
		}
		b.queue = append(b.queue, i)
	}
	for t := b.now; ; t = b.next(t) {
		b.wake(t)
		if len(b.queue) == 0 {
			return nil
		}
		for _, i := range b.queue {
			b.place(i, t)
		}
		b.queue = b.queue[:0]
	}
}

// next is the moment at which something changes for a want that waits.
func (b *budget) next(t time.Time) time.Time {
	var first time.Time
	see := func(at time.Time) {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for _, l := range b.routes {
		if len(l.waiting) > 0 {
			_, at := l.account(t)
			see(at)
		}
	}
	if b.blocked.Len() > 0 {
		see(b.blocked.all[0].at)
	}
	return first
}

// wake queues what may be possible at t: of those that wait for an account only as many as may fit.
func (b *budget) wake(t time.Time) {
	for _, l := range b.routes {
		if len(l.waiting) == 0 {
			continue
		}
		fit := 0
		for _, a := range l.Accounts {
			fit += l.room("account "+a, t)
		}
		fit = min(fit, len(l.waiting))
		b.queue = append(b.queue, l.waiting[:fit]...)
		l.waiting = l.waiting[fit:]
	}
	for b.blocked.Len() > 0 && !b.blocked.all[0].at.After(t) {
		b.queue = append(b.queue, heap.Pop(&b.blocked).(waiting).want)
	}
}

// room is how many more orders an account may make at t.
func (l *lane) room(key string, t time.Time) int {
	rate, used := l.Limits.Account, l.used[key]
	if rate.N <= 0 {
		return len(l.waiting)
	}
	recent := 0
	for i := len(used) - 1; i >= 0 && recent < rate.N && t.Sub(used[i]) < rate.Per; i-- {
		recent++
	}
	return rate.N - recent
}

// place takes the first CA that is free for this want at t; else it lets the want wait where it is free first.
func (b *budget) place(i int, t time.Time) {
	var again time.Time
	var onAccount *lane
	first := true
	for _, l := range b.routes {
		if !l.takes(b.counted[i]) {
			continue
		}
		account, at := l.account(t)
		names := l.names(b.counted[i], t)
		if !at.After(t) && !names.After(t) {
			l.take(account, b.counted[i], t)
			b.slots[i].CA, b.slots[i].Account, b.slots[i].At = l.CA, account, t
			return
		}
		waits := l
		if names.After(t) {
			waits = nil
		}
		if names.After(at) {
			at = names
		}
		if first || at.Before(again) {
			again, onAccount, first = at, waits, false
		}
	}
	if onAccount != nil {
		onAccount.waiting = append(onAccount.waiting, i)
		return
	}
	heap.Push(&b.blocked, waiting{again, i})
}

type waiting struct {
	at   time.Time
	want int
}

// later is a heap of wants by the time at which they are looked at again, first come first served among equals.
type later struct{ all []waiting }

// Len is the number of wants that wait.
func (l *later) Len() int { return len(l.all) }

// Less orders by time, then by the plan's order.
func (l *later) Less(i, j int) bool {
	if l.all[i].at.Equal(l.all[j].at) {
		return l.all[i].want < l.all[j].want
	}
	return l.all[i].at.Before(l.all[j].at)
}

// Swap is for the heap.
func (l *later) Swap(i, j int) { l.all[i], l.all[j] = l.all[j], l.all[i] }

// Push is for the heap.
func (l *later) Push(x any) { l.all = append(l.all, x.(waiting)) }

// Pop is for the heap.
func (l *later) Pop() any {
	last := l.all[len(l.all)-1]
	l.all = l.all[:len(l.all)-1]
	return last
}
