package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"staunch/testbed/real"
)

// The disk fills up in the middle of the night: incidents are still opened, told and written up, from the reserve that was kept back for this.
func TestIncidentsAreWrittenOnAFullDisk(t *testing.T) {
	real.Root(t)
	o := newOperator(t, 2)
	state := filepath.Join(o.dir, "staunch")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir() // what lies there moves to the small disk
	mustRun(t, "cp", "-a", state+"/.", kept)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "staunch-test", state).CombinedOutput(); err != nil {
		real.Missing(t, "no tmpfs: %v: %s", err, out)
	}
	t.Cleanup(func() { mustRun(t, "umount", state) })
	mustRun(t, "cp", "-a", kept+"/.", state)
	o.must(1, "incident", "open", "CVE-2026-0001")
	if _, err := os.Stat(filepath.Join(state, "ledger.db.reserve")); err != nil {
		t.Fatalf("no reserve was kept: %v", err)
	}
	other, err := os.Create(filepath.Join(state, "other"))
	if err != nil {
		t.Fatal(err)
	}
	for room := true; room; {
		_, err := other.Write(make([]byte, 4096))
		room = err == nil
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	o.must(3, "incident", "open", "vendor X leaked its tokens", "--on", "web")
	o.mustType("incident", "comment", "1", "the disk of this machine is full")
	o.mustType("incident", "check", "2", "lead", "--owner", "ada")
	has(t, "the list", o.mustType("incident", "list"), "vendor X leaked its tokens", "CVE-2026-0001")
	has(t, "the report", o.mustType("incident", "report", "1"), "the disk of this machine is full")
	has(t, "verify", o.mustType("ledger", "verify"), "unchanged up to event")
}

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %v: %v: %s", name, args, err, out)
	}
}
