package why

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// Style says how the picture is drawn.
type Style struct {
	Width   int  // columns; 0: 80
	Colour  bool // ANSI colours
	Verbose bool // every line and every command
}

const barWidth = 18

// Draw writes the explanation as a picture: one bar per layer, as long as its share of the whole time.
func Draw(w io.Writer, a Answer, s Style) {
	if s.Width <= 0 {
		s.Width = 80
	}
	drawOne(w, a, s)
	for _, r := range a.Redirects {
		fmt.Fprintf(w, "\nsent on to %s\n", r.URL)
		drawOne(w, r, s)
	}
	fmt.Fprintln(w)
	for i, line := range wrap(a.Says, s.Width-3) {
		mark := "   "
		if i == 0 {
			mark = s.paint(verdictState(a.Verdict), Symbol(verdictState(a.Verdict))) + " "
		}
		fmt.Fprintf(w, "%s%s\n", mark, line)
	}
	for _, line := range wrap(a.Next, s.Width-3) {
		fmt.Fprintf(w, "   %s\n", line)
	}
	if a.Samples != nil {
		fmt.Fprintf(w, "   %d samples: first byte %s (%s)\n", a.Samples.Count, Spark(a.Samples.FirstMS), a.Samples.Trend)
	}
}

func drawOne(w io.Writer, a Answer, s Style) {
	longest := 1.0
	for _, l := range a.Layers {
		longest = max(longest, l.TookMS)
	}
	for _, l := range a.Layers {
		bar := bar(l.TookMS/longest, barWidth)
		took := fmt.Sprintf("%7.1f ms", l.TookMS)
		says := l.Says
		if l.State == NotReached {
			bar, took, says = strings.Repeat(" ", barWidth), strings.Repeat(" ", 10), "not reached"
		}
		head := fmt.Sprintf("%-8s%s %s ", l.Layer, bar, took)
		indent := len([]rune(head)) + 2
		for i, line := range wrap(says, max(20, s.Width-indent)) {
			if i == 0 {
				fmt.Fprintf(w, "%s %s%s\n", s.paint(l.State, Symbol(l.State)), head, line)
				continue
			}
			fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", indent), line)
		}
		drawLines(w, l, s)
	}
}

// drawLines shows the findings inside a layer: all of them when verbose, else only what is not well. Each command is named once.
func drawLines(w io.Writer, l Layer, s Style) {
	said := ""
	for _, line := range l.Lines {
		if !s.Verbose && (line.State == OK || line.State == NotReached) {
			continue
		}
		for i, text := range wrap(line.Says, s.Width-14) {
			mark := "  "
			if i == 0 {
				mark = s.paint(line.State, Symbol(line.State)) + " "
			}
			fmt.Fprintf(w, "          %s%s\n", mark, text)
		}
		if check := cmp.Or(line.Check, l.Check); s.Verbose && check != "" && check != said {
			fmt.Fprintf(w, "            check: %s\n", check)
			said = check
		}
	}
	if l.Check != "" && l.Check != said && (s.Verbose || l.State == Failed) {
		fmt.Fprintf(w, "          check: %s\n", l.Check)
	}
}

// Symbol is the sign of a state, two columns wide.
func Symbol(s State) string {
	switch s {
	case OK:
		return "ok"
	case Slowly:
		return "! "
	case Failed:
		return "X "
	}
	return "- "
}

func (s Style) paint(state State, text string) string {
	if !s.Colour {
		return text
	}
	switch state {
	case OK:
		return "\x1b[32m" + text + "\x1b[0m"
	case Slowly:
		return "\x1b[33m" + text + "\x1b[0m"
	case Failed:
		return "\x1b[1;31m" + text + "\x1b[0m"
	}
	return "\x1b[2m" + text + "\x1b[0m"
}

func verdictState(v Verdict) State {
	switch v {
	case Fine:
		return OK
	case Slow, Undecided:
		return Slowly
	}
	return Failed
}

// bar draws a share between 0 and 1 in eighths of a column.
func bar(share float64, width int) string {
	eighths := min(int(share*float64(width*8)+0.5), width*8)
	full := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		full += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return full + strings.Repeat(" ", width-len([]rune(full)))
}

// Spark draws numbers as a line of small bars, the highest as high as a line is.
func Spark(v []float64) string {
	if len(v) == 0 {
		return "-"
	}
	top := v[0]
	for _, x := range v {
		top = max(top, x)
	}
	levels := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, x := range v {
		i := 0
		if top > 0 {
			i = int(x / top * float64(len(levels)-1))
		}
		b.WriteRune(levels[max(0, min(i, len(levels)-1))])
	}
	return b.String()
}

// wrap breaks text at spaces; a word longer than the width stays whole.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = word
			continue
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
