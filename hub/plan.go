package hub

import (
	"context"
	"fmt"
	"strings"

	"staunch/fault"
	"staunch/incident"
	"staunch/ledger"
	"staunch/steer/plan"
)

// Propose keeps a plan's document and puts it before the voters of its incident. Because says why it replaces the one before.
func (h *Hub) Propose(ctx context.Context, sealed *plan.Sealed, because string) (*incident.Incident, error) {
	p := sealed.Plan()
	err := h.Store.Put(ctx, ledger.Document{Kind: planDocument, ID: p.ID, Body: sealed.Bytes}, ledger.Empty)
	if fault.Is(err, fault.Conflict) {
		if known, errKnown := h.Plan(ctx, p.ID); errKnown != nil || known.Digest != sealed.Digest {
			return nil, fault.New(fault.Conflict, "there is another plan %s already", p.ID)
		}
		err = nil // this very plan was stored, and the command broke off before it was proposed
	}
	if err != nil {
		return nil, err
	}
	var unseen []string
	for _, u := range p.Unseen {
		unseen = append(unseen, u.Host)
	}
	s, err := h.Do(ctx, p.Incident, incident.Propose{Planned: incident.Planned{
		Plan: p.ID, Digest: sealed.Digest, Title: p.Title, Steps: len(p.Steps), Hosts: len(p.Hosts()), GaveUp: p.Pace.GaveUp, Because: because, Remaining: unseen,
	}})
	if err != nil {
		return nil, err
	}
	return s, h.replace(ctx, p)
}

// NextPlanID is the id of an incident's next plan.
func NextPlanID(s *incident.Incident) string {
	return fmt.Sprintf("%s.%d", s.Opened.ID, len(s.Plans)+1)
}

// IncidentOf gives the incident's part of a plan's id.
func IncidentOf(planID string) (string, error) {
	id, n, ok := strings.Cut(planID, ".")
	if !ok || number(id) < 1 || number(n) < 1 {
		return "", fault.New(fault.Usage, "%.40q is no plan", planID).Hinted("plans are called 7.1: the incident's number, a dot, a number")
	}
	return id, nil
}

// Plan reads a plan back and holds it to the digest that was proposed: a document that was changed on the way is refused.
func (h *Hub) Plan(ctx context.Context, id string) (*plan.Sealed, error) {
	of, err := IncidentOf(id)
	if err != nil {
		return nil, err
	}
	d, err := h.Store.Get(ctx, planDocument, id)
	if err != nil {
		return nil, err
	}
	sealed, err := plan.Open(d.Body)
	if err != nil {
		return nil, err
	}
	s, _, err := h.Incident(ctx, of)
	if err != nil {
		return nil, err
	}
	if known := s.Plan(id); known != nil && known.Digest != sealed.Digest {
		return nil, fault.New(fault.Corrupt, "plan %s is not the one that was proposed: its digest is %.12s, the ledger says %.12s", id, sealed.Digest, known.Digest).
			Hinted("make a new plan; `staunch ledger verify` tells whether the ledger was changed")
	}
	return sealed, nil
}
