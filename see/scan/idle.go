package scan

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The numbers of ioprio_set(2) (include/uapi/linux/ioprio.h).
const (
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// BeIdle makes every thread of this program, and those that they start later, read from disks only when nobody else does.
// It holds until the program ends; a long-running one looks from a child. Kernels or schedulers without the notion ignore it.
func BeIdle() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(tid), ioprioIdle); errno != 0 && errno != unix.ESRCH {
			return errno
		}
	}
	return nil
}
