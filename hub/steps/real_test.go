package steps_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/reach/ssh"
	"staunch/steer/plan"
	"staunch/steer/run"
	"staunch/testbed"
	"staunch/testbed/real"
)

// dialer reaches the test hosts as a person's own ssh would.
func dialer(t *testing.T, h *testbed.Host) *ssh.Dialer {
	t.Helper()
	dir := filepath.Dir(real.Build(t, "./cmd/staunch-host", "-ldflags", "-s -w"))
	if err := os.Rename(filepath.Join(dir, "staunch-host"), filepath.Join(dir, "staunch-host-linux-amd64")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "staunch-host-linux-arm64"), []byte("not for this machine"), 0o700); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		real.Missing(t, "ssh is not installed")
	}
	d := &ssh.Dialer{Program: program, ConfigFile: h.SSHConfig, Home: t.TempDir(), User: "root", Parts: &ssh.Parts{Dir: dir}}
	t.Cleanup(d.Close)
	return d
}

// TestStepsOnARealHost carries steps out on a real machine over ssh, and looks at what they prove before and after.
func TestStepsOnARealHost(t *testing.T) {
	real.Root(t)
	h := testbed.Up(t, 1)[0]
	d := dialer(t, h)
	f := fleet.Of("test", []fleet.Host{{Name: h.Name, Address: h.Addr}})
	f.Services = []fleet.Service{
		{Name: "tally", On: h.Name, Hosts: []string{h.Name}, Units: []string{"tallyd.service"}, Health: &fleet.Health{TCP: "{host}:7001", Within: 5 * time.Second}, Follows: "follows"},
		{Name: "wrong", On: h.Name, Hosts: []string{h.Name}, Health: &fleet.Health{URL: "http://{host}:7001/", Status: 418, Within: 5 * time.Second}},
		{Name: "hooked", On: h.Name, Hosts: []string{h.Name}, Health: &fleet.Health{Hook: "well"}},
	}
	units := &act.UnitsWith{Units: []string{"tallyd.service"}}
	up := step(t, "upgrade", act.Upgrade, &act.UpgradeWith{Packages: []act.Package{{Name: "libtally1", Version: testbed.New}}, Refresh: true}, h.Name)
	up.Proves = []plan.Predicate{{Kind: plan.Installed, Package: "libtally1", Version: testbed.New}}
	b := over(t, f, func(ctx context.Context, to fleet.Host) (host.Host, error) { return d.Dial(ctx, to) }, up,
		step(t, "restart", act.Restart, units, h.Name), step(t, "stop", act.Stop, units, h.Name), step(t, "mask", act.Mask, units, h.Name), step(t, "drain", act.Drain, &act.DrainWith{Service: "tally", Hook: "balancer"}, h.Name))
	here := func(kind plan.Fact) plan.Predicate { return plan.Predicate{Kind: kind, Host: h.Name} }
	daemon := func(kind plan.Fact) plan.Predicate { p := here(kind); p.Unit = "tallyd.service"; return p }
	of := func(kind plan.Fact, service string) plan.Predicate { p := here(kind); p.Service = service; return p }
	clean := daemon(plan.Clean)
	clean.Advisory = tallyBug
	w := b.work("upgrade", h.Name, 1)
	maps := daemon(plan.UnitMapsNew)
	maps.Object = b.object(h.Name, "/usr/lib/x86_64-linux-gnu/libtally.so.1")

	b.sees(run.No, clean, w)
	b.sees(run.Yes, of(plan.Healthy, "tally"), w)
	b.sees(run.No, of(plan.Healthy, "wrong"), w)
	b.sees(run.Unknown, of(plan.Healthy, "hooked"), w) // there is no such hook yet
	if seen := b.Happened(t.Context(), w); seen.Truth != run.No {
		t.Errorf("before it was done: %+v", seen)
	}
	b.does(w, act.Done)
	if out := b.does(w, act.Done); !out.Repeat {
		t.Error("the same attempt was carried out twice")
	}
	if seen := b.Happened(t.Context(), w); seen.Truth != run.Yes {
		t.Errorf("after it was done: %+v", seen)
	}
	b.sees(run.No, clean, w) // stale: the old code is in memory still
	b.sees(run.No, maps, w)
	restart := b.work("restart", h.Name, 1)
	b.sees(run.No, daemon(plan.OldWorkersGone), restart)
	b.does(restart, act.Done)
	b.sees(run.Yes, maps, restart)
	b.sees(run.Yes, daemon(plan.OldWorkersGone), restart)
	b.sees(run.Yes, daemon(plan.Running), restart)
	b.sees(run.Yes, clean, restart)

	h.Write(t, "/etc/staunch/hooks/well", "#!/bin/sh\ntest -e /srv/well\n", 0o755)
	h.Write(t, "/etc/staunch/hooks/follows", "#!/bin/sh\nexit 0\n", 0o755)
	h.Write(t, "/etc/staunch/hooks/balancer", "#!/bin/sh\nexit 0\n", 0o755)
	b.sees(run.No, of(plan.Healthy, "hooked"), w)
	h.Exec(t, "touch /srv/well")
	b.sees(run.Yes, of(plan.Healthy, "hooked"), w)
	b.sees(run.Yes, of(plan.Replicated, "tally"), w)
	drain := b.work("drain", h.Name, 1)
	b.does(drain, act.Done)
	b.sees(run.Yes, of(plan.Drained, "tally"), drain)

	stop := b.work("stop", h.Name, 1)
	b.does(stop, act.Done)
	b.sees(run.No, daemon(plan.Stopped), stop) // it can still be started
	b.does(b.work("mask", h.Name, 1), act.Done)
	b.sees(run.Yes, daemon(plan.Stopped), stop)
	b.sees(run.No, daemon(plan.Running), stop)
	b.sees(run.No, of(plan.Healthy, "tally"), stop)

	h.Partition(t)
	b.Hub.Patience = 5 * time.Second
	if seen := b.sees(run.Unknown, here(plan.Reachable), stop); !seen.Silent {
		t.Errorf("a host that is cut off: %+v", seen)
	}
	h.Heal(t)
}
