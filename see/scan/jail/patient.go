package jail

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNoAnswer tells that a file system said nothing within the time that a patient root gives it.
var ErrNoAnswer = errors.New("no answer from its file system")

// patience is how long a root waits, and what never answered: it is not asked again.
type patience struct {
	limit   time.Duration
	mu      sync.Mutex
	silent  []string       // directories and files
	strikes map[string]int // silent files by their directory
	buffers sync.Pool      // *[]byte, for listing
}

func (p *patience) buffer() *[]byte {
	if buf, ok := p.buffers.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, 32<<10)
	return &buf
}

const maxStrikes = 3 // so many silent files make their directory a silent one

// Patient is the same directory with a deadline for every question to it, so that a dead file server costs one deadline a place. A question that
// gets no answer is left to a goroutine of its own, which ends when the server does. Only the root that Patient was called on is closed.
func (r *Root) Patient(limit time.Duration) *Root {
	p := &Root{fd: r.fd, patience: &patience{limit: limit, strikes: map[string]int{}}}
	p.old.Store(r.old.Load())
	return p
}

// Silent are the places below a patient root that gave no answer.
func (r *Root) Silent() []string {
	if r.patience == nil {
		return nil
	}
	r.patience.mu.Lock()
	defer r.patience.mu.Unlock()
	return slices.Clone(r.patience.silent)
}

// Silenced tells whether a place of a patient root gave no answer before.
func (r *Root) Silenced(name string) bool { return r.patience != nil && r.patience.isSilent(name) }

// NoAnswer notes a place that gave somebody else no answer in time.
func (r *Root) NoAnswer(name string) {
	if r.patience != nil {
		r.patience.note(name)
	}
}

// Ask runs fn, which asks the file system for that path, within the root's patience. What comes too late is given to drop, if there is one.
func Ask[T any](r *Root, name string, fn func() (T, error), drop func(T)) (T, error) {
	p := r.patience
	if p == nil {
		return fn()
	}
	var none T
	if p.isSilent(name) {
		return none, &fs.PathError{Op: "ask", Path: name, Err: ErrNoAnswer}
	}
	type answer struct {
		value T
		err   error
	}
	done, late := make(chan answer), make(chan struct{})
	go func() {
		value, err := fn()
		select {
		case done <- answer{value, err}:
		case <-late:
			if err == nil && drop != nil {
				drop(value)
			}
		}
	}()
	timer := time.NewTimer(p.limit)
	defer timer.Stop()
	select {
	case a := <-done:
		return a.value, a.err
	case <-timer.C:
		close(late)
		p.note(name)
		return none, &fs.PathError{Op: "ask", Path: name, Err: ErrNoAnswer}
	}
}

func (p *patience) isSilent(name string) bool {
	name = path.Join("/", name)
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.silent, func(dead string) bool {
		return name == dead || strings.HasPrefix(name, dead+"/")
	})
}

// note remembers a silent place. One file says little of its directory: it may be a link that leads elsewhere.
func (p *patience) note(name string) {
	name = path.Join("/", name)
	p.mu.Lock()
	defer p.mu.Unlock()
	dir := path.Dir(name)
	if p.strikes[dir]++; p.strikes[dir] >= maxStrikes && dir != "/" {
		p.silent = slices.DeleteFunc(p.silent, func(dead string) bool { return path.Dir(dead) == dir })
		name = dir
	}
	p.silent = append(p.silent, name)
}
