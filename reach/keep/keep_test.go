package keep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/host/promise"
	"staunch/reach/lab"
	"staunch/reach/wire"
	"staunch/see/scan"

	"golang.org/x/sys/unix"
)

// world is a pretend fleet behind a real keeper on a real socket; the wire to each host is real, too.
type world struct {
	t     *testing.T
	dir   string
	lab   *lab.Lab
	print atomic.Value // what logins come from now

	mu      sync.Mutex
	dials   int
	directs int
	wires   []net.Conn // far ends, to cut
	orders  int
	keepers int
	stops   []context.CancelFunc
	ended   sync.WaitGroup
	refuse  error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	_, fleet := lab.Example(1)
	l, err := lab.New(fleet)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "keep")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, lab: l}
	w.print.Store("one")
	t.Cleanup(func() {
		w.stopAll()
		w.ended.Wait()
		_ = os.RemoveAll(dir) // nobody lives there any more
	})
	return w
}

func (w *world) stopAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stop := range w.stops {
		stop()
	}
	w.stops = nil
}

// counting tells of orders that reach a host.
type counting struct {
	host.Host
	w *world
}

func (c counting) Do(ctx context.Context, o act.Order, p func(host.Progress)) (act.Outcome, error) {
	c.w.mu.Lock()
	c.w.orders++
	c.w.mu.Unlock()
	return c.Host.Do(ctx, o, p)
}

func (c counting) Put(context.Context, string, io.Reader) error {
	c.w.mu.Lock()
	c.w.orders++
	c.w.mu.Unlock()
	return nil
}

// labDoor dials hosts of the lab.
type labDoor struct{ w *world }

func (d labDoor) Close() {}

func (d labDoor) Print(context.Context, fleet.Host) (string, error) {
	return d.w.print.Load().(string), nil
}

func (d labDoor) Dial(ctx context.Context, h fleet.Host) (*wire.Client, func() error, error) {
	d.w.mu.Lock()
	d.w.dials++
	refuse := d.w.refuse
	d.w.mu.Unlock()
	if refuse != nil {
		return nil, nil, refuse
	}
	there, err := d.w.lab.Host(h.Name)
	if err != nil {
		return nil, nil, err
	}
	near, far := net.Pipe()
	d.w.mu.Lock()
	d.w.wires = append(d.w.wires, far)
	d.w.mu.Unlock()
	go func() { _ = wire.Serve(context.Background(), far, counting{there, d.w}, "test") }() // ends with the pipe
	c, err := wire.Dial(ctx, near, h.Name)
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// client is one command.
func (w *world) client() *Client {
	return &Client{
		Dir: w.dir, Build: "test", Idle: time.Minute, Run: "run", Start: w.start,
		Print: labDoor{w}.Print,
		Direct: func(ctx context.Context, h fleet.Host) (host.Host, error) {
			w.mu.Lock()
			w.directs++
			refuse := w.refuse
			w.mu.Unlock()
			if refuse != nil {
				return nil, refuse
			}
			return w.lab.Host(h.Name)
		},
	}
}

// start is a keeper in this process, on the listener that was handed over as to another one.
func (w *world) start(f *os.File, socket string) error {
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	w.mu.Lock()
	w.keepers++
	w.stops = append(w.stops, stop)
	w.mu.Unlock()
	w.ended.Go(func() {
		k := &keeper{open: func(Way) Door { return labDoor{w} }, tick: 20 * time.Millisecond, linger: 300 * time.Millisecond}
		if err := k.serve(ctx, owned{l}); err != nil {
			w.t.Errorf("the keeper ended with %v", err)
		}
		retire(l, socket)
	})
	return nil
}

func (w *world) count() (dials, directs int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials, w.directs
}

func (w *world) open(c *Client, name string) host.Host {
	w.t.Helper()
	h, err := c.Open(w.t.Context(), fleet.Host{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

func (w *world) asks(h host.Host) {
	w.t.Helper()
	if _, err := h.Look(w.t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil); err != nil {
		w.t.Error(err)
	}
}

func (w *world) wants(what string, dials, directs int) {
	w.t.Helper()
	if d, n := w.count(); d != dials || n != directs {
		w.t.Errorf("%s: %d logins by the keeper and %d direct ones, want %d and %d", what, d, n, dials, directs)
	}
}

func TestPromisesOverAKeptConnection(t *testing.T) {
	w := newWorld(t)
	promise.Host(t, func(t *testing.T) host.Host { return w.open(w.client(), "web1") })
	w.wants("all promises", 1, 0)
	if w.orders != 0 {
		t.Errorf("%d orders reached the host", w.orders)
	}
}

func TestTheNextCommandNeedsNoLogin(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		h := w.open(w.client(), "web1")
		w.asks(h)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	w.wants("three commands", 1, 0)
	w.asks(w.open(w.client(), "db1"))
	w.wants("another host", 2, 0)
}

// What the login comes from has changed: a host key, a setting, a key file. The old connection is of no use.
func TestAChangedPrintNeedsALogin(t *testing.T) {
	w := newWorld(t)
	w.asks(w.open(w.client(), "web1"))
	w.print.Store("two")
	w.asks(w.open(w.client(), "web1"))
	w.wants("after a change", 2, 0)
	c := w.client()
	c.Way.Sudo = "always"
	w.asks(w.open(c, "web1"))
	w.wants("other rights", 3, 0)
	// the command has seen something else than the keeper sees: nobody may say that this login is what was asked for
	c = w.client()
	c.Print = func(context.Context, fleet.Host) (string, error) { return "older", nil }
	w.asks(w.open(c, "web1"))
	w.wants("different eyes", 3, 1)
	c.Print = func(context.Context, fleet.Host) (string, error) {
		return "", fault.New(fault.Unsupported, "always anew")
	}
	w.asks(w.open(c, "web1"))
	w.wants("a host that cannot be kept", 3, 2)
}

// flipping changes what logins come from while one is made.
type flipping struct{ labDoor }

func (f flipping) Dial(ctx context.Context, h fleet.Host) (*wire.Client, func() error, error) {
	f.w.print.Store("changed meanwhile")
	return f.labDoor.Dial(ctx, h)
}

func TestAChangeDuringTheLoginIsNotKept(t *testing.T) {
	w := newWorld(t)
	k := &keeper{open: func(Way) Door { return flipping{labDoor{w}} }, hosts: map[string]*kept{}, runs: map[string]*run{}}
	a := ask{Keep: protocol, Run: "run", Host: fleet.Host{Name: "web1"}, Print: "one", IdleMS: 1000}
	h := k.enter(a)
	if c, said := k.reach(t.Context(), a, h); c != nil || said.OK || said.Error != nil {
		t.Errorf("kept: %+v", said)
	}
	w.wants("the login", 1, 0)
	if len(k.runs) != 0 {
		t.Error("the door stays open")
	}
}

func TestADeadConnectionIsReplacedSilently(t *testing.T) {
	w := newWorld(t)
	w.asks(w.open(w.client(), "web1"))
	w.mu.Lock()
	_ = w.wires[0].Close() // as a host that went down
	w.mu.Unlock()
	w.asks(w.open(w.client(), "web1"))
	w.wants("after a cut", 2, 0)
	// cut between the first word and the question
	h := w.open(w.client(), "web1")
	w.mu.Lock()
	_ = w.wires[1].Close()
	w.mu.Unlock()
	w.asks(h)
	w.wants("a cut before the question", 2, 1)
}

func TestAKeeperThatDiesIsNoLoss(t *testing.T) {
	w := newWorld(t)
	h := w.open(w.client(), "web1")
	w.stopAll()
	w.ended.Wait()
	w.asks(h)
	w.wants("it died before the question", 1, 1)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	w.asks(w.open(w.client(), "web1"))
	w.wants("the next command starts another", 2, 1)
	if w.keepers != 2 {
		t.Errorf("%d keepers", w.keepers)
	}
}

func TestASocketLeftBehindIsReplaced(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close() // as kill -9 leaves it
	w.asks(w.open(c, "web1"))
	w.wants("the first command", 1, 0)
}

func TestManyCommandsAtOnceStartOneKeeper(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			h, err := w.client().Open(t.Context(), fleet.Host{Name: "web1"})
			if err != nil {
				t.Error(err)
				return
			}
			w.asks(h)
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.wants("sixteen at once", 1, 0)
	if w.keepers != 1 {
		t.Errorf("%d keepers", w.keepers)
	}
}

func TestTheHostsOwnErrorIsTold(t *testing.T) {
	w := newWorld(t)
	w.refuse = fault.New(fault.Denied, "web1 shows another host key\x1b[31m").Hinted("compare it")
	_, err := w.client().Open(t.Context(), fleet.Host{Name: "web1"})
	if !fault.Is(err, fault.Denied) || fault.HintOf(err) != "compare it" || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q, hint %q", err, fault.HintOf(err))
	}
	w.wants("a refusal is an answer", 1, 0)
}

func TestWhatIsNotUsedIsHungUpAndTheKeeperEnds(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.Idle = 200 * time.Millisecond
	h := w.open(c, "web1")
	w.asks(h)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	w.ended.Wait() // it ends by itself
	if _, err := os.Stat(c.socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
	w.mu.Lock()
	far := w.wires[0]
	w.mu.Unlock()
	if _, err := far.Write([]byte("x")); err == nil {
		t.Error("the connection to the host is open")
	}
}

func TestDueByTheClockOnTheWall(t *testing.T) {
	k := &keeper{}
	now := wall()
	for name, c := range map[string]struct {
		h    kept
		mine int
		want bool
	}{
		"just used":               {kept{used: now, since: now, idle: time.Minute}, 0, false},
		"unused for long":         {kept{used: now.Add(-2 * time.Minute), since: now.Add(-3 * time.Minute), idle: time.Minute}, 0, true},
		"in use":                  {kept{used: now.Add(-2 * time.Minute), since: now.Add(-3 * time.Minute), idle: time.Minute, refs: 1}, 0, false},
		"slept, and asked first":  {kept{used: now.Add(-8 * time.Hour), since: now.Add(-8 * time.Hour), idle: time.Minute, refs: 1}, 1, true},
		"the clock was set back":  {kept{used: now.Add(time.Hour), since: now, idle: time.Minute}, 0, true},
		"used all the time, old":  {kept{used: now, since: now.Add(-longest - time.Second), idle: time.Minute}, 0, true},
		"old, but others use it":  {kept{used: now, since: now.Add(-longest - time.Second), idle: time.Minute, refs: 2}, 1, false},
		"used, with a long pause": {kept{used: now.Add(-50 * time.Second), since: now.Add(-time.Minute), idle: time.Minute}, 0, false},
	} {
		if got := k.due(&c.h, c.mine); got != c.want {
			t.Errorf("%s: due %v", name, got)
		}
	}
}

func TestStopEndsEveryKeeper(t *testing.T) {
	w := newWorld(t)
	w.asks(w.open(w.client(), "web1"))
	other := w.client()
	other.Build = "another build"
	w.asks(w.open(other, "web1"))
	w.wants("two builds do not share", 2, 0)
	Stop(w.dir)
	w.ended.Wait()
}

// raw speaks with the keeper as a hostile program of the same user could.
func (w *world) raw(c *Client) net.Conn {
	w.t.Helper()
	conn, err := c.dial()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() }) // some are closed already
	return conn
}

func TestNothingButThreeQuestionsPasses(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	w.asks(w.open(c, "web1"))
	conn := w.raw(c)
	if err := send(conn, ask{Keep: protocol, Run: "x", Host: fleet.Host{Name: "web1"}, Print: "one", IdleMS: 1000}); err != nil {
		t.Fatal(err)
	}
	var said reply
	if err := receive(conn, &said); err != nil || !said.Reused {
		t.Fatalf("%+v, %v", said, err)
	}
	near, err := wire.Dial(t.Context(), conn, "web1")
	if err != nil {
		t.Fatal(err)
	}
	order, err := act.New(act.Stop, &act.UnitsWith{Units: []string{"proxyd.service"}})
	if err != nil {
		t.Fatal(err)
	}
	o := act.Order{ID: "hostile/1", Host: "web1", Act: order}
	if _, err := near.Do(t.Context(), o, nil); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an order: %v", err)
	}
	if err := near.Put(t.Context(), strings.Repeat("a", 64), strings.NewReader("payload")); !fault.Is(err, fault.Unsupported) {
		t.Errorf("a payload: %v", err)
	}
	for _, q := range []host.Question{{Check: &o}, {Keys: json.RawMessage(`{}`)}} {
		if _, err := near.Look(t.Context(), q, nil); !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: %v", q.Kind(), err)
		}
	}
	for _, path := range []string{"/v1/look/../do", "//v1/do", "/v1/do?x", "/V1/do", "/v2/do", "/"} {
		conn := w.raw(c)
		if err := send(conn, ask{Keep: protocol, Run: "x", Host: fleet.Host{Name: "web1"}, Print: "one", IdleMS: 1000}); err != nil {
			t.Fatal(err)
		}
		if err := receive(conn, &said); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		web := &http.Client{Transport: &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
		if resp, err := web.Post("http://host"+path, "", bytes.NewReader(b)); err == nil {
			_ = resp.Body.Close() // its content does not matter: the count below does
		}
	}
	if w.orders != 0 {
		t.Errorf("%d orders or payloads reached the host", w.orders)
	}
}

func TestHostilePeersAreCutOffAndOthersServed(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	w.asks(w.open(c, "web1"))
	for name, bytes := range map[string]string{
		"endless length": "\xff\xff\xff\xff", "no JSON": "\x00\x00\x00\x03abc", "another protocol": "\x00\x00\x00\x0a{\"keep\":9}",
		"HTTP at once": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "nothing to keep": "\x00\x00\x00\x0a{\"keep\":1}", "a wrong type": "\x00\x00\x00\x0c{\"keep\":\"1\"}",
	} {
		conn := w.raw(c)
		if _, err := conn.Write([]byte(bytes)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(io.LimitReader(conn, 1<<20))
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() || strings.Contains(string(rest), `"ok":true`) {
			t.Errorf("%s: %q, %v", name, rest, err)
		}
	}
	for range 50 {
		w.raw(c) // says nothing
	}
	half := w.raw(c)
	if err := send(half, ask{Keep: protocol, Run: "x", Host: fleet.Host{Name: "web1"}, Print: "one", IdleMS: 1000}); err != nil {
		t.Fatal(err)
	}
	if _, err := half.Write(bytes.Repeat([]byte("garbage"), 100)); err != nil {
		t.Fatal(err)
	}
	w.asks(w.open(w.client(), "web1"))
	w.wants("a good command among them", 1, 0)
}

// A keeper that another user planted is not believed, and another user's question is not heard.
func TestOtherUsersAreNotHeardNorBelieved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user for a moment")
	}
	w := newWorld(t)
	c := w.client()
	w.asks(w.open(c, "web1"))
	for _, path := range []string{w.dir, c.socket()} {
		if err := os.Chmod(path, 0o777); err != nil { // as if the directory had not been closed
			t.Fatal(err)
		}
	}
	nobody(t, func() {
		conn, err := net.Dial("unix", c.socket())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if err := send(conn, ask{Keep: protocol, Stop: true}); err == nil {
			if n, err := io.Copy(io.Discard, conn); n > 0 {
				t.Errorf("another user got %d bytes, %v", n, err)
			}
		}
	})
	w.asks(w.open(w.client(), "web1"))
	w.wants("it was not stopped", 1, 0)

	planted := w.client()
	planted.Build, planted.Start = "planted", nil
	var l net.Listener
	nobody(t, func() {
		var err error
		if l, err = net.Listen("unix", planted.socket()); err != nil {
			t.Error(err)
		}
	})
	if l == nil {
		t.Fatal("not planted")
	}
	defer l.Close()
	w.asks(w.open(planted, "web1"))
	w.wants("a planted keeper", 1, 1)
	if err := private(w.dir); err == nil {
		t.Error("an open directory counts as private")
	}
}

// nobody does something as another user, on a thread that ends with it.
func nobody(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends
		// this thread alone: the library's call would change all
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			t.Error(errno)
			return
		}
		do()
	}()
	<-done
}

func TestProgressComesBeforeTheAnswer(t *testing.T) {
	w := newWorld(t)
	h := w.open(w.client(), "web1")
	var said []string
	if _, err := h.Look(t.Context(), host.Question{Scan: &scan.Question{NoDormant: true}}, func(p host.Progress) { said = append(said, p.Says) }); err != nil || len(said) == 0 {
		t.Errorf("%v, %v", said, err)
	}
}

func TestADirectoryThatIsALinkIsNotUsed(t *testing.T) {
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := private(link); err == nil {
		t.Error("a link counts as a directory of one's own")
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0a{\"keep\":1}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a ask
		if receive(bytes.NewReader(b), &a) == nil && len(b) > maxAsk+4 {
			t.Error("over the limit")
		}
	})
}
