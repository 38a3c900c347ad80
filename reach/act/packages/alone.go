package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/act/files"
	"staunch/tame"

	"golang.org/x/sys/unix"
)

// Locks of the package managers and of unattended-upgrades, in the order in which they are looked at. Debian's are taken with fcntl, so
// that the kernel tells who holds them; rpm's and zypper's too.
func lockFiles() []string {
	return []string{"/run/unattended-upgrades.lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock", "/var/lib/rpm/.rpm.lock"}
}

// LockHolder names the process that holds a package lock, or "".
func LockHolder(root string) string {
	for _, path := range lockFiles() {
		if pid := heldBy(filepath.Join(root, path)); pid != 0 {
			return describe(pid)
		}
	}
	return ""
}

// heldBy asks the kernel who holds a write lock; 0: nobody, or nobody that can be seen.
func heldBy(path string) int {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	ask := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
	if unix.FcntlFlock(f.Fd(), unix.F_GETLK, &ask) != nil || ask.Type == unix.F_UNLCK {
		return 0
	}
	return max(1, int(ask.Pid))
}

// Alone waits for the package locks at most so long, holds unattended upgrades off, and forbids restarts by maintainer scripts
// until release. state is the directory whose lock we hold; root is "" on the machine itself.
func Alone(ctx context.Context, root, state string, patience time.Duration, says func(string)) (release func() error, err error) {
	until := time.Now().Add(patience)
	for holder := LockHolder(root); holder != ""; holder = LockHolder(root) {
		if time.Now().After(until) || ctx.Err() != nil {
			return nil, fault.New(fault.Conflict, "the package database is in use by %s", holder).Hinted("wait for it to end, or give more time with lock_for_ms; nothing was changed")
		}
		says("waiting for " + holder)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	hold, err := holdOff(filepath.Join(root, "/run/unattended-upgrades.lock"))
	if err != nil {
		return nil, err
	}
	if err := forbidRestarts(root, state); err != nil {
		return nil, errors.Join(err, hold.Close())
	}
	return func() error { return errors.Join(allowRestarts(root), hold.Close()) }, nil
}

func describe(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("%s (process %d)", tame.Line(strings.TrimSpace(string(name))), pid)
}

// holdOff takes the lock that unattended-upgrades takes first: it then leaves the machine alone.
func holdOff(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
	if errors.Is(err, fs.ErrNotExist) { // no /run: a directory that does not run
		f, err = os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, fault.New(fault.Denied, "%s: %v", path, err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil && f.Name() != os.DevNull {
		return nil, errors.Join(fault.New(fault.Conflict, "unattended-upgrades is at work on this host").Hinted("wait for it to end"), f.Close())
	}
	return f, nil
}

const (
	policyRC   = "/usr/sbin/policy-rc.d"
	policyOld  = "/usr/sbin/policy-rc.d.before-staunch"
	policyMark = "# staunch: no restarts by maintainer scripts while an order is carried out"
)

// forbidRestarts puts a policy-rc.d in place that says no (101) as long as our lock is held, and afterwards, should we have died,
// passes every question on to the one that was there before.
func forbidRestarts(root, state string) error {
	if err := allowRestarts(root); err != nil { // what a killed act left
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "/usr/sbin/invoke-rc.d")); err != nil {
		if _, err := os.Stat(filepath.Join(root, "/usr/bin/deb-systemd-invoke")); err != nil {
			return nil // not Debian: nothing asks
		}
	}
	script := fmt.Sprintf("#!/bin/sh\n%s\nif [ -e %s ] && ! flock -n %s true; then exit 101; fi\nif [ -x %s ]; then exec %s \"$@\"; fi\nexit 0\n",
		policyMark, filepath.Join(state, "lock"), filepath.Join(state, "lock"), policyOld, policyOld)
	if root != "" {
		script = "#!/bin/sh\n" + policyMark + "\nexit 101\n"
	}
	at, old := filepath.Join(root, policyRC), filepath.Join(root, policyOld)
	if err := os.Rename(at, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files.NoRoom(err, at)
	}
	if err := os.WriteFile(at, []byte(script), 0o755); err != nil { //nolint:gosec // maintainer scripts must run it
		return errors.Join(files.NoRoom(err, at), putBack(old, at))
	}
	return nil
}

// allowRestarts takes our policy-rc.d away and puts the machine's own back.
func allowRestarts(root string) error {
	at, old := filepath.Join(root, policyRC), filepath.Join(root, policyOld)
	b, err := os.ReadFile(at)
	if err == nil && strings.Contains(string(b), policyMark) {
		err = os.Remove(at)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files.NoRoom(err, at)
	}
	return putBack(old, at)
}

func putBack(old, at string) error {
	if err := os.Rename(old, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files.NoRoom(err, at)
	}
	return nil
}
