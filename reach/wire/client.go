package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/tame"
)

// Client is the near end of the wire: a host.Host and host.Store that lives on the other side of a connection.
type Client struct {
	name   string
	hello  Hello
	conn   *http.ClientConn
	stream net.Conn
	closed sync.Once
}

var (
	_ host.Host  = (*Client)(nil)
	_ host.Store = (*Client)(nil)
)

// Dial begins the conversation on conn with the host part that serves its far end, and agrees on a version. It owns conn from now on.
func Dial(ctx context.Context, conn net.Conn, name string) (*Client, error) {
	transport := &http.Transport{
		Protocols:          plainHTTP2(),
		HTTP2:              &http.HTTP2Config{MaxReadFrameSize: MaxFrame, SendPingTimeout: pingAfter, PingTimeout: pingPatience},
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}
	// the handshake below writes and reads without a context
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	cc, err := transport.NewClientConn(ctx, "http", "host:80")
	if err != nil {
		stop()
		return nil, errors.Join(fault.New(fault.Unreachable, "%s: the conversation did not begin: %v", name, err), conn.Close())
	}
	c := &Client{name: name, conn: cc, stream: conn}
	if err := c.greet(ctx); err != nil {
		stop()
		_ = c.Close() // the first error is the one that matters
		return nil, err
	}
	if !stop() {
		return nil, fault.New(fault.Timeout, "%s did not answer in time", name)
	}
	return c, nil
}

func (c *Client) greet(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://host/hello", nil)
	if err != nil {
		return fault.New(fault.Bug, "%v", err)
	}
	resp, err := c.conn.RoundTrip(req)
	if err != nil {
		return c.broken(ctx, fault.Unreachable, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return c.broken(ctx, fault.Unreachable, err)
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(b, &c.hello) != nil {
		return fault.New(fault.Corrupt, "%s does not say hello as a host part does", c.name)
	}
	c.hello.Version, c.hello.OS, c.hello.Arch = tame.Text(c.hello.Version), tame.Text(c.hello.OS), tame.Text(c.hello.Arch)
	_, err = agree(c.name, c.hello)
	return err
}

// Hello is what the far end said of itself.
func (c *Client) Hello() Hello { return c.hello }

// Err tells why nothing can be asked any more, nil while the connection is thought to live.
func (c *Client) Err() error { return c.conn.Err() }

// Name is the host's name.
func (c *Client) Name() string { return c.name }

// Close hangs up.
func (c *Client) Close() error {
	var err error
	c.closed.Do(func() { err = errors.Join(c.conn.Close(), c.stream.Close()) })
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// Look asks the far end. A broken connection is Unreachable: looking changes nothing.
func (c *Client) Look(ctx context.Context, q host.Question, p func(host.Progress)) (host.Answer, error) {
	if err := q.One(); err != nil {
		return host.Answer{}, err
	}
	var t travelling
	if err := c.ask(ctx, "/v1/look", q, &t, p, fault.Unreachable); err != nil {
		return host.Answer{}, err
	}
	a, err := t.open()
	if err != nil {
		return host.Answer{}, err
	}
	if a.Kind() != q.Kind() {
		return host.Answer{}, fault.New(fault.Corrupt, "%s was asked for %s and answered with %s", c.name, q.Kind(), a.Kind())
	}
	return a, nil
}

// Do gives an order. A connection that breaks after it was sent leaves it Unsure: give the same order again, its id keeps it from being done twice.
func (c *Client) Do(ctx context.Context, o act.Order, p func(host.Progress)) (act.Outcome, error) {
	var out act.Outcome
	if err := c.ask(ctx, "/v1/do", o, &out, p, fault.Unsure); err != nil {
		return act.Outcome{}, err
	}
	if out.Order != o.ID {
		return act.Outcome{}, fault.New(fault.Unsure, "%s answered for order %q, asked was %q", c.name, tame.Text(out.Order), o.ID)
	}
	return out, nil
}

// Put sends a payload.
func (c *Client) Put(ctx context.Context, sum string, r io.Reader) error {
	return c.send(ctx, "/v1/put/"+sum, io.NopCloser(r), &struct{}{}, nil, fault.Unreachable)
}

func (c *Client) ask(ctx context.Context, path string, question, answer any, p func(host.Progress), broken fault.Kind) error {
	b, err := json.Marshal(question)
	if err != nil {
		return fault.New(fault.Usage, "the question cannot be encoded: %v", err)
	}
	if len(b) > MaxQuestion {
		return fault.New(fault.Full, "the question has %d bytes, the limit is %d", len(b), MaxQuestion)
	}
	return c.send(ctx, path, io.NopCloser(bytes.NewReader(b)), answer, p, broken)
}

func (c *Client) send(ctx context.Context, path string, body io.ReadCloser, answer any, p func(host.Progress), broken fault.Kind) error {
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Timeout, "%s was not asked: no time left", c.name).Caused(err)
	}
	if err := c.conn.Err(); err != nil {
		return fault.New(fault.Unreachable, "%s: the connection is closed", c.name)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host"+path, body)
	if err != nil {
		return fault.New(fault.Usage, "%v", err)
	}
	if until, has := ctx.Deadline(); has {
		req.Header.Set(deadlineHead, strconv.FormatInt(max(1, time.Until(until).Milliseconds()), 10))
	}
	resp, err := c.conn.RoundTrip(req)
	if err != nil {
		return c.broken(ctx, broken, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fault.New(fault.Unsupported, "%s answers %s to %s", c.name, tame.Text(resp.Status), path)
	}
	err = readAnswer(resp.Body, answer, p)
	if f := (*fault.Error)(nil); err == nil || errors.As(err, &f) {
		if fault.Is(err, fault.Corrupt) && broken == fault.Unsure {
			return fault.New(fault.Unsure, "%s: %v: whether the order was carried out is not known", c.name, err)
		}
		return err
	}
	return c.broken(ctx, broken, err)
}

// broken says what a lost connection means for what was asked.
func (c *Client) broken(ctx context.Context, kind fault.Kind, err error) error {
	switch {
	case kind == fault.Unsure:
		return fault.New(fault.Unsure, "%s: the connection was lost during the act: %s", c.name, tame.Text(err.Error())).Hinted("ask the host again with the same order: its journal knows").Caused(ctx.Err())
	case ctx.Err() != nil:
		return fault.New(fault.Timeout, "%s did not answer in time", c.name).Caused(ctx.Err())
	}
	return fault.New(fault.Unreachable, "%s: the connection was lost: %s", c.name, tame.Text(err.Error()))
}
