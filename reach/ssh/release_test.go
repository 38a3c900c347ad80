package ssh_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/reach/ssh"
	"staunch/testbed"
	"staunch/testbed/real"
)

// mostTravels is how much of the host part may travel to a host, packed, in bytes.
const mostTravels = 8 << 20

// aReleaseCarriesItsHostParts builds staunch as a release is built, with the host parts inside, and lets it scan a host from a directory
// where nothing else lies.
func aReleaseCarriesItsHostParts(t *testing.T, hosts []*testbed.Host, _ *ssh.Parts) {
	h, dir, top := hosts[1], t.TempDir(), real.Top(t)
	run := func(name string, env []string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = top, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return string(out)
	}
	replace := map[string]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		part := filepath.Join(dir, "staunch-host-linux-"+arch)
		run("go", []string{"CGO_ENABLED=0", "GOARCH=" + arch}, "build", "-trimpath", "-ldflags", "-s -w", "-o", part, "./cmd/staunch-host")
		run("sh", nil, "-c", "gzip -6 -n -c "+part+" >"+part+".gz; sha256sum <"+part+" | cut -d' ' -f1 >"+part+".sha256; b2sum <"+part+" | cut -d' ' -f1 >"+part+".b2")
		if info, err := os.Stat(part + ".gz"); err != nil || info.Size() > mostTravels {
			t.Errorf("the %s host part travels in %d bytes, %v", arch, info.Size(), err)
		}
		for _, end := range []string{".gz", ".sha256", ".b2"} {
			replace[filepath.Join(top, "reach/ssh/part", filepath.Base(part)+end)] = part + end
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	alone := t.TempDir()
	staunch := filepath.Join(alone, "staunch")
	run("go", []string{"CGO_ENABLED=0"}, "build", "-tags", "release", "-overlay", filepath.Join(dir, "overlay.json"), "-o", staunch, "./cmd/staunch")

	h.Exec(t, "rm -rf /var/cache/staunch-host")
	list := filepath.Join(alone, "names")
	must(t, os.WriteFile(list, []byte(h.Name+"\n"), 0o600))
	// exit code 3: no advisories of the distribution are loaded here
	cmd := exec.Command(staunch, "scan", "--config", list, "--on", "all", "--ssh-config", h.SSHConfig, "--dormant=off", "--fail-on", "never")
	cmd.Dir, cmd.Env = alone, append(os.Environ(), "HOME="+alone)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 3 || !strings.Contains(string(out), "1 of 1 known host seen") {
		t.Errorf("the release's scan: %v: %s", err, out)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "staunch-host-linux-amd64.sha256"))
	must(t, err)
	if got := h.Exec(t, "ls /var/cache/staunch-host"); !strings.Contains(got, strings.TrimSpace(string(sum))) {
		t.Errorf("the release sent another host part: %s", got)
	}
}
