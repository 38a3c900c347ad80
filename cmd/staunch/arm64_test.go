package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/testbed/real"
)

// TestTheOtherArchitectureStartsAndScansAProgram runs the arm64 build under emulation: that it links proves little.
func TestTheOtherArchitectureStartsAndScansAProgram(t *testing.T) {
	qemu := real.Program(t, "qemu-aarch64-static")
	bin := filepath.Join(t.TempDir(), "staunch")
	build := exec.Command("go", "build", "-o", bin, "./cmd/staunch")
	build.Dir = real.Top(t)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	version, err := exec.Command(qemu, bin, "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(version), "staunch") {
		t.Fatalf("%v: %s", err, version)
	}
	// its own program: Go modules of an aarch64 object, read by an aarch64 scanner
	cmd := exec.Command(qemu, bin, "scan", "--files", bin, "--format", "json")
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() == 2 {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), `"machine": "aarch64"`) && !strings.Contains(string(out), `"machine":"aarch64"`) {
		t.Errorf("the object is not named an aarch64 one")
	}
}
