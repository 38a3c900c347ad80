package testbed

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// makeGroup makes the host's cgroup and a link to it beside its disk.
func (h *Host) makeGroup(t testing.TB) {
	t.Helper()
	group := filepath.Join(cgroupRoot(t), "staunch-"+h.Name)
	must(t, os.MkdirAll(group, 0o755))
	must(t, os.Symlink(group, h.group()))
	t.Cleanup(func() { removeGroup(group) })
}

// emptyGroup removes the groups that a killed guest left below its own.
func emptyGroup(link string) {
	if group, err := filepath.EvalSymlinks(link); err == nil {
		removeBelow(group)
	}
}

// removeGroup removes a cgroup bottom-up, once its last processes are gone.
func removeGroup(group string) {
	for range 100 {
		removeBelow(group)
		if err := os.Remove(group); err == nil || os.IsNotExist(err) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func removeBelow(group string) {
	var dirs []string
	err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != group {
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil {
		return
	}
	slices.Reverse(dirs)
	for _, dir := range dirs {
		_ = os.Remove(dir) // a busy one is tried again by the caller
	}
}
