package testbed_test

import (
	"strings"
	"testing"

	"staunch/testbed"
)

func TestHostsAreRealMachines(t *testing.T) {
	hosts := testbed.Up(t, 2)
	a, b := hosts[0], hosts[1]

	if got := a.Exec(t, "hostname; ps -p 1 -o comm="); got != "st-1\nsystemd" {
		t.Errorf("host and its first process: %q", got)
	}
	ask := "exec 3<>/dev/tcp/127.0.0.1/%; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -1 <&3"
	for _, port := range []string{"7001", "7002"} {
		out, err := a.Run("op", "bash -c '"+strings.ReplaceAll(strings.ReplaceAll(ask, "%", port), "'", "'\\''")+"'")
		if err != nil || out != "libtally "+testbed.Old+" 1" {
			t.Errorf("port %s answers %q, %v", port, out, err)
		}
	}
	if out, err := a.Run("op", "sudo -n id -u"); err != nil || out != "0" {
		t.Errorf("op's sudo: %q, %v", out, err)
	}
	if _, err := a.Run("pass", "sudo -n id -u"); err == nil {
		t.Error("pass got sudo without a password")
	}
	if out, err := a.Run("pass", "echo "+testbed.Password+" | sudo -S -p '' id -u"); err != nil || out != "0" {
		t.Errorf("pass's sudo with the password: %q, %v", out, err)
	}

	a.Exec(t, "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y libtally1="+testbed.New)
	if maps := a.Exec(t, "cat /proc/$(systemctl show -P MainPID tallyd)/maps"); !strings.Contains(maps, "libtally.so.1 (deleted)") && !strings.Contains(maps, "libtally.so.1.dpkg-new (deleted)") {
		t.Errorf("after the upgrade the running daemon does not show the old object:\n%s", maps)
	}

	b.Partition(t)
	if _, err := b.Run("root", "true"); err == nil {
		t.Error("a host that is cut off answered")
	}
	b.Heal(t)
	b.Exec(t, "echo kept >/root/note; sync")
	b.Reboot(t)
	b.Kill(t)
	b.Start(t)
	if got := b.Exec(t, "cat /root/note"); got != "kept" {
		t.Errorf("after reboot and power cut the note says %q", got)
	}
}
