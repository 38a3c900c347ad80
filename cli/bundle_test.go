package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/cli"
	"staunch/cli/desk"
	"staunch/testbed/real"
)

// TestABundleWorksOnAMachineWithoutAnything packs, unpacks elsewhere, and scans there with the advisories that came along.
func TestABundleWorksOnAMachineWithoutAnything(t *testing.T) {
	real.Slow(t)
	bin := real.Build(t, "./cmd/staunch")
	home, away := t.TempDir(), t.TempDir()
	record := `{"schema_version":"1.6.0","id":"TEST-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"Debian:12","name":"nothing"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1"}]}]}]}`
	file := filepath.Join(home, "one.json")
	if err := os.WriteFile(file, []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(dir, data string, args ...string) string {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+data)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil && cmd.ProcessState.ExitCode() == 2 {
			t.Fatalf("%v: %v: %s", args, err, errs.String())
		}
		return string(out)
	}
	run(home, home, bin, "advisories", "add", file)
	if said := run(home, home, bin, "bundle", "-o", "b.tar.gz"); !strings.Contains(said, "1 advisory file") {
		t.Errorf("bundle said %q", said)
	}
	run(away, away, "tar", "-xzf", filepath.Join(home, "b.tar.gz"))
	there := filepath.Join(away, "staunch-bundle")
	run(there, away, "sha256sum", "-c", "--quiet", "SHA256SUMS")
	if listed := run(there, away, "./staunch", "advisories", "show", "TEST-1"); !strings.Contains(listed, "TEST-1") {
		t.Errorf("the advisories did not come along: %s", listed)
	}
	if _, err := os.Stat(filepath.Join(away, "staunch", "advisories")); err == nil {
		t.Error("the bundle wrote into this user's state directory")
	}
}

func TestABundleOfNonsenseIsRefused(t *testing.T) {
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), cli.Env{Args: []string{"bundle", "--binary", "/etc/hostname"}, Stdout: &out, Stderr: &errs, Getenv: os.Getenv})
	if code != desk.ExitCannot || !strings.Contains(errs.String(), "not a Linux program") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
