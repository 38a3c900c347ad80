package proc

import (
	"encoding/binary"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// open are sockets of every kind that matters, in our own namespace, by their inodes.
func openSockets(t *testing.T) map[uint64]string {
	t.Helper()
	out := map[uint64]string{}
	note := func(kind string, c interface {
		File() (*os.File, error)
		Close() error
	}, err error,
	) {
		if err != nil {
			t.Logf("left out: %s: %v", kind, err)
			return
		}
		t.Cleanup(func() { c.Close() })
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		out[st.Ino] = kind
	}
	for _, kind := range []struct{ network, address string }{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", ":0"}} {
		l, err := net.Listen(kind.network, kind.address)
		if err != nil {
			t.Logf("left out: %v: %v", kind, err)
			continue
		}
		note(kind.network+" listens", l.(*net.TCPListener), nil)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		host, _, _ := net.SplitHostPort(kind.address)
		if host == "" {
			host = "127.0.0.1" // to a socket of both families: its end is IPv6, ours is not
		}
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		note(kind.network+" calls", c.(*net.TCPConn), nil)
		answer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		note(kind.network+" answers", answer.(*net.TCPConn), nil)
	}
	for _, network := range []string{"udp4", "udp6"} {
		u, err := net.ListenUDP(network, nil)
		note(network+" listens", u, err)
	}
	peer, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9})
	note("udp with a peer", peer, err)
	return out
}

func TestAskedAndReadSocketsAreTheSame(t *testing.T) {
	want := openSockets(t)
	read, asked := map[uint64]Socket{}, map[uint64]Socket{}
	for file, proto := range map[string]string{"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp"} {
		text, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			continue // no IPv6
		}
		ParseSockets(proto, text, func(s Socket) { read[s.Inode] = s })
	}
	if err := AskSockets(func(s Socket) { asked[s.Inode] = s }); err != nil {
		t.Skip("this kernel lists no sockets: ", err)
	}
	for inode, kind := range want {
		if read[inode].Inode == 0 || asked[inode] != read[inode] {
			t.Errorf("%s: asked %+v, read %+v", kind, asked[inode], read[inode])
		}
	}
	if len(want) < 4 {
		t.Errorf("only %d sockets could be opened", len(want))
	}
}

func FuzzDiag(f *testing.F) {
	message := make([]byte, netlinkHead+diagHead)
	binary.NativeEndian.PutUint32(message, uint32(len(message)))
	binary.NativeEndian.PutUint16(message[4:], askFamily)
	message[netlinkHead], message[netlinkHead+1], message[len(message)-4] = unix.AF_INET, listening, 7
	f.Add(message)
	f.Add(append(message[:len(message):len(message)], 16, 0, 0, 0, unix.NLMSG_DONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_, err := parseDiag(b, 0, "tcp", func(s Socket) {
			n++
			if s.Inode == 0 || !s.Listen && !s.Peer || !s.Local.IsValid() || !s.Remote.IsValid() {
				t.Errorf("%+v", s)
			}
		})
		if n > len(b)/(netlinkHead+diagHead) {
			t.Errorf("%d sockets in %d bytes, %v", n, len(b), err)
		}
	})
}
