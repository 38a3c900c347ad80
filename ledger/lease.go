package ledger

import (
	"context"
	"time"

	"staunch/fault"
)

// Lease is the right to be the only one who does something, until a time.
type Lease struct {
	Name   string    `json:"name"`   // "run/7.1"
	Holder string    `json:"holder"` // unique among all who ask: host, process and a random part
	Epoch  int64     `json:"epoch"`  // greater each time the lease goes to another holder: lets later parts refuse a stale one
	Until  time.Time `json:"until"`  // by the store's clock
}

// Leases hands out leases. Time is the store's, so clocks of holders do not matter.
type Leases interface {
	// Acquire takes or renews the lease for ttl; Conflict names the present holder.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error)
	// Release gives it back; a lease that has gone to somebody else is left alone.
	Release(ctx context.Context, l Lease) error
}

// Grant decides who holds a lease now: held is the present state (zero: nobody). Every store uses it, so that the rule lives once.
func Grant(held Lease, name, holder string, now time.Time, ttl time.Duration) (Lease, error) {
	if name == "" || holder == "" || !plain(name) || !plain(holder) || ttl <= 0 {
		return Lease{}, fault.New(fault.Usage, "a lease has a name, a holder and a time to live")
	}
	if held.Holder != holder && held.Holder != "" && now.Before(held.Until) {
		return Lease{}, fault.New(fault.Conflict, "%s is being done by %s (until %s at least)", name, held.Holder, held.Until.UTC().Format(time.RFC3339)).
			Hinted("wait until it ends, or stop it there")
	}
	next := Lease{Name: name, Holder: holder, Epoch: held.Epoch, Until: Millis(now.Add(ttl))}
	if held.Holder != holder {
		next.Epoch++
	}
	return next, nil
}
