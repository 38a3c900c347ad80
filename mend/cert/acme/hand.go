package acme

import (
	"sync"

	"github.com/mholt/acmez/v3/acme"
)

// hand holds orders as the CA described them a moment ago, so that they need not be asked for again. It lives in memory only: after a crash, and
// after anything whose outcome is not known, the CA is asked.
type hand struct {
	mu     sync.Mutex
	orders map[string]acme.Order
}

func (h *hand) put(o acme.Order) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.orders[o.Location] = o
}

// take gives an order away: what is done with it next may change it.
func (h *hand) take(url string) (acme.Order, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, held := h.orders[url]
	delete(h.orders, url)
	return o, held
}
