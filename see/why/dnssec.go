package why

import (
	"context"

	"github.com/miekg/dns"

	"staunch/see/why/names"
)

// security judges the signatures from the root's anchor to the answers for A and AAAA (which may be nil), and records the result.
// refused tells that a resolver which checks would not give out a single address.
func (n *nameLook) security(ctx context.Context, walker *names.Walker, path []*names.Zone, name string, four, six *dns.Msg) (sec names.DNSSEC, refused bool) {
	sec, other := walker.Chain(ctx, n.anchors(), path, name, four, six)
	refused = sec.State == "broken"
	switch {
	case refused && other.State == "valid" && len(six.Answer) > 0:
		refused = false
	case sec.State == "valid" && other.State != "valid":
		other.Says += " (asked for AAAA)"
		sec = other
	}
	n.detail.DNSSEC = &sec
	state := OK
	switch {
	case refused:
		state = Failed
	case sec.State == "broken":
		state = Slowly
	}
	n.note(state, "delv "+name, "DNSSEC: %s", sec.Says)
	return sec, refused
}

// anchors are what the root is trusted by: what was given, else the public ones unless the root is one of our own.
func (n *nameLook) anchors() []string {
	if n.q.Anchors == nil && n.q.RootHints == nil {
		return names.RootAnchors()
	}
	return n.q.Anchors
}
