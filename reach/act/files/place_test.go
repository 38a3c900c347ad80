package files

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Old kernels have no openat2: what they get instead must follow links as little.
func TestOldKernelsDescendWithoutFollowingLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{"/": true, dir: true, dir + "/a/b": true, dir + "/link": false, dir + "/link/b": false, dir + "/a/c": false} {
		fd, err := descend(path)
		if ok != (err == nil) {
			t.Errorf("%s: %v", path, err)
		}
		if err != nil {
			continue
		}
		var mine, real unix.Stat_t
		if err := unix.Fstat(fd, &mine); err != nil {
			t.Fatal(err)
		}
		if err := unix.Stat(path, &real); err != nil || mine.Ino != real.Ino {
			t.Errorf("%s: another directory was opened (%v)", path, err)
		}
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
}
