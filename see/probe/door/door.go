// Package door opens connections to one endpoint, within limits that keep us from being mistaken for an attack, and asks one hello at a time.
package door

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/see/probe/hello"
	"staunch/see/probe/starttls"
	"staunch/see/probe/target"
)

// Door opens connections to one endpoint, as many as the limits allow, and counts them.
type Door struct {
	target.Endpoint
	Timeout time.Duration // for everything that is said on one connection
	limits  *Limits
	opened  atomic.Int64
}

// New makes a door to e; timeout is for everything that is said on one connection.
func New(e target.Endpoint, l *Limits, timeout time.Duration) *Door {
	return &Door{Endpoint: e, Timeout: timeout, limits: l}
}

// Opened is how many connections were tried.
func (d *Door) Opened() int { return int(d.opened.Load()) }

// Open connects and talks up to where TLS begins. The connection ends by itself when the timeout is over, however slowly bytes come.
func (d *Door) Open(ctx context.Context) (net.Conn, error) {
	leave, err := d.limits.enter(ctx, d.Address)
	if err != nil {
		return nil, fault.New(fault.Timeout, "no connection was tried any more").Caused(err)
	}
	d.opened.Add(1)
	dialer := net.Dialer{Timeout: d.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", d.AddrPort().String())
	if err != nil {
		leave()
		return nil, dialFault(err)
	}
	c := &leaving{Conn: conn, leave: leave, stop: context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })}
	if err := conn.SetDeadline(time.Now().Add(d.Timeout)); err != nil {
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
		return fault.New(fault.Unreachable, "nothing listens there").Caused(syscall.ECONNREFUSED)
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

// Answer classes what came back to one hello.
type Answer int

// The answers.
const (
	Accepted Answer = iota // a ServerHello
	Refused                // an alert
	HungUp                 // the connection ended without an alert: old stacks say no like that, and so do broken ones
	Silent                 // nothing within the timeout
	NotTLS                 // something that is not TLS
	Unseen                 // the endpoint could not be reached, or STARTTLS failed
)

// Ask sends one hello on a connection of its own and reads the answer.
func (d *Door) Ask(ctx context.Context, c hello.Client, until hello.Until) (*hello.Flight, Answer, error) {
	conn, err := d.Open(ctx)
	if err != nil {
		return nil, Unseen, err
	}
	defer conn.Close()
	return AskOn(conn, c, until)
}

// AskOn is Ask on a connection that is open already.
func AskOn(conn net.Conn, c hello.Client, until hello.Until) (*hello.Flight, Answer, error) {
	if _, err := conn.Write(c.Marshal()); err != nil {
		return nil, Classify(err), err
	}
	flight, err := hello.NewReader(hello.NewRecords(conn)).Flight(until)
	if err == nil || flight.Hello != nil && until != hello.UntilDone {
		return flight, Accepted, nil
	}
	return flight, Classify(err), err
}

// Classify says what an error of the wire means.
func Classify(err error) Answer {
	if _, ok := hello.IsAlert(err); ok {
		return Refused
	}
	switch {
	case errors.Is(err, hello.ErrNotTLS), errors.Is(err, hello.ErrTooMuch), errors.Is(err, hello.ErrBroken):
		return NotTLS
	case isTimeout(err):
		return Silent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return HungUp
	}
	return Unseen
}

// Plain says an error of the wire in words for people.
func Plain(err error) string {
	switch Classify(err) {
	case HungUp:
		return "the server ended the connection"
	case Silent:
		return "no answer in time"
	}
	var alert hello.Alert
	if errors.As(err, &alert) {
		return alert.Error()
	}
	return strings.TrimSpace(err.Error())
}
