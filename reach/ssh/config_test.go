package ssh

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/testbed/real"
)

const someConfig = `Host web1
	HostName 10.1.2.3
	Port 2222
	User deploy
	IdentityFile ~/.ssh/work
	IdentitiesOnly yes
	UserKnownHostsFile ~/.ssh/known_work
	ProxyJump gate
	ConnectTimeout 7
Host odd
	ProxyCommand nc %h %p
Host *
	StrictHostKeyChecking no
`

func withConfig(t *testing.T, program string) *Dialer {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "config")
	if err := os.WriteFile(file, []byte(someConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Dialer{Program: program, ConfigFile: file, Home: home, User: "me"}
}

// configured holds both ways of reading a configuration to the same answers.
func configured(t *testing.T, d *Dialer) {
	t.Helper()
	got, err := d.resolve(t.Context(), fleet.Host{Name: "web1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.address() != "10.1.2.3:2222" || got.user != "deploy" || got.jump != "gate" || !got.onlyKeys || got.timeout != 7*time.Second || !got.strictOff {
		t.Errorf("%+v", got)
	}
	if !strings.HasSuffix(got.keys[0], "/.ssh/work") || !strings.HasSuffix(got.known[0], "/.ssh/known_work") {
		t.Errorf("keys %v, known hosts %v", got.keys, got.known)
	}
	if odd, err := d.resolve(t.Context(), fleet.Host{Name: "odd"}); err != nil || odd.needsOwn == "" {
		t.Errorf("a ProxyCommand: %+v, %v", odd, err)
	}
	mine, err := d.resolve(t.Context(), fleet.Host{Name: "web1", Address: "10.9.9.9", User: "root", Port: 22})
	if err != nil || mine.address() != "10.9.9.9:22" || mine.user != "root" {
		t.Errorf("the fleet's own word: %+v, %v", mine, err)
	}
}

func TestConfigurationAsSSHReadsIt(t *testing.T) {
	real.Slow(t)
	program, err := exec.LookPath("ssh")
	if err != nil {
		real.Missing(t, "ssh is not installed")
	}
	configured(t, withConfig(t, program))
}

func TestConfigurationWithoutSSH(t *testing.T) { configured(t, withConfig(t, "")) }

func TestBrokenConfigurationIsSaid(t *testing.T) {
	d := withConfig(t, "")
	d.ConfigFile = filepath.Join(d.Home, "none")
	if _, err := d.resolve(t.Context(), fleet.Host{Name: "web1"}); !fault.Is(err, fault.Usage) {
		t.Errorf("a named file that is not there: %v", err)
	}
}

func TestCommandsNeedNoQuotingAndHoldNoData(t *testing.T) {
	for _, script := range []string{enter, put, clean} {
		if strings.ContainsAny(script, "'!\n`") {
			t.Errorf("some login shell would not pass this on unchanged: %s", script)
		}
		if out, err := exec.Command("/bin/sh", "-n", "-c", script).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

func TestWhyAHostDidNotComeToThePoint(t *testing.T) {
	code := func(n int) error {
		return exec.Command("/bin/sh", "-c", "exit "+string(rune('0'+n/10))+string(rune('0'+n%10))).Run()
	}
	for _, c := range []struct {
		ended error
		words string
		kind  fault.Kind
	}{
		{code(84), "gzip: stdout: No space left on device", fault.Full},
		{code(85), "", fault.Corrupt},
		{code(82), "mkdir: cannot create directory: Permission denied", fault.Denied},
		{code(1), "sudo: a password is required", fault.Denied},
		{code(1), "This account is currently not available.", fault.Unreachable},
		{code(1), "", fault.Unreachable},
		{nil, "", fault.Unreachable},
	} {
		if err := explain("web1", c.ended, c.words); !fault.Is(err, c.kind) || !strings.Contains(err.Error(), "web1") {
			t.Errorf("%v %q: %v", c.ended, c.words, err)
		}
	}
}

func TestMissingHostPartIsSaid(t *testing.T) {
	if _, err := (&Parts{Dir: t.TempDir()}).For("amd64"); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.HintOf(err), "make build") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

func FuzzJumpHost(f *testing.F) {
	for _, s := range []string{"gate", "me@gate:2222", "ssh://me@gate:22", "[::1]:22", "-oProxyCommand=x", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := jumpHost(s)
		if err == nil && (strings.HasPrefix(h.Dial(), "-") || strings.HasPrefix(h.User, "-") || h.Dial() == "") {
			t.Errorf("%q became %+v", s, h)
		}
	})
}
