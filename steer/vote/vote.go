// Package vote collects signatures over plans: who may vote, what counts, and what is still missing.
package vote

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/steer/plan"

	"golang.org/x/crypto/ssh"
)

// Vote is one person's signature over one plan's digest. Who the person is follows from the key, never from what the vote says.
type Vote struct {
	Plan      string    `json:"plan"`   // id: "7.1"
	Digest    string    `json:"digest"` // plan.Sealed.Digest as the person saw it
	At        time.Time `json:"at"`
	Signature string    `json:"signature"` // armoured SSHSIG over mandate.Message(Digest)
	Note      string    `json:"note,omitempty"`
}

// Sign makes a vote with a key (of a file or an agent).
func Sign(signer ssh.Signer, sealed *plan.Sealed, at time.Time) (Vote, error) {
	signature, err := mandate.Sign(signer, sealed.Digest)
	if err != nil {
		return Vote{}, err
	}
	return Vote{Plan: sealed.Plan().ID, Digest: sealed.Digest, At: at.UTC().Truncate(time.Millisecond), Signature: signature}, nil
}

// Check proves that a vote is a listed person's signature over exactly this plan, and tells whose.
func Check(v Vote, sealed *plan.Sealed, signers *mandate.Signers) (string, error) {
	p := sealed.Plan()
	if v.Plan != p.ID {
		return "", fault.New(fault.Conflict, "the vote is for plan %s, not for plan %s", v.Plan, p.ID)
	}
	if v.Digest != sealed.Digest {
		return "", fault.New(fault.Conflict, "the vote is for plan %s as %.12s, but the plan is %.12s: somebody looked at another text", p.ID, v.Digest, sealed.Digest).
			Hinted("look again with `staunch plan show %s`, compare the digest with your colleague's, and vote again", p.ID)
	}
	return signedBy(v.Signature, v.Digest, v.At, signers)
}

// signedBy proves a signature over a digest and tells the listed person.
func signedBy(armoured, digest string, at time.Time, signers *mandate.Signers) (string, error) {
	sig, err := mandate.ParseSignature(armoured)
	if err != nil {
		return "", err
	}
	if err := sig.Verify(mandate.Message(digest)); err != nil {
		return "", err
	}
	person, err := signers.Person(sig.Key, at)
	if err != nil {
		return "", fault.New(fault.Denied, "this vote does not count: %v", err).Hinted("somebody on the list can add the key to the allowed signers; a vote cannot list itself")
	}
	return person, nil
}

// Tally is what the votes for one plan amount to.
type Tally struct {
	Plan       string    `json:"plan"`
	Digest     string    `json:"digest"`
	People     []string  `json:"people"`         // who voted for exactly this plan, sorted
	Needs      []Need    `json:"needs"`          // ring by ring
	Void       []Void    `json:"void,omitempty"` // votes that do not count, with the reason
	Ready      time.Time `json:"ready,omitzero"` // when enough votes count but a delay still runs
	Listed     int       `json:"listed"`         // people who may vote
	signatures []string
}

// Need is what one ring (or the steps outside of rings) asks for.
type Need struct {
	Ring  string `json:"ring,omitempty"`
	Votes int    `json:"votes"`
	Has   int    `json:"has"`
}

// Void is a vote that does not count.
type Void struct {
	By     string `json:"by,omitempty"`
	Digest string `json:"digest"`
	Why    string `json:"why"`
}

// Count tallies the votes for a plan. Several keys of one person are one vote.
func Count(sealed *plan.Sealed, votes []Vote, signers *mandate.Signers, now time.Time) Tally {
	p := sealed.Plan()
	t := Tally{Plan: p.ID, Digest: sealed.Digest, Listed: signers.People(now), People: []string{}}
	for _, v := range votes {
		if v.Plan != p.ID {
			continue
		}
		person, err := Check(v, sealed, signers)
		switch {
		case err != nil:
			t.Void = append(t.Void, Void{By: signer(v, signers), Digest: v.Digest, Why: err.Error()})
		case !slices.Contains(t.People, person):
			t.People = append(t.People, person)
			t.signatures = append(t.signatures, v.Signature)
		}
	}
	slices.Sort(t.People)
	t.Needs = needs(p, len(t.People))
	if now.Before(p.NotBefore) {
		t.Ready = p.NotBefore
	}
	return t
}

// signer names the listed person behind a vote for another text, so that two people can find out whom to talk to.
func signer(v Vote, signers *mandate.Signers) string {
	person, err := signedBy(v.Signature, v.Digest, v.At, signers)
	if err != nil {
		return ""
	}
	return person
}

// needs takes the strictest step of every ring.
func needs(p *plan.Plan, has int) []Need {
	most := map[string]int{}
	for i := range p.Steps {
		s := &p.Steps[i]
		most[s.Ring] = max(most[s.Ring], s.Votes)
	}
	var out []Need
	for _, r := range p.Rings {
		if n, used := most[r.Name]; used {
			out = append(out, Need{r.Name, n, has})
		}
	}
	if n, used := most[""]; used {
		out = append(out, Need{"", n, has})
	}
	return out
}

// Signatures gives the counting votes' signatures, for the mandates of orders.
func (t Tally) Signatures() []string { return slices.Clone(t.signatures) }

// Allows tells whether a step may begin as far as votes go, or what is missing.
func (t Tally) Allows(s *plan.Step) error {
	if missing := s.Votes - len(t.People); missing > 0 {
		return fault.New(fault.Denied, "step %s needs %d votes, plan %s has %d%s", s.ID, s.Votes, t.Plan, len(t.People), t.of()).
			Hinted("staunch approve %s", t.Plan)
	}
	return nil
}

// Last gives the last ring, in the plan's order, up to which every ring has its votes; "" and false if not even the first has.
func (t Tally) Last() (ring string, all bool) {
	all = true
	for _, n := range t.Needs {
		if n.Has < n.Votes {
			all = false
			break
		}
		if n.Ring != "" {
			ring = n.Ring
		}
	}
	return ring, all
}

func (t Tally) of() string {
	var parts []string
	if len(t.People) > 0 {
		parts = append(parts, "from "+strings.Join(t.People, ", "))
	}
	for _, v := range t.Void {
		who := v.By
		if who == "" {
			who = "somebody"
		}
		parts = append(parts, fmt.Sprintf("%s's does not count: %s", who, v.Why))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}
