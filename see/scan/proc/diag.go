package proc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// errNotAsked tells that the kernel was not asked for sockets, or gave another answer than a list of them.
var errNotAsked = errors.New("the kernel's list of sockets is not to be had")

// Of include/uapi/linux/{netlink,sock_diag,inet_diag}.h.
const (
	askTCP       = 18 // TCPDIAG_GETSOCK, which answers for both families in one walk through the kernel's table
	askFamily    = 20 // SOCK_DIAG_BY_FAMILY
	netlinkHead  = 16
	diagHead     = 72      // struct inet_diag_msg
	maxDatagrams = 1 << 16 // of at most 32 KB each
)

// AskSockets calls yield for every listening or connected internet socket of our own network namespace, as ParseSockets does for the four
// tables of net/. The kernel lists them without writing a text, leaves out those that are of no interest (on a busy machine most, which
// are closing), and walks its table once for both families. With an error nothing was yielded.
//
// The kernel's module for it is not loaded by asking: a look changes nothing.
func AskSockets(yield func(Socket)) error {
	if !diagnoses() {
		return errNotAsked
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return err
	}
	var found []Socket
	keep := func(s Socket) { found = append(found, s) }
	buf := make([]byte, 64<<10)
	for _, q := range [][]byte{
		question(askTCP, unix.AF_UNSPEC, unix.IPPROTO_TCP, 1<<listening|1<<established),
		question(askFamily, unix.AF_INET, unix.IPPROTO_UDP, 1<<closed|1<<established),
		question(askFamily, unix.AF_INET6, unix.IPPROTO_UDP, 1<<closed|1<<established),
	} {
		if err := list(fd, q, buf, keep); err != nil {
			return err
		}
	}
	for _, s := range found {
		yield(s)
	}
	return nil
}

// diagnoses tells whether the kernel can list sockets without loading a module first.
func diagnoses() bool {
	modules, err := os.ReadFile("/proc/modules")
	if err != nil {
		return true // a kernel without modules: what it cannot do it refuses
	}
	return len(modules) == 0 || bytes.Contains(modules, []byte("tcp_diag ")) && bytes.Contains(modules, []byte("udp_diag "))
}

// question is a request to list sockets.
func question(kind uint16, family, protocol byte, states uint32) []byte {
	b := make([]byte, netlinkHead, 80)
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(b[8:], uint32(protocol)<<8|uint32(family)) // its number, to tell the answers apart
	if kind == askTCP {                                                      // struct inet_diag_req
		b = append(b, family, 0, 0, 0)
		b = append(b, make([]byte, 48)...)
		b = binary.NativeEndian.AppendUint32(b, states)
		b = binary.NativeEndian.AppendUint32(b, 0)
	} else { // struct inet_diag_req_v2
		b = append(b, family, protocol, 0, 0)
		b = binary.NativeEndian.AppendUint32(b, states)
		b = append(b, make([]byte, 48)...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// list sends one question and takes in all answers.
func list(fd int, question, buf []byte, yield func(Socket)) error {
	if err := unix.Sendto(fd, question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	proto := "tcp"
	if number := binary.NativeEndian.Uint32(question[8:]); number>>8 == unix.IPPROTO_UDP {
		proto = "udp"
	}
	for range maxDatagrams {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // another program's
		}
		done, err := parseDiag(buf[:n], binary.NativeEndian.Uint32(question[8:]), proto, yield)
		if done || err != nil {
			return err
		}
	}
	return ErrTooLarge
}

// parseDiag reads one datagram of answers to the question of a number; done tells that it was the last.
func parseDiag(b []byte, number uint32, proto string, yield func(Socket)) (done bool, err error) {
	for len(b) >= netlinkHead {
		size := int(binary.NativeEndian.Uint32(b))
		if size < netlinkHead || size > len(b) {
			return false, ErrShape
		}
		if binary.NativeEndian.Uint32(b[8:]) == number {
			switch binary.NativeEndian.Uint16(b[4:]) {
			case unix.NLMSG_DONE:
				return true, nil
			case unix.NLMSG_ERROR:
				return false, errNotAsked
			case askTCP, askFamily:
				if size < netlinkHead+diagHead {
					return false, ErrShape
				}
				if s, ok := diagnosed(b[netlinkHead:size], proto); ok {
					yield(s)
				}
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return false, nil
}

// diagnosed reads a struct inet_diag_msg; ok is false for a socket that neither listens nor has a peer.
func diagnosed(b []byte, proto string) (s Socket, ok bool) {
	address := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at:]))
		}
		return netip.AddrFrom16([16]byte(b[at:])).Unmap() // as the text is read: an IPv4 peer of a socket of both families
	}
	if b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return s, false
	}
	s = Socket{
		Proto: proto, Inode: uint64(binary.NativeEndian.Uint32(b[68:])),
		Local:  netip.AddrPortFrom(address(8), binary.BigEndian.Uint16(b[4:])),
		Remote: netip.AddrPortFrom(address(24), binary.BigEndian.Uint16(b[6:])),
	}
	return s, s.classify(uint64(b[1]))
}
