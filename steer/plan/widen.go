package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// widens compares a new plan with an old one the way a standing vote does: which hosts come along, in which rings, and what else is new.
// A host that is clean by now may be missing, and with it whole steps; what is done to those that are left must be what was voted on.
func (d *Diff) widens(from, to *Plan) {
	if parts := frame(from, to, false); len(parts) > 0 {
		d.beyond = append(d.beyond, fmt.Sprintf("it changes %v", parts))
	}
	twins, gates := map[string]bool{}, map[string]bool{}
	for i := range from.Steps {
		s := &from.Steps[i]
		twins[twin(s)] = true
		if s.Kind == Gate {
			gates[s.Ring] = true
		}
	}
	for i := range to.Steps {
		s := &to.Steps[i]
		switch {
		case s.Kind != Act && s.Kind != Gate && s.Kind != Person:
			d.beyond = append(d.beyond, fmt.Sprintf("step %s is a %s, which always needs votes of its own", s.ID, s.Kind))
		case !twins[twin(s)]:
			d.beyond = append(d.beyond, fmt.Sprintf("step %s does what no step of ring %q did", s.ID, s.Ring))
		}
		d.newcomers(s)
	}
	for ring := range gates {
		if touches := to.first(ring, func(s *Step) bool { return s.Kind == Act }); touches != nil && to.first(ring, func(s *Step) bool { return s.Kind == Gate }) == nil {
			d.beyond = append(d.beyond, fmt.Sprintf("ring %q has lost its gate", ring))
		}
	}
	slices.Sort(d.beyond)
}

// newcomers notes hosts that the old plan did not touch, and the rings in which they are.
func (d *Diff) newcomers(s *Step) {
	for _, t := range s.Targets {
		if t.Host == "" || d.known[t.Host] {
			continue
		}
		if !slices.Contains(d.hosts, t.Host) {
			d.hosts = append(d.hosts, t.Host)
		}
		if !slices.Contains(d.rings, s.Ring) {
			d.rings = append(d.rings, s.Ring)
		}
	}
}

func (p *Plan) first(ring string, want func(*Step) bool) *Step {
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Ring == ring && want(s) {
			return s
		}
	}
	return nil
}

// twin is everything about a step but its name, its place in the order (which the rules hold), its targets, and words.
func twin(s *Step) string {
	c := *s
	c.ID, c.Says, c.Targets, c.After, c.Each, c.Turn = "", "", nil, nil, nil, ""
	if c.Task != nil {
		task := *c.Task
		task.Due = time.Time{}
		c.Task = &task
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "unreadable " + s.ID // a twin of nothing
	}
	return string(text)
}
