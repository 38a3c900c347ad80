package ssh

import (
	"context"
	"net/url"
	"strings"
	"sync"

	"staunch/fault"
	"staunch/reach/fleet"

	"golang.org/x/crypto/ssh"
)

// maxJumps bounds a chain of jump hosts.
const maxJumps = 5

// jumps keeps one login for each jump host, shared by all hosts behind it.
type jumps struct {
	mu   sync.Mutex
	open map[string]*hop
}

// hop is a jump host that somebody is logging in to, or has.
type hop struct {
	once   sync.Once
	client *ssh.Client
	err    error
}

// through returns a login on the last host of a ProxyJump list ("a,user@b:2222").
func (j *jumps) through(ctx context.Context, d *Dialer, list string, depth int) (*ssh.Client, error) {
	if depth >= maxJumps {
		return nil, fault.New(fault.Usage, "over %d jump hosts", maxJumps)
	}
	j.mu.Lock()
	if j.open == nil {
		j.open = map[string]*hop{}
	}
	h := j.open[list]
	if h == nil {
		h = &hop{}
		j.open[list] = h
	}
	j.mu.Unlock()
	h.once.Do(func() { h.client, h.err = j.hop(ctx, d, list, depth) })
	if h.err != nil || h.client == nil {
		j.mu.Lock()
		if j.open[list] == h {
			delete(j.open, list) // the next host tries anew
		}
		j.mu.Unlock()
	}
	return h.client, h.err
}

func (j *jumps) hop(ctx context.Context, d *Dialer, list string, depth int) (*ssh.Client, error) {
	before, last := "", list
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		before, last = list[:i], list[i+1:]
	}
	h, err := jumpHost(last)
	if err != nil {
		return nil, err
	}
	t, err := d.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	if before != "" {
		t.jump = before
	}
	if t.jump == list || depth+1 >= maxJumps && t.jump != "" {
		return nil, fault.New(fault.Usage, "the jump hosts of %s go in a circle", last)
	}
	if t.needsOwn != "" {
		return nil, fault.New(fault.Unsupported, "jump host %s needs %s", last, t.needsOwn)
	}
	return d.connect(ctx, t)
}

// jumpHost reads "user@host:port" or "ssh://user@host:port".
func jumpHost(text string) (fleet.Host, error) {
	if strings.HasPrefix(text, "ssh://") {
		u, err := url.Parse(text)
		if err != nil {
			return fleet.Host{}, fault.New(fault.Usage, "jump host %q cannot be read", text)
		}
		text = u.Host
		if u.User != nil {
			text = u.User.Username() + "@" + text
		}
	}
	f, err := fleet.List([]byte(text), "ProxyJump")
	if err != nil || len(f.Hosts) != 1 {
		return fleet.Host{}, fault.New(fault.Usage, "jump host %q cannot be read", text)
	}
	return f.Hosts[0], nil
}

// close hangs up on all jump hosts.
func (j *jumps) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for list, h := range j.open {
		if h.client != nil {
			_ = h.client.Close() // a dead one is closed already
		}
		delete(j.open, list)
	}
}
