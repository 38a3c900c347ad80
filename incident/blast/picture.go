package blast

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"staunch/tame"
)

// Sizes of the picture in pixels.
const (
	boxWidth, boxHeight = 230, 26
	columnGap, rowGap   = 110, 10
	mostBoxes           = 60 // in one column: more is the table's work
)

// Picture draws what was in reach of what as an SVG: processes on the left, keys and secrets in the middle, where a key was served on the right.
func (b *Radius) Picture() template.HTML {
	if b == nil || len(b.Keys)+len(b.Secrets) == 0 {
		return ""
	}
	var g graph
	for _, k := range b.Keys {
		key := g.box(1, label(k), "#fde2c8")
		for _, r := range k.Readers {
			g.line(g.box(0, r, "#f8caca"), key)
		}
		for _, h := range k.Also {
			g.line(g.box(0, h+" (same key)", "#eeeeee"), key)
		}
		for _, e := range k.Endpoints {
			g.line(key, g.box(2, e, "#cfe3f7"))
		}
	}
	for _, s := range b.Secrets {
		secret := g.box(1, string(s.Kind)+" "+s.Name, "#fdf3c0")
		for _, r := range s.Readers {
			g.line(g.box(0, r, "#f8caca"), secret)
		}
	}
	return g.svg()
}

// label names a key by what people know it by, and by the beginning of its hash.
func label(k Key) string {
	if len(k.Names) == 0 {
		return k.Short()
	}
	return fmt.Sprintf("%s (%.8s)", k.Names[0], k.SPKI)
}

// graph is three columns of boxes with lines from left to right.
type graph struct {
	columns [3][]box
	lines   [][2]spot
}

type box struct{ text, fill string }

type spot struct{ column, row int }

func (g *graph) box(column int, text, fill string) spot {
	at := slices.IndexFunc(g.columns[column], func(b box) bool { return b.text == text })
	if at < 0 {
		at = len(g.columns[column])
		g.columns[column] = append(g.columns[column], box{text, fill})
	}
	return spot{column, at}
}

func (g *graph) line(from, to spot) { g.lines = append(g.lines, [2]spot{from, to}) }

func (s spot) xy() (x, y int) {
	return 10 + s.column*(boxWidth+columnGap), 30 + s.row*(boxHeight+rowGap)
}

func (g *graph) svg() template.HTML {
	rows := 0
	for _, c := range g.columns {
		rows = max(rows, min(len(c), mostBoxes))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg role="img" aria-label="which processes could see which keys and secrets, and where keys are served; the tables below say the same" viewBox="0 0 %d %d" width="100%%">`,
		20+3*boxWidth+2*columnGap, 40+rows*(boxHeight+rowGap))
	for _, l := range g.lines {
		if l[0].row >= mostBoxes || l[1].row >= mostBoxes {
			continue
		}
		x1, y1 := l[0].xy()
		x2, y2 := l[1].xy()
		fmt.Fprintf(&b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="var(--soft)"/>`, x1+boxWidth, y1+boxHeight/2, x1+boxWidth+columnGap/2, y1+boxHeight/2, x2-columnGap/2, y2+boxHeight/2, x2, y2+boxHeight/2)
	}
	for c, column := range g.columns {
		for r, one := range column[:min(len(column), mostBoxes)] {
			x, y := spot{c, r}.xy()
			text := tame.Line(one.text)
			if runes := []rune(text); len(runes) > 32 {
				text = string(runes[:31]) + "…"
			}
			fmt.Fprintf(&b, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="4" fill="%s" stroke="#999"/><text x="%d" y="%d" fill="#111">%s</text></g>`,
				template.HTMLEscapeString(tame.Line(one.text)), x, y, boxWidth, boxHeight, one.fill, x+8, y+17, template.HTMLEscapeString(text))
		}
	}
	for c, title := range []string{"processes", "keys and secrets", "served at"} {
		x, _ := spot{c, 0}.xy()
		more := ""
		if n := len(g.columns[c]) - mostBoxes; n > 0 {
			more = fmt.Sprintf(" (and %d more, see the tables)", n)
		}
		fmt.Fprintf(&b, `<text x="%d" y="18" font-weight="bold" fill="var(--ink)">%s%s</text>`, x, title, more)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // every text in it is escaped above
}
