package list

import (
	"context"
	"slices"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
)

// pick is one choice of the server: what it was offered, and what it took. whole is false where groups or signature schemes had been
// taken away, which may rule out suites of one kind, but never orders two of the same kind.
type pick struct {
	offer  []uint16
	chosen uint16
	whole  bool
}

// before tells whether the offer puts a first; both must be in it and comparable.
func (p pick) before(a, b uint16) bool {
	at, bt := slices.Index(p.offer, a), slices.Index(p.offer, b)
	return at >= 0 && bt >= 0 && at < bt && (p.whole || sameKind(a, b))
}

// order is whose order the choices follow.
type order int

const (
	undecided order = iota
	clients
	servers
)

// follows judges all choices of a version. A server that once passed over a suite which it accepts and which the client put first has an
// order of its own; one that took a before b and, offered the other way round, b before a, has none.
func follows(picks []pick, accepted []uint16) order {
	for _, p := range picks {
		if slices.ContainsFunc(accepted, func(a uint16) bool { return p.before(a, p.chosen) }) {
			return servers
		}
	}
	for _, p := range picks {
		for _, q := range picks {
			if isChaCha(p.chosen) || isChaCha(q.chosen) {
				continue // many servers with an order of their own let the client decide about this one
			}
			if p.before(p.chosen, q.chosen) && q.before(q.chosen, p.chosen) {
				return clients
			}
		}
	}
	return undecided
}

// preference says whose order wins; where the choices so far do not show it, the found suites are offered once more, the other way round.
func (l *lister) preference(ctx context.Context, v *Version) {
	if len(v.Suites) < 2 || v.Unsure != "" {
		return
	}
	if follows(v.picks, v.Suites) == undecided {
		offer := against(v.Suites)
		if flight, got, _ := l.d.Ask(ctx, l.d.Offering(v.Number, offer), hello.UntilHello); got == door.Accepted {
			v.picks = append(v.picks, pick{offer, flight.Hello.Suite, true})
		}
	}
	v.Preference = follows(v.picks, v.Suites) == servers
}

// against is the found suites the other way round. ChaCha20 is left out where others are there: a server may favour it because the client
// puts it first, and else keep its own order.
func against(suites []uint16) []uint16 {
	offer := hello.Reversed(suites)
	if len(offer) > 2 {
		offer = slices.DeleteFunc(offer, func(id uint16) bool { return id != suites[0] && isChaCha(id) })
	}
	return offer
}

func isChaCha(id uint16) bool { return id>>8 == 0xcc || id == 0x1303 }
