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

// gone tells whether a predicate shows that an endpoint no longer serves a key. That it serves another one does not: an endpoint may serve
// two, an RSA key and an ECDSA key.
func gone(p Predicate, endpoint, spki string) bool {
	return p.Endpoint == endpoint && p.Kind == NotServed && p.SPKI == spki
}

// ends tells whether a step makes a key unusable where it may still be served: revoked, or taken away.
func (s *Step) ends() bool { return s.Kind == Revoke || s.Kind == Retire }

func servesBeforeRevoke(v *view) []Problem { return v.eachEnd(v.servedBefore) }

func revokeLooksAgain(v *view) []Problem { return v.eachEnd(v.lookedAgain) }

func (v *view) eachEnd(check func(i int, s *Step) []Problem) (out []Problem) {
	for i := range v.Steps {
		if s := &v.Steps[i]; s.ends() {
			out = append(out, check(i, s)...)
		}
	}
	return out
}

func (v *view) servedBefore(i int, s *Step) (out []Problem) {
	for _, t := range s.Targets {
		endpoints := v.endpointsOf(t.SPKI)
		if t.SPKI == "" || len(endpoints) == 0 {
			out = append(out, bad(s.ID, "nobody knows which endpoints serve key %q", short(t.SPKI)))
		}
		for _, endpoint := range endpoints {
			if !v.proven(i, t, v.about("", endpoint), func(p Predicate) bool { return gone(p, endpoint, t.SPKI) }) {
				out = append(out, bad(s.ID, "%s is not seen without key %s before that key's end", endpoint, short(t.SPKI)))
			}
		}
	}
	return out
}

func (v *view) lookedAgain(i int, s *Step) (out []Problem) {
	for _, t := range s.Targets {
		for _, endpoint := range v.endpointsOf(t.SPKI) {
			if !v.needed(i, t, func(p Predicate) bool { return gone(p, endpoint, t.SPKI) }) {
				out = append(out, bad(s.ID, "does not look at %s again before it ends key %s", endpoint, short(t.SPKI)))
			}
		}
	}
	return out
}

// LintEnd holds one step that ends a key to the rules about that alone. They were asked when the plan was proposed; whoever carries the step out asks them
// again, for what lies in a store can be another plan by then.
func LintEnd(p *Plan, id string, w World) (out []Problem) {
	v := look(p, w)
	found := false
	for i := range v.Steps {
		if s := &v.Steps[i]; s.ID == id && s.ends() {
			found = true
			out = append(out, named("serves-before-revoke", v.servedBefore(i, s))...)
			out = append(out, named("revoke-looks-again", v.lookedAgain(i, s))...)
		}
	}
	if !found {
		out = append(out, named("serves-before-revoke", []Problem{bad(id, "is no step of the plan that ends a key")})...)
	}
	return out
}

func named(rule string, list []Problem) []Problem {
	for i := range list {
		list[i].Rule = rule
	}
	return list
}
