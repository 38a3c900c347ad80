// Package picture draws what hangs on keys: key, certificates, files, endpoints.
package picture

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/ink"
	"staunch/mend/cert"
	"staunch/tame"
)

// Who tells who can have an issuer's certificates replaced or revoked.
type Who func(issuer string) string

// box is one thing in the picture: its lines, and the class that gives it its colour.
type box struct {
	lines []string
	class string // "", bad, warn, idle, good: as in page.css
}

// Sizes of the picture, in pixels.
const (
	wide   = 250 // one column
	gap    = 46  // between two columns: the lines
	row    = 16  // one line of text
	pad    = 7
	bold   = 29 // letters of a first line that fit into a column
	letter = 33 // letters of the others
	most   = 12 // boxes in a column; the rest is counted
)

// columns are the four columns for one key.
func columns(k cert.Key, who Who) [][]box {
	key := box{lines: []string{"key " + k.SPKI[:min(16, len(k.SPKI))], Type(k) + ", ends " + Ends(k)}}
	for _, e := range k.Exposed {
		key.class = "bad"
		key.lines = append(key.lines, "EXPOSED by incident "+e.Incident, e.Unit+" on "+e.Host)
	}
	for _, p := range k.Pinned {
		if key.class == "" {
			key.class = "warn"
		}
		key.lines = append(key.lines, "a new key breaks "+p)
	}
	out := [][]box{{key}, nil, nil, nil}
	for _, c := range k.Certificates {
		out[1] = append(out[1], box{lines: []string{ink.Few(c.Names, 2), "serial " + c.Serial, "by " + c.Issuer, "ends " + c.NotAfter.Format(time.DateOnly) + ", from " + strings.Join(c.From, ", "), "account: " + who(c.Issuer)}})
	}
	for _, f := range k.Files {
		b := box{lines: []string{f.Host, f.Path, f.Holds + " " + f.Mode + " " + f.Owner}}
		if f.Private {
			b.class = "idle"
			b.lines = append(b.lines, readers(k, f.Host)...)
		}
		out[2] = append(out[2], b)
	}
	for _, p := range k.Served {
		out[3] = append(out[3], box{lines: []string{p.Name, p.Address + sni(p)}, class: "good"})
	}
	for _, e := range k.Edges {
		out[3] = append(out[3], box{lines: []string{e, "holds it"}, class: "good"})
	}
	for i, name := range []string{"", "certificate", "file", "endpoint"} {
		switch n := len(out[i]); {
		case n == 0:
			out[i] = []box{{lines: []string{"no " + name + " is known"}, class: "none"}}
		case n > most:
			out[i] = append(out[i][:most-1], box{lines: []string{fmt.Sprintf("and %d more", n-most+1)}, class: "none"})
		}
	}
	return out
}

func sni(p cert.Point) string {
	if p.SNI == "" || p.SNI == p.Name {
		return ""
	}
	return " as " + p.SNI
}

// readers are the programs of a host that read a key, each once.
func readers(k cert.Key, host string) []string {
	var out []string
	for _, r := range k.Readers {
		says := "read by " + strings.TrimSpace(r.Name+" "+r.Unit)
		if r.Host == host && !slices.Contains(out, says) {
			out = append(out, says)
		}
	}
	return out[:min(4, len(out))]
}

// Type names a key's kind and size.
func Type(k cert.Key) string {
	if k.Bits > 0 {
		return fmt.Sprintf("%s-%d", k.Type, k.Bits)
	}
	return k.Type
}

// Ends is the day on which a key's last certificate ends, or "-".
func Ends(k cert.Key) string {
	if e := k.Ends(); !e.IsZero() {
		return e.Format(time.DateOnly)
	}
	return "-"
}

// SVG draws one key. Its colours are page.css's; alone in a file it brings some of its own (see File).
func SVG(k cert.Key, who Who) string {
	cols := columns(k, who)
	tall := 0
	for _, c := range cols {
		tall = max(tall, height(c))
	}
	var b strings.Builder
	total := len(cols)*wide + (len(cols)-1)*gap + 2
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`, total, tall+2, total, tall+2, text("what hangs on key "+k.SPKI))
	var before []int
	for i, c := range cols {
		x, y := i*(wide+gap)+1, 1+(tall-height(c))/2
		var middles []int
		for _, one := range c {
			h := one.height()
			one.draw(&b, x, y)
			middles = append(middles, y+h/2)
			y += h + pad
		}
		if i > 0 {
			bus(&b, x, before, middles)
		}
		before = middles
	}
	b.WriteString("</svg>")
	return b.String()
}

func height(c []box) int {
	h := -pad
	for _, one := range c {
		h += one.height() + pad
	}
	return h
}

func (o box) height() int { return len(o.lines)*row + 2*pad }

func (o box) draw(b *strings.Builder, x, y int) {
	class := strings.TrimSpace("box " + o.class)
	fmt.Fprintf(b, `<g class="%s"><rect x="%d" y="%d" width="%d" height="%d" rx="4"/>`, class, x, y, wide, o.height())
	for i, line := range o.lines {
		name, fits := "more", letter
		if i == 0 {
			name, fits = "first", bold
		}
		fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">%s</text>`, name, x+9, y+pad+row*i+12, text(fit(tame.Line(line), fits)))
	}
	b.WriteString("</g>")
}

// fit shortens a line; of a path it keeps the end, which tells more.
func fit(s string, n int) string {
	if runes := []rune(s); strings.HasPrefix(s, "/") && len(runes) > n {
		return "…" + string(runes[len(runes)-n+1:])
	}
	return ink.Fit(s, n)
}

// bus joins everything of one column with everything of the next by one upright line.
func bus(b *strings.Builder, right int, from, to []int) {
	left, middle := right-gap, right-gap/2
	all := slices.Concat(from, to)
	fmt.Fprintf(b, `<path class="wire" d="M%d %dV%d`, middle, slices.Min(all), slices.Max(all))
	for _, y := range from {
		fmt.Fprintf(b, "M%d %dH%d", left, y, middle)
	}
	for _, y := range to {
		fmt.Fprintf(b, "M%d %dH%d", middle, y, right)
	}
	b.WriteString(`"/>`)
}

// text is safe inside SVG and attributes.
func text(s string) string {
	var b strings.Builder
	if xml.EscapeText(&b, []byte(s)) != nil {
		return "" // a strings.Builder takes everything
	}
	return b.String()
}

// File draws all keys into one picture that stands alone, for a document or a wall.
func File(c cert.Catalogue, who Who) string {
	var b strings.Builder
	total, y := 4*wide+3*gap+2, 10
	var inner strings.Builder
	for _, k := range c.Keys {
		one := SVG(k, who)
		tall := 0
		for _, col := range columns(k, who) {
			tall = max(tall, height(col))
		}
		fmt.Fprintf(&inner, `<g transform="translate(10 %d)">%s</g>`, y, one)
		y += tall + 28
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d"><style>%s%s</style><rect class="paper" width="100%%" height="100%%"/>%s</svg>`+"\n",
		total+20, y+10, total+20, y+10, colours, Style, inner.String())
	return b.String()
}

// Style is what the picture needs beside page.css. Each colour stands plain first, for programs that know no variables (librsvg drew everything black).
const Style = `.box rect{fill:#fff;fill:var(--paper);stroke:#1b1f24;stroke:var(--c);stroke-width:1.5}.box text{fill:#1b1f24;fill:var(--ink)}.box .first{font-weight:600}.box .more{fill:#5b626d;fill:var(--soft)}.wire{fill:none;stroke:#5b626d;stroke:var(--soft);stroke-width:1.2}`

// colours are page.css's own, for a picture that stands alone.
const colours = `svg{--ink:#1b1f24;--soft:#5b626d;--paper:#fff;--c:#1b1f24;font:12px system-ui,"DejaVu Sans",sans-serif}.paper{fill:#fff}.bad{--c:#b3261e}.warn{--c:#a34b00}.idle{--c:#5f5a9c}.good{--c:#1e7a43}.none{--c:#7a818b}`
