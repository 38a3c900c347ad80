package plan

import (
	"slices"

	"staunch/reach/act"
)

func knownHosts(v *view) (out []Problem) {
	for _, s := range v.Steps {
		for _, t := range s.Targets {
			if _, known := v.world.Rings[t.Host]; t.Host != "" && !known {
				out = append(out, bad(s.ID, "the fleet knows no host %q", t.Host))
			}
		}
	}
	return out
}

func ringOfHosts(v *view) (out []Problem) {
	for _, r := range v.Rings {
		if r.Width < 1 || r.Quorum < 1 {
			out = append(out, Problem{Says: "ring " + r.Name + " has a width or quorum below 1"})
		}
	}
	for _, s := range v.Steps {
		if _, at := v.RingOf(s.Ring); at < 0 && (s.Ring != "" || s.Act != nil && s.Kind == Act) {
			out = append(out, bad(s.ID, "stands in ring %q, which the plan does not have", s.Ring))
			continue
		}
		if s.Ring == "" {
			continue
		}
		for _, t := range s.Targets {
			if ring, known := v.world.Rings[t.Host]; known && ring != s.Ring {
				out = append(out, bad(s.ID, "stands in ring %s, but %s is in ring %s", s.Ring, t.Host, ring))
			}
		}
	}
	return out
}

// risky tells whether a step can break what it touches, so that it must be tried in an earlier ring first.
// Stopping, masking and draining need no trial: they only make things safer.
func risky(s *Step) bool {
	if s.Kind != Act || s.Act == nil {
		return s.Kind == Deploy || s.Kind == Activate
	}
	switch s.Act.Kind {
	case act.Stop, act.Mask, act.Drain, act.Undrain, act.MakeKey, act.BarKey:
		return false
	}
	return true
}

func canaryFirst(v *view) (out []Problem) {
	for i := range v.Steps {
		s := &v.Steps[i]
		_, ring := v.RingOf(s.Ring)
		if ring < 1 || !risky(s) {
			continue
		}
		before := v.before(i)
		for j := range v.Steps {
			earlier := &v.Steps[j]
			_, at := v.RingOf(earlier.Ring)
			if at < 0 || at >= ring || !risky(earlier) && earlier.Kind != Gate {
				continue
			}
			if c, is := before[j]; !is || !c.all && !v.allIn(j, c) {
				out = append(out, bad(s.ID, "in ring %s does not come after %s in ring %s", s.Ring, earlier.ID, earlier.Ring))
				break
			}
		}
	}
	return out
}

// allIn tells whether a cover by other steps' hosts reaches every host of step a.
func (v *view) allIn(a int, c cover) bool {
	for host := range v.hosts[a] {
		if !slices.ContainsFunc(keys(c.in), func(b int) bool { return v.hosts[b][host] }) {
			return false
		}
	}
	return true
}

func keys(m map[int]bool) []int {
	out := make([]int, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

// cleanBefore lists the advisories of which host is not proven clean before step i begins on its target.
func (v *view) cleanBefore(i int, own Target, host string) []string {
	var missing []string
	for _, advisory := range v.Advisories {
		clean := func(p Predicate) bool {
			return p.Kind == Clean && p.Host == host && p.Advisory == advisory && p.Unit == ""
		}
		if !v.needed(i, own, clean) && !v.proven(i, own, v.about(host, ""), clean) {
			missing = append(missing, advisory)
		}
	}
	return missing
}

func cleanBeforeKeys(v *view) (out []Problem) {
	for i, s := range v.Steps {
		if s.Kind != MakeKey && s.Kind != Deploy {
			continue
		}
		for _, t := range s.Targets {
			if t.Host == "" {
				continue
			}
			for _, advisory := range v.cleanBefore(i, t, t.Host) {
				out = append(out, bad(s.ID, "a new key comes to %s before that host is proven clean of %s", t.Host, advisory))
			}
		}
	}
	return out
}

func cleanBeforeTokens(v *view) (out []Problem) {
	for i, s := range v.Steps {
		if s.Kind != InvalidateTokens {
			continue
		}
		for _, t := range s.Targets {
			known, is := v.world.Services[t.Service]
			if !is || len(known.Hosts) == 0 {
				out = append(out, bad(s.ID, "nobody knows which servers issue the tokens of service %q", t.Service))
				continue
			}
			for _, host := range known.Hosts {
				for _, advisory := range v.cleanBefore(i, t, host) {
					out = append(out, bad(s.ID, "tokens of %s are invalidated before %s, which issues them, is proven clean of %s", t.Service, host, advisory))
				}
			}
		}
	}
	return out
}
