package replace

import (
	"slices"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/edge"
	"staunch/steer/plan"
)

// edges brings the new key to CDNs and balancers, after the origins: staged, switched on, observed. The old certificate stays there until the end.
func (d *draft) edges(s *swap, before []string) {
	for _, name := range d.edgesOf(s) {
		e := d.o.Edges[name]
		m, own := s.byEdge[name]
		switch {
		case e.Driver == "", e.requests() && !own, !e.requests() && (e.Recipient == "" || s.made.Sealed == ""):
			s.all = append(s.all, d.person(word("edge", name, s.old.SPKI[:12]), "put the new certificate for "+subject(s.old)+" on "+name,
				"no driver of ours can do it there: upload key and chain (or the chain for its own request), activate, and say so when its edges serve it; the gate behind this looks for itself", e.Owner, slices.Concat(before, s.before)))
			continue
		case !own:
			m = s.made
		}
		s.all = append(s.all, d.edge(s, name, m, slices.Concat(before, s.before)))
	}
}

// edge writes the steps at one edge and returns the last of them.
func (d *draft) edge(s *swap, name string, m Made, before []string) string {
	note := verified(d.o.Edges[name].Driver)
	stage := d.add(plan.Step{
		ID: word("stage", name, s.old.SPKI[:12]), Kind: plan.Deploy, Says: "bring the certificate for " + subject(s.old) + " to " + name + ", not yet served" + note, Targets: []plan.Target{{Service: name}},
		After: before, Proves: []plan.Predicate{{Kind: plan.Issued, Name: m.Name}}, Repeat: true, Tries: 3, DeadlineMS: (30 * time.Minute).Milliseconds(), Votes: d.strictest(),
		Undo: plan.Undo{Kind: plan.NoUndo, Says: "what is staged serves nobody"},
	}, At{Key: m.Name, Edge: name, Old: s.old.SPKI})
	active := d.add(plan.Step{
		ID: word("activate", name, s.old.SPKI[:12]), Kind: plan.Activate, Says: "switch " + name + " to the new certificate for " + subject(s.old) + note, Targets: []plan.Target{{Service: name}},
		After: []string{stage}, Proves: []plan.Predicate{{Kind: plan.Issued, Name: m.Name}}, Repeat: true, Tries: 3, DeadlineMS: (2 * time.Hour).Milliseconds(), Votes: d.strictest(),
		Undo: plan.Undo{Kind: plan.ByPerson, Says: "the old certificate stays at the edge until it was retired: switch back to it there"},
	}, At{Key: m.Name, Edge: name, Old: s.old.SPKI, Serials: serials(s.old)})
	s.active = append(s.active, name)
	points := slices.DeleteFunc(slices.Clone(s.points), func(p cert.Point) bool { return d.behind(p) != name })
	if len(points) == 0 {
		return active
	}
	return d.seen(s, word("observe", name, s.old.SPKI[:12]), "", points, []string{active}, 0, plan.Predicate{Kind: plan.Serves, SPKI: m.SPKI})
}

// retire takes the old certificate away from edges, last of all.
func (d *draft) retire(s *swap, after string, needs []plan.Predicate) {
	for _, name := range s.active {
		if !edge.Retires(d.o.Edges[name].Driver) {
			continue
		}
		d.add(plan.Step{
			ID: word("retire", name, s.old.SPKI[:12]), Kind: plan.Retire, Says: "take the old certificate for " + subject(s.old) + " away from " + name + verified(d.o.Edges[name].Driver),
			Targets: []plan.Target{{Service: name, SPKI: s.old.SPKI}}, After: []string{after}, Needs: needs, Proves: needs, Repeat: true, Tries: 3, DeadlineMS: (30 * time.Minute).Milliseconds(), Votes: d.strictest(),
			Undo: plan.Undo{Kind: plan.NoUndo, Says: "nobody serves it any more"},
		}, At{Key: s.made.Name, Edge: name, Old: s.old.SPKI, Serials: serials(s.old), Points: s.points, Override: d.o.Override, From: d.o.Vantage})
	}
}

// verified says how far a driver is to be believed, where that is not all the way.
func verified(driver string) string {
	if v := edge.Verified(driver); v != "vendor" {
		return " (driver " + driver + ": " + v + ")"
	}
	return ""
}

// strictest is the most votes that a ring asks for: edges serve everybody.
func (d *draft) strictest() int {
	most := 1
	for _, r := range d.Rings {
		most = max(most, r.Quorum)
	}
	return most
}

// edgesOf names every CDN and balancer between us and strangers: those that said they hold the key, and those the inventory puts before its endpoints.
func (d *draft) edgesOf(s *swap) []string {
	names := slices.Clone(s.old.Edges)
	for _, p := range s.points {
		if b := d.behind(p); b != "" {
			names = append(names, b)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func serials(k cert.Key) []string {
	var out []string
	for _, c := range k.Certificates {
		out = append(out, c.Serial)
	}
	return out
}
