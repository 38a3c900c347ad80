package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Diff is what a re-plan changes, step by step and host by host.
type Diff struct {
	From    string   `json:"from"` // plan ids
	To      string   `json:"to"`
	Added   []string `json:"added,omitempty"`   // step ids
	Removed []string `json:"removed,omitempty"` // step ids
	Changed []Change `json:"changed,omitempty"`
	Widened []Grown  `json:"widened,omitempty"` // steps that are the same but for more targets
	Shrunk  []Grown  `json:"shrunk,omitempty"`  // steps that are the same but for fewer targets
	Frame   []string `json:"frame,omitempty"`   // what changed outside of the steps: rings, services, pace, keys, waivers, expiry
	known   map[string]bool
	hosts   []string // that the old plan did not touch
	rings   []string // of those
	beyond  []string // what is more than taking in hosts
}

// Change is a step that does, needs, proves or undoes something else.
type Change struct {
	Step  string   `json:"step"`
	Parts []string `json:"parts"` // names of the fields that differ
}

// Grown is a step with the targets that came or went.
type Grown struct {
	Step    string   `json:"step"`
	Ring    string   `json:"ring,omitempty"`
	Targets []string `json:"targets"`
	Hosts   []string `json:"hosts,omitempty"`
}

// Compare shows what the new plan does otherwise than the old one.
func Compare(from, to *Plan) Diff {
	d := Diff{From: from.ID, To: to.ID, Frame: frame(from, to, true), known: map[string]bool{}}
	for _, host := range from.Hosts() {
		d.known[host] = true
	}
	for i := range to.Steps {
		after := &to.Steps[i]
		if before := from.Step(after.ID); before == nil {
			d.Added = append(d.Added, after.ID)
		} else {
			d.step(before, after)
		}
	}
	for i := range from.Steps {
		if to.Step(from.Steps[i].ID) == nil {
			d.Removed = append(d.Removed, from.Steps[i].ID)
		}
	}
	d.widens(from, to)
	return d
}

func (d *Diff) step(before, after *Step) {
	if parts := differing(stripped(before), stripped(after)); len(parts) > 0 {
		d.Changed = append(d.Changed, Change{after.ID, parts})
	}
	if more := grown(before, after); len(more.Targets) > 0 {
		d.Widened = append(d.Widened, more)
	}
	if less := grown(after, before); len(less.Targets) > 0 {
		d.Shrunk = append(d.Shrunk, less)
	}
}

// stripped is a step without its targets.
func stripped(s *Step) any {
	c := *s
	c.Targets = nil
	return c
}

func grown(before, after *Step) Grown {
	had := make(map[Target]bool, len(before.Targets))
	for _, t := range before.Targets {
		had[t] = true
	}
	g := Grown{Step: after.ID, Ring: after.Ring}
	for _, t := range after.Targets {
		if had[t] {
			continue
		}
		g.Targets = append(g.Targets, t.Key())
		if t.Host != "" && !slices.Contains(g.Hosts, t.Host) {
			g.Hosts = append(g.Hosts, t.Host)
		}
	}
	return g
}

// frame names the parts of a plan outside of its steps that differ. Ids, times of making and links to the parent always do.
// Without news, what only tells about the fleet (who is not reached, what is watched) may differ, too.
func frame(from, to *Plan, news bool) []string {
	a, b := *from, *to
	for _, p := range []*Plan{&a, &b} {
		p.ID, p.Parent, p.ParentHash, p.Made, p.MadeBy, p.Expires, p.NotBefore, p.Title, p.Steps = "", "", "", from.Made, "", from.Expires, from.NotBefore, "", nil
		if !news {
			p.Unseen, p.Watches = nil, nil
		}
		p.Services = slices.Clone(p.Services)
		for i := range p.Services {
			p.Services[i].Hosts = 0 // how many run it changes with the fleet; what is allowed is compared
		}
	}
	out := differing(a, b)
	if to.Expires.Sub(to.Made) > from.Expires.Sub(from.Made) {
		out = append(out, "expires")
	}
	return out
}

// differing names the JSON members in which two values differ.
func differing(a, b any) []string {
	am, bm := members(a), members(b)
	var out []string
	for name := range am {
		if am[name] != bm[name] {
			out = append(out, name)
		}
	}
	for name := range bm {
		if _, both := am[name]; !both {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func members(v any) map[string]string {
	text, err := json.Marshal(v)
	if err != nil {
		return map[string]string{"": err.Error()}
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return map[string]string{"": err.Error()}
	}
	out := make(map[string]string, len(raw))
	for name, value := range raw {
		out[name] = string(value)
	}
	return out
}

// Same reports that nothing differs.
func (d Diff) Same() bool { return d.OnlyWidened() && len(d.Widened) == 0 }

// OnlyWidened reports that the new plan does the very same things, only on more targets.
func (d Diff) OnlyWidened() bool {
	return len(d.Added) == 0 && len(d.Removed) == 0 && len(d.Changed) == 0 && len(d.Shrunk) == 0 && len(d.Frame) == 0
}

// NewHosts lists the hosts that the old plan did not touch at all.
func (d Diff) NewHosts() []string { return slices.Clone(d.hosts) }

// NewRings lists the rings of the new hosts.
func (d Diff) NewRings() []string { return slices.Clone(d.rings) }

// Beyond says what the new plan does beyond taking in hosts: nothing means that each host gets what a host of its ring was to get already.
func (d Diff) Beyond() []string { return slices.Clone(d.beyond) }

// Lines tells the difference to a person, a line each.
func (d Diff) Lines() []string {
	out := []string{fmt.Sprintf("plan %s against plan %s", d.To, d.From)}
	if d.Same() {
		return append(out, "  does the same")
	}
	each := func(mark string, names []string) {
		for _, name := range names {
			out = append(out, "  "+mark+" "+name)
		}
	}
	each("+ step", d.Added)
	each("- step", d.Removed)
	for _, c := range d.Changed {
		out = append(out, "  ~ step "+c.Step+": other "+strings.Join(c.Parts, ", "))
	}
	for _, g := range d.Widened {
		out = append(out, "  ~ step "+g.Step+": also on "+some(g.Targets))
	}
	for _, g := range d.Shrunk {
		out = append(out, "  ~ step "+g.Step+": no longer on "+some(g.Targets))
	}
	each("~ other", d.Frame)
	return out
}

func some(names []string) string {
	const shown = 8
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
