package tell

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"staunch/ink"
	"staunch/steer/run"
	"staunch/tame"
)

// MostLines is for a board that need not fit a screen.
const MostLines = 200

const (
	redraw    = 150 * time.Millisecond // the board is drawn at most so often
	ringLines = 4                      // a ring with more hosts than fit here is told in numbers
	mostSaid  = 6                      // lines of what happens now, and of what waits
)

// View is a run on a screen: what happens scrolls by above, the board stands below it. Where nobody looks, only lines are written.
type View struct {
	Out           io.Writer
	Live          bool
	Width, Height func() int
	Paint         ink.Paint
	mu            sync.Mutex
	drawn         []string // as it stands on the screen now
	last          time.Time
	over          bool
}

// Say writes one line above the board.
func (v *View) Say(line string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	line = tame.Line(line)
	if !v.Live || v.over {
		_, err := fmt.Fprintln(v.Out, line)
		return err
	}
	_, err := io.WriteString(v.Out, v.erase()+ink.Fit(line, v.Width()-1)+"\n"+v.text())
	return err
}

// Show is the runner's: it draws the board when it changed, not too often.
func (v *View) Show(m *run.Machine, _ run.Decision) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.Live || v.over || time.Since(v.last) < redraw {
		return
	}
	v.last = time.Now()
	lines := Draw(m.Board(v.last), v.Width()-1, v.Height()-4, v.Paint)
	up := v.erase()
	v.drawn = lines
	if _, err := io.WriteString(v.Out, up+v.text()); err != nil {
		v.Live = false // the terminal is gone; the run goes on
	}
}

// erase goes up to where the board begins and clears from there.
func (v *View) erase() string {
	if len(v.drawn) == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", len(v.drawn))
}

func (v *View) text() string {
	if len(v.drawn) == 0 {
		return ""
	}
	return strings.Join(v.drawn, "\n") + "\n"
}

// End takes the live board away: what is printed from here on stays.
func (v *View) End() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.Live && len(v.drawn) > 0 {
		fmt.Fprint(v.Out, v.erase())
	}
	v.over, v.drawn = true, nil
}

// Draw sets a board into at most so many lines of a width.
func Draw(b run.Board, width, most int, paint ink.Paint) []string {
	var out []string
	for _, r := range b.Rows {
		out = append(out, rowLines(r, width, paint)...)
	}
	if len(out) > 0 {
		out = append(out, paint.Dim(ink.Fit(run.Legend, width)))
	}
	title := fmt.Sprintf("── %s, %d of %d settled ", string(b.State), b.Settled, b.Total)
	out = append([]string{paint.Bold(ink.Fit(title+strings.Repeat("─", max(width-len([]rune(title)), 0)), width))}, out...)
	add := func(word string, list []string, colour func(string) string) {
		for i, line := range list {
			if i == mostSaid && len(list) > mostSaid+1 {
				out = append(out, ink.Fit(fmt.Sprintf("%-7s and %d more", "", len(list)-i), width))
				return
			}
			out = append(out, colour(ink.Fit(fmt.Sprintf("%-7s %s", word, tame.Line(line)), width)))
			word = ""
		}
	}
	plain := func(s string) string { return s }
	var failed []string
	for _, f := range b.Failed {
		failed = append(failed, f.Step+" on "+f.Target+": "+f.Says)
	}
	add("failed", failed, paint.Red)
	add("now", b.Now, plain)
	add("waits", b.Waits, paint.Yellow)
	if len(out) > most && most > 0 {
		out = append(out[:most-1], ink.Fit("...", width))
	}
	return out
}

const ringName = 12 // columns

// rowLines draws one ring: names with their marks, or the marks alone where those do not fit, or numbers where not even they do.
func rowLines(r run.Row, width int, paint ink.Paint) []string {
	named := make([]string, len(r.Cells))
	marks := make([]string, len(r.Cells))
	for i, c := range r.Cells {
		named[i], marks[i] = " "+c.Name+c.Mark(), c.Mark()
	}
	for _, words := range [][]string{named, marks} {
		if lines := flow(r.Ring, words, r.Cells, width, paint); len(lines) <= ringLines {
			return lines
		}
	}
	n := map[string]int{}
	for _, m := range marks {
		n[m]++
	}
	line := fmt.Sprintf("%-*s %d hosts:", ringName, ink.Fit(tame.Line(r.Ring), ringName), len(marks))
	for _, c := range []run.Phase{run.Failed, run.InDoubt, run.Asking, run.Doing, run.Soaking, run.Waiting, run.Left, run.Good} {
		mark := run.Cell{Phase: c}.Mark()
		if n[mark] > 0 {
			line += fmt.Sprintf(" %d%s", n[mark], mark)
		}
	}
	return []string{ink.Fit(line, width)}
}

func flow(ring string, words []string, cells []run.Cell, width int, paint ink.Paint) []string {
	lines := []string{fmt.Sprintf("%-*s", ringName, ink.Fit(tame.Line(ring), ringName))}
	used := ringName
	for i, w := range words {
		n := len([]rune(w))
		if used > ringName && used+n > max(width, 40) {
			lines = append(lines, strings.Repeat(" ", ringName))
			used = ringName
		}
		lines[len(lines)-1] += painted(tame.Line(strings.TrimRight(w, " ")), cells[i].Phase, paint)
		used += n
	}
	return lines
}

func painted(s string, p run.Phase, paint ink.Paint) string {
	switch p {
	case run.Good:
		return paint.Green(s)
	case run.Failed, run.Undoing, run.InDoubt:
		return paint.Red(s)
	case run.Asking, run.Holding:
		return paint.Yellow(s)
	case run.Doing, run.Proving, run.Soaking:
		return paint.Bold(s)
	case run.Skipping, run.Left, run.Waiting:
		return paint.Dim(s)
	}
	return s
}
