package stepca

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/testbed/real"
)

// The version that is built, with the module's checksums (go.sum). Building takes minutes, once.
const (
	module  = "github.com/smallstep/certificates"
	version = "v0.30.2"
	sum     = "h1:1G3xBi8sJ740iA1mMPW2Svv7EIZKJ4Zf/iQtA5QlN0Y="
	sumMod  = "h1:oyaE/aEYUGDr+YiCZLAxxP22bOQqcSHTeDgp8Vv2rlY="
)

// program returns the built step-ca. Only long runs (STAUNCH_LONG=1: make soak, make night) build it; others use it where it was built before.
func program(t testing.TB) string {
	t.Helper()
	real.Slow(t)
	dir := filepath.Join(real.Cache(t), "step-ca-"+version)
	path := filepath.Join(dir, "step-ca")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("STAUNCH_LONG") != "1" {
		t.Skip("left out: step-ca is built by make soak and make night")
	}
	real.Lock(t, "step-ca")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module parts\n\ngo 1.26\n\nrequire "+module+" "+version+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "go.sum"), []byte(module+" "+version+" "+sum+"\n"+module+" "+version+"/go.mod "+sumMod+"\n"), 0o600))
	cmd := exec.Command("go", "build", "-mod=mod", "-o", path+".part", module+"/cmd/step-ca")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off") // with cgo it wants the smart card library
	if out, err := cmd.CombinedOutput(); err != nil {
		real.Missing(t, "step-ca cannot be built: %v: %s", err, last(string(out)))
	}
	must(t, os.Rename(path+".part", path))
	return path
}

func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
