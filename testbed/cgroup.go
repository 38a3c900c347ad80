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

// killGroup ends every process of the guest at once (they outlive a killed nspawn) and waits until the groups below its own are gone.
func killGroup(group string) {
	_ = os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0) // a group that is gone has nobody to kill
	for range 100 {
		removeBelow(group)
		if below, err := filepath.Glob(filepath.Join(group, "*", "cgroup.procs")); err != nil || len(below) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// renewGroup empties a group and makes it anew: Linux kills a process that is started into a group that once was killed.
func renewGroup(group string) {
	removeGroup(group)
	_ = os.Mkdir(group, 0o755) // the next boot says so where this failed
}

// removeGroup ends whatever still is in a cgroup and removes it.
func removeGroup(group string) {
	killGroup(group)
	for range 100 {
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
