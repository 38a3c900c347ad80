package scan_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// group makes a control group where systemd would for a service, and puts a process into it.
func group(t *testing.T, name string, pid int) {
	t.Helper()
	top := "/sys/fs/cgroup/systemd" // its own hierarchy, beside version 1
	if _, err := os.Stat(top); err != nil {
		top = "/sys/fs/cgroup"
	}
	dir := filepath.Join(top, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		real.Missing(t, "control groups: %v", err)
	}
	procs := func(dir string) string { return filepath.Join(dir, "cgroup.procs") }
	if err := os.WriteFile(procs(dir), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		real.Missing(t, "control groups: %v", err)
	}
	t.Cleanup(func() {
		must(t, os.WriteFile(procs(top), []byte(strconv.Itoa(pid)), 0o644))
		must(t, os.Remove(dir))
	})
}

// TestAUnitIsKnownByItsControlGroup asks for one unit, by its name with and without the ending.
func TestAUnitIsKnownByItsControlGroup(t *testing.T) {
	real.Root(t)
	v := newVictim(t, nil)
	name := "staunch-test-" + strconv.Itoa(os.Getpid())
	group(t, name+".service", v.pid())
	for _, unit := range []string{name + ".service", name} {
		p := only(t, look(t, scan.Question{Units: []string{unit}}, scan.Env{}))
		if p.PID != v.pid() || p.Unit != name+".service" || p.Container != nil {
			t.Errorf("%+v", p)
		}
	}
	if r := look(t, scan.Question{Units: []string{"none.service"}}, scan.Env{}); len(r.Processes) != 0 || len(r.Unseen) != 0 {
		t.Errorf("a unit that is not there: %d processes, unseen %+v", len(r.Processes), r.Unseen)
	}
}
