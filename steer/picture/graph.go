// Package picture draws a plan's graph: in lines for a terminal, as SVG, as one page, as DOT.
package picture

import (
	"fmt"
	"slices"
	"strings"

	"staunch/steer/plan"
	"staunch/tame"
)

// node is one step with the steps that it directly waits for: what another of them waits for anyway is left out.
type node struct {
	step   *plan.Step
	name   string
	before []int // places in the graph's order
	after  []int
}

// graph is a plan's steps in an order in which each comes after what it waits for, ring by ring as far as that goes.
type graph struct {
	plan  *plan.Plan
	nodes []node
}

// mostNodes bounds what is reduced: beyond it the picture would show nothing, and the table is read.
const mostNodes = 2000

func newGraph(p *plan.Plan) *graph {
	g := &graph{plan: p}
	at := map[string]int{}
	for _, i := range order(p) {
		s := &p.Steps[i]
		at[s.ID] = len(g.nodes)
		n := node{step: s, name: tame.Line(s.ID)}
		for _, id := range slices.Concat(s.After, s.Each) {
			if b, known := at[id]; known && !slices.Contains(n.before, b) {
				n.before = append(n.before, b)
			}
		}
		slices.Sort(n.before)
		g.nodes = append(g.nodes, n)
	}
	g.reduce()
	for i, n := range g.nodes {
		for _, b := range n.before {
			g.nodes[b].after = append(g.nodes[b].after, i)
		}
	}
	return g
}

// order sorts the steps so that each comes after what it waits for; among those that may come next, the ring of the one before goes on.
func order(p *plan.Plan) []int {
	at, open := map[string]int{}, make([]int, len(p.Steps))
	for i := range p.Steps {
		at[p.Steps[i].ID] = i
	}
	next := make([][]int, len(p.Steps))
	for i := range p.Steps {
		for _, id := range slices.Concat(p.Steps[i].After, p.Steps[i].Each) {
			if b, known := at[id]; known {
				next[b] = append(next[b], i)
				open[i]++
			}
		}
	}
	var ready, out []int
	for i := range open {
		if open[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		k := pick(p, ready, out)
		i := ready[k]
		ready = slices.Delete(ready, k, k+1)
		out = append(out, i)
		for _, n := range next[i] {
			if open[n]--; open[n] == 0 {
				at, _ := slices.BinarySearch(ready, n)
				ready = slices.Insert(ready, at, n)
			}
		}
	}
	return out
}

// pick prefers the ring's place in the rollout, and within a ring what goes on from the step before.
func pick(p *plan.Plan, ready, out []int) int {
	rank := func(i int) int {
		_, ring := p.RingOf(p.Steps[i].Ring)
		if ring < 0 {
			ring = len(p.Rings)
		}
		r := ring * 2
		if len(out) > 0 {
			last := p.Steps[out[len(out)-1]].ID
			if slices.Contains(p.Steps[i].After, last) || slices.Contains(p.Steps[i].Each, last) {
				r--
			}
		}
		return r
	}
	best := 0
	for k := range ready {
		if rank(ready[k]) < rank(ready[best]) {
			best = k
		}
	}
	return best
}

// reduce takes away each wait that another wait implies.
func (g *graph) reduce() {
	if len(g.nodes) > mostNodes {
		return
	}
	words := (len(g.nodes) + 63) / 64
	above := make([][]uint64, len(g.nodes)) // everything that comes before a node
	for i := range g.nodes {
		above[i] = make([]uint64, words)
		n := &g.nodes[i]
		implied := make([]uint64, words)
		for _, b := range n.before {
			for w := range implied {
				implied[w] |= above[b][w]
			}
		}
		n.before = slices.DeleteFunc(n.before, func(b int) bool { return implied[b/64]&(1<<(b%64)) != 0 })
		copy(above[i], implied)
		for _, b := range n.before {
			above[i][b/64] |= 1 << (b % 64)
		}
	}
}

// mark is a step's kind as one sign.
func mark(s *plan.Step) string {
	switch {
	case s.Kind == plan.Gate:
		return "?"
	case s.Kind == plan.Person:
		return "@"
	case s.Safer:
		return "+"
	}
	return "*"
}

// Legend explains the signs.
const Legend = "* changes something   + only makes safer   ? must be proven before what follows   @ a person"

// where says on what a step works, in few words.
func where(s *plan.Step) string {
	if len(s.Targets) == 1 {
		return tame.Line(s.Targets[0].Key())
	}
	hosts := map[string]bool{}
	for _, t := range s.Targets {
		hosts[t.Host] = true
	}
	return fmt.Sprintf("%d hosts", len(hosts))
}

// ringName is how a step's ring is headed.
func ringName(ring string) string {
	if ring == "" {
		return "outside of the rings"
	}
	return tame.Line(ring)
}

// short is a step's name without the ring that stands above it anyway.
func short(s *plan.Step) string {
	name := tame.Line(s.ID)
	if s.Ring == "" {
		return name
	}
	if cut := strings.Replace(name, "-"+s.Ring, "", 1); cut != "" {
		return cut
	}
	return name
}
