package carry_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/testbed"
	"staunch/testbed/real"
)

// machine is a real Debian host with the engine on it.
type machine struct {
	*testbed.Host
	t *testing.T
}

const carrier = "/usr/local/sbin/carry"

func machines(t *testing.T, n int, options ...testbed.Option) []machine {
	t.Helper()
	hosts := testbed.Up(t, n, options...)
	program, err := os.ReadFile(real.Build(t, "./reach/act/carry/testdata/carry"))
	if err != nil {
		t.Fatal(err)
	}
	var found []machine
	for _, h := range hosts {
		if err := os.WriteFile(h.Path(carrier), program, 0o755); err != nil {
			t.Fatal(err)
		}
		h.Exec(t, "apt-get update -q")
		found = append(found, machine{h, t})
	}
	return found
}

// call runs the carrier on the host with an order on its stdin; env is put before the command.
func (m machine) call(verb string, o act.Order, env ...string) (string, error) {
	m.t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		m.t.Fatal(err)
	}
	file := "/var/tmp/order-" + strings.ReplaceAll(o.ID, "/", "_") + verb
	m.Write(m.t, file, string(b), 0o600)
	return m.Run("root", strings.Join(env, " ")+" "+carrier+" "+verb+" <"+file)
}

func (m machine) do(o act.Order, env ...string) act.Outcome {
	m.t.Helper()
	text, err := m.call("do", o, env...)
	if err != nil {
		m.t.Fatalf("%s: %v: %s", o.ID, err, text)
	}
	var out act.Outcome
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		m.t.Fatalf("%s: %v", text, err)
	}
	return out
}

func (m machine) check(o act.Order) act.Preview {
	m.t.Helper()
	text, err := m.call("check", o)
	if err != nil {
		m.t.Fatalf("%s: %v: %s", o.ID, err, text)
	}
	var p act.Preview
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		m.t.Fatalf("%s: %v", text, err)
	}
	return p
}

// want ends the test when an order did not end as it should.
func (m machine) want(out act.Outcome, status act.Status, says string) {
	m.t.Helper()
	if out.Status != status || !strings.Contains(out.Says, says) {
		m.t.Fatalf("order %s ended as %s: %q\n%s\nwant %s with %q", out.Order, out.Status, out.Says, strings.Join(out.Log, "\n"), status, says)
	}
}

func newOrder(t *testing.T, id string, kind act.Kind, with act.Params) act.Order {
	t.Helper()
	a, err := act.New(kind, with)
	if err != nil {
		t.Fatal(err)
	}
	return act.Order{ID: id + "/0", Step: id, Act: a}
}

func undoOf(o act.Order) act.Order {
	o.ID, o.Undo, o.Of = o.ID+"/undo", true, o.ID
	return o
}

// TestOnRealHosts shares its hosts between stories, because booting them is what takes the time. Each host has one story at a time.
func TestOnRealHosts(t *testing.T) {
	hosts := machines(t, 8, testbed.With("dnf", "zypper", "createrepo-c", "rpm", "needrestart", "unattended-upgrades"))
	for name, stories := range map[string][]func(*testing.T, machine){
		"trouble":   {aHeldLockIsWaitedForOrRefused, aFullDiskLosesNothing, aFullDiskInTheMiddleOfAnUpgradeIsToldAndMended, killedMidAct, cutOffMidAct, rebootedMidAct, rebootedByOrder},
		"upgrade":   {upgradeAndRestartMoveEveryProcessToTheNewObjectAndUndoBringsTheOldBack},
		"units":     {units, aReloadThatFailsBringsTheOldFilesBack},
		"kill":      {killedAtEveryPoint},
		"bounds":    {forgedExpiredReplayedWrongHostAndUnderSignedOrdersAreRefused, aPolicyBoundsWhatMayBeTouched},
		"rpm":       {withDnf, withZypper},
		"self undo": {stoppingOurWayInUndoesItselfUnlessConfirmed, whatNobodyConfirmedIsUndoneAlsoAfterAReboot},
		"apt":       {aHeldPackageStaysWhereItIs, nothingRestartsAnythingDuringAnUpgrade, unattendedUpgradesAndOrdersKeepOutOfEachOthersWay, aRestartProvesThatOneObjectIsGone},
	} {
		h := hosts[0]
		hosts = hosts[1:]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, story := range stories {
				story(t, machine{h.Host, t})
			}
		})
	}
}

func libtally(version string) *act.UpgradeWith {
	return &act.UpgradeWith{Packages: []act.Package{{Name: "libtally1", Version: version}}}
}

func upgradeAndRestartMoveEveryProcessToTheNewObjectAndUndoBringsTheOldBack(t *testing.T, m machine) {
	mapsOld := func() string {
		return m.Exec(t, "cat /proc/$(systemctl show -P MainPID tallyd)/maps | grep -c 'libtally.*(deleted)' || true")
	}
	upgrade := newOrder(t, "upgrade", act.Upgrade, libtally(testbed.New))
	p := m.check(upgrade)
	if p.Refused != "" || p.Already || !strings.Contains(strings.Join(p.Says, "\n"), "libtally1 1.0-1 -> 1.1-1") || !strings.HasPrefix(p.Undo, "installs the saved") {
		t.Fatalf("preview: %+v", p)
	}
	if got := m.Exec(t, "dpkg-query -W -f '${Version}' libtally1"); got != testbed.Old {
		t.Fatalf("the preview changed the host: %s", got)
	}
	out := m.do(upgrade)
	m.want(out, act.Done, "done and seen")
	if mapsOld() == "0" {
		t.Error("the daemon was restarted by the upgrade")
	}
	if got := m.Exec(t, "ls /usr/sbin/policy-rc.d 2>/dev/null | wc -l"); got != "0" {
		t.Error("the act left its policy-rc.d behind")
	}
	m.Exec(t, "apt-get update -q && rm -rf /var/lib/apt/lists/*Packages* /var/cache/apt/*.bin")
	stale := libtally("1.1-2")
	m.want(m.do(newOrder(t, "stale-lists", act.Upgrade, stale)), act.Refused, "package sources up to date")
	stale.Refresh = true
	m.want(m.do(newOrder(t, "fresh-lists", act.Upgrade, stale)), act.Refused, "1.1-2")
	again := m.do(upgrade)
	if m.want(again, act.Done, "done and seen"); !again.Repeat || !again.Ended.Equal(out.Ended) {
		t.Errorf("the repeated order was not answered from the journal: %+v", again)
	}
	m.want(m.do(newOrder(t, "upgrade-twice", act.Upgrade, libtally(testbed.New))), act.Already, "wanted version")

	restart := newOrder(t, "restart", act.Restart, &act.UnitsWith{Units: []string{"tallyd.service"}})
	if p := m.check(restart); !strings.Contains(strings.Join(p.Says, "\n"), "old code leave memory") {
		t.Errorf("preview: %+v", p)
	}
	m.want(m.do(restart), act.Done, "done and seen")
	if got := mapsOld(); got != "0" {
		t.Errorf("%s old mappings after the restart", got)
	}

	m.want(m.do(undoOf(upgrade)), act.Undone, "as it was")
	if got := m.Exec(t, "dpkg-query -W -f '${Version}' libtally1"); got != testbed.Old {
		t.Errorf("after the undo: %s", got)
	}
	m.want(m.do(undoOf(restart)), act.Refused, "cannot be undone")
	changed := upgrade
	changed.Act = restart.Act
	m.want(m.do(changed), act.Refused, "used for another order")
}

func units(t *testing.T, m machine) {
	tallyd := func(kind act.Kind, id string) act.Order {
		return newOrder(t, id, kind, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 300})
	}
	active := func() string { out, _ := m.Run("root", "systemctl is-active tallyd"); return out }

	stop := tallyd(act.Stop, "stop")
	m.want(m.do(stop), act.Done, "")
	m.want(m.do(tallyd(act.Stop, "stop-again")), act.Already, "stopped already")
	m.want(m.do(undoOf(stop)), act.Undone, "")
	if active() != "active" {
		t.Errorf("after the undo of stop tallyd is %s", active())
	}
	mask := tallyd(act.Mask, "mask")
	m.want(m.do(mask), act.Done, "")
	if active() != "active" {
		t.Error("mask stopped the unit")
	}
	m.want(m.do(tallyd(act.Restart, "restart-masked")), act.Refused, "masked")
	m.want(m.do(undoOf(mask)), act.Undone, "")
	m.want(m.do(tallyd(act.Reload, "reload")), act.Refused, "cannot reload")
	for i := range 8 { // systemd's own start limit is 5 in 10 s
		m.want(m.do(tallyd(act.Restart, fmt.Sprintf("restart-%d", i))), act.Done, "")
	}
	m.want(m.do(newOrder(t, "nobody", act.Restart, &act.UnitsWith{Units: []string{"nobody.service"}})), act.Refused, "no unit nobody.service")

	m.Write(t, "/etc/systemd/system/leaver.service", "[Service]\nExecStart=/bin/sh -c 'setsid sleep 500 & exec sleep 600'\nKillMode=process\n", 0o644)
	m.Write(t, "/etc/systemd/system/crasher.service", "[Service]\nExecStart=/bin/false\n", 0o644)
	m.Exec(t, "systemctl daemon-reload; systemctl start leaver")
	own := newOrder(t, "mask-own-file", act.Mask, &act.UnitsWith{Units: []string{"leaver.service"}})
	if p := m.check(own); p.Refused != "" || !strings.Contains(strings.Join(p.Warns, "\n"), "a drop-in keeps it from starting") {
		t.Errorf("preview: %+v", p)
	}
	m.want(m.do(own), act.Done, "")
	m.want(m.do(newOrder(t, "mask-own-file-again", act.Mask, &act.UnitsWith{Units: []string{"leaver.service"}})), act.Already, "masked already")
	if got := m.Exec(t, "systemctl stop leaver; systemctl start leaver; systemctl show -P ActiveState leaver"); got != "inactive" {
		t.Errorf("a masked unit was started: %s", got)
	}
	m.want(m.do(newOrder(t, "start-masked", act.Start, &act.UnitsWith{Units: []string{"leaver.service"}})), act.Refused, "is masked")
	m.want(m.do(undoOf(own)), act.Undone, "")
	if got := m.Exec(t, "systemctl start leaver; systemctl show -P ActiveState leaver; ls -d /etc/systemd/system/leaver.service.d 2>/dev/null || true"); got != "active" {
		t.Errorf("after the undo: %s", got)
	}
	leaver := m.do(newOrder(t, "leaver", act.Restart, &act.UnitsWith{Units: []string{"leaver.service"}, SettleMS: 300}))
	m.want(leaver, act.Failed, "old processes still run")
	m.want(m.do(newOrder(t, "crasher", act.Start, &act.UnitsWith{Units: []string{"crasher.service"}})), act.Failed, "crasher.service is failed")

	for _, unit := range []string{"ssh.service", "dbus.service", "systemd-logind.service", "systemd-networkd.service", "docker.service"} {
		m.want(m.do(newOrder(t, "delicate-"+unit, act.Restart, &act.UnitsWith{Units: []string{unit}})), act.Refused, "delicate")
	}
	m.Exec(t, "systemctl status tallyd >/dev/null")
}

func aPolicyBoundsWhatMayBeTouched(t *testing.T, m machine) {
	m.Exec(t, "mkdir -p /etc/staunch")
	restart := func(id, unit string) act.Outcome {
		return m.do(newOrder(t, id, act.Restart, &act.UnitsWith{Units: []string{unit}, SettleMS: 200}))
	}
	m.Write(t, "/etc/staunch/policy.json", `{"schema":1,"units":["tallyd.service","ssh.service"],"packages":[],"allow":["ssh"]}`, 0o644)
	m.want(restart("named", "tallyd.service"), act.Done, "")
	m.want(restart("not-named", "tallyd-static.service"), act.Refused, "does not name unit")
	m.want(restart("word-given", "ssh.service"), act.Done, "")
	m.want(m.do(newOrder(t, "pkg", act.Upgrade, libtally(testbed.New))), act.Refused, "does not name package")
	m.Exec(t, "chmod 666 /etc/staunch/policy.json")
	m.want(restart("untrusted", "tallyd.service"), act.Refused, "writable by others")
	m.Write(t, "/etc/staunch/policy.json", `{"schema":1,"read_only":true}`, 0o644)
	m.want(restart("read-only", "tallyd.service"), act.Refused, "read-only")
	m.Write(t, "/etc/staunch/policy.json", `{"schema":1,"untis":["x"]}`, 0o644)
	if text, err := m.call("do", newOrder(t, "typo", act.Restart, &act.UnitsWith{Units: []string{"tallyd.service"}})); err == nil || !strings.Contains(text, "untis") {
		t.Errorf("a policy with a typing error: %v, %s", err, text)
	}
}

func stoppingOurWayInUndoesItselfUnlessConfirmed(t *testing.T, m machine) {
	m.Exec(t, "mkdir -p /etc/staunch")
	m.Write(t, "/etc/staunch/policy.json", `{"schema":1,"allow":["ssh"]}`, 0o644)
	unit := func(id string, confirm int64) act.Order {
		return newOrder(t, id, act.Stop, &act.UnitsWith{Units: []string{"ssh.service"}, ConfirmMS: confirm})
	}
	m.want(m.do(unit("forever", 0)), act.Refused, "must undo itself")
	m.want(m.do(unit("for-a-while", 6_000)), act.Done, "undoes itself at")
	if got, _ := m.Run("root", "systemctl is-active ssh"); got != "inactive" {
		t.Fatalf("ssh is %s", got)
	}
	eventually(t, "ssh came back by itself", func() bool {
		got, _ := m.Run("root", "systemctl is-active ssh")
		return got == "active"
	})
	late := unit("for-a-while", 6_000)
	late.ID, late.Confirm, late.Of = late.ID+"/confirm", true, late.ID
	m.want(m.do(late), act.Refused, "too late")

	kept := unit("kept", 6_000)
	m.want(m.do(kept), act.Done, "")
	confirm := kept
	confirm.ID, confirm.Confirm, confirm.Of = kept.ID+"/confirm", true, kept.ID
	m.want(m.do(confirm), act.Done, "it stays")
	time.Sleep(8 * time.Second)
	if got, _ := m.Run("root", "systemctl is-active ssh"); got != "inactive" {
		t.Errorf("a confirmed stop was undone: ssh is %s", got)
	}
	m.want(m.do(undoOf(kept)), act.Undone, "")
}

// whatNobodyConfirmedIsUndoneAlsoAfterAReboot: one host reboots inside the window, then one is down when the window ends.
func whatNobodyConfirmedIsUndoneAlsoAfterAReboot(t *testing.T, m machine) {
	mask := func(id string, confirm int64) act.Order {
		return newOrder(t, id, act.Mask, &act.UnitsWith{Units: []string{"tallyd.service"}, ConfirmMS: confirm})
	}
	masked := func() bool {
		out, err := m.Run("root", "systemctl is-enabled tallyd")
		return err == nil && strings.TrimSpace(out) == "masked" || strings.TrimSpace(out) == "masked"
	}
	rebooted := mask("mask-then-reboot", 15_000)
	m.want(m.do(rebooted), act.Done, "undoes itself at")
	m.Reboot(t)
	eventually(t, "the mask is taken back after the reboot", func() bool { return !masked() })

	m.want(m.do(mask("mask-then-dark", 5_000)), act.Done, "undoes itself at")
	if !masked() {
		t.Fatal("not masked")
	}
	m.Kill(t)
	time.Sleep(7 * time.Second) // the window ends while the machine is down
	m.Start(t)
	eventually(t, "the mask is taken back by a machine that was down", func() bool { return !masked() })
	eventually(t, "nothing of the timers is left", func() bool {
		out, err := m.Run("root", "find /etc/systemd /run/systemd/system /var/lib/systemd/timers -name '*staunch*'; ls /var/lib/staunch-host/undo/*/program 2>/dev/null; systemctl list-units --all --no-legend 'staunch-*'")
		return err == nil && strings.TrimSpace(out) == ""
	})
	if out, err := m.call("unfinished", rebooted); err != nil || strings.TrimSpace(out) != "null" {
		t.Errorf("unfinished: %s, %v", out, err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}

func aReloadThatFailsBringsTheOldFilesBack(t *testing.T, m machine) {
	m.Write(t, "/etc/systemd/system/picky.service", "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c 'grep -q fine /etc/picky.conf && cp /etc/picky.conf /run/picky.loaded'\n", 0o644)
	m.Write(t, "/etc/picky.conf", "fine, old\n", 0o640)
	m.Exec(t, "systemctl daemon-reload; systemctl start picky")
	place := func(id, text string, confirm int64) act.Order {
		return newOrder(t, id, act.Place, &act.PlaceWith{Files: []act.File{{Path: "/etc/picky.conf", Pieces: []act.Piece{{Text: text}}}}, Reload: []string{"picky.service"}, ConfirmMS: confirm})
	}
	m.want(m.do(place("bad-conf", "broken\n", 0)), act.Failed, "the old files are back")
	if got := m.Exec(t, "cat /etc/picky.conf /run/picky.loaded; systemctl is-active picky"); got != "fine, old\nfine, old\nactive" {
		t.Errorf("after the reload that failed: %q", got)
	}
	m.want(m.do(place("good-conf", "fine, new\n", 6_000)), act.Done, "undoes itself at")
	if got := m.Exec(t, "cat /run/picky.loaded"); got != "fine, new" {
		t.Errorf("the unit took %q", got)
	}
	eventually(t, "the unconfirmed files went back and were loaded", func() bool {
		got, err := m.Run("root", "cat /etc/picky.conf /run/picky.loaded")
		return err == nil && strings.TrimSpace(got) == "fine, old\nfine, old"
	})
}
