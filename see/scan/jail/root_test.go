package jail_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"staunch/see/scan/jail"
)

// prison is a root full of ways out, beside a file that must not be reached.
func prison(t *testing.T) *jail.Root {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "root")
	for _, d := range []string{"etc", "deep/er"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{filepath.Join(top, "secret"): "outside", filepath.Join(dir, "etc/name"): "inside", filepath.Join(dir, "secret"): "inside"}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"absolute": "/etc/name", "up": "../../../../../secret", "real": filepath.Join(top, "secret"), "dir": "deep/er", "deep/er/up": "../../../secret",
		"loop": "loop", "proc": "/proc/self/root" + filepath.Join(top, "secret"),
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := jail.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return root
}

func TestNothingLeadsOut(t *testing.T) {
	root := prison(t)
	for _, old := range []bool{false, true} { // with openat2, and step by step as on kernels before 5.6
		jail.PretendOld(root, old)
		for path, want := range map[string]string{
			"/absolute": "inside", "up": "inside", "/dir/up": "inside", "../../secret": "inside", "/etc/../secret": "inside",
			"real": "", "proc": "", "loop": "", "pipe": "", "etc": "", "": "", "missing": "",
		} {
			b, err := root.Read(path, 1<<20)
			if string(b) != want || (want == "") != (err != nil) {
				t.Errorf("old %v: %q gives %q, %v", old, path, b, err)
			}
		}
		if _, err := root.Read("loop", 1); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("old %v: loop: %v", old, err)
		}
		if _, err := root.Read("missing", 1); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("old %v: missing: %v", old, err)
		}
		if to, err := root.Readlink("/dir/up"); err != nil || to != "../../../secret" {
			t.Errorf("old %v: %q %v", old, to, err)
		}
	}
	if _, err := root.Read("etc/name", 3); !errors.Is(err, jail.ErrTooLarge) {
		t.Errorf("limit: %v", err)
	}
}

func TestListing(t *testing.T) {
	root := prison(t)
	names, more, err := root.Names("/", 3)
	if err != nil || !more || len(names) != 3 {
		t.Errorf("%q %v %v", names, more, err)
	}
	names, more, err = root.Names("/etc", 3)
	if err != nil || more || strings.Join(names, " ") != "name" {
		t.Errorf("%q %v %v", names, more, err)
	}
	top, err := root.Dir("/")
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	entries, more, err := top.Entries(100)
	if err != nil || more || len(entries) < 10 {
		t.Errorf("%v %v %v", entries, more, err)
	}
	for _, e := range entries {
		if want := e.Name == "etc" || e.Name == "deep"; e.Dir != want || e.Regular != (e.Name == "secret") {
			t.Errorf("%+v", e)
		}
		sub, err := top.Sub(e.Name)
		if (err == nil) != e.Dir {
			t.Errorf("%s opens as a directory: %v", e.Name, err)
		}
		if err == nil {
			sub.Close()
		}
	}
	for _, name := range []string{"..", "deep/er", "/etc"} {
		if _, err := top.Sub(name); err == nil {
			t.Errorf("%s is opened", name)
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x00\x08abc\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		jail.EachRecord(b, func(name []byte, _ byte) error {
			if n += len(name) + 19; n > len(b) {
				t.Errorf("%d bytes of names and heads in %d", n, len(b))
			}
			return nil
		})
	})
}
