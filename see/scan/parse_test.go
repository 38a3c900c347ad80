package scan

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnitsTimersAndCronNameWhatTheyStart(t *testing.T) {
	got := unitPrograms("[Service]\nExecStartPre=-/bin/mkdir -p /run/x\nExecStart=@/usr/sbin/nginx nginx -g \\\n  'daemon off;'\nEnvironment=A=/no/exec\n")
	want := []string{"/bin/mkdir", "/run/x", "/usr/sbin/nginx"}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%q", got)
	}
	if got := timerTarget("backup", "[Timer]\nOnCalendar=daily\nUnit=other.service\n"); got != "other.service" {
		t.Errorf("%q", got)
	}
	if got := timerTarget("backup", ""); got != "backup.service" {
		t.Errorf("%q", got)
	}
}

func TestUsersOfPasswd(t *testing.T) {
	u := parseUsers([]byte("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nx:y:notanumber:\n"))
	if u.name(0) != "root" || u.name(77) != "77" {
		t.Errorf("%v", u)
	}
}

func FuzzUnits(f *testing.F) {
	f.Add("ExecStart=-/bin/x \\\n y\nUnit=z")
	f.Fuzz(func(_ *testing.T, text string) {
		unitPrograms(text)
		timerTarget("x", text)
		parseUsers([]byte(text))
	})
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
