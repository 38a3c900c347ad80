package wire_test

import (
	"context"
	"io"
	"net"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/host"
)

// pretend is a host made of functions.
type pretend struct {
	look func(context.Context, host.Question) (host.Answer, error)
	do   func(context.Context, act.Order) (act.Outcome, error)
	put  func(string, io.Reader) error
}

func (p *pretend) Name() string { return "web1" }
func (p *pretend) Close() error { return nil }

func (p *pretend) Look(ctx context.Context, q host.Question, _ func(host.Progress)) (host.Answer, error) {
	if p.look == nil {
		return host.Answer{}, fault.New(fault.Unsupported, "does not look")
	}
	return p.look(ctx, q)
}

func (p *pretend) Do(ctx context.Context, o act.Order, _ func(host.Progress)) (act.Outcome, error) {
	return p.do(ctx, o)
}

func (p *pretend) Put(_ context.Context, sum string, r io.Reader) error { return p.put(sum, r) }

// freezer is a connection on which nothing moves any more once frozen is closed.
type freezer struct {
	net.Conn
	frozen chan struct{}
}

func (f *freezer) Write(b []byte) (int, error) {
	select {
	case <-f.frozen:
		return len(b), nil
	default:
		return f.Conn.Write(b)
	}
}

type oneConn struct {
	conns chan net.Conn
	end   chan struct{}
}

func (o *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.end:
		return nil, net.ErrClosed
	}
}

func (o *oneConn) Close() error {
	select {
	case <-o.end:
	default:
		close(o.end)
	}
	return nil
}

func (o *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
