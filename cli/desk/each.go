package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/ink"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/tame"
)

// Told is what came of one host.
type Told[T any] struct {
	Host fleet.Host
	Got  T
	Err  error
}

// Each asks many hosts at once and returns what each told, in their order. A host that does not answer is a result with its reason.
func Each[T any](ctx context.Context, env *Env, r *Reaching, hosts []fleet.Host, ask func(context.Context, host.Host, func(host.Progress)) (T, error)) []Told[T] {
	crew := r.Crew(env)
	defer crew.Close()
	cells := newCells(env, hosts)
	defer cells.done()
	at := map[string]int{}
	for i, h := range hosts {
		at[h.Name] = i
	}
	return Parallel(hosts, r.Forks, func(h fleet.Host) (T, error) {
		return one(ctx, crew, r.Patience, h, cells.of(at[h.Name], h.Name), ask)
	})
}

// Parallel does something for each host, so many at once.
func Parallel[T any](hosts []fleet.Host, forks int, do func(fleet.Host) (T, error)) []Told[T] {
	all := make([]Told[T], len(hosts))
	queue := make(chan int)
	var wg sync.WaitGroup
	for range min(forks, len(hosts)) {
		wg.Go(func() {
			for i := range queue {
				got, err := do(hosts[i])
				all[i] = Told[T]{Host: hosts[i], Got: got, Err: err}
			}
		})
	}
	for i := range hosts {
		queue <- i
	}
	close(queue)
	wg.Wait()
	return all
}

// one asks one host within its patience.
func one[T any](ctx context.Context, c *Crew, patience time.Duration, h fleet.Host, seen follower, ask func(context.Context, host.Host, func(host.Progress)) (T, error)) (got T, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		if err != nil {
			seen.set(cellFailed)
		} else {
			seen.set(cellDone)
		}
	}()
	seen.set(cellConnecting)
	to, err := c.open(ctx, h)
	if err != nil {
		return got, err
	}
	defer func() {
		if closed := to.Close(); err == nil && closed != nil && !errors.Is(closed, context.Canceled) {
			err = fault.New(fault.Unreachable, "%s: hanging up: %v", h.Name, closed)
		}
	}()
	seen.set(cellWorking)
	return ask(ctx, to, seen.says)
}

// cell is how one host stands.
type cell rune

const (
	cellWaiting    cell = '·'
	cellConnecting cell = '~'
	cellWorking    cell = 'o'
	cellDone       cell = '#'
	cellFailed     cell = '!'
)

// cells is the view of long work on many hosts: one character each, on a terminal's stderr; elsewhere it is silent.
type cells struct {
	env   *Env
	mu    sync.Mutex
	on    bool
	state []rune
	said  string // what a host told last of its work
	begun time.Time
	last  time.Time
	lines int
}

// maxCellLines is how much of the terminal the view may take; more hosts are shown as counts.
const maxCellLines = 8

func newCells(env *Env, hosts []fleet.Host) *cells {
	c := &cells{env: env, on: IsTerminal(env.Stderr), begun: time.Now(), state: make([]rune, len(hosts))}
	for i := range c.state {
		c.state[i] = rune(cellWaiting)
	}
	return c
}

// follower is told how one host stands, and what it says of its work.
type follower struct {
	set  func(cell)
	says func(host.Progress)
}

func (c *cells) of(i int, name string) follower {
	return follower{
		set: func(s cell) { c.change(func() { c.state[i] = rune(s) }) },
		says: func(p host.Progress) {
			if p.Says == "" {
				return
			}
			says := name + ": " + p.Says
			if p.Total > 0 {
				says += fmt.Sprintf(" %d of %d", p.Done, p.Total)
			}
			c.change(func() { c.said = tame.Line(says) })
		},
	}
}

func (c *cells) change(it func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it()
	now := time.Now()
	if !c.on || now.Sub(c.begun) < quiet || now.Sub(c.last) < 80*time.Millisecond {
		return
	}
	c.last = now
	c.draw()
}

// draw replaces what was drawn before.
func (c *cells) draw() {
	width := max(20, Width(c.env)-1)
	counts := map[rune]int{}
	for _, s := range c.state {
		counts[s]++
	}
	var b strings.Builder
	c.wipe(&b)
	lines := 0
	for row := c.state; len(row) > 0 && len(c.state) <= width*maxCellLines; lines++ {
		n := min(width, len(row))
		b.WriteString(string(row[:n]) + "\n")
		row = row[n:]
	}
	legend := fmt.Sprintf("%d hosts: # %d done, ! %d failed, o %d looking, ~ %d connecting, · %d waiting", len(c.state), counts[rune(cellDone)],
		counts[rune(cellFailed)], counts[rune(cellWorking)], counts[rune(cellConnecting)], counts[rune(cellWaiting)])
	b.WriteString(ink.Fit(legend, width))
	c.lines = lines + 1
	if c.said != "" {
		b.WriteString("\n" + ink.Fit(c.said, width))
		c.lines++
	}
	fmt.Fprint(c.env.Stderr, b.String())
}

func (c *cells) wipe(b *strings.Builder) {
	if c.lines == 0 {
		return
	}
	b.WriteString("\r")
	if c.lines > 1 {
		fmt.Fprintf(b, "\x1b[%dA", c.lines-1)
	}
	b.WriteString("\x1b[J")
	c.lines = 0
}

// done takes the view away.
func (c *cells) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	c.wipe(&b)
	fmt.Fprint(c.env.Stderr, b.String())
}
