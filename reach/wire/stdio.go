package wire

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Stdio makes a connection of two half streams, such as a child's stdin and stdout. It knows no deadlines; the pings of the wire notice a
// dead peer. hangUp is called once by Close, after both halves were closed.
func Stdio(in io.ReadCloser, out io.WriteCloser, hangUp func() error) net.Conn {
	return &stdio{ReadCloser: in, out: out, hangUp: hangUp}
}

type stdio struct {
	io.ReadCloser
	out    io.WriteCloser
	hangUp func() error
	once   sync.Once
}

func (s *stdio) Write(b []byte) (int, error) { return s.out.Write(b) }

func (s *stdio) Close() error {
	var err error
	s.once.Do(func() {
		err = errors.Join(s.out.Close(), s.ReadCloser.Close())
		if s.hangUp != nil {
			err = errors.Join(err, s.hangUp())
		}
	})
	return err
}

type nowhere struct{}

func (nowhere) Network() string { return "stdio" }
func (nowhere) String() string  { return "stdio" }

func (s *stdio) LocalAddr() net.Addr              { return nowhere{} }
func (s *stdio) RemoteAddr() net.Addr             { return nowhere{} }
func (s *stdio) SetDeadline(time.Time) error      { return nil }
func (s *stdio) SetReadDeadline(time.Time) error  { return nil }
func (s *stdio) SetWriteDeadline(time.Time) error { return nil }
