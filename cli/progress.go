package cli

import (
	"fmt"
	"sync"
	"time"

	"staunch/ink"
	"staunch/see/scan"
	"staunch/tame"
)

// progress is one line on a terminal's stderr that says what long work is at; elsewhere it is silent.
type progress struct {
	env   *Env
	on    bool
	mu    sync.Mutex
	begun time.Time
	last  time.Time
	shown bool
}

// quiet is how long work runs before a line appears.
const quiet = 300 * time.Millisecond

func newProgress(env *Env) *progress {
	return &progress{env: env, on: isTerminal(env.Stderr), begun: time.Now()}
}

func (p *progress) scan(s scan.Progress) { p.say(s.Says, s.Done, s.Total) }

func (p *progress) say(says string, done, total int64) {
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
	fmt.Fprintf(p.env.Stderr, "\r\x1b[K%s", ink.Fit(line, terminalWidth(p.env)-1))
}

// done takes the line away.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
		p.shown = false
	}
}
