package run

import (
	"fmt"
	"strings"
)

// Board draws a run for a terminal of some width: a row a ring with a cell a host, then what happens now, and what waits for whom.
func (m *Machine) Board(width int) []string {
	var out []string
	rings := make([]string, 0, len(m.plan.Rings)+1)
	for _, r := range m.plan.Rings {
		rings = append(rings, r.Name)
	}
	for _, ring := range append(rings, "") {
		if cells := m.cells(ring); len(cells) > 0 {
			out = append(out, wrapped(ring, cells, width)...)
		}
	}
	if len(out) > 0 {
		out = append(out, "  # proven  > in progress  ~ watched  . waiting  ? unknown  ! failed  @ asks a person  - left or skipped")
	}
	for _, p := range m.Places() {
		switch p.Phase {
		case Doing, Proving, InDoubt, Undoing, Holding:
			out = append(out, cut(fmt.Sprintf("now: %s on %s: %s", p.Step, p.Target, strings.TrimSpace(string(p.Phase)+" "+p.Says)), width))
		case Failed:
			out = append(out, cut(fmt.Sprintf("failed: %s on %s: %s", p.Step, p.Target, p.Says), width))
		case Asking:
			out = append(out, cut(fmt.Sprintf("waits for %s: %s", m.plan.Step(p.Step).Task.Owner, m.plan.Step(p.Step).Task.Asks), width))
		}
	}
	return out
}

// mark is a phase as one sign; the sign that needs attention most stands last.
func mark(p Phase) int {
	return strings.Index("#-.~>@?!", map[Phase]string{
		Good: "#", Skipping: "-", Left: "-", Waiting: ".", Holding: ">", Doing: ">", Proving: ">", Soaking: "~", InDoubt: "?", Undoing: "!", Failed: "!", Asking: "@",
	}[p])
}

// cells are a ring's hosts, each with the sign of its target that needs attention most; a host that has begun and not ended shows progress.
func (m *Machine) cells(ring string) []string {
	worst, settled := map[string]int{}, map[string]bool{}
	var order []string
	for i := range m.steps {
		s := &m.steps[i]
		if s.Ring != ring {
			continue
		}
		for t := range s.targets {
			name := s.Targets[t].Host
			if name == "" {
				name = s.ID
			}
			if _, seen := worst[name]; !seen {
				order = append(order, name)
			}
			phase := m.shown(s, &s.targets[t])
			worst[name] = max(worst[name], mark(phase))
			settled[name] = settled[name] || phase == Good
		}
	}
	for i, name := range order {
		sign := worst[name]
		if sign == mark(Waiting) && settled[name] {
			sign = mark(Doing) // between two of its steps
		}
		order[i] = name + string("#-.~>@?!"[sign])
	}
	return order
}

// wrapped sets cells into lines behind the ring's name.
func wrapped(ring string, cells []string, width int) []string {
	const name = 12
	lines := []string{fmt.Sprintf("%-*s", name, ring)}
	for _, c := range cells {
		last := &lines[len(lines)-1]
		if len(*last) > name && len(*last)+1+len(c) > max(width, 40) {
			lines = append(lines, strings.Repeat(" ", name))
			last = &lines[len(lines)-1]
		}
		*last += " " + c
	}
	return lines
}

func cut(line string, width int) string {
	if runes := []rune(line); width > 10 && len(runes) > width {
		return string(runes[:width-3]) + "..."
	}
	return line
}
