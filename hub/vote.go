package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/mandate"
	"staunch/phrase"
	"staunch/steer/plan"
	"staunch/steer/run"
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

// Approval is how far a plan's votes reach now. Tally.People voted for this very plan and no other: a revocation, and a host that demands
// signatures, count nobody else.
type Approval struct {
	vote.Tally
	Carried []string // who voted for the plan before only, and counts because a standing vote covers what this one adds
	Until   string   // the last ring, in order, that has its votes; "" where not even the first has
	All     bool     // everything may begin
	Missing []string // "ring production: 1 more of 2 votes"
	Glass   []vote.Broken
	// From is when a lone vote lets things begin; zero: at once.
	From time.Time
	// Alone: the list has one person on it, so nobody else can vote.
	Alone bool
	first time.Time // when the ledger took the first vote that counts
}

// Votes is how many people count for everything but revocations.
func (a Approval) Votes() int { return len(a.People) + len(a.Carried) }

// Grant puts an approval into an event that starts a run or changes what it may do.
func (a Approval) Grant(e run.Event) run.Event {
	e.Votes, e.Glass, e.From = a.Votes(), len(a.Glass) > 0, a.From
	if e.Votes == 0 {
		e.Votes = run.NoVotes
	}
	return e
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
	a, err := h.count(sealed, proposed, list)
	if err != nil {
		return Approval{}, err
	}
	a.Glass = vote.Glass(sealed, words, list, h.Now())
	if err := h.carry(ctx, s, sealed, words, list, &a); err != nil {
		return Approval{}, err
	}
	a.conclude(p, h.delay(p, a))
	return a, nil
}

// count tallies the votes under one plan, and notes when the first of them came.
func (h *Hub) count(sealed *plan.Sealed, proposed *incident.Plan, list *mandate.Signers) (Approval, error) {
	votes, err := h.cast(proposed)
	if err != nil {
		return Approval{}, err
	}
	a := Approval{Tally: vote.Count(sealed, votes, list, h.Now())}
	a.Alone = a.Listed == 1
	for _, v := range proposed.Votes {
		if slices.Contains(a.People, v.Voter) && (a.first.IsZero() || v.At.Before(a.first)) {
			a.first = v.At
		}
	}
	return a, nil
}

// Signatures are the votes under a plan that count now, for orders' mandates. A plan that was replaced keeps them: a host in the middle of its
// turn still has to be brought back.
func (h *Hub) Signatures(ctx context.Context, sealed *plan.Sealed, list *mandate.Signers) ([]string, error) {
	s, _, err := h.Incident(ctx, sealed.Plan().Incident)
	if err != nil {
		return nil, err
	}
	proposed := s.Plan(sealed.Plan().ID)
	if proposed == nil {
		return nil, fault.New(fault.NotFound, "plan %s was never proposed", sealed.Plan().ID)
	}
	a, err := h.count(sealed, proposed, list)
	return a.Signatures(), err
}

// delay is how long a lone vote waits: what the plan says, and for a team of one at least what the inventory says.
func (h *Hub) delay(p *plan.Plan, a Approval) time.Duration {
	delay := time.Duration(p.DelayMS) * time.Millisecond
	if a.Alone && h.Fleet != nil {
		delay = max(delay, h.Fleet.Alone)
	}
	return delay
}

// conclude says how far the votes reach and what is missing.
func (a *Approval) conclude(p *plan.Plan, delay time.Duration) {
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
	if a.Votes() == 1 && delay > 0 && len(a.Glass) == 0 {
		a.From = a.first.Add(delay)
	}
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

// carry counts the voters of the plans before, too, where a standing vote covers what was added since.
func (h *Hub) carry(ctx context.Context, s *incident.Incident, sealed *plan.Sealed, words []vote.Spoken, list *mandate.Signers, a *Approval) error {
	if len(words) == 0 {
		return nil
	}
	p := sealed.Plan()
	for id := p.Parent; id != ""; {
		parent, err := h.Plan(ctx, id)
		if err != nil {
			return err
		}
		d := plan.Compare(parent.Plan(), p)
		if slices.ContainsFunc(words, func(w vote.Spoken) bool { return vote.Covered(d, w, p.Incident, list, h.Now()) == nil }) {
			if err := h.carryFrom(s, parent, list, a); err != nil {
				return err
			}
		}
		id = parent.Plan().Parent
	}
	for i := range a.Needs {
		a.Needs[i].Has = a.Votes()
	}
	return nil
}

func (h *Hub) carryFrom(s *incident.Incident, parent *plan.Sealed, list *mandate.Signers, a *Approval) error {
	before := s.Plan(parent.Plan().ID)
	if before == nil {
		return fault.New(fault.Corrupt, "plan %s was replaced, but never proposed", parent.Plan().ID)
	}
	earlier, err := h.count(parent, before, list)
	if err != nil {
		return err
	}
	for _, who := range earlier.People {
		if !slices.Contains(a.People, who) && !slices.Contains(a.Carried, who) {
			a.Carried = append(a.Carried, who)
		}
	}
	if len(a.Carried) > 0 && !earlier.first.IsZero() && (a.first.IsZero() || earlier.first.Before(a.first)) {
		a.first = earlier.first
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
