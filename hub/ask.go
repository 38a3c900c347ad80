package hub

import (
	"cmp"
	"context"
	"sync"

	"staunch/mend/patch"
	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/steer/plan"
)

// plan makes a plan and asks the hosts what they would refuse of it, where another way exists: then it is made once more with that known.
func (h *Hub) plan(ctx context.Context, w patch.Wish) (plan.Plan, plan.World, error) {
	made, world, err := patch.Plan(w)
	if err != nil {
		return made, world, err
	}
	refused := h.refusedMasks(ctx, &made)
	if len(refused) == 0 {
		return made, world, nil
	}
	w.NoMask = func(host, unit string) string { return refused[[2]string{host, unit}] }
	return patch.Plan(w)
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
	where, known := h.Fleet.Host(name)
	if !known {
		return ""
	}
	o := act.Order{ID: act.OrderID("preview", "mask", name, 1), Host: name, Step: "mask", Act: a}
	answer, err := h.ask(ctx, where, host.Question{Check: &o})
	if err != nil || answer.Check == nil {
		return ""
	}
	return answer.Check.Refused
}
