package picture

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"staunch/steer/plan"
)

// DOT writes the graph in Graphviz's language, a cluster a ring.
func DOT(w io.Writer, p *plan.Plan) error {
	g := newGraph(p)
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n", strconv.Quote("plan "+p.ID))
	for _, ring := range g.rings() {
		fmt.Fprintf(&b, "  subgraph %s {\n    label=%s;\n", strconv.Quote("cluster_"+ring), quoted(ringName(ring)))
		for _, n := range g.nodes {
			if n.step.Ring != ring {
				continue
			}
			shape := "box"
			switch n.step.Kind {
			case plan.Gate:
				shape = "diamond"
			case plan.Person:
				shape = "ellipse"
			}
			fmt.Fprintf(&b, "    %s [shape=%s, label=%s];\n", quoted(n.name), shape, quoted(short(n.step)+"\n"+where(n.step)))
		}
		b.WriteString("  }\n")
	}
	for _, n := range g.nodes {
		for _, from := range n.before {
			fmt.Fprintf(&b, "  %s -> %s;\n", quoted(g.nodes[from].name), quoted(n.name))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// quoted spells a text as DOT reads it: only quotes, backslashes and line breaks mean something there.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// rings lists the rings with a step, in the order of the rollout; what stands outside of them comes last.
func (g *graph) rings() []string {
	used := map[string]bool{}
	for _, n := range g.nodes {
		used[n.step.Ring] = true
	}
	var out []string
	for _, r := range g.plan.Rings {
		if used[r.Name] {
			out = append(out, r.Name)
		}
	}
	for _, n := range g.nodes {
		if r := n.step.Ring; used[r] && r != "" {
			if _, at := g.plan.RingOf(r); at < 0 {
				out = append(out, r)
			}
			used[r] = false
		}
	}
	if used[""] {
		out = append(out, "")
	}
	return out
}
