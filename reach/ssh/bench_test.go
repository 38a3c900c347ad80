package ssh_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/testbed"
	"staunch/testbed/real"
)

// BenchmarkFleet scans 20 real hosts over ssh and lets the peers run "true" on the same hosts. bench/fleet runs it.
func BenchmarkFleet(b *testing.B) {
	ansible, pssh := real.Program(b, "ansible"), real.Program(b, "parallel-ssh")
	dir := b.TempDir()
	for arch, name := range map[string]string{"amd64": "staunch-host-linux-amd64", "arm64": "staunch-host-linux-arm64"} {
		build(b, filepath.Join(dir, "host", name), "./cmd/staunch-host", arch)
	}
	staunch := filepath.Join(dir, "staunch")
	build(b, staunch, "./cmd/staunch", "amd64")
	hosts := testbed.Up(b, 20, testbed.With("python3"))
	var names strings.Builder
	for _, h := range hosts {
		fmt.Fprintln(&names, h.Name)
	}
	list := filepath.Join(dir, "names")
	if err := os.WriteFile(list, []byte(names.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	config := hosts[0].SSHConfig
	scan := []string{staunch, "scan", "--config", list, "--on", "all", "--ssh-config", config, "--fail-on", "never"}
	command := []string{ansible, "all", "-i", list, "-m", "command", "-a", "true"}
	tuned := []string{"ANSIBLE_PIPELINING=1", "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3"}
	rows := []struct {
		name string
		args []string
		env  []string
	}{
		{"staunch scan, first run (host part sent)", scan, nil},
		{"staunch scan, second run", scan, nil},
		{"staunch scan, third run", scan, nil},
		{"staunch scan, --dormant=off", append(scan, "--dormant=off"), nil},
		{"parallel-ssh true, 20 at once", []string{pssh, "-h", list, "-p", "20", "-x", "-F " + config, "true"}, nil},
		{"ansible -m command -a true, as it comes", command, nil},
		{"the same, forks 20", append(command, "-f", "20"), nil},
		{"the same, tuned: forks 20, pipelining, interpreter named", append(command, "-f", "20"), tuned},
	}
	for b.Loop() {
		for _, row := range rows {
			took, cpu := timed(b, row.args, "-F "+config, row.env)
			fmt.Printf("| %s | %.2f | %.2f |\n", row.name, took.Seconds(), cpu.Seconds())
		}
	}
}

func build(b *testing.B, out, pkg, arch string) {
	b.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir = real.Top(b)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if msg, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, msg)
	}
}

// timed runs a command; all exit codes of a scan that saw every host are good here, a peer must end with 0.
func timed(b *testing.B, args []string, ssh string, env []string) (wall, cpu time.Duration) {
	b.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	// each run begins without open connections, as ours do
	cmd.Env = append(os.Environ(), "ANSIBLE_SSH_ARGS="+ssh+" -o ControlMaster=auto -o ControlPersist=5s", "ANSIBLE_SSH_CONTROL_PATH_DIR="+b.TempDir())
	cmd.Env = append(cmd.Env, env...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	wall = time.Since(began)
	text := string(out)
	if filepath.Base(args[0]) == "staunch" {
		if !strings.Contains(text, "20 of 20 known hosts seen") {
			b.Fatalf("%v: %s", err, text)
		}
	} else if err != nil {
		b.Fatalf("%s: %v: %s", args[0], err, text)
	}
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
