package ssh

import (
	"context"
	"sync"

	"staunch/fault"
)

// startups is how many logins may be under way at once: sshd's MaxStartups begins to drop above 10, and all may go through one jump host.
const startups = 8

// ramp lets a bounded number of logins be under way. Where sshd drops connections all the same (its MaxStartups is set lower), the
// number is halved, and grows again by one with every eight logins that went well.
type ramp struct {
	mu     sync.Mutex
	lower  int // how far below startups the limit stands
	well   int // logins that went well since the limit changed
	active int
	free   chan struct{} // closed when a seat may have become free
}

// enter waits for a seat. release gives it back; dropped tells that sshd dropped the connection early.
func (r *ramp) enter(ctx context.Context) (release func(dropped bool), err error) {
	for {
		r.mu.Lock()
		if r.active < startups-r.lower {
			r.active++
			r.mu.Unlock()
			return r.leave, nil
		}
		if r.free == nil {
			r.free = make(chan struct{})
		}
		free := r.free
		r.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, fault.New(fault.Timeout, "no time was left to connect").Caused(ctx.Err())
		}
	}
}

func (r *ramp) leave(dropped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	if dropped {
		r.lower, r.well = startups-max(1, (startups-r.lower)/2), 0
	} else if r.well++; r.well >= startups && r.lower > 0 {
		r.lower, r.well = r.lower-1, 0
	}
	if r.free != nil {
		close(r.free)
		r.free = nil
	}
}
