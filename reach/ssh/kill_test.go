package ssh_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/ssh"
	"staunch/testbed"
)

// slowly makes every act on a host wait in its middle until /run/go-on is there: a package by its maintainer script, a unit by its stop,
// a bundle by its validator.
const slowly = `set -e
cat >/usr/local/sbin/wait-here <<'X'
#!/bin/sh
touch /run/in-the-middle
while ! test -e /run/go-on; do sleep 0.05; done
X
chmod 755 /usr/local/sbin/wait-here
mkdir -p /etc/staunch/hooks /srv/bundle /etc/systemd/system
cp /usr/local/sbin/wait-here /etc/staunch/hooks/wait-here
printf '[Service]\nExecStart=/bin/sleep infinity\nExecStop=/usr/local/sbin/wait-here\n' >/etc/systemd/system/slow.service
systemctl daemon-reload; systemctl start slow
apt-get update -q >/dev/null; cd /root && rm -rf pkg && mkdir pkg && cd pkg
apt-get -q download libtally1=%OLD% >/dev/null 2>&1; dpkg-deb -R libtally1_*.deb tree; rm libtally1_*.deb
sed -i 's/^Version:.*/Version: 1.2-1/' tree/DEBIAN/control; cp /usr/local/sbin/wait-here tree/DEBIAN/postinst
mkdir -p /srv/repo; dpkg-deb -b tree /srv/repo/libtally1_1.2-1_amd64.deb >/dev/null; cd /srv/repo
{ echo "Package: libtally1"; sed -n '2,$p' /root/pkg/tree/DEBIAN/control; echo "Filename: ./libtally1_1.2-1_amd64.deb"; echo "Size: $(stat -c %s *.deb)"; echo "SHA256: $(sha256sum *.deb | cut -d' ' -f1)"; } >Packages
echo "deb [trusted=yes] file:/srv/repo ./" >/etc/apt/sources.list.d/slow.list; apt-get update -q >/dev/null`

// killedOnEitherSide kills, with SIGKILL, first the program that gave the order and then the host part that carries it out, while a package
// is installed, a unit stops, a bundle is checked. The order is never done twice, and never forgotten.
func killedOnEitherSide(t *testing.T, hosts []*testbed.Host, p *ssh.Parts) {
	h := hosts[1]
	h.Exec(t, strings.ReplaceAll(slowly, "%OLD%", testbed.Old))
	acts := map[string]act.Params{
		"upgrade": &act.UpgradeWith{Packages: []act.Package{{Name: "libtally1", Version: "1.2-1"}}},
		"restart": &act.UnitsWith{Units: []string{"slow.service"}, SettleMS: 100},
		"place":   &act.PlaceWith{Files: []act.File{{Path: "/srv/bundle/conf", Pieces: []act.Piece{{Text: "new\n"}}}}, Validator: "hook:wait-here"},
	}
	for kind, with := range acts {
		for _, side := range []string{"caller", "host"} {
			a, err := act.New(act.Kind(kind), with)
			must(t, err)
			h.Exec(t, "rm -f /run/go-on /run/in-the-middle; echo old >/srv/bundle/conf")
			if kind == "upgrade" && side == "host" {
				h.Exec(t, "touch /run/go-on; DEBIAN_FRONTEND=noninteractive apt-get -q -y --allow-downgrades install libtally1="+testbed.Old+" >/dev/null 2>&1; rm -f /run/go-on /run/in-the-middle")
			}
			o := act.Order{ID: kind + "/" + side + "/1", Host: h.Name, Step: kind, Act: a}
			t.Run(kind+", the "+side+" is killed", func(t *testing.T) { killed(t, h, p, o, side) })
		}
	}
	h.Exec(t, "rm -rf /etc/staunch /srv/bundle /etc/apt/sources.list.d/slow.list; touch /run/go-on; systemctl stop slow; apt-get update -q >/dev/null 2>&1")
}

func killed(t *testing.T, h *testbed.Host, p *ssh.Parts, o act.Order, side string) {
	caller := startCaller(t, h, p, o)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := h.Run("root", "test -e /run/in-the-middle"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the act does not get to its middle: %s", caller.said())
		}
	}
	if side == "caller" {
		must(t, caller.cmd.Process.Kill())
		_ = caller.cmd.Wait() // it was killed
	} else {
		h.Exec(t, "pkill -9 -f '^/proc/self/fd/3 serve ' || pkill -9 -f ' serve [0-9a-f]{32} '")
		_ = caller.cmd.Wait() // it says below how it ended
		if said := caller.said(); !strings.Contains(said, string(fault.Unsure)) {
			t.Errorf("the caller of a host part that was killed in the middle does not say that it is unsure: %s", said)
		}
	}
	d := dialer(t, h, p)
	again, err := dial(t, d, fleet.Host{Name: h.Name})
	must(t, err)
	if problems := strings.Join(health(t, again).Problems, "\n"); !strings.Contains(problems, o.ID) {
		t.Errorf("the host does not name the order that is under way or was cut: %q", problems)
	}
	h.Exec(t, "touch /run/go-on")
	out := repeated(t, again, o)
	switch {
	case side == "caller" && out.Status != act.Done:
		t.Errorf("the order went on without its caller and ended as %s: %s", out.Status, out.Says)
	case side == "host" && out.Status != act.Done && out.Status != act.Unknown:
		t.Errorf("the order whose host part was killed is told as %s: %s", out.Status, out.Says)
	case out.Status == act.Unknown: // a person looked, and orders it anew
		o.ID = strings.TrimSuffix(o.ID, "1") + "2"
		if out = repeated(t, again, o); out.Status != act.Done && out.Status != act.Already {
			t.Errorf("the second attempt ended as %s: %s %v", out.Status, out.Says, out.Log)
		}
	}
	shown := map[string]string{
		"upgrade": "test $(dpkg-query -W -f '${Version}' libtally1) = 1.2-1 && ! dpkg --audit | grep .", "restart": "systemctl is-active slow", "place": "grep -q new /srv/bundle/conf && test $(ls -A /srv/bundle | wc -l) = 1",
	}
	if text, err := h.Run("root", shown[string(o.Act.Kind)]); err != nil {
		t.Errorf("the machine does not show it: %s", text)
	}
}

// repeated asks for the order until the host is free to answer: what was begun may still be going on.
func repeated(t *testing.T, c host.Host, o act.Order) act.Outcome {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		out, err := c.Do(t.Context(), o, nil)
		must(t, err)
		busy := out.Status == act.Unknown && strings.Contains(out.Says, "is not installed in") || out.Status == act.Refused && strings.Contains(out.Says, "another order")
		if !busy || time.Now().After(end) {
			return out
		}
	}
}

// caller is another process that gives one order over ssh.
type caller struct {
	cmd *exec.Cmd
	out *strings.Builder
}

func (c caller) said() string { return c.out.String() }

// startCaller starts this very test program again as the caller: a process that can be killed.
func startCaller(t *testing.T, h *testbed.Host, p *ssh.Parts, o act.Order) caller {
	t.Helper()
	b, err := json.Marshal(o)
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, "-test.run", "^TestCaller$", "-test.v")
	cmd.Env = append(os.Environ(), "CALLER_ORDER="+string(b), "CALLER_CONFIG="+h.SSHConfig, "CALLER_PARTS="+p.Dir, "CALLER_HOME="+t.TempDir())
	c := caller{cmd: cmd, out: &strings.Builder{}}
	cmd.Stdout, cmd.Stderr = c.out, c.out
	must(t, cmd.Start())
	return c
}

// TestCaller is not a test: it is what startCaller starts.
func TestCaller(t *testing.T) {
	text := os.Getenv("CALLER_ORDER")
	if text == "" {
		t.Skip("only as the caller of another test")
	}
	var o act.Order
	must(t, json.Unmarshal([]byte(text), &o))
	d := &ssh.Dialer{Program: program(t), ConfigFile: os.Getenv("CALLER_CONFIG"), Home: os.Getenv("CALLER_HOME"), User: "root", Parts: &ssh.Parts{Dir: os.Getenv("CALLER_PARTS")}}
	c, err := d.Dial(context.Background(), fleet.Host{Name: o.Host})
	must(t, err)
	out, err := c.Do(context.Background(), o, nil)
	fmt.Println("outcome", out.Status, out.Says, "kind", fault.KindOf(err), "error", err)
}
