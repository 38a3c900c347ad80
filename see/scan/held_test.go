package scan_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"staunch/see/scan"
	"staunch/testbed/real"

	"golang.org/x/sys/unix"
)

// holder touches a page that cannot be read, and asks for more memory meanwhile.
const holder = `#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
static volatile char *page;
static void *touch(void *x) { (void)*page; return x; }
int main(int argc, char **argv) {
	pthread_t t;
	page = mmap(0, 4096, PROT_READ, MAP_PRIVATE, open(argv[argc - 1], O_RDONLY), 0);
	if (page == MAP_FAILED) return 1;
	puts("ready"); fflush(stdout);
	pthread_create(&t, 0, touch, 0);
	usleep(300000);
	mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (;;) pause();
}`

// lockHolder starts a process whose memory lock is held until the test ends. A page fault lets the lock go while it waits for a file, but only
// once; the second try holds on to it (mm/filemap.c). So the file server fails the first reads, and never answers the next one.
func lockHolder(t *testing.T) int {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "holder.c"), holder)
	program, mount := filepath.Join(dir, "holder"), filepath.Join(dir, "served")
	run(t, real.Program(t, "gcc"), "-pthread", "-o", program, filepath.Join(dir, "holder.c"))
	if err := os.Mkdir(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, filepath.Join(mount, "page"))
	release := make(chan struct{})
	var reads atomic.Int64
	real.OwnMounts(t, func() {
		real.MountFUSE(t, mount, map[string][]byte{"page": make([]byte, 4096)}).Refuse(func(op uint32) unix.Errno {
			if op != real.FuseRead {
				return 0
			}
			if reads.Add(1) > 2 {
				<-release
			}
			return unix.EIO
		})
		start(t, cmd)
	})
	t.Cleanup(func() { close(release) }) // before the process is killed: it cannot end while it waits for the server
	return cmd.Process.Pid
}

// hangs tells whether a question that needs a process's memory lock gets no answer for a second.
func hangs(pid int) bool {
	answered := make(chan struct{})
	go func() {
		_, _ = os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // takes the lock; only whether it comes back counts
		close(answered)
	}()
	select {
	case <-answered:
		return false
	case <-time.After(time.Second):
		return true
	}
}

// awaitHeld waits until the lock is held: without that the tests would show nothing.
func awaitHeld(t *testing.T, pid int) {
	t.Helper()
	for range 60 {
		if hangs(pid) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the lock is not held")
}

// TestAHeldMemoryLockCostsADeadlineAndNotTheScan: neither the process itself nor others on the same file system go unseen for it.
func TestAHeldMemoryLockCostsADeadlineAndNotTheScan(t *testing.T) {
	pid := lockHolder(t)
	awaitHeld(t, pid)
	other := pythonWithTLS(t)
	r := look(t, scan.Question{PIDs: []int{pid, other}}, scan.Env{Limit: 300 * time.Millisecond})
	if len(r.Processes) != 2 || len(r.Unseen) != 0 {
		t.Fatalf("%d processes, unseen: %+v", len(r.Processes), r.Unseen)
	}
	for _, p := range r.Processes {
		if len(p.Objects) < 3 {
			t.Errorf("%s has %d objects", p.Name, len(p.Objects))
		}
		for _, m := range p.Objects {
			if m.ID == "" || m.State != scan.Same {
				t.Errorf("%s: %+v", p.Name, m)
			}
		}
	}
}

// TestCodeThatOnlyAHeldMemoryShowsIsUnread: its name is gone, and the process that has it mapped gives no answer.
func TestCodeThatOnlyAHeldMemoryShowsIsUnread(t *testing.T) {
	pid := lockHolder(t)
	awaitHeld(t, pid)
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	r := look(t, scan.Question{PIDs: []int{pid}}, scan.Env{Limit: 300 * time.Millisecond})
	if got := holding(t, only(t, r), program); got.ID != "" || got.State != scan.Deleted || !strings.Contains(got.Unread, "no answer") {
		t.Errorf("%+v", got)
	}
	if len(r.Unseen) != 1 || r.Unseen[0].PID != pid || !strings.Contains(r.Unseen[0].Reason, "1 of 3 files") {
		t.Errorf("unseen: %+v", r.Unseen)
	}
}
