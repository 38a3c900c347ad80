package carry_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"staunch/reach/act"
	"staunch/see/scan/elf"
	"staunch/testbed"
)

func aHeldPackageStaysWhereItIs(t *testing.T, m machine) {
	m.Exec(t, "apt-mark hold libtally1")
	m.want(m.do(newOrder(t, "held", act.Upgrade, libtally(testbed.New))), act.Refused, "is held at")
	if got := m.Exec(t, "dpkg-query -W -f '${Version}' libtally1; apt-mark showhold"); got != testbed.Old+"libtally1" {
		t.Errorf("after the refusal: %s", got)
	}
	m.Exec(t, "apt-mark unhold libtally1")
}

// nothingRestartsAnythingDuringAnUpgrade holds an upgrade against the same one by hand, which restarts the daemon twice: by the package's
// own script and by needrestart.
func nothingRestartsAnythingDuringAnUpgrade(t *testing.T, m machine) {
	m.Write(t, "/etc/needrestart/conf.d/st.conf", "$nrconf{restart} = 'a';\n", 0o644)
	offer(t, m, "1.3-1", "invoke-rc.d tallyd restart; deb-systemd-invoke restart tallyd-static.service")
	starts := func() string { return m.Exec(t, "systemctl show -P InvocationID tallyd tallyd-static | tr '\\n' ' '") }
	byHand := func(version string) {
		m.Exec(t, "DEBIAN_FRONTEND=noninteractive apt-get -q -y --allow-downgrades install libtally1="+version+" 2>&1")
	}

	was := strings.Fields(starts())
	byHand("1.3-1")
	if now := strings.Fields(starts()); now[0] == was[0] || now[1] == was[1] {
		t.Fatalf("by hand the package's script restarts nothing: this story proves nothing: %v, %v", was, now)
	}
	was = strings.Fields(starts())
	byHand(testbed.New) // has no script: only needrestart is left
	if now := strings.Fields(starts()); now[0] == was[0] {
		t.Fatalf("by hand needrestart restarts nothing: this story proves nothing: %v", now)
	}
	byHand(testbed.Old)

	for _, version := range []string{"1.3-1", testbed.New} {
		before := starts()
		with := libtally(version)
		with.Downgrade = version == testbed.New
		m.want(m.do(newOrder(t, "silent-"+version, act.Upgrade, with)), act.Done, "")
		if now := starts(); now != before {
			t.Errorf("libtally1 %s restarted something: %s, %s", version, before, now)
		}
	}
	if _, err := m.Run("root", "test -e /usr/sbin/policy-rc.d"); err == nil {
		t.Error("policy-rc.d was left behind")
	}
	m.Write(t, "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0 # the host's own\n", 0o755)
	back := libtally(testbed.Old)
	back.Downgrade = true
	m.want(m.do(newOrder(t, "own-policy", act.Upgrade, back)), act.Done, "")
	if got := m.Exec(t, "cat /usr/sbin/policy-rc.d; ls /usr/sbin | grep -c before-staunch || true"); !strings.Contains(got, "the host's own") || !strings.HasSuffix(got, "\n0") {
		t.Errorf("the host's own policy did not come back: %s", got)
	}
	m.Exec(t, "rm /usr/sbin/policy-rc.d")
}

func unattendedUpgradesAndOrdersKeepOutOfEachOthersWay(t *testing.T, m machine) {
	o := began(t, m, "unattended")
	out, err := m.Run("root", "timeout 60 unattended-upgrade -v 2>&1")
	if err == nil || !strings.Contains(strings.ToLower(out), "lock") {
		t.Errorf("unattended-upgrades worked beside an order: %v, %s", err, out)
	}
	m.Exec(t, "rm /var/tmp/slow")
	eventually(t, "the order ends", func() bool {
		left, err := m.call("unfinished", o)
		return err == nil && strings.TrimSpace(left) == "null"
	})
	m.want(m.do(o), act.Done, "done and seen")
	if out, err := m.Run("root", "timeout 60 unattended-upgrade -v 2>&1"); err != nil {
		t.Errorf("unattended-upgrades does not work again: %v, %s", err, out)
	}
	m.Exec(t, "setsid "+carrier+" hold /run/unattended-upgrades.lock 4s >/run/held 2>&1 </dev/null & while ! grep -q held /run/held; do sleep 0.05; done")
	back := libtally(testbed.Old)
	back.Downgrade, back.LockForMS = true, 300
	m.want(m.do(newOrder(t, "beside-unattended", act.Upgrade, back)), act.Refused, "in use by carry")
	back.LockForMS = 0
	m.want(m.do(newOrder(t, "after-unattended", act.Upgrade, back)), act.Done, "")
}

// aRestartProvesThatOneObjectIsGone: the object is named by its content, as a scan names it.
func aRestartProvesThatOneObjectIsGone(t *testing.T, m machine) {
	const library = "/usr/lib/x86_64-linux-gnu/libtally.so.1"
	old := objectOf(t, m.Path(library))
	m.want(m.do(newOrder(t, "gone-upgrade", act.Upgrade, libtally(testbed.New))), act.Done, "")
	restart := func(id, gone string) act.Outcome {
		return m.do(newOrder(t, id, act.Restart, &act.UnitsWith{Units: []string{"tallyd.service"}, Gone: []string{gone}, SettleMS: 300}))
	}
	m.want(restart("gone", old), act.Done, "done and seen")
	m.want(restart("not-gone", objectOf(t, m.Path(library))), act.Failed, "still maps "+library)
}

func objectOf(t *testing.T, path string) string {
	t.Helper()
	a, err := elf.New(nil, elf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.Analyse(context.Background(), f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return o.ID
}
