package watch

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// events are the kernel's messages about processes (linux/cn_proc.h, by the netlink connector).
type events struct {
	file *os.File
	pids chan int
}

// The numbers of linux/connector.h and linux/cn_proc.h.
const (
	connectorProc = 1          // CN_IDX_PROC, CN_VAL_PROC
	listenOp      = 1          // PROC_CN_MCAST_LISTEN
	eventExec     = 0x00000002 // a process runs another program
	eventFork     = 0x00000001
	eventExit     = 0x80000000
	headLink      = 16 // struct nlmsghdr
	headConnector = 20 // struct cn_msg
	headEvent     = 16 // what, cpu, time
)

// listen asks for the messages; nil where they cannot be had. The kernel takes the wish of anybody and then stays silent to those without
// the right, so that its acknowledgement is waited for.
func listen() *events {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil
	}
	if !subscribe(fd) || unix.SetNonblock(fd, true) != nil {
		unix.Close(fd)
		return nil
	}
	e := &events{file: os.NewFile(uintptr(fd), "process events"), pids: make(chan int, 1024)}
	go e.read()
	return e
}

func subscribe(fd int) bool {
	if unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProc}) != nil {
		return false
	}
	wish := make([]byte, headLink+headConnector+4)
	order := binary.NativeEndian
	order.PutUint32(wish, uint32(len(wish)))
	order.PutUint16(wish[4:], unix.NLMSG_DONE)
	order.PutUint32(wish[headLink:], connectorProc)
	order.PutUint32(wish[headLink+4:], connectorProc)
	order.PutUint16(wish[headLink+16:], 4)
	order.PutUint32(wish[headLink+headConnector:], listenOp)
	if unix.Sendto(fd, wish, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return false
	}
	second := unix.NsecToTimeval(1e9)
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second) != nil {
		return false
	}
	buf := make([]byte, 4096)
	n, from, err := unix.Recvfrom(fd, buf, 0)
	return err == nil && fromKernel(from) && n >= headLink+headConnector+headEvent
}

// fromKernel drops what other programs send: only the kernel has the port number 0.
func fromKernel(from unix.Sockaddr) bool {
	link, ok := from.(*unix.SockaddrNetlink)
	return ok && link.Pid == 0
}

// read passes on the pids of messages until the socket is closed. A full channel or a message that was lost in a flood costs nothing:
// one event is enough to compare all processes.
func (e *events) read() {
	defer close(e.pids)
	raw, err := e.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buf, 0)
			return failed != unix.EAGAIN
		})
		if err != nil {
			return // closed
		}
		if failed != nil || !fromKernel(from) {
			if failed != nil && failed != unix.ENOBUFS && failed != unix.EINTR {
				return
			}
			if failed == unix.ENOBUFS {
				e.send(0)
			}
			continue
		}
		eachEvent(buf[:n], e.send)
	}
}

func (e *events) send(pid int) {
	select {
	case e.pids <- pid:
	default:
	}
}

// eachEvent yields the processes that messages tell of: those that started, ended, or run another program.
func eachEvent(b []byte, yield func(pid int)) {
	order := binary.NativeEndian
	for len(b) >= headLink {
		size := int(order.Uint32(b))
		if size < headLink || size > len(b) {
			return
		}
		m := b[headLink:size]
		b = b[min(len(b), (size+3)&^3):]
		if len(m) < headConnector+headEvent+8 || order.Uint32(m) != connectorProc {
			continue
		}
		m = m[headConnector:]
		data := m[headEvent:]
		switch order.Uint32(m) {
		case eventExec, eventExit: // process_pid, process_tgid
			yield(int(order.Uint32(data[4:])))
		case eventFork: // parent_pid, parent_tgid, child_pid, child_tgid
			if len(data) >= 16 && order.Uint32(data[8:]) == order.Uint32(data[12:]) { // a process, not a thread
				yield(int(order.Uint32(data[12:])))
			}
		}
	}
}

func (e *events) close() { e.file.Close() }
