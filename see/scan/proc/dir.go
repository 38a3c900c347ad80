// Package proc reads what a running kernel says of its processes, bounded and through descriptors.
package proc

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"staunch/see/scan/jail"

	"golang.org/x/sys/unix"
)

// Limits on what one file of procfs may hold before it counts as hostile.
const (
	maxSmall = 64 << 10 // stat, status, cgroup
	maxMaps  = 64 << 20 // 65,530 mappings (the kernel's default limit) with long paths
	maxNet   = 64 << 20 // about 400,000 sockets
	maxLink  = 4096 + 16
)

// ErrTooLarge tells that a file of procfs is larger than anything a kernel writes there.
var ErrTooLarge = errors.New("larger than its limit")

// Dir is one process's directory, held open: what is read through it belongs to that process and never to a later one with the same pid.
type Dir struct {
	PID      int
	fd       int
	textOnly bool // do as on a kernel that answers no questions about mappings
}

// Open opens PID's directory below root (a mounted procfs, or a written one in tests).
func Open(root string, pid int) (*Dir, error) {
	fd, err := unix.Open(root+"/"+strconv.Itoa(pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{PID: pid, fd: fd}, nil
}

// Close gives the directory back.
func (d *Dir) Close() { unix.Close(d.fd) }

// Scratch is a reusable buffer for reading.
type Scratch struct {
	buf      []byte
	mappings []keptMapping
	paths    []byte
}

// room makes the buffer if there is none yet.
func (s *Scratch) room() {
	if len(s.buf) < 64<<10 {
		s.buf = make([]byte, 64<<10)
	}
}

// Scratches are shared between readers; a scratch whose reader hangs is lost, not reused.
type Scratches struct{ pool sync.Pool }

// Get lends a buffer.
func (s *Scratches) Get() *Scratch {
	if b, ok := s.pool.Get().(*Scratch); ok {
		return b
	}
	return &Scratch{buf: make([]byte, 64<<10)}
}

// Read returns a file of the process's directory. The bytes are valid until the scratch is used again.
func (d *Dir) Read(s *Scratch, name string, limit int) ([]byte, error) {
	return readAt(d.fd, s, name, limit)
}

func readAt(dirfd int, s *Scratch, name string, limit int) ([]byte, error) {
	fd, err := openRetry(dirfd, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readFD(fd, s, limit)
}

// readFD reads to the end.
func readFD(fd int, s *Scratch, limit int) ([]byte, error) {
	s.room()
	n := 0
	for {
		if n == len(s.buf) {
			if n >= limit {
				return nil, ErrTooLarge
			}
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
		got, err := unix.Read(fd, s.buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if got == 0 {
			return s.buf[:n], nil
		}
		n += got
	}
}

func openRetry(dirfd int, name string) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Link returns where a link of the process's directory points.
func (d *Dir) Link(s *Scratch, name string) (string, error) {
	b, err := d.link(s, name)
	return string(b), err
}

func (d *Dir) link(s *Scratch, name string) ([]byte, error) {
	s.room()
	n, err := unix.Readlinkat(d.fd, name, s.buf[:maxLink])
	if err != nil {
		return nil, err
	}
	return s.buf[:n], nil
}

// OpenFile opens the regular file that a link of the directory leads to, for reading. Devices are never opened: that alone may do something, so
// the caller looks first.
func (d *Dir) OpenFile(link string) (int, error) {
	return unix.Openat(d.fd, link, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
}

// FD is the directory's descriptor, for statx and openat on the links below it. It belongs to d.
func (d *Dir) FD() int { return d.fd }

// PIDs lists the processes below root, in the order of the kernel.
func PIDs(root string) ([]int, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var pids []int
	err = jail.EachEntry(fd, make([]byte, 32<<10), func(name []byte, _ byte) error {
		if pid, ok := number(name); ok && pid > 0 {
			pids = append(pids, pid)
		}
		return nil
	})
	return pids, err
}

// number reads a decimal that fits a pid; anything else is not one.
func number(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// Clock turns the kernel's ticks since boot into times.
type Clock struct{ boot time.Time }

// tick is USER_HZ: 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// Now reads the clocks. Boot time is rounded to a tick, so that one process gets the same start from every look.
func Now() Clock {
	best := time.Duration(1 << 62)
	var boot time.Time
	for range 5 {
		var before, real, after unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &before) != nil || unix.ClockGettime(unix.CLOCK_REALTIME, &real) != nil ||
			unix.ClockGettime(unix.CLOCK_BOOTTIME, &after) != nil {
			break
		}
		if took := time.Duration(after.Nano() - before.Nano()); took < best {
			best, boot = took, time.Unix(0, real.Nano()-before.Nano())
		}
	}
	return Clock{boot: boot.Round(tick).UTC()}
}

// At returns the time of a tick count, precise to 10 ms.
func (c Clock) At(ticks uint64) time.Time {
	if ticks > 1<<52 {
		ticks = 1 << 52 // hostile: later than any machine's life
	}
	return c.boot.Add(time.Duration(ticks/100)*time.Second + time.Duration(ticks%100)*tick)
}

// Put gives a buffer back for the next reader.
func (s *Scratches) Put(b *Scratch) { s.pool.Put(b) }
