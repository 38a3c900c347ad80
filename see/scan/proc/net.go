package proc

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// Socket is one internet socket of a network namespace.
type Socket struct {
	Proto  string // tcp, udp
	Local  netip.AddrPort
	Remote netip.AddrPort
	Listen bool // tcp in state LISTEN, or udp without a peer
	Peer   bool // established tcp, or udp with a peer
	Inode  uint64
}

// The states of net/tcp that matter (include/net/tcp_states.h).
const (
	established = 1
	closed      = 7 // an unconnected udp socket
	listening   = 10
)

// ParseSockets calls yield for every listening or connected socket in the text of net/tcp, tcp6, udp or udp6.
// Lines that are not as the kernel writes them are counted and left out.
func ParseSockets(proto string, text []byte, yield func(Socket)) (bad int) {
	first := true
	for line := range bytes.Lines(text) {
		if first { // the heading
			first = false
			continue
		}
		var f [10][]byte
		if split(line, f[:]) < 10 {
			bad++
			continue
		}
		state, _, okState := hexWord(f[3])
		local, okLocal := endpoint(f[1])
		remote, okRemote := endpoint(f[2])
		inode, okInode := decimal(f[9])
		if !okState || !okLocal || !okRemote || !okInode {
			bad++
			continue
		}
		s := Socket{Proto: proto, Local: local, Remote: remote, Inode: inode}
		if s.classify(uint64(state)) {
			yield(s)
		}
	}
	return bad
}

// classify tells by a socket's state what it does, and whether that is of any interest.
func (s *Socket) classify(state uint64) bool {
	s.Listen = s.Proto == "tcp" && state == listening || s.Proto == "udp" && state == closed
	s.Peer = state == established && s.Remote.Port() != 0
	return s.Inode != 0 && (s.Listen || s.Peer)
}

// NoneInUse tells whether the text of net/sockstat or sockstat6 says surely that a namespace has no sockets of a kind: "UDP6: inuse 0".
func NoneInUse(text, kind string) bool {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, kind+": inuse "); ok {
			count, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return count == "0"
		}
	}
	return false
}

// endpoint reads "0100007F:1F90": the address as 32-bit words of the machine's byte order, the port in plain hexadecimal.
func endpoint(b []byte) (netip.AddrPort, bool) {
	at := bytes.IndexByte(b, ':')
	if at != 8 && at != 32 {
		return netip.AddrPort{}, false
	}
	var raw [16]byte
	for i := 0; i < at; i += 8 {
		word, _, ok := hexWord(b[i : i+8])
		if !ok {
			return netip.AddrPort{}, false
		}
		binary.NativeEndian.PutUint32(raw[i/2:], word)
	}
	port, n, ok := hexWord(b[at+1:])
	if !ok || n == 0 || port > 65535 {
		return netip.AddrPort{}, false
	}
	addr := netip.AddrFrom16(raw).Unmap()
	if at == 8 {
		addr = netip.AddrFrom4([4]byte(raw[:4]))
	}
	return netip.AddrPortFrom(addr, uint16(port)), true
}

// hexWord reads up to 8 upper-case hexadecimal digits.
func hexWord(b []byte) (uint32, int, bool) {
	if len(b) > 8 {
		return 0, 0, false
	}
	var n uint32
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint32(c-'0')
		case c >= 'A' && c <= 'F':
			n = n<<4 | uint32(c-'A'+10)
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint32(c-'a'+10)
		default:
			return 0, 0, false
		}
	}
	return n, len(b), true
}

// LocalAddresses reads the addresses of a network namespace's interfaces from the texts of net/fib_trie and net/if_inet6.
func LocalAddresses(fibTrie, inet6 []byte) []netip.Addr {
	var out []netip.Addr
	var last netip.Addr
	for line := range bytes.Lines(fibTrie) {
		line = bytes.TrimSpace(line)
		if rest, ok := bytes.CutPrefix(line, []byte("|-- ")); ok {
			last, _ = netip.ParseAddr(string(rest))
		} else if bytes.Equal(line, []byte("/32 host LOCAL")) && last.IsValid() {
			out = append(out, last)
		}
	}
	for line := range bytes.Lines(inet6) {
		var f [6][]byte
		if split(line, f[:]) < 6 || len(f[0]) != 32 {
			continue
		}
		var raw [16]byte
		ok := true
		for i := 0; i < 32 && ok; i += 8 {
			var word uint32
			word, _, ok = hexWord(f[0][i : i+8])
			binary.BigEndian.PutUint32(raw[i/2:], word)
		}
		if ok {
			out = append(out, netip.AddrFrom16(raw))
		}
	}
	return out
}

// Reach classes an address by who can be behind it: loopback, internal (private, link-local, shared, unique local, multicast) or public.
func Reach(a netip.Addr) string {
	a = a.Unmap()
	switch {
	case a.IsLoopback():
		return "loopback"
	case a.IsPrivate(), a.IsLinkLocalUnicast(), a.IsMulticast(), shared(a):
		return "internal"
	}
	return "public"
}

// shared is RFC 6598's address space between providers and their customers.
func shared(a netip.Addr) bool {
	b := a.As16()
	return a.Is4() && b[12] == 100 && b[13]&0xc0 == 64
}

// Widest returns the widest reach of the addresses; without any: loopback.
func Widest(addrs []netip.Addr) string {
	widest := "loopback"
	for _, a := range addrs {
		switch Reach(a) {
		case "public":
			return "public"
		case "internal":
			widest = "internal"
		}
	}
	return widest
}

// Namespace reads the number of "mnt:[4026531841]"; 0 when it is none.
func Namespace(link string) uint64 {
	_, rest, _ := strings.Cut(link, ":[")
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
