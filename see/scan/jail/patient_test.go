package jail_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"staunch/see/scan/jail"
	"staunch/testbed/real"
)

// dead mounts twenty files on a FUSE server, and opens the directory above as a patient root before the server turns silent.
func dead(t *testing.T) (*jail.Root, *real.FUSE) {
	t.Helper()
	top := t.TempDir()
	files := map[string][]byte{}
	for i := range 20 {
		files[fmt.Sprintf("file%d", i)] = []byte("text")
	}
	var server *real.FUSE
	var root *jail.Root
	real.OwnMounts(t, func() {
		must(t, os.Mkdir(filepath.Join(top, "served"), 0o755))
		server = real.MountFUSE(t, filepath.Join(top, "served"), files)
		var err error
		root, err = jail.Open(top)
		must(t, err)
	})
	t.Cleanup(root.Close)
	return root.Patient(100 * time.Millisecond), server
}

func TestASilentPlaceIsAskedOnce(t *testing.T) {
	root, server := dead(t)
	if b, err := root.Read("served/file1", 100); err != nil || string(b) != "text" {
		t.Fatalf("%q %v", b, err)
	}
	server.Before(func(uint32) { <-server.End() })
	if _, err := root.List("/served", 100); !errors.Is(err, jail.ErrNoAnswer) {
		t.Errorf("the directory: %v", err)
	}
	asked := server.Asked.Load()
	for _, ask := range []func() error{
		func() error { _, err := root.Stat("served"); return err },
		func() error { _, err := root.OpenRead("/served/file2"); return err },
		func() error { _, err := root.Readlink("/served/file3"); return err },
		func() error { _, err := root.Sub("/served/deep"); return err },
	} {
		if err := ask(); !errors.Is(err, jail.ErrNoAnswer) {
			t.Errorf("below it: %v", err)
		}
	}
	if again := server.Asked.Load() - asked; again != 0 {
		t.Errorf("a silent directory was asked %d more times", again)
	}
	if got := root.Silent(); !slices.Equal(got, []string{"/served"}) {
		t.Errorf("silent: %v", got)
	}
}

func TestAFewSilentFilesMakeASilentDirectory(t *testing.T) {
	root, server := dead(t)
	server.Before(func(op uint32) {
		if op == real.FuseOpen {
			<-server.End()
		}
	})
	for i := range 20 {
		if _, err := root.OpenRead(fmt.Sprintf("/served/file%d", i)); !errors.Is(err, jail.ErrNoAnswer) {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if got := root.Silent(); !slices.Equal(got, []string{"/served"}) {
		t.Errorf("silent: %v", got)
	}
	if opens := server.Asked.Load(); opens > 30 {
		t.Errorf("%d requests for 20 files of which each hangs", opens)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
