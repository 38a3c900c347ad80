package probe_test

import (
	"cmp"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// stub is a server that says just enough of TLS 1.2 to negotiate heartbeats, and then behaves as told. It applies, or leaves out, the two
// checks of the fix (RFC 6520 section 4): a message must hold its header and padding, and what it claims.
type stub struct {
	extension byte // 1: may be sent to; 2: may not; 0: no extension
	beat      func(conn net.Conn, body []byte) bool
	cert      []byte
	deflate   byte // the compression that it chooses
	minor     byte // of the version that it chooses: 2 is TLS 1.1; 0: TLS 1.2
}

// patched answers honest heartbeats and discards the others in silence.
func patched(conn net.Conn, body []byte) bool {
	if 1+2+16 > len(body) {
		return true
	}
	if claimed := int(binary.BigEndian.Uint16(body[1:])); 1+2+claimed+16 > len(body) {
		return true
	}
	return echo(conn, body)
}

// echo answers whatever comes, like the flawed code, but with nothing of its own: the message is as long as it says, or cut there.
func echo(conn net.Conn, body []byte) bool {
	claimed := int(binary.BigEndian.Uint16(body[1:]))
	answer := append([]byte{2, body[1], body[2]}, body[3:min(len(body), 3+claimed)]...)
	_, err := conn.Write(record(24, append(answer, make([]byte, 16)...)))
	return err == nil
}

func slowly(how func(net.Conn, []byte) bool, wait time.Duration) func(net.Conn, []byte) bool {
	return func(conn net.Conn, body []byte) bool {
		time.Sleep(wait)
		return how(conn, body)
	}
}

func swallow(net.Conn, []byte) bool { return true }
func hangUp(net.Conn, []byte) bool  { return false }
func alarm(conn net.Conn, _ []byte) bool {
	_, err := conn.Write(record(21, []byte{2, 10}))
	return err == nil
}

func record(kind byte, body []byte) []byte {
	head := []byte{kind, 3, 3, byte(len(body) >> 8), byte(len(body))}
	return append(head, body...)
}

func handshakeMessage(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// hello is the server's first flight: ServerHello, Certificate, ServerHelloDone, cut into records of 100 bytes to be reassembled.
func (s stub) hello() []byte {
	body := append([]byte{3, cmp.Or(s.minor, 3)}, make([]byte, 32)...)
	body = append(body, 0, 0x00, 0x2f, s.deflate) // no session id, RSA with AES-128-CBC
	extensions := []byte{0xff, 1, 0, 1, 0}
	if s.extension != 0 {
		extensions = append(extensions, 0, 15, 0, 1, s.extension)
	}
	body = append(append(body, 0, byte(len(extensions))), extensions...)
	n := len(s.cert)
	list := append([]byte{byte(n >> 16), byte(n >> 8), byte(n)}, s.cert...)
	n = len(list)
	all := handshakeMessage(2, body)
	all = append(all, handshakeMessage(11, append([]byte{byte(n >> 16), byte(n >> 8), byte(n)}, list...))...)
	all = append(all, handshakeMessage(14, nil)...)
	var out []byte
	for len(all) > 0 {
		part := min(100, len(all))
		out = append(out, record(22, all[:part])...)
		all = all[part:]
	}
	return out
}

// offers tells whether a ClientHello of TLS 1.2 lists a suite.
func offers(hello []byte, suite uint16) bool {
	if len(hello) < 39 || len(hello) < 41+int(hello[38]) || hello[5] != 3 {
		return false
	}
	list := hello[39+int(hello[38]):]
	size := int(binary.BigEndian.Uint16(list))
	for at := 2; at+1 < min(2+size, len(list)); at += 2 {
		if binary.BigEndian.Uint16(list[at:]) == suite {
			return true
		}
	}
	return false
}

func (s stub) serve(conn net.Conn) {
	defer conn.Close()
	kind, body, err := readRecord(conn)
	if err != nil || kind != 22 {
		return
	}
	if !offers(body, 0x002f) {
		_, _ = conn.Write(record(21, []byte{2, 40}))
		return
	}
	if _, err := conn.Write(s.hello()); err != nil {
		return
	}
	for {
		kind, body, err := readRecord(conn)
		if err != nil {
			return
		}
		if kind == 24 && !s.beat(conn, body) {
			return
		}
		if kind == 22 { // the second opinion: we cannot finish a handshake
			_, _ = conn.Write(record(21, []byte{2, 40}))
			return
		}
	}
}

func readRecord(conn net.Conn) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint16(head[3:]))
	_, err = io.ReadFull(conn, body)
	return head[0], body, err
}

// serving answers every connection with serve until the test ends.
func serving(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr().String()
}
