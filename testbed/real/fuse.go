package real

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// FUSE is a small file server behind a real FUSE mount: one directory of files, which can be made to answer late or never.
type FUSE struct {
	dev    *os.File
	names  []string
	files  map[string][]byte
	mu     sync.Mutex
	answer func(op uint32) // called before each answer; it may wait
	refuse func(op uint32) unix.Errno
	Asked  atomic.Int64 // requests that arrived
	end    chan struct{}
}

// The requests of fuse(4) that a test may want to hold back.
const (
	FuseLookup  = 1
	FuseGetattr = 3
	FuseOpen    = 14
	FuseRead    = 15
	FuseRelease = 18
	FuseOpendir = 27
	FuseReaddir = 28
)

// MountFUSE mounts a server of those files over dir, in the mount namespace of the calling thread, until the test ends.
func MountFUSE(t testing.TB, dir string, files map[string][]byte) *FUSE {
	t.Helper()
	Root(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		Missing(t, "FUSE: %v", err)
	}
	if err := unix.Mount("staunch", dir, "fuse.staunch", unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)); err != nil {
		unix.Close(fd)
		Missing(t, "mounting FUSE: %v", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	f := &FUSE{dev: os.NewFile(uintptr(fd), "/dev/fuse"), files: files, end: make(chan struct{})}
	for name := range files {
		f.names = append(f.names, name)
	}
	go f.serve()
	t.Cleanup(func() {
		close(f.end)
		f.dev.Close()                      // ends everything that waits for an answer
		unix.Unmount(dir, unix.MNT_DETACH) // where the namespace is ours alone it goes with its last process
	})
	return f
}

// Before has every later answer wait for a function of the request's number. To stop answering: wait for End.
func (f *FUSE) Before(answer func(op uint32)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// Refuse has every later request answered with the error that a function of its number gives; 0 lets it through. It may wait.
func (f *FUSE) Refuse(with func(op uint32) unix.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = with
}

// End is closed when the test ends.
func (f *FUSE) End() <-chan struct{} { return f.end }

func (f *FUSE) serve() {
	for {
		b := make([]byte, 1<<20)
		n, err := f.dev.Read(b)
		if err != nil {
			return // the test ended, or the mount is gone
		}
		f.Asked.Add(1)
		go f.handle(b[:n])
	}
}

func (f *FUSE) handle(b []byte) {
	op, unique, node := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	const forget, interrupt, batchForget = 2, 36, 42
	if op == forget || op == interrupt || op == batchForget {
		return // these want no answer
	}
	f.mu.Lock()
	wait, refuse := f.answer, f.refuse
	f.mu.Unlock()
	if wait != nil {
		wait(op)
	}
	out, errno := f.reply(op, node, b[40:])
	if refuse != nil {
		if no := refuse(op); no != 0 {
			out, errno = nil, no
		}
	}
	head := make([]byte, 16, 16+len(out))
	binary.LittleEndian.PutUint32(head, uint32(16+len(out)))
	binary.LittleEndian.PutUint32(head[4:], uint32(-int32(errno)))
	binary.LittleEndian.PutUint64(head[8:], unique)
	f.dev.Write(append(head, out...)) // whoever asked may be gone
}

// reply is the body of an answer. Node 1 is the directory, node 2+i its file number i.
func (f *FUSE) reply(op uint32, node uint64, in []byte) ([]byte, unix.Errno) {
	const opInit, flush, releasedir = 26, 25, 29
	switch op {
	case opInit:
		out := make([]byte, 64)
		binary.LittleEndian.PutUint32(out, 7)            // version 7.31
		binary.LittleEndian.PutUint32(out[4:], 31)       //
		binary.LittleEndian.PutUint32(out[8:], 128<<10)  // read ahead
		binary.LittleEndian.PutUint32(out[12:], 1)       // reads need not wait for one another
		binary.LittleEndian.PutUint32(out[20:], 128<<10) // longest write
		return out, 0
	case FuseLookup:
		for i, name := range f.names {
			if string(bytes.TrimRight(in, "\x00")) == name {
				out := binary.LittleEndian.AppendUint64(nil, uint64(2+i))
				return append(append(out, make([]byte, 32)...), f.attributes(uint64(2+i))...), 0
			}
		}
		return nil, unix.ENOENT
	case FuseGetattr:
		return append(make([]byte, 16), f.attributes(node)...), 0
	case FuseOpen, FuseOpendir:
		return make([]byte, 16), 0
	case FuseRead:
		data := f.files[f.names[node-2]]
		from := min(binary.LittleEndian.Uint64(in[8:]), uint64(len(data)))
		to := min(from+uint64(binary.LittleEndian.Uint32(in[16:])), uint64(len(data)))
		return data[from:to], 0
	case FuseReaddir:
		return f.list(binary.LittleEndian.Uint64(in[8:])), 0
	case FuseRelease, flush, releasedir:
		return nil, 0
	}
	return nil, unix.ENOSYS
}

func (f *FUSE) attributes(node uint64) []byte {
	mode, size := uint32(unix.S_IFDIR|0o755), 0
	if node > 1 {
		mode, size = unix.S_IFREG|0o755, len(f.files[f.names[node-2]])
	}
	var out []byte
	for _, n := range []uint64{node, uint64(size), uint64(size+511) / 512, 1e9, 1e9, 1e9} { // times: 2001
		out = binary.LittleEndian.AppendUint64(out, n)
	}
	for _, n := range []uint32{0, 0, 0, mode, 1, 0, 0, 0, 4096, 0} {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return out
}

func (f *FUSE) list(from uint64) (out []byte) {
	for i, name := range f.names {
		if uint64(i) < from {
			continue
		}
		out = binary.LittleEndian.AppendUint64(out, uint64(2+i))
		out = binary.LittleEndian.AppendUint64(out, uint64(i+1))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(name)))
		out = binary.LittleEndian.AppendUint32(out, unix.DT_REG)
		out = append(out, name...)
		out = append(out, make([]byte, (8-len(name)%8)%8)...)
	}
	return out
}

// OwnMounts runs fn on a thread with a mount namespace of its own, which lasts until the test ends: what fn mounts, and the processes that it starts,
// see and leave nothing outside.
func OwnMounts(t testing.TB, fn func()) {
	t.Helper()
	Root(t)
	done, end := make(chan error, 1), make(chan struct{})
	t.Cleanup(func() { close(end) })
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if unix.Gettid() == unix.Getpid() {
			OwnMounts(t, fn) // the first thread is what /proc/self shows: on another one, while this one is taken
			runtime.UnlockOSThread()
			done <- nil
			return
		}
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		func() {
			defer func() { done <- err }() // also when fn ends the test
			if err == nil {
				fn()
			}
		}()
		<-end
	}()
	if err := <-done; err != nil {
		Missing(t, "a mount namespace: %v", err)
	}
}
