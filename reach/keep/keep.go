// Package keep holds logins open between commands: a small process of the same user dials hosts and relays questions to their host parts,
// so that the next command needs no login. It relays nothing that changes anything, and keeps no password.
package keep

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/wire"

	"golang.org/x/sys/unix"
)

const (
	protocol  = 1
	longest   = fleet.LongestKeep // also of the age of any connection
	maxAsk    = 64 << 10
	maxHosts  = 2000
	maxConns  = 4000
	askWithin = 10 * time.Second
)

// kinds are the questions that are relayed.
func kinds() []string { return []string{"scan", "probe", "health"} }

// Way is how hosts are reached: what a command line decides of it.
type Way struct {
	Program    string `json:"program"`
	ConfigFile string `json:"config_file,omitempty"`
	Home       string `json:"home"`
	User       string `json:"user"`
	Agent      string `json:"agent,omitempty"`
	Sudo       string `json:"sudo,omitempty"`
	Parts      string `json:"parts"`
	Memory     string `json:"memory,omitempty"`
}

// Door dials hosts in one way.
type Door interface {
	// Print names all that a login comes from (ssh.Dialer.Print).
	Print(ctx context.Context, h fleet.Host) (string, error)
	Dial(ctx context.Context, h fleet.Host) (c *wire.Client, hangUp func() error, err error)
	Close()
}

// ask is what a command says first on a connection: which host, and under which circumstances a kept login is as good as a new one.
type ask struct {
	Keep     int        `json:"keep"` // protocol
	Stop     bool       `json:"stop,omitempty"`
	Run      string     `json:"run,omitempty"`
	Way      Way        `json:"way"`
	Host     fleet.Host `json:"host"`
	Print    string     `json:"print,omitempty"`
	Fresh    bool       `json:"fresh,omitempty"` // what is kept does not answer: dial anew
	IdleMS   int64      `json:"idle_ms,omitempty"`
	WithinMS int64      `json:"within_ms,omitempty"`
}

// reply comes before the wire begins. Neither OK nor Error: this host is not for the keeper.
type reply struct {
	OK     bool         `json:"ok,omitempty"`
	Reused bool         `json:"reused,omitempty"`
	Error  *fault.Error `json:"error,omitempty"`
}

// key is what must be equal for a kept connection to serve a question.
func (a ask) key() (string, error) {
	b, err := json.Marshal([]any{a.Way, a.Host, a.Print})
	return string(b), err
}

// send writes one message: four bytes of length, then JSON.
func send(w io.Writer, message any) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(b) > maxAsk {
		return errors.New("over the limit")
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func receive(r io.Reader, into any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxAsk {
		return errors.New("over the limit")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// own refuses a connection whose other end is not a process of this user.
func own(conn net.Conn) error {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("not a unix socket")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var bad error
	if err := raw.Control(func(fd uintptr) { peer, bad = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	if int(peer.Uid) != os.Geteuid() {
		return errors.New("another user's process")
	}
	return nil
}
