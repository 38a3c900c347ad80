package desk

import (
	"fmt"
	"sync"
	"time"

	"staunch/ink"
	"staunch/see/scan"
	"staunch/tame"
)

// Progress is one line on a terminal's stderr that says what long work is at; elsewhere it is silent.
type Progress struct {
	env   *Env
	on    bool
	mu    sync.Mutex
	begun time.Time
	last  time.Time
	shown bool
}

// quiet is how long work runs before a line appears.
const quiet = 300 * time.Millisecond

// NewProgress is silent for the first moments, and altogether where stderr is no terminal.
func NewProgress(env *Env) *Progress {
	return &Progress{env: env, on: IsTerminal(env.Stderr), begun: time.Now()}
}

// Scan says what a scan is at.
func (p *Progress) Scan(s scan.Progress) { p.Say(s.Says, s.Done, s.Total) }

// Say puts words and numbers on the line, not too often; a total of 0 is not known.
func (p *Progress) Say(says string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.on || now.Sub(p.begun) < quiet || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	line := tame.Line(says)
	if total > 0 {
		line += fmt.Sprintf(" %d of %d", done, total)
	} else if done > 0 {
		line += fmt.Sprintf(" %d", done)
	}
	fmt.Fprintf(p.env.Stderr, "\r\x1b[K%s", ink.Fit(line, Width(p.env)-1))
}

// Done takes the line away.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
		p.shown = false
	}
}
