package ssh

import (
	"context"
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

func lay(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A Print changes with everything that decides where a login goes, who is believed there, and with which rights.
func TestPrintChangesWithWhatALoginComesFrom(t *testing.T) {
	d := withConfig(t, sshProgram(t))
	home, config := d.Home, d.ConfigFile
	mine := strings.ReplaceAll(someConfig, "~", home) // ssh takes the home directory from the password file
	lay(t, config, mine)
	for _, arch := range []string{"amd64", "arm64"} {
		lay(t, filepath.Join(home, "parts", "staunch-host-linux-"+arch), arch)
	}
	web1 := fleet.Host{Name: "web1"}
	fresh := func() *Dialer {
		return &Dialer{Program: d.Program, ConfigFile: config, Home: home, User: "me", Parts: &Parts{Dir: filepath.Join(home, "parts")}}
	}
	print := func(d *Dialer, h fleet.Host) string {
		t.Helper()
		p, err := d.Print(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	seen := map[string]string{print(fresh(), web1): "nothing"}
	for _, change := range []struct {
		what string
		make func(*Dialer) fleet.Host
	}{
		{"another host", func(*Dialer) fleet.Host { return fleet.Host{Name: "web2"} }},
		{"another address", func(*Dialer) fleet.Host { return fleet.Host{Name: "web1", Address: "10.9.9.9"} }},
		{"another user", func(*Dialer) fleet.Host { return fleet.Host{Name: "web1", User: "root"} }},
		{"another port", func(*Dialer) fleet.Host { return fleet.Host{Name: "web1", Port: 23} }},
		{"rights", func(d *Dialer) fleet.Host { d.Sudo = SudoNever; return web1 }},
		{"an agent", func(d *Dialer) fleet.Host { d.Agent = "/run/agent"; return web1 }},
		{"a host key", func(*Dialer) fleet.Host { lay(t, filepath.Join(home, ".ssh/known_work"), "# one\n"); return web1 }},
		{"a host key again", func(*Dialer) fleet.Host { lay(t, filepath.Join(home, ".ssh/known_work"), "# two\n"); return web1 }},
		{"a jump host's key", func(*Dialer) fleet.Host { lay(t, filepath.Join(home, ".ssh/known_gate"), "# gate\n"); return web1 }},
		{"a key to log in with", func(*Dialer) fleet.Host { lay(t, filepath.Join(home, ".ssh/work"), "key"); return web1 }},
		{"its certificate", func(*Dialer) fleet.Host { lay(t, filepath.Join(home, ".ssh/work-cert.pub"), "cert"); return web1 }},
		{"the host part", func(*Dialer) fleet.Host {
			lay(t, filepath.Join(home, "parts/staunch-host-linux-arm64"), "newer")
			return web1
		}},
		{"the configuration", func(*Dialer) fleet.Host { lay(t, config, mine+"Host gate\n\tPort 24\n"); return web1 }},
	} {
		if change.what == "a jump host's key" {
			lay(t, config, "Host gate\n\tUserKnownHostsFile "+home+"/.ssh/known_gate\n"+mine)
			seen[print(fresh(), web1)] = "the jump host's file"
		}
		d := fresh()
		h := change.make(d)
		got := print(d, h)
		if before, known := seen[got]; known {
			t.Errorf("%s: the same as with %s", change.what, before)
		}
		seen[got] = change.what
		if again := fresh(); again.Sudo == d.Sudo && again.Agent == d.Agent && print(again, h) != got {
			t.Errorf("%s: not the same when asked again", change.what)
		}
	}
}

func TestWhatCannotBeNamedHasNoPrint(t *testing.T) {
	d := withConfig(t, sshProgram(t))
	for _, arch := range []string{"amd64", "arm64"} {
		lay(t, filepath.Join(d.Home, "parts", "staunch-host-linux-"+arch), arch)
	}
	d.Parts = &Parts{Dir: filepath.Join(d.Home, "parts")}
	for _, h := range []fleet.Host{{Name: "odd"}, {Name: "web1", Via: fleet.ViaSystem}, {Name: "gate", System: "openbsd"}} {
		if p, err := d.Print(t.Context(), h); !fault.Is(err, fault.Unsupported) {
			t.Errorf("%+v: %q, %v", h, p, err)
		}
	}
	if _, err := d.Print(t.Context(), fleet.Host{Name: "web2"}); err != nil {
		t.Error(err)
	}
	d.Password = func(context.Context) (string, error) { return "", nil }
	if _, err := d.Print(t.Context(), fleet.Host{Name: "web2"}); !fault.Is(err, fault.Unsupported) {
		t.Errorf("with a password: %v", err)
	}
	d.Password, d.Parts = nil, &Parts{Dir: "/nowhere"}
	if _, err := d.Print(t.Context(), fleet.Host{Name: "web2"}); !fault.Is(err, fault.Unsupported) {
		t.Errorf("without a host part: %v", err)
	}
}

func TestSumsAreRememberedForOneStateOfAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "staunch-host-linux-amd64")
	lay(t, path, "one")
	of := func() Part {
		t.Helper()
		p, err := (&Parts{Dir: dir, Memory: filepath.Join(dir, "memory")}).For("amd64")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one := of()
	if _, err := os.Stat(filepath.Join(dir, "memory")); !os.IsNotExist(err) {
		t.Error("a file that was just written is remembered: its next change could have the same time")
	}
	time.Sleep(2100 * time.Millisecond) // until the state is settled
	for range 2 {
		if again := of(); again.Sum != one.Sum || again.Quick != one.Quick {
			t.Errorf("%+v, %+v", one, again)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "memory", "host-parts.json"))
	if err != nil || !strings.Contains(string(text), one.Sum) {
		t.Fatalf("not remembered: %s, %v", text, err)
	}
	lay(t, path, "two")
	if two := of(); two.Sum == one.Sum {
		t.Error("a change is not seen")
	}
	// a wrong memory never sends a program under another's sum
	lay(t, filepath.Join(dir, "memory", "host-parts.json"), strings.ReplaceAll(string(text), one.Sum, strings.Repeat("0", 64)))
	lay(t, path, "one")
	if id, _, err := fileState(path); err != nil {
		t.Fatal(err)
	} else {
		p := &Parts{Dir: dir, Memory: filepath.Join(dir, "memory")}
		p.remember("staunch-host-linux-amd64", id, Part{Sum: strings.Repeat("0", 64), Quick: one.Quick})
	}
	if _, err := of().pack(); !fault.Is(err, fault.Corrupt) {
		t.Errorf("packed under a wrong sum: %v", err)
	}
	if now := of(); now.Sum != one.Sum {
		t.Error("the wrong memory stays")
	}
}

func sshProgram(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("ssh")
	if err != nil {
		real.Missing(t, "ssh is not installed")
	}
	return program
}
