package scan

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUsersOfPasswd(t *testing.T) {
	u := parseUsers([]byte("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nx:y:notanumber:\n"))
	if u.name(0) != "root" || u.name(77) != "77" {
		t.Errorf("%v", u)
	}
}

func FuzzUsers(f *testing.F) {
	f.Add("root:x:0:0::/:/bin/sh\n")
	f.Fuzz(func(_ *testing.T, text string) { parseUsers([]byte(text)) })
}

func TestIdleReadsLast(t *testing.T) {
	// on a thread of its own, which is thrown away: the test binary goes on at its usual priority
	done := make(chan int)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle); errno != 0 {
			done <- -int(errno)
			return
		}
		got, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, 0, 0)
		done <- int(got)
	}()
	if got := <-done; got != ioprioIdle {
		t.Errorf("priority %#x, want %#x", got, ioprioIdle)
	}
}
