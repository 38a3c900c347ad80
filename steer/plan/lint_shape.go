package plan

import "slices"

// maxID bounds ids; orders carry them.
const maxID = 100

func uniqueIDs(v *view) (out []Problem) {
	seen := map[string]bool{}
	for _, s := range v.Steps {
		if !properID(s.ID) {
			out = append(out, bad(s.ID, "%q is no id", s.ID))
		}
		if seen[s.ID] {
			out = append(out, bad(s.ID, "the id stands there twice"))
		}
		seen[s.ID] = true
	}
	return out
}

func properID(id string) bool {
	for _, c := range id {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

func knownSteps(v *view) (out []Problem) {
	for _, s := range v.Steps {
		for _, id := range slices.Concat(s.After, s.Each) {
			if _, known := v.at[id]; !known {
				out = append(out, bad(s.ID, "waits for %q, which does not exist", id))
			}
		}
	}
	return out
}

func noCycle(v *view) []Problem {
	const open, closed = 1, 2
	state := make([]int, len(v.Steps))
	var trail []int
	var visit func(i int) []Problem
	visit = func(i int) []Problem {
		switch state[i] {
		case closed:
			return nil
		case open:
			return []Problem{bad(v.Steps[i].ID, "waits for itself: %s", v.names(append(trail[slices.Index(trail, i):], i)))}
		}
		state[i], trail = open, append(trail, i)
		for _, id := range slices.Concat(v.Steps[i].After, v.Steps[i].Each) {
			if a, known := v.at[id]; known {
				if found := visit(a); found != nil {
					return found
				}
			}
		}
		state[i], trail = closed, trail[:len(trail)-1]
		return nil
	}
	for i := range v.Steps {
		if found := visit(i); found != nil {
			return found
		}
	}
	return nil
}

func (v *view) names(steps []int) string {
	text := ""
	for n, i := range steps {
		if n > 0 {
			text += " <- "
		}
		text += v.Steps[i].ID
	}
	return text
}

func vocabulary(v *view) (out []Problem) {
	kinds, facts := Kinds(), Facts()
	for _, s := range v.Steps {
		if !slices.Contains(kinds, s.Kind) {
			out = append(out, bad(s.ID, "%q is no kind of step", string(s.Kind)))
		}
		if needsAct := s.Kind == Act || s.Kind == MakeKey; needsAct != (s.Act != nil) && s.Kind != Deploy && s.Kind != Revoke && s.Kind != Build && s.Kind != InvalidateTokens {
			out = append(out, bad(s.ID, "a step of kind %s must say which act exactly if a host carries it out", s.Kind))
		}
		for _, p := range slices.Concat(s.Needs, s.Proves) {
			if !slices.Contains(facts, p.Kind) {
				out = append(out, bad(s.ID, "%q is no fact", string(p.Kind)))
			}
			for _, want := range p.Kind.wants() {
				if p.field(want) == "" {
					out = append(out, bad(s.ID, "the fact %s says nothing without %s", p.Kind, want))
				}
			}
		}
	}
	return out
}

func targets(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if len(s.Targets) == 0 {
			out = append(out, bad(s.ID, "has no target"))
		}
		seen := make(map[string]bool, len(s.Targets))
		for _, t := range s.Targets {
			key := t.Key()
			if s.Act != nil {
				key = t.Host
			}
			switch {
			case s.Act != nil && t.Host == "":
				out = append(out, bad(s.ID, "is carried out by a host, but %s names none", t.Key()))
			case seen[key]:
				out = append(out, bad(s.ID, "names %s twice", key))
			}
			seen[key] = true
		}
	}
	return out
}

func proof(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if len(s.Proves) == 0 {
			out = append(out, bad(s.ID, "proves nothing"))
		}
		if s.Kind == Act && s.Act != nil && !slices.ContainsFunc(s.Proves, func(p Predicate) bool { return p.Kind != Confirmed }) && len(s.Proves) > 0 {
			out = append(out, bad(s.ID, "rests on a person's word alone although a host can be looked at"))
		}
	}
	return out
}

func sameHost(v *view) (out []Problem) {
	for _, s := range v.Steps {
		for _, id := range s.Each {
			a, known := v.at[id]
			if !known {
				continue
			}
			for _, t := range s.Targets {
				if !v.hosts[a][t.Host] {
					out = append(out, bad(s.ID, "waits for %s on %s, which has no such target", id, t.Key()))
				}
			}
		}
	}
	return out
}
