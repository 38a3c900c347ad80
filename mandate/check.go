package mandate

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"staunch/fault"
)

// Demand is what a host asks of a mandate.
type Demand struct {
	Signers *Signers
	Quorum  int // distinct people, by the host's own policy; less than 1 counts as 1
	Now     time.Time
	Hosts   []string // the names that this host answers to
	// Skew is how far the host's clock may be off when it judges validity times.
	Skew time.Duration
}

// Grant is what a valid mandate proves.
type Grant struct {
	Digest string   // of the plan
	People []string // who signed, sorted, each once
	Needed int
	Leaf   Leaf
}

// Check proves that the plan is signed by enough of the host's own allowed signers, that the leaf stands in it for this host,
// and that it is valid now. Every refusal is Denied or Corrupt and says why. Whether it was used before is the journal's to know.
func (m Mandate) Check(d Demand) (Grant, error) {
	if err := m.Header.Validate(); err != nil {
		return Grant{}, err
	}
	if err := m.inPlan(d.Hosts); err != nil {
		return Grant{}, err
	}
	if err := m.inTime(d.Now, d.Skew); err != nil {
		return Grant{}, err
	}
	digest, err := m.Header.Digest()
	if err != nil {
		return Grant{}, err
	}
	grant := Grant{Digest: digest, Leaf: m.Leaf, Needed: max(1, d.Quorum, m.Header.Quorum[m.Leaf.Ring])}
	why := grant.count(m.Signatures, d)
	if len(grant.People) < grant.Needed {
		e := fault.New(fault.Denied, "plan %s has %d of %d valid signatures", m.Header.Plan, len(grant.People), grant.Needed)
		if len(why) > 0 {
			e = fault.New(fault.Denied, "%s (%s)", e.What, strings.Join(why, "; "))
		}
		return Grant{}, e.Hinted("let another allowed signer vote: echo %s | ssh-keygen -Y sign -n %s -f KEY", digest, Namespace)
	}
	return grant, nil
}

func (m Mandate) inPlan(hosts []string) error {
	if err := m.Leaf.Validate(); err != nil {
		return err
	}
	if m.Leaf.Plan != m.Header.Plan {
		return fault.New(fault.Denied, "the leaf is of plan %s, the signatures of plan %s", m.Leaf.Plan, m.Header.Plan)
	}
	if !slices.Contains(hosts, m.Leaf.Host) {
		return fault.New(fault.Denied, "the mandate is for host %s, this is %s", m.Leaf.Host, strings.Join(hosts, ", "))
	}
	h, err := m.Leaf.hash()
	if err != nil {
		return err
	}
	root, err := climb(h, m.Index, m.Header.Leaves, m.Path)
	if err != nil {
		return err
	}
	if root != m.Header.Root {
		return fault.New(fault.Denied, "the act is not the one that was signed: it does not stand in plan %s", m.Header.Plan)
	}
	return nil
}

func (m Mandate) inTime(now time.Time, skew time.Duration) error {
	if !now.Before(m.Header.Expires) {
		return fault.New(fault.Denied, "plan %s expired at %s, it is %s here", m.Header.Plan, stamp(m.Header.Expires), stamp(now)).
			Hinted("make the plan again and let it be signed again; if this host's clock is wrong, set it")
	}
	if now.Add(skew).Before(m.Header.NotBefore) {
		return fault.New(fault.Denied, "plan %s starts at %s, it is %s here", m.Header.Plan, stamp(m.Header.NotBefore), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// count fills in who signed and returns why signatures did not count.
func (g *Grant) count(signatures []string, d Demand) (why []string) {
	for _, text := range signatures[:min(len(signatures), MaxSignatures)] {
		person, err := signedBy(text, g.Digest, d)
		switch {
		case err != nil:
			why = append(why, err.Error())
		case slices.Contains(g.People, person):
			why = append(why, person+" signed more than once")
		default:
			g.People = append(g.People, person)
		}
	}
	slices.Sort(g.People)
	return why
}

func signedBy(text, digest string, d Demand) (string, error) {
	sig, err := ParseSignature(text)
	if err != nil {
		return "", err
	}
	if err := sig.Verify(Message(digest)); err != nil {
		return "", err
	}
	if d.Signers == nil {
		return "", fault.New(fault.Denied, "there are no allowed signers")
	}
	return d.Signers.Person(sig.Key, d.Now)
}

// Make puts together what an order for leaf i carries.
func Make(h Header, leaves []Leaf, i int, signatures []string) (json.RawMessage, error) {
	tree, err := Plant(leaves)
	if err != nil {
		return nil, err
	}
	return tree.Mandate(h, leaves, i, signatures)
}

// Mandate is Make for callers that keep the tree, because a plan has one order a leaf.
func (t Tree) Mandate(h Header, leaves []Leaf, i int, signatures []string) (json.RawMessage, error) {
	path, err := t.Path(i)
	if err != nil {
		return nil, err
	}
	if h.Root != t.Root() || h.Leaves != len(leaves) {
		return nil, fault.New(fault.Conflict, "the header of plan %s does not belong to these leaves", h.Plan)
	}
	b, err := json.Marshal(Mandate{Header: h, Leaf: leaves[i], Index: i, Path: path, Signatures: signatures})
	if err != nil {
		return nil, fault.New(fault.Usage, "mandate: %v", err)
	}
	return b, nil
}
