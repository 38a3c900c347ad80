package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/incident"
	"staunch/mandate"
	"staunch/phrase"
	"staunch/steer/plan"
	"staunch/steer/vote"
)

// Speak takes a signed word: breaking the glass, reviewing that, a standing vote to widen, or "vulnerable until".
func (h *Hub) Speak(ctx context.Context, w vote.Spoken, list *mandate.Signers) (who string, err error) {
	who, err = w.Check(list, h.Now())
	if err != nil {
		return "", err
	}
	s, _, err := h.Incident(ctx, w.Incident)
	if err != nil {
		return "", err
	}
	if err := h.fits(s, w, who, list); err != nil {
		return "", err
	}
	body, err := json.Marshal(w)
	if err != nil {
		return "", fault.New(fault.Bug, "%v", err)
	}
	_, err = h.Do(ctx, w.Incident, incident.Say{By: who, Kind: string(w.Kind), Reason: w.Reason, Scope: scope(w.Word), Until: w.Until, Body: body})
	return who, err
}

// fits holds a word against the incident: what it is about is there, and nobody reviews their own.
func (h *Hub) fits(s *incident.Incident, w vote.Spoken, who string, list *mandate.Signers) error {
	switch w.Kind {
	case vote.BreakGlass:
		if at := slices.IndexFunc(s.Plans, func(p incident.Plan) bool { return p.Digest == w.Plan }); at < 0 || s.Plans[at].Void {
			return fault.New(fault.Conflict, "the plan with digest %.12s is not one that could run", w.Plan).Hinted("`staunch incident show %s` lists the plans", w.Incident)
		}
	case vote.Review:
		return h.reviewable(s, w, who, list)
	case vote.StayVulnerable:
		if s.Advisory == nil || s.Advisory.ID != w.About {
			return fault.New(fault.Conflict, "incident %s is not about %s", s.Opened.ID, w.About)
		}
		for _, name := range w.On {
			if s.Hosts[name] == nil {
				return fault.New(fault.NotFound, "incident %s knows no host %s", s.Opened.ID, name)
			}
		}
	}
	return nil
}

func (h *Hub) reviewable(s *incident.Incident, w vote.Spoken, who string, list *mandate.Signers) error {
	words, err := spoken(s)
	if err != nil {
		return err
	}
	broke := func(p vote.Spoken) bool { return p.Kind == vote.BreakGlass && p.Plan == w.Plan }
	if !slices.ContainsFunc(words, broke) {
		return fault.New(fault.NotFound, "nobody broke the glass for this plan")
	}
	for _, p := range words {
		if !broke(p) {
			continue
		}
		if by, err := p.Check(list, h.Now()); err != nil || by != who {
			return nil
		}
	}
	return fault.New(fault.Denied, "%s broke the glass: somebody else has to review it", who)
}

// scope words what a standing vote or a waiver covers.
func scope(w vote.Word) string {
	switch w.Kind {
	case vote.Widen:
		return fmt.Sprintf("up to %s more of %s", phrase.Count(w.Hosts, "host", "hosts"), strings.Join(w.Rings, ", "))
	case vote.StayVulnerable:
		return strings.Join(phrase.Some(w.On, 8), ", ")
	}
	return ""
}

// Waivers are the hosts that people signed may stay vulnerable to the incident's advisory, as a plan holds them. Words that ended, or of
// somebody who is not on the list any more, waive nothing.
func (h *Hub) Waivers(ctx context.Context, id string, list *mandate.Signers) ([]plan.Waiver, error) {
	s, _, err := h.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	words, err := spoken(s)
	if err != nil {
		return nil, err
	}
	var out []plan.Waiver
	for _, w := range words {
		if w.Kind != vote.StayVulnerable {
			continue
		}
		by, err := w.Check(list, h.Now())
		if err != nil {
			continue
		}
		for _, host := range w.On {
			if to := s.Renamed[host]; to != "" {
				host = to
			}
			out = append(out, plan.Waiver{Host: host, Advisory: w.About, Until: w.Until, Reason: w.Reason, By: by})
		}
	}
	return out, nil
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
