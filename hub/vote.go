package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"staunch/fault"
	"staunch/incident"
	"staunch/mandate"
	"staunch/steer/plan"
	"staunch/steer/vote"

	"golang.org/x/crypto/ssh"
)

// Vote takes one person's signature under a plan's digest, if it is good and the person is on the list.
func (h *Hub) Vote(ctx context.Context, planID, armoured string, list *mandate.Signers) (*incident.Incident, string, error) {
	sealed, err := h.Plan(ctx, planID)
	if err != nil {
		return nil, "", err
	}
	who, key, err := h.voter(sealed.Digest, armoured, list)
	if err != nil {
		return nil, "", err
	}
	body, err := json.Marshal(armoured)
	if err != nil {
		return nil, "", fault.New(fault.Bug, "%v", err)
	}
	s, err := h.Do(ctx, sealed.Plan().Incident, incident.Cast{Vote: incident.Vote{Plan: planID, Digest: sealed.Digest, Voter: who, Key: key, Body: body}})
	return s, who, err
}

// voter checks a signature: over exactly this digest, by somebody on the list, now.
func (h *Hub) voter(digest, armoured string, list *mandate.Signers) (who, key string, err error) {
	sig, err := mandate.ParseSignature(armoured)
	if err != nil {
		return "", "", err
	}
	if err := sig.Verify(mandate.Message(digest)); err != nil {
		return "", "", fault.From(err, fault.Denied).Hinted("the signature is not under this plan: read it again and sign anew")
	}
	who, err = list.Person(sig.Key, h.Now())
	if err != nil {
		return "", "", fault.From(err, fault.Denied).Hinted("people who may vote are listed in the allowed_signers file")
	}
	return who, ssh.FingerprintSHA256(sig.Key), nil
}

// Approval is how far a plan's votes reach.
type Approval struct {
	Voters     []string
	Signatures []string
	Until      string   // the last ring, in order, that has its quorum; "" where not even the first has
	Missing    []string // "production: 1 more of 2 votes"
	All        bool
	Void       []string // votes that do not count, with the reason
}

// Approval counts a plan's votes anew: each is checked again, against the list as it is now, so that a vote of somebody who has left does not count.
func (h *Hub) Approval(ctx context.Context, sealed *plan.Sealed, list *mandate.Signers) (Approval, error) {
	p := sealed.Plan()
	s, _, err := h.Incident(ctx, p.Incident)
	if err != nil {
		return Approval{}, err
	}
	proposed := s.Plan(p.ID)
	switch {
	case proposed == nil:
		return Approval{}, fault.New(fault.NotFound, "plan %s was never proposed", p.ID)
	case proposed.Void:
		return Approval{}, fault.New(fault.Conflict, "plan %s was replaced by plan %s", p.ID, s.Current().Plan).Hinted("`staunch plan show %s`", s.Current().Plan)
	}
	var votes []vote.Vote
	for _, v := range proposed.Votes {
		var armoured string
		if json.Unmarshal(v.Body, &armoured) != nil {
			continue // a vote without a signature counts for nothing
		}
		votes = append(votes, vote.Vote{Plan: p.ID, Digest: v.Digest, At: h.Now(), Signature: armoured})
	}
	tally := vote.Count(sealed, votes, list, h.Now())
	a := Approval{Voters: tally.People, Signatures: tally.Signatures()}
	for _, v := range tally.Void {
		a.Void = append(a.Void, strings.TrimSpace(v.By+" "+v.Why))
	}
	a.reach(p)
	return a, nil
}

// reach finds the furthest ring whose quorum, and that of all rings before it, is there.
func (a *Approval) reach(p *plan.Plan) {
	a.All = len(a.Voters) > 0
	for _, r := range p.Rings {
		if need := max(r.Quorum, 1); len(a.Voters) < need {
			a.All = false
			a.Missing = append(a.Missing, fmt.Sprintf("ring %s: %d more of %s", r.Name, need-len(a.Voters), incident.Count(need, "vote", "votes")))
		} else if len(a.Missing) == 0 {
			a.Until = r.Name
		}
	}
	if len(p.Rings) == 0 && !a.All {
		a.Missing = append(a.Missing, "1 more of 1 vote")
	}
}
