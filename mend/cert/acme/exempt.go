package acme

import (
	"fmt"
	"slices"
)

// Predecessor is a certificate whose place a new one takes. A CA exempts the order from its limits only if the very account ordered that
// certificate, and only once: it refuses to replace what another account ordered (403), what was replaced before (409), and what it never issued.
type Predecessor struct {
	ID       string // of the certificate, as the caller names it
	CA       string // that issued it, as in Route.CA; "": not known here, which counts as another one
	Account  string // that ordered it there, as in Route.Accounts
	Replaced bool   // an order that replaces it was taken before
}

// withoutLimit finds the first CA, in their order, at which this want counts towards no limit. Else the slot only says why it counts.
// A CA without limits that stands behind one with limits is where the rest goes, not the first choice.
func (b *budget) withoutLimit(w Want, c counted) (Slot, bool) {
	limited := false
	for _, l := range b.routes {
		switch {
		case !l.takes(c):
		case l.exempts(w.Replaces) && !b.spent[w.Replaces.ID]:
			b.spent[w.Replaces.ID] = true
			return Slot{CA: l.CA, Account: w.Replaces.Account, At: b.now, Free: true, Because: "it replaces a certificate of the same account"}, true
		case !l.Limits.none():
			limited = true
		case !limited:
			return Slot{CA: l.CA, Account: l.Accounts[0], At: b.now, Because: "no limits are set for " + l.CA}, true
		}
	}
	return Slot{Because: b.counts(w.Replaces)}, false
}

func (l *lane) exempts(p *Predecessor) bool {
	return p != nil && !p.Replaced && l.Limits.ReplacingFree && p.CA == l.CA && slices.Contains(l.Accounts, p.Account)
}

func (l Limits) none() bool { return l.Account.N <= 0 && l.Domain.N <= 0 && l.Set.N <= 0 }

// counts says why an order for such a successor counts towards the limits.
func (b *budget) counts(p *Predecessor) string {
	switch {
	case p == nil:
		return "it replaces no certificate that was seen whole"
	case p.CA == "":
		return "which account ordered the certificate that it replaces is not known here"
	case p.Replaced || b.spent[p.ID]:
		return "the certificate that it replaces is replaced by another order"
	}
	for _, l := range b.routes {
		if l.CA == p.CA && slices.Contains(l.Accounts, p.Account) {
			return p.CA + " exempts no replacements"
		}
	}
	return fmt.Sprintf("account %s at %s ordered the certificate that it replaces, and is not set up", p.Account, p.CA)
}
