package keep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/wire"
	"staunch/tame"
)

// Client reaches hosts through the keeper of one user and one build of the program. Its fields are set before the first Open; it is safe for
// concurrent use.
type Client struct {
	Dir    string                                       // where the socket lies: the user's own, closed to others
	Build  string                                       // names this build and how it was started: another one has a keeper of its own
	Start  func(listener *os.File, socket string) error // starts a keeper on the listener; nil: only one that runs is used
	Idle   time.Duration                                // how long connections are kept
	Run    string                                       // names this command
	Way    Way
	Print  func(context.Context, fleet.Host) (string, error)    // ssh.Dialer.Print
	Direct func(context.Context, fleet.Host) (host.Host, error) // a login of its own, for when the keeper fails

	once sync.Once
}

// away is the answer where the keeper has none: dial directly.
type away struct{ why error }

func (a away) Error() string { return "no keeper: " + a.why.Error() }

// hailing is how long a host on a kept connection may take for its first word. A dead one is dialled anew.
const hailing = 5 * time.Second

// Open reaches one host for questions: through the keeper where that can be, else directly.
func (c *Client) Open(ctx context.Context, h fleet.Host) (host.Host, error) {
	// what else the fleet says of a host does not matter to a login
	login := fleet.Host{Name: h.Name, Address: h.Address, Port: h.Port, User: h.User, Via: h.Via}
	print, err := c.Print(ctx, h)
	if err != nil {
		return c.Direct(ctx, h) // it says what is wrong, if anything is
	}
	c.once.Do(c.ensure)
	near, reused, err := c.through(ctx, login, print, false)
	if reused && err != nil {
		near, _, err = c.through(ctx, login, print, true)
	}
	switch {
	case err == nil:
		return &relayed{Client: near, anew: func(ctx context.Context) (host.Host, error) { return c.Direct(ctx, h) }}, nil
	case errors.As(err, new(away)):
		return c.Direct(ctx, h)
	}
	return nil, err
}

// through asks the keeper for one host.
func (c *Client) through(ctx context.Context, h fleet.Host, print string, fresh bool) (near *wire.Client, reused bool, err error) {
	conn, err := c.dial()
	if err != nil {
		return nil, false, away{err}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	a := ask{Keep: protocol, Run: c.Run, Way: c.Way, Host: h, Print: print, Fresh: fresh, IdleMS: c.Idle.Milliseconds()}
	if until, has := ctx.Deadline(); has {
		a.WithinMS = max(1, time.Until(until).Milliseconds())
	}
	var said reply
	if err = send(conn, a); err == nil {
		err = receive(conn, &said)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		err = fault.New(fault.Timeout, "%s did not answer in time", h.Name).Caused(ctx.Err())
	case err != nil:
		err = away{err}
	case said.Error != nil:
		said.Error.What, said.Error.Hint = tame.Text(said.Error.What), tame.Text(said.Error.Hint)
		err = said.Error
	case !said.OK:
		err = away{errors.New("not kept")}
	}
	if err != nil {
		_ = conn.Close() // the first error is what matters
		return nil, false, err
	}
	hail, cancel := context.WithTimeout(ctx, hailing)
	defer cancel()
	near, err = wire.Dial(hail, conn, h.Name)
	if err != nil && ctx.Err() == nil {
		err = away{err}
	}
	return near, said.Reused, err
}

func (c *Client) socket() string {
	sum := sha256.Sum256([]byte(c.Build))
	return filepath.Join(c.Dir, "keeper-"+hex.EncodeToString(sum[:8])+".sock")
}

func (c *Client) dial() (net.Conn, error) {
	conn, err := net.Dial("unix", c.socket())
	if err != nil {
		return nil, err
	}
	if err := own(conn); err != nil {
		_ = conn.Close() // nothing was said on it
		return nil, err
	}
	return conn, nil
}

// ensure starts a keeper where none listens. Where that fails, hosts are reached directly.
func (c *Client) ensure() {
	if conn, err := c.dial(); err == nil {
		_ = conn.Close() // it was only to see that somebody listens
		return
	}
	if c.Start == nil || private(c.Dir) != nil {
		return
	}
	unlock, err := lock(c.socket())
	if err != nil {
		return
	}
	defer unlock()
	if conn, err := c.dial(); err == nil {
		_ = conn.Close() // somebody else was faster
		return
	}
	_ = os.Remove(c.socket()) // left by a keeper that was killed; without one there is nothing to remove
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.socket(), Net: "unix"})
	if err != nil {
		return
	}
	l.SetUnlinkOnClose(false)
	defer func() { _ = l.Close() }() // the keeper has its own
	if f, err := l.File(); err == nil {
		_ = c.Start(f, c.socket()) // without a keeper nobody answers on the socket, and hosts are reached directly
		_ = f.Close()              // the keeper has its own
	}
}

// private makes sure that a directory is the user's own and closed to others.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(s.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Denied, "%s is not a directory of yours alone", dir)
	}
	return nil
}

// lock makes starting and retiring keepers of one directory take turns. Nobody holds it for longer than that takes.
func lock(socket string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(socket), "keeper.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for range 100 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return func() { _ = f.Close() }, nil // closing unlocks
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = f.Close() // not locked
	return nil, err
}

// Stop ends all keepers of a directory, of other builds, too: what they keep is hung up.
func Stop(dir string) {
	all, err := filepath.Glob(filepath.Join(dir, "keeper-*.sock"))
	if err != nil {
		return
	}
	for _, socket := range all {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			continue // nobody listens
		}
		if own(conn) == nil && send(conn, ask{Keep: protocol, Stop: true}) == nil && conn.SetReadDeadline(time.Now().Add(5*time.Second)) == nil {
			_, _ = conn.Read(make([]byte, 1)) // it hangs up when it has heard
		}
		_ = conn.Close() // nothing else is said
	}
}

// relayed is a host behind the keeper. A keeper or a connection that ends in the middle of a question is replaced by a login, once.
type relayed struct {
	*wire.Client
	anew func(context.Context) (host.Host, error)

	mu     sync.Mutex
	direct host.Host
	closed bool
}

// Look asks, and asks anew where the connection was lost: looking changes nothing.
func (r *relayed) Look(ctx context.Context, q host.Question, p func(host.Progress)) (host.Answer, error) {
	r.mu.Lock()
	direct := r.direct
	r.mu.Unlock()
	if direct != nil {
		return direct.Look(ctx, q, p)
	}
	a, err := r.Client.Look(ctx, q, p)
	if !fault.Is(err, fault.Unreachable) || ctx.Err() != nil {
		return a, err
	}
	if direct, err = r.replace(ctx); err != nil {
		return a, err
	}
	return direct.Look(ctx, q, p)
}

func (r *relayed) replace(ctx context.Context) (host.Host, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fault.New(fault.Unreachable, "%s is closed", r.Name())
	}
	if r.direct != nil {
		return r.direct, nil
	}
	to, err := r.anew(ctx)
	if err == nil {
		r.direct = to
	}
	return to, err
}

// Do refuses: acts have a login of their own, with its own rights.
func (r *relayed) Do(context.Context, act.Order, func(host.Progress)) (act.Outcome, error) {
	return act.Outcome{}, fault.New(fault.Unsupported, "%s is only looked at on a kept connection", r.Name())
}

// Close leaves the connection to the keeper.
func (r *relayed) Close() error {
	err := r.Client.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.direct != nil {
		err = r.direct.Close()
	}
	return err
}
