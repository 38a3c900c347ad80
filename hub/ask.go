package hub

import (
	"cmp"
	"context"
	"sync"

	"staunch/mend/patch"
	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/see/advisory/version"
	"staunch/steer/plan"
)

// plan makes a plan and asks the hosts what they would refuse of it, where another way exists: then it is made once more with that known.
func (h *Hub) plan(ctx context.Context, w patch.Wish) (plan.Plan, plan.World, error) {
	made, world, err := patch.Plan(w)
	if err != nil {
		return made, world, err
	}
	refused, offered := h.refusedMasks(ctx, &made), h.offeredVersions(ctx, &made)
	if len(refused) == 0 && len(offered) == 0 {
		return made, world, nil
	}
	w.NoMask = func(host, unit string) string { return refused[[2]string{host, unit}] }
	w.Version = func(host, pkg, atLeast string) string { return offered[[3]string{host, pkg, atLeast}] }
	return patch.Plan(w)
}

// mostAsked is how many hosts of one step are asked which versions their package sources have: the hosts of a step have the same packages, and mostly
// the same sources. A host that is different refuses when its turn comes.
const mostAsked = 3

// offeredVersions finds, for each package that the plan upgrades, the version to name where the first good one is not (or no longer) offered: the
// lowest that is newer. Where nothing is offered, or nothing good, the plan stays as it is: sources are read again when the upgrade comes.
func (h *Hub) offeredVersions(ctx context.Context, p *plan.Plan) map[[3]string]string {
	other := map[[3]string]string{}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Act == nil || s.Act.Kind != act.Upgrade {
			continue
		}
		params, err := s.Act.Params()
		with, is := params.(*act.UpgradeWith)
		if err != nil || !is {
			continue
		}
		offers := h.offers(ctx, s)
		for _, want := range with.Packages {
			better := lowest(offers, want)
			for _, t := range s.Targets {
				if better != "" {
					other[[3]string{t.Host, want.Name, want.Version}] = better
				}
			}
		}
	}
	return other
}

// offers asks a few of a step's hosts.
func (h *Hub) offers(ctx context.Context, s *plan.Step) []act.Package {
	var mu sync.Mutex
	var all sync.WaitGroup
	var found []act.Package
	for _, t := range s.Targets[:min(len(s.Targets), mostAsked)] {
		all.Go(func() {
			if answer := h.preview(ctx, t.Host, *s.Act); answer != nil {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, answer.Offers...)
			}
		})
	}
	all.Wait()
	return found
}

// lowest is the lowest offered version above the wanted one, or "" where the wanted one is offered itself, or nothing good is.
func lowest(offers []act.Package, want act.Package) (best string) {
	for _, o := range offers {
		if o.Name != want.Name {
			continue
		}
		if o.Version == want.Version {
			return ""
		}
		if c, ok := version.Debian(o.Version, want.Version); !ok || c < 0 {
			continue
		}
		if c, ok := version.Debian(o.Version, best); best == "" || ok && c < 0 {
			best = o.Version
		}
	}
	return best
}

// refusedMasks asks each host that is to mask a unit whether it would: a unit whose file lies in /etc/systemd/system cannot be masked. A host that
// does not answer now says nothing; it is asked again when its turn comes.
func (h *Hub) refusedMasks(ctx context.Context, p *plan.Plan) map[[2]string]string {
	refused := map[[2]string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	room := make(chan struct{}, cmp.Or(h.Forks, 20))
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Act == nil || s.Act.Kind != act.Mask {
			continue
		}
		for _, t := range s.Targets {
			all.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				if why := h.wouldRefuse(ctx, t.Host, *s.Act); why != "" {
					mu.Lock()
					defer mu.Unlock()
					refused[[2]string{t.Host, t.Unit}] = why
				}
			})
		}
	}
	all.Wait()
	return refused
}

// wouldRefuse is why a host would not carry out an act, or "" where it would, or does not say.
func (h *Hub) wouldRefuse(ctx context.Context, name string, a act.Act) string {
	if answer := h.preview(ctx, name, a); answer != nil {
		return answer.Refused
	}
	return ""
}

// preview asks a host what an act would do there; nil: it does not say.
func (h *Hub) preview(ctx context.Context, name string, a act.Act) *act.Preview {
	where, known := h.Fleet.Host(name)
	if !known {
		return nil
	}
	o := act.Order{ID: act.OrderID("preview", string(a.Kind), name, 1), Host: name, Step: "preview", Act: a}
	answer, err := h.Ask(ctx, where, host.Question{Check: &o})
	if err != nil {
		return nil
	}
	return answer.Check
}
