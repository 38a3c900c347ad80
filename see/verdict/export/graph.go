package export

import (
	"fmt"
	"slices"
	"strings"

	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/verdict"
)

// The picture: processes on the left, objects in the middle, components on the right.
const (
	rowHeight  = 26
	boxHeight  = 20
	boxWidth   = 280
	columnStep = 420
	maxNodes   = 60 // per column: a picture of more is no picture
	labelRunes = 38 // what fits a box
)

// Graph is the laid-out picture.
type Graph struct {
	Width, Height int
	Columns       [3]Column
	Edges         []Edge
	Left          int // processes that the picture leaves out
}

// Column is one sort of thing.
type Column struct {
	Title string
	X     int
	Nodes []Node
}

// Node is one box.
type Node struct {
	X, Y, TextY int
	Label, Full string
	State       string // css class
	Anchor      string // of its finding on the page
	Pids        int    // processes that the box stands for
}

// Edge is one line between boxes.
type Edge struct {
	Path  string
	State string
}

type drawing struct {
	g       Graph
	index   [3]map[string]int
	edges   map[[4]int]int
	objects map[string]*scan.Object
	states  map[string]verdict.State // worst state of a process, an object and a component
	anchors map[string]string
}

// draw lays out everything that findings speak about; without findings, the processes that listen.
func draw(doc *verdict.Document) Graph {
	d := &drawing{edges: map[[4]int]int{}, objects: objectsByID(doc), states: map[string]verdict.State{}, anchors: map[string]string{}}
	for i, title := range []string{"processes", "objects", "components"} {
		d.g.Columns[i] = Column{Title: title, X: i * columnStep}
		d.index[i] = map[string]int{}
	}
	d.learn(doc)
	for _, p := range d.worstFirst(doc) {
		d.process(p)
	}
	for i := range d.g.Columns {
		d.g.Height = max(d.g.Height, (len(d.g.Columns[i].Nodes)+1)*rowHeight+10)
	}
	d.g.Width = 2*columnStep + boxWidth + 2
	return d.g
}

// worstFirst orders processes so that what a picture of limited height leaves out is what matters least.
func (d *drawing) worstFirst(doc *verdict.Document) []*scan.Process {
	list := make([]*scan.Process, 0, len(doc.Processes))
	for i := range doc.Processes {
		list = append(list, &doc.Processes[i])
	}
	rank := func(p *scan.Process) int {
		if state, touched := d.states[fmt.Sprintf("p%d", p.PID)]; touched {
			return weight(state)
		}
		return -1
	}
	slices.SortStableFunc(list, func(a, b *scan.Process) int { return rank(b) - rank(a) })
	return list
}

// learn notes the worst state of each thing.
func (d *drawing) learn(doc *verdict.Document) {
	worse := func(key string, s verdict.State) {
		if old, known := d.states[key]; !known || weight(s) > weight(old) {
			d.states[key] = s
		}
	}
	for i := range doc.Findings {
		f := &doc.Findings[i]
		object := f.Object
		if object == "" {
			object = f.Path
		}
		worse("o"+object, f.State)
		worse("c"+object+f.Component, f.State)
		for _, pid := range append(slices.Clone(f.PIDs), f.PID) {
			key := fmt.Sprintf("p%d", pid)
			worse(key, f.State)
			if d.anchors[key] == "" {
				d.anchors[key] = fmt.Sprintf("f%d", i)
			}
			d.states[fmt.Sprintf("%d %s", pid, object)] = f.State
		}
	}
}

func weight(s verdict.State) int {
	return slices.Index([]verdict.State{verdict.NotAffected, verdict.Fixed, verdict.Dormant, verdict.Unknown, verdict.Stale, verdict.Affected}, s)
}

// held is one thing that a process has and that findings speak about.
type held struct {
	id, path   string
	components []elf.Component
}

// holds lists what the picture ties a process to.
func (d *drawing) holds(p *scan.Process) []held {
	var list []held
	for _, m := range p.Objects {
		if _, judged := d.states[fmt.Sprintf("%d %s", p.PID, m.ID)]; judged && d.objects[m.ID] != nil {
			list = append(list, held{m.ID, m.Path, d.objects[m.ID].Components})
		}
	}
	for _, m := range p.Modules {
		if _, judged := d.states[fmt.Sprintf("%d %s", p.PID, m.Path)]; judged {
			list = append(list, held{m.Path, m.Path, []elf.Component{m.Component}})
		}
	}
	return list
}

// process draws one process, or counts it to the box of those with the same name, unit and objects. One that is tied to nothing has
// no place in a picture of ties: it stands in the list.
func (d *drawing) process(p *scan.Process) {
	pid := fmt.Sprintf("p%d", p.PID)
	state, touched := d.states[pid]
	if !touched {
		return
	}
	things := d.holds(p)
	key := fmt.Sprintf("%s\x00%s\x00%s", p.Name, p.Unit, state)
	for _, h := range things {
		key += "\x00" + h.id
	}
	at, known := d.index[0][key]
	switch {
	case known:
		d.also(&d.g.Columns[0].Nodes[at], p)
		return
	case len(things) == 0 || len(d.g.Columns[0].Nodes) >= maxNodes:
		d.g.Left++
		return
	}
	left := d.node(0, key, called(p), state, d.anchors[pid])
	d.g.Columns[0].Nodes[left].Pids = 1
	for _, h := range things {
		d.object(left, h)
	}
}

func called(p *scan.Process) string {
	return strings.TrimSpace(fmt.Sprintf("%s (%d) %s", p.Name, p.PID, p.Unit))
}

// also counts another process into a box.
func (d *drawing) also(n *Node, p *scan.Process) {
	n.Pids++
	n.Label = short(strings.TrimSpace(fmt.Sprintf("%s ×%d %s", p.Name, n.Pids, p.Unit)), labelRunes)
	if n.Pids <= maxNodes {
		n.Full += ", " + fmt.Sprint(p.PID)
	}
}

func (d *drawing) object(left int, h held) {
	state := d.states["o"+h.id]
	middle := d.node(1, h.id, h.path, state, "")
	d.edge(0, left, middle, state)
	for _, c := range h.components {
		if s, judged := d.states["c"+h.id+c.Name]; judged {
			right := d.node(2, c.Name+" "+c.Version, c.Name+" "+c.Version, s, "")
			d.edge(1, middle, right, s)
		}
	}
}

func (d *drawing) node(column int, key, label string, state verdict.State, anchor string) int {
	if at, known := d.index[column][key]; known {
		n := &d.g.Columns[column].Nodes[at]
		if weight(state) > weight(verdict.State(n.State)) {
			n.State = string(state)
		}
		return at
	}
	c := &d.g.Columns[column]
	at := len(c.Nodes)
	d.index[column][key] = at
	y := (at+1)*rowHeight + 4
	c.Nodes = append(c.Nodes, Node{X: c.X, Y: y, TextY: y + 14, Label: short(label, labelRunes), Full: label, State: string(state), Anchor: anchor})
	return at
}

// short keeps the end of a path: the file's name.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	if r[0] == '/' {
		return "…" + string(r[len(r)-n+1:])
	}
	return string(r[:n-1]) + "…"
}

func (d *drawing) edge(column, from, to int, state verdict.State) {
	key := [4]int{column, from, to, 0}
	if _, drawn := d.edges[key]; drawn {
		return
	}
	d.edges[key] = len(d.g.Edges)
	x1, x2 := column*columnStep+boxWidth, (column+1)*columnStep
	y1, y2 := (from+1)*rowHeight+4+boxHeight/2, (to+1)*rowHeight+4+boxHeight/2
	middle := (x1 + x2) / 2
	d.g.Edges = append(d.g.Edges, Edge{Path: fmt.Sprintf("M%d %d C%d %d %d %d %d %d", x1, y1, middle, y1, middle, y2, x2, y2), State: string(state)})
}
