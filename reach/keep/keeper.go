package keep

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/wire"

	"golang.org/x/sys/unix"
)

// Serve keeps connections for the commands of this user that come in on l, until none was used for as long as they asked for. The memory of
// this process is closed to others of the same user from then on. path is the socket's, for taking it away at the end.
func Serve(ctx context.Context, l *net.UnixListener, path string, open func(Way) Door) error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fault.New(fault.Unsupported, "this process cannot be closed to others: %v", err)
	}
	l.SetUnlinkOnClose(false)
	defer retire(l, path)
	return (&keeper{open: open, tick: lifeSigns, linger: linger}).serve(ctx, owned{l})
}

// retire takes the socket away if nobody else listens on it.
func retire(l net.Listener, path string) {
	unlock, err := lock(path)
	_ = l.Close() // what is closed already is closed
	if err != nil {
		return // the next command finds that nobody listens
	}
	defer unlock()
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close() // another keeper's
		return
	}
	_ = os.Remove(path) // the next command finds that nobody listens
}

// owned gives out only connections of this user's processes.
type owned struct{ net.Listener }

func (o owned) Accept() (net.Conn, error) {
	for {
		conn, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if own(conn) == nil {
			return conn, nil
		}
		_ = conn.Close() // nothing was said on it
	}
}

type keeper struct {
	open   func(Way) Door
	tick   time.Duration // how often it is looked whether something is due
	linger time.Duration // how long a keeper without hosts waits for a command

	mu    sync.Mutex
	hosts map[string]*kept
	runs  map[string]*run
	conns int
	quiet time.Time // since when nobody is connected
	stop  context.CancelFunc
}

// run is one command's way to hosts: all of its hosts share jump hosts and the ramp.
type run struct {
	door Door
	refs int // hosts and asks that use it
}

// kept is one host's connection.
type kept struct {
	turn  chan struct{} // who holds it may dial, or hang up
	refs  int           // asks that wait or work on it
	idle  time.Duration
	used  time.Time // by the clock on the wall, as machines sleep
	since time.Time

	client *wire.Client // nil before it was dialled
	hangUp func() error
	run    string
}

func wall() time.Time { return time.Now().Round(0) }

func (k *keeper) serve(ctx context.Context, l net.Listener) error {
	ctx, k.stop = context.WithCancel(ctx)
	defer k.stop()
	k.hosts, k.runs, k.quiet = map[string]*kept{}, map[string]*run{}, wall()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends Accept
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { k.watch(ctx) })
	defer func() {
		k.stop()
		wg.Wait()
		k.dropAll()
	}()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				_ = conn.Close() // too late: the command dials by itself
			}
			return nil
		}
		if err != nil {
			return err
		}
		if !k.begin() {
			_ = conn.Close() // over the limit: the command dials by itself
			continue
		}
		wg.Go(func() {
			defer k.end()
			defer conn.Close()
			k.speak(ctx, conn)
		})
	}
}

func (k *keeper) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conns >= maxConns {
		return false
	}
	k.conns++
	return true
}

func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns--
	k.quiet = wall()
}

// speak serves one connection: an ask, and then the wire.
func (k *keeper) speak(ctx context.Context, conn net.Conn) {
	var a ask
	if conn.SetDeadline(time.Now().Add(askWithin)) != nil || receive(conn, &a) != nil || a.Keep != protocol {
		return
	}
	if a.Stop {
		k.stop()
		return
	}
	_ = conn.SetDeadline(time.Time{}) // it was just set on the same connection
	within := time.Duration(a.WithinMS) * time.Millisecond
	if within <= 0 || within > longest {
		within = longest
	}
	dialing, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	h := k.enter(a)
	if h == nil {
		_ = send(conn, reply{}) // a command that is gone needs no reply
		return
	}
	defer k.leave(h)
	client, said := k.reach(dialing, a, h)
	if send(conn, said) != nil || client == nil {
		return
	}
	_ = wire.Relay(ctx, conn, client, kinds()) // it ends when the command hangs up, in whatever way
}

// reach finds or makes the connection that was asked for.
func (k *keeper) reach(ctx context.Context, a ask, h *kept) (*wire.Client, reply) {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, reply{Error: fault.From(fault.New(fault.Timeout, "%s: no time was left to connect", a.Host.Name), fault.Timeout)}
	}
	if h.client != nil && (a.Fresh || h.client.Err() != nil || k.due(h, 1) || wall().Sub(h.since) > longest) {
		k.drop(h)
	}
	said := reply{OK: true, Reused: h.client != nil}
	if h.client == nil {
		said = k.dial(ctx, a, h)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.idle = min(time.Duration(a.IdleMS)*time.Millisecond, longest)
	return h.client, said
}

// dial logs in, unless what the login comes from is no longer what the command saw, before or after.
func (k *keeper) dial(ctx context.Context, a ask, h *kept) reply {
	r := k.join(a)
	defer k.part(a.Run)
	if now, err := r.door.Print(ctx, a.Host); err != nil || now != a.Print {
		return reply{}
	}
	client, hangUp, err := r.door.Dial(ctx, a.Host)
	if err != nil {
		return reply{Error: fault.From(err, fault.Unreachable)}
	}
	if !k.still(ctx, a) {
		_ = hangUp() // nothing was said on it
		return reply{}
	}
	k.join(a) // the connection's own
	k.mu.Lock()
	defer k.mu.Unlock()
	h.client, h.hangUp, h.run, h.since = client, hangUp, a.Run, wall()
	return reply{OK: true}
}

// still looks with new eyes whether what a login comes from is what the command saw.
func (k *keeper) still(ctx context.Context, a ask) bool {
	door := k.open(a.Way)
	defer door.Close()
	now, err := door.Print(ctx, a.Host)
	return err == nil && now == a.Print
}

// enter finds the place of the connection that was asked for; nil: it cannot be kept. The caller leaves it.
func (k *keeper) enter(a ask) *kept {
	key, err := a.key()
	if err != nil || a.Print == "" || a.Run == "" || a.IdleMS <= 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.hosts[key]
	if h == nil {
		if len(k.hosts) >= maxHosts {
			return nil
		}
		h = &kept{turn: make(chan struct{}, 1)}
		k.hosts[key] = h
	}
	h.refs++
	return h
}

func (k *keeper) leave(h *kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.refs--
	h.used = wall()
}

// join counts a user of a command's door; part counts it off.
func (k *keeper) join(a ask) *run {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.runs[a.Run]
	if r == nil {
		r = &run{door: k.open(a.Way)}
		k.runs[a.Run] = r
	}
	r.refs++
	return r
}

func (k *keeper) part(name string) {
	k.mu.Lock()
	r := k.runs[name]
	if r.refs--; r.refs > 0 {
		k.mu.Unlock()
		return
	}
	delete(k.runs, name)
	k.mu.Unlock()
	r.door.Close()
}

// drop hangs up. The caller has the turn.
func (k *keeper) drop(h *kept) {
	k.mu.Lock()
	hangUp, name := h.hangUp, h.run
	h.client, h.hangUp = nil, nil
	k.mu.Unlock()
	_ = hangUp() // a dead connection is hung up as well as it can be
	k.part(name)
}

// due tells whether nobody but the caller's own asks uses a connection, and nobody did for too long, or the clock was set back.
func (k *keeper) due(h *kept, mine int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := wall()
	return h.refs == mine && (now.Before(h.used) || now.Sub(h.used) > h.idle || now.Sub(h.since) > longest)
}
