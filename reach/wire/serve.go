package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/tame"
)

const (
	pingAfter    = 15 * time.Second // of silence
	pingPatience = 30 * time.Second
	deadlineHead = "Staunch-Deadline-Ms"
)

// Serve answers questions about h on conn until the peer hangs up or ctx ends. It closes conn, not h. An order that was begun is carried
// out to its end (or its own deadline) although the peer is gone: nothing stays half-done because a line broke.
func Serve(ctx context.Context, conn net.Conn, h host.Host, version string) error {
	s := &server{host: h, version: version}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", s.hello)
	mux.HandleFunc("POST /v1/look", s.look)
	mux.HandleFunc("POST /v1/do", s.do)
	mux.HandleFunc("POST /v1/put/{sum}", s.put)
	err := serve(ctx, conn, mux, 0)
	s.finish()
	return err
}

// serve lets a handler have one connection to its end, or until nothing was asked for so long (0: for ever).
func serve(ctx context.Context, conn net.Conn, handler http.Handler, idle time.Duration) error {
	one := newListener(conn)
	web := &http.Server{
		Handler: handler, Protocols: plainHTTP2(), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: idle,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 16, MaxReadFrameSize: MaxFrame, SendPingTimeout: pingAfter, PingTimeout: pingPatience},
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   one.watch,
	}
	stop := context.AfterFunc(ctx, func() { _ = web.Close() }) // its error is that of a connection that we end
	defer stop()
	err := web.Serve(one)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func plainHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// listener gives out one connection and ends with it.
type listener struct {
	conn  net.Conn
	given sync.Once
	ended chan struct{}
	end   sync.Once
}

func newListener(conn net.Conn) *listener { return &listener{conn: conn, ended: make(chan struct{})} }

func (l *listener) Accept() (net.Conn, error) {
	var first net.Conn
	l.given.Do(func() { first = l.conn })
	if first != nil {
		return first, nil
	}
	<-l.ended
	return nil, net.ErrClosed
}

func (l *listener) Close() error {
	l.end.Do(func() { close(l.ended) })
	return nil
}

func (l *listener) Addr() net.Addr { return l.conn.LocalAddr() }

// watch ends the listener with its connection.
func (l *listener) watch(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		l.end.Do(func() { close(l.ended) })
	}
}

type server struct {
	host    host.Host
	version string
	mu      sync.Mutex
	ended   bool           // no order begins any more
	acts    sync.WaitGroup // orders that were begun
}

// begin counts an order, unless the connection is gone: then nobody would hear that it began.
func (s *server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.acts.Add(1)
	}
	return !s.ended
}

// finish waits for the orders that were begun; none begins after it.
func (s *server) finish() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.acts.Wait()
}

func (s *server) hello(w http.ResponseWriter, _ *http.Request) {
	b, err := json.Marshal(Hello{Wire: Versions(), Version: s.version, OS: runtime.GOOS, Arch: runtime.GOARCH})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(b) // a peer that is gone needs no answer
}

func (s *server) look(w http.ResponseWriter, r *http.Request) {
	var q host.Question
	s.answer(w, r, &q, func(ctx context.Context, p func(host.Progress)) (any, error) {
		a, err := s.host.Look(ctx, q, p)
		return pack(a), err
	})
}

func (s *server) do(w http.ResponseWriter, r *http.Request) {
	var o act.Order
	s.answer(w, r, &o, func(ctx context.Context, p func(host.Progress)) (any, error) {
		if !s.begin() {
			return nil, fault.New(fault.Unreachable, "the connection ended before the order began")
		}
		defer s.acts.Done()
		return s.host.Do(context.WithoutCancel(ctx), o, p)
	})
}

func (s *server) put(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := deadline(r)
	defer cancel()
	store, can := s.host.(host.Store)
	var err error
	if can {
		err = store.Put(ctx, r.PathValue("sum"), http.MaxBytesReader(w, r.Body, MaxPayload))
	} else {
		err = fault.New(fault.Unsupported, "%s takes no payloads", s.host.Name())
	}
	if err == nil {
		_ = writeAnswer(w, struct{}{}) // a peer that is gone needs no answer
		return
	}
	_ = writeError(w, err) // as above
}

// answer decodes the request strictly bounded, lets work do it, and streams progress and the answer.
func (s *server) answer(w http.ResponseWriter, r *http.Request, into any, work func(context.Context, func(host.Progress)) (any, error)) {
	ctx, cancel := deadline(r)
	defer cancel()
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxQuestion)).Decode(into); err != nil {
		_ = writeError(w, fault.New(fault.Usage, "the question cannot be read: %s", tame.Text(err.Error())))
		return
	}
	out := &stream{w: w}
	answer, err := work(ctx, out.progress)
	out.mu.Lock()
	defer out.mu.Unlock()
	out.done = true
	if err != nil {
		_ = writeError(w, err) // a peer that is gone needs no answer
		return
	}
	_ = writeAnswer(w, answer) // as above
}

// stream lets work report progress from any goroutine, until its answer is written.
type stream struct {
	mu   sync.Mutex
	w    io.Writer
	done bool
	sent int
	last time.Time
}

func (s *stream) progress(p host.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.sent >= maxSteps/2 || (p.Done != p.Total && time.Since(s.last) < 50*time.Millisecond) {
		return
	}
	b, err := json.Marshal(p)
	if err != nil || len(b) > MaxFrame {
		return
	}
	s.sent++
	s.last = time.Now()
	if writeFrame(s.w, frameProgress, b) == nil {
		if f, ok := s.w.(http.Flusher); ok {
			f.Flush()
		}
	}
}

// deadline is the caller's own, counted here from the arrival: clocks need not agree.
func deadline(r *http.Request) (context.Context, context.CancelFunc) {
	ms, err := strconv.ParseInt(r.Header.Get(deadlineHead), 10, 64)
	if err != nil || ms <= 0 || ms > (24*time.Hour).Milliseconds() {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
}
