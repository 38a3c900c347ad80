// Package story_test tells whole nights on real Debian hosts, from the command line alone, as a team would live them.
package story_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/testbed"
	"staunch/testbed/real"

	"golang.org/x/crypto/ssh"
)

// team is people at one machine with a fleet of real hosts.
type team struct {
	*testing.T
	dir, staunch, parts string
	hosts               []*testbed.Host
	shop                authority // signs the shop's certificate
}

// newTeam boots the hosts of a fleet and gives the team its inventory. Without options the hosts are those of the night.
func newTeam(t *testing.T, hosts int, inventory string, options ...testbed.Option) *team {
	t.Helper()
	real.Root(t)
	x := &team{T: t, dir: t.TempDir()}
	x.staunch = real.Build(t, "./cmd/staunch")
	x.parts = filepath.Dir(real.Build(t, "./cmd/staunch-host", "-ldflags", "-s -w"))
	x.must(os.Rename(filepath.Join(x.parts, "staunch-host"), filepath.Join(x.parts, "staunch-host-linux-amd64")))
	x.must(os.WriteFile(filepath.Join(x.parts, "staunch-host-linux-arm64"), []byte("not for this machine"), 0o700))
	if len(options) == 0 {
		options = append(options, testbed.WithModules())
	}
	x.hosts = testbed.Up(t, hosts, options...)
	x.write("staunch.yaml", inventory)
	return x
}

func (x *team) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *team) path(name string) string { return filepath.Join(x.dir, name) }

func (x *team) write(name, text string) {
	x.Helper()
	x.must(os.WriteFile(x.path(name), []byte(text), 0o600))
}

// command is one command line of the team's, with state of its own.
func (x *team) command(args ...string) *exec.Cmd {
	switch args[0] {
	case "incident", "plan", "approve", "cert":
		args = append(args, "--config", x.path("staunch.yaml"), "--ssh-config", x.hosts[0].SSHConfig, "--host-parts", x.parts)
	}
	if args[0] == "cert" || args[0] == "incident" && args[1] == "run" {
		args = append(args, "--identity", x.path("identity"))
	}
	cmd := exec.Command(x.staunch, args...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+x.path("data"), "XDG_CACHE_HOME="+x.path("cache"), "NO_COLOR=1")
	return cmd
}

// says runs a command line and wants an exit code.
func (x *team) says(code int, args ...string) string {
	x.Helper()
	out, err := x.command(args...).CombinedOutput()
	if got := exitOf(err); got != code {
		x.Fatalf("staunch %s: exit %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

func exitOf(err error) int {
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func (x *team) has(what, text string, wants ...string) {
	x.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			x.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
}

// key makes a person's ssh key and puts the person on the list of those who may vote.
func (x *team) key(name string) string {
	x.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	x.must(err)
	block, err := ssh.MarshalPrivateKey(private, name)
	x.must(err)
	x.write(name+".key", string(pem.EncodeToMemory(block)))
	line, err := ssh.NewPublicKey(public)
	x.must(err)
	list, err := os.ReadFile(x.path("allowed_signers"))
	if err != nil && !os.IsNotExist(err) {
		x.Fatal(err)
	}
	x.write("allowed_signers", string(list)+name+" "+string(ssh.MarshalAuthorizedKey(line)))
	return x.path(name + ".key")
}
