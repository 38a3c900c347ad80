package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"staunch/fault"
	"staunch/incident"
	"staunch/mandate"
	"staunch/phrase"
	"staunch/steer/plan"
	"staunch/steer/vote"

	"golang.org/x/crypto/ssh"
)

// Vote takes one person's vote, if its signature is good and the person is on the list; it returns who voted.
func (h *Hub) Vote(ctx context.Context, v vote.Vote, list *mandate.Signers) (who string, err error) {
	sealed, err := h.Plan(ctx, v.Plan)
	if err != nil {
		return "", err
	}
	who, err = vote.Check(v, sealed, list)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return "", fault.New(fault.Bug, "%v", err)
	}
	key := ""
	if sig, err := mandate.ParseSignature(v.Signature); err == nil {
		key = ssh.FingerprintSHA256(sig.Key)
	}
	_, err = h.Do(ctx, sealed.Plan().Incident, incident.Cast{Vote: incident.Vote{Plan: v.Plan, Digest: sealed.Digest, Voter: who, Key: key, Body: body}})
	return who, err
}

// Speak takes a signed word: breaking the glass, reviewing that, or a standing vote to widen.
func (h *Hub) Speak(ctx context.Context, w vote.Spoken, list *mandate.Signers) (who string, err error) {
	who, err = w.Check(list, h.Now())
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(w)
	if err != nil {
		return "", fault.New(fault.Bug, "%v", err)
	}
	_, err = h.Do(ctx, w.Incident, incident.Say{By: who, Kind: string(w.Kind), Reason: w.Reason, Body: body})
	return who, err
}

// Approval is how far a plan's votes reach now.
type Approval struct {
	vote.Tally
	Voters  []string // who voted for exactly this plan: a standing vote's people are not among them
	Until   string   // the last ring, in order, that has its votes; "" where not even the first has
	All     bool     // everything may begin
	Missing []string // "production: 1 more of 2 votes"
	Glass   []vote.Broken
}

// Approval counts a plan's votes anew: each is checked again against the list as it is now. A broken glass lets everything begin, loudly.
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
	words, err := spoken(s)
	if err != nil {
		return Approval{}, err
	}
	votes, err := h.cast(proposed)
	if err != nil {
		return Approval{}, err
	}
	a := Approval{Tally: vote.Count(sealed, votes, list, h.Now()), Glass: vote.Glass(sealed, words, list, h.Now())}
	a.Voters = slices.Clone(a.People)
	if err := h.carry(ctx, s, sealed, words, list, &a); err != nil {
		return Approval{}, err
	}
	a.Until, a.All = a.Last()
	for _, n := range a.Needs {
		if n.Has < n.Votes {
			a.Missing = append(a.Missing, fmt.Sprintf("%s: %d more of %s", ringWords(n.Ring), n.Votes-n.Has, phrase.Count(n.Votes, "vote", "votes")))
		}
	}
	if len(a.Glass) > 0 {
		a.All, a.Until = true, ""
	}
	if a.All && len(a.Needs) > 0 && a.Until == "" {
		a.Until = lastRing(p)
	}
	return a, nil
}

func ringWords(ring string) string {
	if ring == "" {
		return "outside of the rings"
	}
	return "ring " + ring
}

func lastRing(p *plan.Plan) string {
	if len(p.Rings) == 0 {
		return ""
	}
	return p.Rings[len(p.Rings)-1].Name
}

// carry counts the parent's voters, too, where a standing vote covers what the re-plan added.
// Hosts that demand signatures under this very plan still refuse: they get only those.
func (h *Hub) carry(ctx context.Context, s *incident.Incident, sealed *plan.Sealed, words []vote.Spoken, list *mandate.Signers, a *Approval) error {
	p := sealed.Plan()
	if p.Parent == "" || len(words) == 0 {
		return nil
	}
	parent, err := h.Plan(ctx, p.Parent)
	if err != nil {
		return err
	}
	d := plan.Compare(parent.Plan(), p)
	covered := slices.ContainsFunc(words, func(w vote.Spoken) bool { return vote.Covered(d, w, p.Incident, list, h.Now()) == nil })
	if !covered {
		return nil
	}
	earlier, err := h.cast(s.Plan(p.Parent))
	if err != nil {
		return err
	}
	for _, who := range vote.Count(parent, earlier, list, h.Now()).People {
		if !slices.Contains(a.People, who) {
			a.People = append(a.People, who)
		}
	}
	for i := range a.Needs {
		a.Needs[i].Has = len(a.People)
	}
	return nil
}

// cast gives a plan's votes as if they were given now: a key that is not valid any more does not count, whatever date its vote claims.
func (h *Hub) cast(p *incident.Plan) ([]vote.Vote, error) {
	if p == nil {
		return nil, nil
	}
	var votes []vote.Vote
	for _, kept := range p.Votes {
		var v vote.Vote
		if err := json.Unmarshal(kept.Body, &v); err != nil {
			return nil, fault.New(fault.Corrupt, "the vote of %s for plan %s cannot be read: %v", kept.Voter, kept.Plan, err)
		}
		v.At = h.Now()
		votes = append(votes, v)
	}
	return votes, nil
}

func spoken(s *incident.Incident) ([]vote.Spoken, error) {
	var words []vote.Spoken
	for _, kept := range s.Words {
		var w vote.Spoken
		if err := json.Unmarshal(kept.Body, &w); err != nil {
			return nil, fault.New(fault.Corrupt, "a signed word of %s cannot be read: %v", kept.By, err)
		}
		words = append(words, w)
	}
	return words, nil
}
