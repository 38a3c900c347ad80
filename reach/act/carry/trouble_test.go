package carry_test

import (
	"fmt"
	"strings"
	"testing"

	"staunch/reach/act"
	"staunch/testbed"
)

// localPackage offers libtally1 in a version of the test's own, with a maintainer script of the test's own, in a source of the host's own.
const localPackage = `set -e
cd /root && rm -rf local && mkdir local && cd local
apt-get -q download libtally1=%OLD% >/dev/null 2>&1
dpkg-deb -R libtally1_*.deb tree && rm libtally1_*.deb
sed -i 's/^Version:.*/Version: %VERSION%/' tree/DEBIAN/control
printf '%%s\n' '#!/bin/sh' '%POSTINST%' >tree/DEBIAN/postinst
chmod 755 tree/DEBIAN/postinst
mkdir -p /srv/repo && dpkg-deb -b tree /srv/repo/libtally1_%VERSION%_amd64.deb >/dev/null
cd /srv/repo && { echo "Package: libtally1"; sed -n '2,$p' /root/local/tree/DEBIAN/control; echo "Filename: ./libtally1_%VERSION%_amd64.deb"; echo "Size: $(stat -c %s libtally1_%VERSION%_amd64.deb)"; echo "SHA256: $(sha256sum libtally1_%VERSION%_amd64.deb | cut -d' ' -f1)"; } >Packages
echo "deb [trusted=yes] file:/srv/repo ./" >/etc/apt/sources.list.d/local.list
apt-get update -q >/dev/null`

// offer makes such a package.
func offer(t *testing.T, m machine, version, postinst string) {
	t.Helper()
	m.Exec(t, strings.NewReplacer("%OLD%", testbed.Old, "%VERSION%", version, "%POSTINST%", postinst, "%%", "%").Replace(localPackage))
}

// slow is a maintainer script that takes its time: until a file is gone.
const slow = `touch /run/slow-began; while [ -e /var/tmp/slow ]; do sleep 0.1; done`

// began starts an upgrade that hangs in its maintainer script, on the host and without waiting for it.
func began(t *testing.T, m machine, id string) act.Order {
	t.Helper()
	o := newOrder(t, id, act.Upgrade, libtally("1.2-1"))
	offer(t, m, "1.2-1", slow)
	m.Exec(t, "touch /var/tmp/slow; rm -f /run/slow-began")
	m.Write(t, "/var/tmp/"+id, encodeOrder(t, o), 0o600)
	m.Exec(t, "setsid "+carrier+" do </var/tmp/"+id+" >/var/tmp/"+id+".out 2>&1 & sleep 0.1; echo started")
	eventually(t, "the maintainer script runs", func() bool { _, err := m.Run("root", "test -e /run/slow-began"); return err == nil })
	return o
}

func aHeldLockIsWaitedForOrRefused(t *testing.T, m machine) {
	m.Exec(t, "setsid "+carrier+" hold /var/lib/dpkg/lock-frontend 4s >/run/held 2>&1 </dev/null & while ! grep -q held /run/held; do sleep 0.05; done")
	short := libtally(testbed.New)
	short.LockForMS = 300
	p := m.check(newOrder(t, "locked", act.Upgrade, short))
	if !strings.Contains(strings.Join(p.Warns, "\n"), "in use by carry") {
		t.Errorf("the preview does not name who holds the lock: %+v", p)
	}
	m.want(m.do(newOrder(t, "locked", act.Upgrade, short)), act.Refused, "in use by carry")
	m.want(m.do(newOrder(t, "patient", act.Upgrade, libtally(testbed.New))), act.Done, "")
	m.want(m.do(undoOf(newOrder(t, "patient", act.Upgrade, libtally(testbed.New)))), act.Undone, "")
}

func aFullDiskLosesNothing(t *testing.T, m machine) {
	m.Exec(t, `mkdir -p /srv/small && mount -t tmpfs -o size=400k small /srv/small && echo old >/srv/small/conf`)
	big := strings.Repeat("x", 600<<10)
	place := newOrder(t, "too-big", act.Place, &act.PlaceWith{Files: []act.File{
		{Path: "/srv/small/first", Pieces: []act.Piece{{Text: "small\n"}}}, {Path: "/srv/small/conf", Pieces: []act.Piece{{Text: big}}},
	}})
	m.want(m.do(place), act.Refused, "no room")
	if got := m.Exec(t, "cat /srv/small/conf; ls -A /srv/small"); got != "old\nconf" {
		t.Errorf("after the full disk: %q", got)
	}

	m.Exec(t, `mkdir -p /var/lib/staunch-host && cp -a /var/lib/staunch-host /root/saved && rm -rf /root/saved/undo && mount -t tmpfs -o size=2m state /var/lib/staunch-host && cp -a /root/saved/. /var/lib/staunch-host/`)
	restart := newOrder(t, "first-on-small", act.Restart, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 200})
	m.want(m.do(restart), act.Done, "")
	m.Exec(t, "head -c 8M /dev/zero >/var/lib/staunch-host/filler 2>/dev/null; true")
	// a record may still fit into the last block, and the end of an order into the ballast: then come refusals, before anything is done
	for i := range 20 {
		before := m.Exec(t, "systemctl show -P InvocationID tallyd")
		out := m.do(newOrder(t, fmt.Sprintf("hardly-any-room-%d", i), act.Restart, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 200}))
		if out.Status == act.Refused {
			m.want(out, act.Refused, "no room")
			if m.Exec(t, "systemctl show -P InvocationID tallyd") != before {
				t.Error("an order without a record was carried out")
			}
			break
		}
		if m.want(out, act.Done, ""); i == 19 {
			t.Error("20 orders fit into no room")
		}
	}
	m.Exec(t, "umount /var/lib/staunch-host /srv/small")
}

// aFullDiskInTheMiddleOfAnUpgradeIsToldAndMended fills the disk under dpkg's own records: the manager itself runs out of room.
func aFullDiskInTheMiddleOfAnUpgradeIsToldAndMended(t *testing.T, m machine) {
	m.Exec(t, `cp -a /var/lib/dpkg /root/dpkg && mount -t tmpfs -o mode=755,size=$(($(du -sk /root/dpkg | cut -f1) + 4096))k tiny /var/lib/dpkg && cp -a /root/dpkg/. /var/lib/dpkg/ && { head -c 1G /dev/zero >/var/lib/dpkg/filler 2>/dev/null; true; }`)
	o := newOrder(t, "no-room-for-dpkg", act.Upgrade, libtally(testbed.New))
	out := m.do(o)
	if said := out.Says + strings.Join(out.Log, "\n"); out.Status != act.Failed && out.Status != act.Refused || !strings.Contains(said, "o space left") && !strings.Contains(said, "no room") {
		t.Errorf("without room: %s, %s\n%s", out.Status, out.Says, strings.Join(out.Log, "\n"))
	}
	if again := m.do(o); again.Status != out.Status || !again.Repeat {
		t.Errorf("asked again: %+v", again)
	}
	m.Exec(t, `rm /var/lib/dpkg/filler; cp -a /var/lib/dpkg /root/dpkg.now && umount /var/lib/dpkg && rm -rf /var/lib/dpkg /root/dpkg && mv /root/dpkg.now /var/lib/dpkg`)
	second := o
	second.ID = "no-room-for-dpkg/1"
	m.want(m.do(second), act.Done, "")
	if got := m.Exec(t, "dpkg --audit | wc -l; dpkg-query -W -f '${Version} ${db:Status-Status}' libtally1; ls /usr/sbin/policy-rc.d 2>/dev/null | wc -l"); got != "0\n"+testbed.New+" installed0" {
		t.Errorf("after the second attempt: %q", got)
	}
	m.want(m.do(undoOf(second)), act.Undone, "")
}

func killedMidAct(t *testing.T, m machine) {
	o := began(t, m, "killed")
	m.Exec(t, "kill -9 $(pgrep -x carry); sleep 0.3; pgrep -x carry | wc -l")
	if out, err := m.call("unfinished", o); err != nil || !strings.Contains(out, "killed/0") {
		t.Errorf("the killed order went unnoticed: %s, %v", out, err)
	}
	m.want(m.do(o), act.Unknown, "its end was not seen")
	m.Exec(t, "rm /var/tmp/slow; while pgrep -x dpkg >/dev/null || pgrep -x apt-get >/dev/null; do sleep 0.1; done")
	// apt went on without us and ended: the machine shows it
	m.want(m.do(o), act.Done, "the machine shows its effect")
	if out, err := m.call("unfinished", o); err != nil || strings.TrimSpace(out) != "null" {
		t.Errorf("still unfinished: %s, %v", out, err)
	}
	m.want(m.do(undoOf(o)), act.Undone, "")
	if got := m.Exec(t, "ls /usr/sbin/policy-rc.d 2>/dev/null | wc -l"); got != "0" {
		t.Error("the killed act left its policy-rc.d behind")
	}
}

func rebootedMidAct(t *testing.T, m machine) {
	o := began(t, m, "rebooted")
	m.Kill(t) // a power cut
	m.Start(t)
	m.want(m.do(o), act.Unknown, "its end was not seen")
	m.Exec(t, "rm -f /var/tmp/slow")
	second := o
	second.ID = "rebooted/1"
	if p := m.check(second); !strings.Contains(strings.Join(p.Warns, "\n"), "rebooted/0") {
		t.Errorf("the preview is silent about the half-done order: %+v", p)
	}
	m.want(m.do(second), act.Done, "")
	if got := m.Exec(t, "dpkg --audit | wc -l; dpkg-query -W -f '${Version} ${db:Status-Status}' libtally1"); got != "0\n1.2-1 installed" {
		t.Errorf("after the second attempt: %q", got)
	}
	m.want(m.do(o), act.Done, "")
}

func cutOffMidAct(t *testing.T, m machine) {
	o := began(t, m, "cut-off")
	m.Partition(t)
	if err := removeFromOutside(m, "/var/tmp/slow"); err != nil {
		t.Fatal(err)
	}
	m.Heal(t)
	eventually(t, "the order ends without its caller", func() bool {
		out, err := m.call("unfinished", o)
		return err == nil && strings.TrimSpace(out) == "null"
	})
	out := m.do(o)
	if m.want(out, act.Done, "done and seen"); !out.Repeat {
		t.Error("the order was carried out a second time")
	}
	m.want(m.do(undoOf(o)), act.Undone, "")
}

func rebootedByOrder(t *testing.T, m machine) {
	o := newOrder(t, "reboot", act.Reboot, &act.RebootWith{BootID: m.Exec(t, "cat /proc/sys/kernel/random/boot_id")})
	before := m.Exec(t, "cut -d' ' -f22 /proc/1/stat")
	m.Write(t, "/var/tmp/reboot", encodeOrder(t, o), 0o600)
	_, _ = m.Run("root", "setsid "+carrier+" do </var/tmp/reboot >/var/tmp/reboot.out 2>&1 & sleep 0.1") // the machine may be down before it answers
	eventually(t, "the machine is back", func() bool {
		now, err := m.Run("root", "cut -d' ' -f22 /proc/1/stat")
		return err == nil && now != before
	})
	m.want(m.do(o), act.Done, "the machine shows its effect")
	if out := m.do(o); !out.Repeat {
		t.Error("the reboot was not answered from the journal")
	}
}
