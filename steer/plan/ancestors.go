package plan

import "slices"

// view is a plan with what the rules keep asking for.
type view struct {
	*Plan
	world     World
	at        map[string]int // step id to index
	hosts     []map[string]bool
	ancestors []map[int]cover // per step
	provers   map[[2]string][]prover
}

// cover says on which hosts an ancestor is settled before a step begins on its own host.
type cover struct {
	all  bool         // on all of the ancestor's targets
	same bool         // on the step's own host
	in   map[int]bool // on the hosts of these steps
}

func look(p *Plan, w World) *view {
	v := &view{Plan: p, world: w, at: make(map[string]int, len(p.Steps)), hosts: make([]map[string]bool, len(p.Steps)), ancestors: make([]map[int]cover, len(p.Steps))}
	for i, s := range p.Steps {
		v.at[s.ID] = i
		v.hosts[i] = make(map[string]bool, len(s.Targets))
		for _, t := range s.Targets {
			v.hosts[i][t.Host] = true
		}
	}
	return v
}

// before returns what is settled before step i begins on a host. A cycle ends at the step that was already visited.
func (v *view) before(i int) map[int]cover {
	if v.ancestors[i] != nil {
		return v.ancestors[i]
	}
	found := map[int]cover{}
	v.ancestors[i] = found
	for _, id := range v.Steps[i].After {
		if a, known := v.at[id]; known {
			v.merge(found, a, cover{all: true})
			for b, c := range v.before(a) {
				v.merge(found, b, c.through(a))
			}
		}
	}
	for _, id := range v.Steps[i].Each {
		if a, known := v.at[id]; known {
			v.merge(found, a, cover{same: true})
			for b, c := range v.before(a) {
				v.merge(found, b, c)
			}
		}
	}
	return found
}

// through says what c means to a step that waits for all targets of step a.
func (c cover) through(a int) cover {
	if !c.same {
		return c
	}
	in := map[int]bool{a: true}
	for b := range c.in {
		in[b] = true
	}
	return cover{all: c.all, in: in}
}

func (v *view) merge(into map[int]cover, step int, c cover) {
	had := into[step]
	had.all = had.all || c.all
	had.same = had.same || c.same
	if had.all {
		had.in = nil
	} else if len(c.in) > 0 {
		in := make(map[int]bool, len(had.in)+len(c.in))
		for _, from := range []map[int]bool{had.in, c.in} {
			for b := range from {
				in[b] = true
			}
		}
		had.in = in
	}
	into[step] = had
}

// settled tells whether ancestor a of a step that begins on own is settled on host by then.
func (v *view) settled(a int, c cover, own, host string) bool {
	if !v.hosts[a][host] {
		return false
	}
	if c.all || c.same && own == host {
		return true
	}
	for b := range c.in {
		if v.hosts[b][host] {
			return true
		}
	}
	return false
}

// prover is one proof of one step on one target, as it reads there.
type prover struct {
	step int
	host string // of the target; "" where it has none
	says Predicate
}

// about gives every proof of the plan that speaks of this host or endpoint.
func (v *view) about(host, endpoint string) []prover {
	if v.provers == nil {
		v.provers = map[[2]string][]prover{}
		for i, s := range v.Steps {
			for _, t := range s.Targets {
				for _, p := range s.Proves {
					says := p.On(t)
					at := [2]string{says.Host, says.Endpoint}
					v.provers[at] = append(v.provers[at], prover{i, t.Host, says})
				}
			}
		}
	}
	return v.provers[[2]string{host, endpoint}]
}

// proven tells whether something about a host or endpoint is surely proven before step i begins on its target, by a step before it.
func (v *view) proven(i int, own Target, about []prover, want func(Predicate) bool) bool {
	before := v.before(i)
	return slices.ContainsFunc(about, func(p prover) bool {
		c, is := before[p.step]
		return is && want(p.says) && (p.host == "" || v.settled(p.step, c, own.Host, p.host))
	})
}

// needed tells whether step i itself looks for something right before it begins on a target.
func (v *view) needed(i int, own Target, want func(Predicate) bool) bool {
	return slices.ContainsFunc(v.Steps[i].Needs, func(p Predicate) bool { return want(p.On(own)) })
}
