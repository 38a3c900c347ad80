package plan

import "slices"

// endpointsOf joins what the fleet knows now with what was known when the plan was made.
func (v *view) endpointsOf(spki string) []string {
	known := slices.Clone(v.world.Endpoints[spki])
	for _, k := range v.Keys {
		if k.SPKI == spki {
			known = append(known, k.Endpoints...)
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// gone tells whether a predicate shows that an endpoint no longer serves a key. Serving another key everywhere shows it too.
func gone(p Predicate, endpoint, spki string) bool {
	if p.Endpoint != endpoint {
		return false
	}
	return p.Kind == NotServed && p.SPKI == spki || p.Kind == Serves && p.SPKI != "" && p.SPKI != spki
}

func servesBeforeRevoke(v *view) (out []Problem) {
	for i, s := range v.Steps {
		if s.Kind != Revoke {
			continue
		}
		for _, t := range s.Targets {
			endpoints := v.endpointsOf(t.SPKI)
			if t.SPKI == "" || len(endpoints) == 0 {
				out = append(out, bad(s.ID, "nobody knows which endpoints serve key %q", short(t.SPKI)))
			}
			for _, endpoint := range endpoints {
				if !v.proven(i, t, v.about("", endpoint), func(p Predicate) bool { return gone(p, endpoint, t.SPKI) }) {
					out = append(out, bad(s.ID, "%s is not seen without key %s before it is revoked", endpoint, short(t.SPKI)))
				}
			}
		}
	}
	return out
}

func revokeLooksAgain(v *view) (out []Problem) {
	for i, s := range v.Steps {
		if s.Kind != Revoke {
			continue
		}
		for _, t := range s.Targets {
			for _, endpoint := range v.endpointsOf(t.SPKI) {
				if !v.needed(i, t, func(p Predicate) bool { return gone(p, endpoint, t.SPKI) }) {
					out = append(out, bad(s.ID, "does not look at %s again before it revokes key %s", endpoint, short(t.SPKI)))
				}
			}
		}
	}
	return out
}
