package picture

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

	"staunch/ink"
	"staunch/steer/plan"
)

// Sizes in pixels.
const (
	boxWidth, boxHeight = 172, 46
	gapX, gapY          = 34, 14
	bandHead, bandPad   = 30, 14
	bandGap             = 26
	margin              = 16
	nameLetters         = 24 // of a step's name in its box
)

// svgStyle colours the picture in light, dark and on paper. The same names are used by page.css, so that a page may hold the picture.
const svgStyle = `.plan{font:12px system-ui,"DejaVu Sans",sans-serif;--pi:#1b1f24;--ps:#5b626d;--pp:#fff;--pb:#f4f6f8;--pl:#9aa4b0;--pa:#0b57b0;--pg:#1e7a43;--pw:#a34b00}
@media(prefers-color-scheme:dark){.plan{--pi:#e6e9ec;--ps:#9aa4b0;--pp:#14171a;--pb:#1d2226;--pl:#5b626d;--pa:#7cb7ff;--pg:#56d364;--pw:#ffa657}}
@media print{.plan{--pi:#000;--ps:#444;--pp:#fff;--pb:#f4f4f4;--pl:#888;--pa:#000;--pg:#155c31;--pw:#853d00}}
.plan .sheet{fill:var(--pp)}.plan .band{fill:var(--pb)}.plan .box{fill:var(--pp);stroke:var(--pa);stroke-width:1.5}.plan .gate{stroke:var(--pg)}.plan .person{stroke:var(--pw)}
.plan .safer{stroke-dasharray:5 3}.plan .public{stroke-width:3}.plan text{fill:var(--pi)}.plan .soft{fill:var(--ps)}.plan .ring{font-weight:600;font-size:14px}
.plan .way{fill:none;stroke:var(--pl);stroke-width:1.3;stroke-linejoin:round}.plan .tip{fill:var(--pl)}`

// box is a step's place in the picture.
type box struct{ x, y int }

// layout puts each ring into a band of its own, one below the other, and in it each step as far right as what it waits for in that ring asks.
func (g *graph) layout() (boxes []box, bands []band, width, height int) {
	boxes = make([]box, len(g.nodes))
	y := margin
	for _, ring := range g.rings() {
		column, rows, widest := map[int]int{}, map[int]int{}, 0
		b := band{ring: ring, y: y}
		for i, n := range g.nodes {
			if n.step.Ring != ring {
				continue
			}
			for _, before := range n.before {
				if g.nodes[before].step.Ring == ring {
					column[i] = max(column[i], column[before]+1)
				}
			}
			c := column[i]
			boxes[i] = box{margin + bandPad + c*(boxWidth+gapX), y + bandHead + rows[c]*(boxHeight+gapY)}
			rows[c]++
			widest = max(widest, c+1)
			b.rows = max(b.rows, rows[c])
		}
		b.height = bandHead + b.rows*(boxHeight+gapY) - gapY + bandPad
		width = max(width, 2*margin+2*bandPad+widest*(boxWidth+gapX)-gapX)
		y += b.height + bandGap
		bands = append(bands, b)
	}
	return boxes, bands, max(width, 480), y - bandGap + margin
}

type band struct {
	ring            string
	y, height, rows int
}

// SVG writes the graph as a picture that stands for itself: nothing is fetched, and it follows light and dark.
func SVG(w io.Writer, p *plan.Plan) error {
	g := newGraph(p)
	boxes, bands, width, height := g.layout()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="plan" viewBox="0 0 %d %d" width="%d" height="%d" role="img"><title>%s</title><style>%s</style>`,
		width, height, width, height, escaped("plan "+p.ID+": "+p.Title), svgStyle)
	fmt.Fprintf(&b, `<rect class="sheet" width="%d" height="%d"/>`, width, height)
	for _, band := range bands {
		title := ringName(band.ring)
		if r, at := p.RingOf(band.ring); at >= 0 {
			title += fmt.Sprintf(" · %s at once · %s", ink.Count(r.Width, "host", "hosts"), ink.Count(r.Quorum, "vote", "votes"))
		}
		fmt.Fprintf(&b, `<rect class="band" x="%d" y="%d" width="%d" height="%d" rx="8"/><text class="ring" x="%d" y="%d">%s</text>`,
			margin, band.y, width-2*margin, band.height, margin+bandPad, band.y+20, escaped(title))
	}
	for i, n := range g.nodes {
		for _, from := range n.before {
			at := slices.IndexFunc(bands, func(b band) bool { return b.ring == n.step.Ring })
			b.WriteString(way(boxes[from], boxes[i], bands[at].y-bandGap/2, g.nodes[from].step.Ring == n.step.Ring))
		}
	}
	for i := range g.nodes {
		b.WriteString(g.nodes[i].svg(boxes[i]))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// way leads from the right of a box to the left of a later one; into another band it goes along the gap above that band, so that it crosses no box there.
func way(from, to box, gap int, same bool) string {
	x1, y1, x2, y2 := from.x+boxWidth, from.y+boxHeight/2, to.x-6, to.y+boxHeight/2
	tip := fmt.Sprintf(`<path class="tip" d="M%d %dl-7 -4v8z"/>`, x2+6, y2)
	if !same {
		return fmt.Sprintf(`<path class="way" d="M%d %dh12V%dH%dV%dH%d"/>`, x1, y1, gap, to.x-12, y2, x2) + tip
	}
	bend := max((x2-x1)/2, 12)
	return fmt.Sprintf(`<path class="way" d="M%d %dC%d %d %d %d %d %d"/>`, x1, y1, x1+bend, y1, x2-bend, y2, x2, y2) + tip
}

func (n *node) svg(at box) string {
	classes := []string{"box"}
	round := 4
	switch n.step.Kind {
	case plan.Gate:
		classes, round = append(classes, "gate"), boxHeight/2
	case plan.Person:
		classes, round = append(classes, "person"), 14
	}
	if n.step.Safer {
		classes = append(classes, "safer")
	}
	if n.step.Public {
		classes = append(classes, "public")
	}
	return fmt.Sprintf(`<a href="#%s"><g><title>%s</title><rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="%d"/><text x="%d" y="%d" text-anchor="middle">%s</text><text class="soft" x="%d" y="%d" text-anchor="middle">%s</text></g></a>`,
		escaped("step-"+n.name), escaped(n.name+": "+n.step.Says), strings.Join(slices.Compact(classes), " "), at.x, at.y, boxWidth, boxHeight, round,
		at.x+boxWidth/2, at.y+20, escaped(ink.Fit(short(n.step), nameLetters)), at.x+boxWidth/2, at.y+36, escaped(ink.Fit(where(n.step), nameLetters+4)))
}

func escaped(s string) string { return html.EscapeString(s) }
