package picture

import (
	"fmt"
	"slices"
	"strings"

	"staunch/ink"
	"staunch/steer/plan"
	"staunch/tame"
)

// Lines draws the graph for a terminal: a step a line, and at the left the ways from what comes before to what waits for it.
func Lines(p *plan.Plan, width int, paint ink.Paint) []string {
	g := newGraph(p)
	d := drawing{graph: g, width: max(width, 40), paint: paint, open: make([]int, len(g.nodes))}
	for i, n := range g.nodes {
		d.open[i] = len(n.after)
	}
	ring := "\x00"
	for i := range g.nodes {
		if r := g.nodes[i].step.Ring; r != ring {
			ring = r
			d.heading(ring)
		}
		d.node(i)
	}
	return append(d.out, "", paint.Dim(ink.Fit(Legend, d.width)))
}

// drawing keeps which ways are open: each column is a step that something below still waits for, or -1.
type drawing struct {
	*graph
	width   int
	paint   ink.Paint
	columns []int
	open    []int // steps below that still wait for each
	out     []string
}

func (d *drawing) heading(ring string) {
	title := ringName(ring)
	if r, at := d.plan.RingOf(ring); at >= 0 {
		title += fmt.Sprintf(": %s at once, %s", ink.Count(r.Width, "host", "hosts"), ink.Count(r.Quorum, "vote", "votes"))
	}
	ways := d.ways(nil, -1)
	if strings.TrimSpace(ways) != "" || len(d.out) > 0 {
		d.out = append(d.out, d.paint.Dim(strings.TrimRight(ways, " ")))
	}
	d.out = append(d.out, d.paint.Dim(ways)+d.paint.Bold(ink.Fit(title, max(d.width-len([]rune(ways)), 10))))
}

// node draws one step: first its ways together, then the step itself.
func (d *drawing) node(i int) {
	n := &d.nodes[i]
	var from, ending []int // columns
	for c, owner := range d.columns {
		if owner >= 0 && slices.Contains(n.before, owner) {
			from = append(from, c)
			if d.open[owner]--; d.open[owner] == 0 {
				ending = append(ending, c)
			}
		}
	}
	column := d.place(ending)
	if len(from) > 1 || len(from) == 1 && from[0] != column {
		d.out = append(d.out, d.paint.Dim(strings.TrimRight(d.join(from, ending, column), " ")))
	}
	for _, c := range ending {
		d.columns[c] = -1
	}
	for len(d.columns) <= column {
		d.columns = append(d.columns, -1)
	}
	d.columns[column] = i
	d.line(n, column)
	if len(n.after) == 0 {
		d.columns[column] = -1
	}
	for len(d.columns) > 0 && d.columns[len(d.columns)-1] < 0 {
		d.columns = d.columns[:len(d.columns)-1]
	}
}

// place is the column of the next step: where a way ends, or else the first that is free.
func (d *drawing) place(ending []int) int {
	if len(ending) > 0 {
		return ending[0]
	}
	if free := slices.Index(d.columns, -1); free >= 0 {
		return free
	}
	return len(d.columns)
}

func (d *drawing) line(n *node, column int) {
	ways := []rune(d.ways([]rune(mark(n.step)), column))
	at := 2 * column
	name, more := short(n.step), "  "+where(n.step)+"  "+tame.Line(n.step.Says)
	room := max(d.width-len(ways), 10)
	name = ink.Fit(name, room)
	more = ink.Fit(more, room-ink.Columns(name))
	d.out = append(d.out, d.paint.Dim(string(ways[:at]))+d.tone(n.step)(string(ways[at]))+d.paint.Dim(string(ways[at+1:]))+d.tone(n.step)(name)+more)
}

func (d *drawing) tone(s *plan.Step) func(string) string {
	switch s.Kind {
	case plan.Gate:
		return d.paint.Green
	case plan.Person:
		return d.paint.Yellow
	}
	return d.paint.Bold
}

// ways draws the open columns, with a sign in one of them.
func (d *drawing) ways(sign []rune, column int) string {
	var b strings.Builder
	for c := range max(len(d.columns), column+1) {
		switch {
		case c == column:
			b.WriteString(string(sign) + " ")
		case c < len(d.columns) && d.columns[c] >= 0:
			b.WriteString("│ ")
		default:
			b.WriteString("  ")
		}
	}
	return b.String()
}

// The four directions in which a sign may lead on.
const (
	up = 1 << iota
	down
	left
	right
)

// join draws the line on which ways come together into a column. A way that is only crossed stays whole.
func (d *drawing) join(from, ending []int, column int) string {
	all := append(slices.Clone(from), column)
	first, last := slices.Min(all), slices.Max(all)
	var b strings.Builder
	for c := range max(len(d.columns), column+1) {
		used := c < len(d.columns) && d.columns[c] >= 0
		bits := 0
		if used {
			bits = up | down
		}
		if slices.Contains(ending, c) {
			bits = up
		}
		if c == column {
			bits |= down
		}
		if slices.Contains(all, c) || !used {
			if c > first && c <= last {
				bits |= left
			}
			if c >= first && c < last {
				bits |= right
			}
		}
		b.WriteString(sign(bits))
		if c >= first && c < last {
			b.WriteString("─")
		} else {
			b.WriteString(" ")
		}
	}
	return b.String()
}

func sign(bits int) string {
	return map[int]string{
		0: " ", up: "│", down: "│", up | down: "│", left | right: "─", left: "─", right: "─", up | right: "╰", up | left: "╯", down | right: "╭", down | left: "╮",
		up | down | left: "┤", up | down | right: "├", up | left | right: "┴", down | left | right: "┬", up | down | left | right: "┼",
	}[bits]
}
