package carry

import (
	"bytes"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/files"
	"staunch/reach/act/journal"
)

// authorised says by whose word an order is carried out.
type authorised struct {
	plan   string    // digest; "" without a mandate
	people []string  // who signed
	until  time.Time // when the mandate expires
	local  bool      // root on the machine itself, without a mandate where one is demanded
}

// skew is how far a host's clock may run behind a plan's beginning.
const skew = 5 * time.Minute

// authority checks policy and mandate. Without an allowed_signers file the login is the authority.
func (e *Engine) authority(b *job, d bench.Deed, orders map[string]*journal.Entry) (authorised, error) {
	if err := b.Policy.Kind(b.order.Act.Kind); err != nil {
		return authorised{}, err
	}
	text, err := files.Trusted(e.Places.Root, e.Places.Signers, e.Places.Owner, 1<<20)
	switch {
	case fault.Is(err, fault.NotFound) && b.order.Act.Kind == act.RevokeOwn:
		return authorised{}, denied("a key asks for its own revocation only where people signed for it, and this host knows nobody who may sign").
			Hinted("write allowed_signers on it (docs/mandates.md); or revoke by an account of the CA")
	case fault.Is(err, fault.NotFound):
		return authorised{}, e.named(b)
	case b.order.Mandate == nil && e.Local && b.safer(d, orders):
		return authorised{local: true}, nil
	case err != nil:
		return authorised{}, denied("the host's allowed signers do not count: %v", err).Hinted("%s", fault.HintOf(err))
	case b.order.Mandate == nil:
		return authorised{}, denied("this host demands a mandate: %s needs a signed plan", b.order.Act.Kind).
			Hinted("root on the host itself may stop, drain, mask and restart without one: run staunch do there")
	}
	signers, err := mandate.ParseSigners(text, time.Local)
	if err != nil {
		return authorised{}, fault.New(fault.Denied, "%v", err)
	}
	return e.mandated(b, signers, orders)
}

// named refuses an order for another host where the policy says what this host is called.
func (e *Engine) named(b *job) error {
	if len(b.Policy.Names) == 0 || b.order.Host == "" && e.Local {
		return nil
	}
	for _, n := range b.Policy.Names {
		if n == b.order.Host {
			return nil
		}
	}
	return denied("the order is for host %.60q, this is %s", b.order.Host, strings.Join(b.Policy.Names, ", "))
}

func (e *Engine) mandated(b *job, signers *mandate.Signers, orders map[string]*journal.Entry) (authorised, error) {
	m, err := mandate.Parse(b.order.Mandate)
	if err != nil {
		return authorised{}, fault.New(fault.Denied, "%v", err)
	}
	now := e.now()
	grant, err := m.Check(mandate.Demand{Signers: signers, Quorum: b.Policy.Needs(signers.People(now)), Now: now, Hosts: b.Policy.Called(), Skew: skew})
	if err != nil {
		return authorised{}, fault.New(fault.Denied, "%v", err).Hinted("%s", fault.HintOf(err))
	}
	if err := b.covered(grant); err != nil {
		return authorised{}, err
	}
	return authorised{plan: grant.Digest, people: grant.People, until: m.Header.Expires}, b.unused(grant, orders)
}

// covered proves that the order is exactly what the leaf says.
func (b *job) covered(grant mandate.Grant) error {
	signed, err := mandate.Canonical(grant.Leaf.Act)
	if err != nil {
		return err
	}
	mine, err := mandate.Canonical(b.order.Act)
	if err != nil {
		return err
	}
	switch prefix := act.OrderID(grant.Digest, grant.Leaf.Step, grant.Leaf.Host, 0); {
	case !bytes.Equal(signed, mine):
		return denied("the order's act is not the one in its mandate")
	case b.order.Step != grant.Leaf.Step || b.order.Host != grant.Leaf.Host:
		return denied("the order names step %.60q on %.60q, its mandate %q on %q", b.order.Step, b.order.Host, grant.Leaf.Step, grant.Leaf.Host)
	case b.order.Undo && !grant.Leaf.Undo:
		return denied("the signatures do not cover undoing this act")
	case !strings.HasPrefix(b.order.ID, strings.TrimSuffix(prefix, "0")):
		return denied("order id %.80s does not belong to plan %.12s, step %s", b.order.ID, grant.Digest, grant.Leaf.Step)
	}
	return nil
}

// unused refuses a mandate whose act has been done: it is good for one success. A failed or unknown attempt may be tried again.
func (b *job) unused(grant mandate.Grant, orders map[string]*journal.Entry) error {
	if b.order.Undo || b.order.Confirm {
		return nil
	}
	prefix := strings.TrimSuffix(act.OrderID(grant.Digest, grant.Leaf.Step, grant.Leaf.Host, 0), "0")
	for id, e := range orders {
		if id == b.order.ID || !strings.HasPrefix(id, prefix) || e.Ended == nil || e.Begun != nil && e.Begun.Order != nil && e.Begun.Order.Of != "" {
			continue
		}
		if e.Ended.Status == act.Done || e.Ended.Status == act.Already {
			return denied("this mandate was used: order %.80s ended as %s", id, e.Ended.Status)
		}
	}
	return nil
}

// safer tells whether an act only takes exposure away: what root on the machine itself may do without anybody's vote
// (docs/decisions/local-root.md).
func (b *job) safer(d bench.Deed, orders map[string]*journal.Entry) bool {
	if b.order.Undo || b.order.Confirm {
		return b.order.Confirm && orders[b.order.Of] != nil && orders[b.order.Of].Begun != nil && orders[b.order.Of].Begun.Local
	}
	return saferDeed(d)
}

func denied(format string, args ...any) *fault.Error { return fault.New(fault.Denied, format, args...) }
