package hub

import (
	"cmp"
	"context"
	"strings"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/inventory"
	"staunch/mend/patch"
	"staunch/reach/fleet"
	"staunch/see/advisory"
	"staunch/steer/plan"
)

// Making is what people choose when they have a plan made.
type Making struct {
	Urgency plan.Urgency
	Owner   string // of what no service's owner does; "": who asks
	Choices patch.Choices
	Because string         // why a former plan is replaced
	Delay   time.Duration  // nothing begins so soon after the plan was made, which hosts hold orders to, nor so soon after a lone vote
	Soak    *time.Duration // how long each ring is watched; nil: what the urgency says
	Life    time.Duration  // until the plan expires; 0: 7 days
}

// MakePlan turns what is known about an incident into a plan, holds it to the rules, and puts it before the voters.
// The difference is against the plan that it replaces; it is nil for a first one.
func (h *Hub) MakePlan(ctx context.Context, id string, m Making) (*plan.Sealed, *plan.Diff, error) {
	s, err := h.Judge(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	wish, err := h.wish(s, m)
	if err != nil {
		return nil, nil, err
	}
	var before *plan.Sealed
	if cur := s.Current(); cur != nil {
		if before, err = h.Plan(ctx, cur.Plan); err != nil {
			return nil, nil, err
		}
		wish.Parent, wish.ParentHash = cur.Plan, before.Digest
	}
	made, world, err := h.plan(ctx, wish)
	if err != nil {
		return nil, nil, err
	}
	world.Affected = h.affects(s.Advisory.ID)
	if err := plan.Refuse(plan.Lint(&made, world)); err != nil {
		return nil, nil, err
	}
	sealed, err := plan.Seal(made)
	if err != nil {
		return nil, nil, err
	}
	var diff *plan.Diff
	if before != nil {
		d := plan.Compare(before.Plan(), sealed.Plan())
		if diff = &d; d.Same() {
			return before, diff, fault.New(fault.Conflict, "plan %s does all of this already", before.Plan().ID).Hinted("`staunch plan show %s`", before.Plan().ID)
		}
	}
	_, err = h.Propose(ctx, sealed, m.Because)
	return sealed, diff, err
}

// wish is everything that the planner needs.
func (h *Hub) wish(s *incident.Incident, m Making) (patch.Wish, error) {
	if s.Advisory == nil {
		return patch.Wish{}, fault.New(fault.Unsupported, "incident %s was opened by words: which version cures it is not known", s.Opened.ID).
			Hinted("use the checklist until there is an advisory, then `staunch incident open ADVISORY`")
	}
	if s.Advisory.Withdrawn {
		return patch.Wish{}, fault.New(fault.Conflict, "%s was withdrawn by its source", s.Advisory.ID).Hinted("close the incident, or decide by hand what to do")
	}
	part := h.part(s)
	a, err := h.Inventory.Ask(inventory.Question{Advisory: s.Advisory.ID, Catalogue: h.Catalogue, Fleet: part, Now: h.Now(), Fresh: h.Fresh})
	if err != nil {
		return patch.Wish{}, err
	}
	w := patch.Wish{
		ID: NextPlanID(s), Incident: s.Opened.ID, Title: strings.TrimSpace(s.Advisory.ID + " " + strings.Join(s.Advisory.Names, ", ")), Advisories: []string{s.Advisory.ID},
		Urgency: m.Urgency, MadeBy: h.Who, Now: h.Now(), Life: m.Life, Soak: m.Soak, Fleet: part, Owner: cmp.Or(m.Owner, h.Who), Choices: m.Choices,
		Probed: func(id string) bool {
			a, known := h.Catalogue.Find(id)
			return known && a.Rule != nil && a.Rule.Probe != ""
		},
	}
	if m.Delay > 0 {
		w.NotBefore, w.Delay = w.Now.Add(m.Delay), m.Delay
	}
	outside := h.Fleet.Outside()
	for _, one := range a.Hosts {
		known, err := h.known(one, outside, s.Advisory.ID)
		if err != nil {
			return w, err
		}
		w.Hosts = append(w.Hosts, known)
	}
	return w, nil
}

// known is what a plan may be made from on one host: a fresh report, or the reason why there is none. An old report plans nothing.
func (h *Hub) known(one inventory.HostAnswer, outside map[string]fleet.Outside, advisoryID string) (patch.Host, error) {
	fresh := cmp.Or(h.Fresh, 24*time.Hour)
	switch {
	case one.Taken.IsZero():
		return patch.Host{Name: one.Host, Silent: cmp.Or(one.Why, "never looked at")}, nil
	case h.Now().Sub(one.Taken) > fresh:
		return patch.Host{Name: one.Host, Silent: cmp.Or(one.Why, "its last report is older than "+fresh.String())}, nil
	}
	doc, err := h.Inventory.Document(one.Host, h.Catalogue, outside, advisoryID)
	if err != nil {
		return patch.Host{}, err
	}
	return patch.Host{Name: one.Host, Doc: &doc}, nil
}

// affects judges a version by every range that speaks of its name, whichever distribution it is of: one "yes" suffices.
// Known is false where nothing speaks of it, or a version cannot be put in order.
func (h *Hub) affects(id string) func(plan.Version) (affected, known bool) {
	return func(v plan.Version) (affected, known bool) {
		a, ok := h.Catalogue.Find(id)
		if !ok {
			return false, false
		}
		for _, r := range a.Affects {
			if r.Name != v.Name {
				continue
			}
			switch answer, _ := a.Covers(advisory.Key{Ecosystem: r.Ecosystem, Name: r.Name}, v.Version); answer {
			case advisory.Yes:
				return true, true
			case advisory.No:
				known = true
			case advisory.Unclear:
				return false, false
			}
		}
		return false, known
	}
}
