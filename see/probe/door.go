package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/see/probe/hello"
	"staunch/see/probe/starttls"
)

// door opens connections to one endpoint, as many as the limits allow, and counts them.
type door struct {
	Endpoint
	limits  *limits
	timeout time.Duration // for everything that is said on one connection
	opened  atomic.Int64
}

// open connects and talks up to where TLS begins. The connection ends by itself when the timeout is over, however slowly bytes come.
func (d *door) open(ctx context.Context) (net.Conn, error) {
	leave, err := d.limits.enter(ctx, d.Address)
	if err != nil {
		return nil, fault.New(fault.Timeout, "no connection was tried any more").Caused(err)
	}
	d.opened.Add(1)
	dialer := net.Dialer{Timeout: d.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", d.AddrPort().String())
	if err != nil {
		leave()
		return nil, dialFault(err)
	}
	c := &leaving{Conn: conn, leave: leave, stop: context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })}
	if err := conn.SetDeadline(time.Now().Add(d.timeout)); err != nil {
		_ = c.Close()
		return nil, fault.From(err, fault.Unreachable)
	}
	if d.StartTLS == "" {
		return c, nil
	}
	name := d.Name
	if name == "" {
		name = d.SNI
	}
	if err := starttls.Upgrade(c, d.StartTLS, starttls.Asked{Name: name, Domain: d.Domain}); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// leaving is a connection that gives its place back when it is closed.
type leaving struct {
	net.Conn
	leave func()
	stop  func() bool
}

// Close ends the connection. We close first and have nothing left to send, so what the close says does not matter to any verdict.
func (c *leaving) Close() error {
	c.stop()
	err := c.Conn.Close()
	c.leave()
	return err
}

// dialFault says in plain words why nobody answered.
func dialFault(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.New(fault.Unreachable, "connection refused: nothing listens there").Caused(syscall.ECONNREFUSED)
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return fault.New(fault.Timeout, "no answer to the connection: filtered, or the host is down")
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return fault.New(fault.Unreachable, "no route from here to this address")
	}
	return fault.New(fault.Unreachable, "%v", err)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// answer classes what came back to one hello.
type answer int

const (
	accepted answer = iota // a ServerHello
	refused                // an alert
	hungUp                 // the connection ended without an alert: old stacks say no like that, and so do broken ones
	silent                 // nothing within the timeout
	notTLS                 // something that is not TLS
	unseen                 // the endpoint could not be reached, or STARTTLS failed
)

// ask sends one hello on a connection of its own and reads the answer.
func (d *door) ask(ctx context.Context, c hello.Client, until hello.Until) (*hello.Flight, answer, error) {
	conn, err := d.open(ctx)
	if err != nil {
		return nil, unseen, err
	}
	defer conn.Close()
	return askOn(conn, c, until)
}

func askOn(conn net.Conn, c hello.Client, until hello.Until) (*hello.Flight, answer, error) {
	if _, err := conn.Write(c.Marshal()); err != nil {
		return nil, classify(err), err
	}
	flight, err := hello.NewReader(hello.NewRecords(conn)).Flight(until)
	if err == nil || flight.Hello != nil && until == hello.UntilHello {
		return flight, accepted, nil
	}
	return flight, classify(err), err
}

func classify(err error) answer {
	if _, ok := hello.IsAlert(err); ok {
		return refused
	}
	switch {
	case errors.Is(err, hello.ErrNotTLS), errors.Is(err, hello.ErrTooMuch), errors.Is(err, hello.ErrBroken):
		return notTLS
	case isTimeout(err):
		return silent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return hungUp
	}
	return unseen
}
