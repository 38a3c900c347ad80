package scan_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// served is a victim whose library lies on a FUSE mount of its own namespace.
func served(t *testing.T) (*victim, *real.FUSE) {
	t.Helper()
	v := &victim{dir: compile(t)}
	lib, err := os.ReadFile(filepath.Join(v.dir, "old.so"))
	if err != nil {
		t.Fatal(err)
	}
	mount := filepath.Join(v.dir, "served")
	if err := os.Mkdir(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	v.lib = filepath.Join(mount, "lib.so")
	v.cmd = exec.Command(filepath.Join(v.dir, "prog"), v.lib)
	var server *real.FUSE
	real.OwnMounts(t, func() {
		server = real.MountFUSE(t, mount, map[string][]byte{"lib.so": lib})
		start(t, v.cmd)
	})
	return v, server
}

// TestAFileServerThatStopsAnsweringCostsADeadline: the server of a mapped library answered until it was mapped; from each kind of request on that
// a scan may send it is silent.
func TestAFileServerThatStopsAnsweringCostsADeadline(t *testing.T) {
	v, server := served(t)
	if got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib); got.State != scan.Same || got.ID != idOf(t, filepath.Join(v.dir, "old.so")) {
		t.Fatalf("while the server answers: %+v", got)
	}
	for _, silent := range []uint32{real.FuseRead, real.FuseOpen, real.FuseGetattr, real.FuseLookup} {
		server.Before(func(op uint32) {
			if op == silent {
				<-server.End()
			}
		})
		r := look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{Limit: 300 * time.Millisecond})
		got := holding(t, only(t, r), v.lib)
		if got.ID != "" || !strings.Contains(got.Unread, "no answer") {
			t.Errorf("silent at request %d: %+v", silent, got)
		}
		if got := holding(t, only(t, r), filepath.Join(v.dir, "prog")); got.State != scan.Same || got.ID == "" {
			t.Errorf("silent at request %d, another file: %+v", silent, got)
		}
	}
}

// TestALateAnswerOfAFileServerFindsTheScanOver: what was given up is opened (or read) after the end of the scan. It is given back, and breaks nothing.
func TestALateAnswerOfAFileServerFindsTheScanOver(t *testing.T) {
	v, server := served(t)
	for _, late := range []uint32{real.FuseOpen, real.FuseRead} {
		open, released := make(chan struct{}), make(chan struct{}, 64)
		server.Before(func(op uint32) {
			switch op {
			case late:
				<-open
			case real.FuseRelease:
				released <- struct{}{}
			}
		})
		got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{Limit: 100 * time.Millisecond})), v.lib)
		if got.ID != "" || !strings.Contains(got.Unread, "no answer") {
			t.Errorf("%+v", got)
		}
		close(open)
		select {
		case <-released:
		case <-time.After(time.Minute):
			t.Fatalf("request %d was answered late: what it opened was not closed", late)
		}
	}
}
