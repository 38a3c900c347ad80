package carry_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/testbed"
)

// killing is one kind of act that is killed at every point of its way.
type killing struct {
	kind  act.Kind
	reset string                    // shell: as it was before the act
	shown string                    // shell: ends with 0 exactly when the machine shows the effect
	with  func(n int) act.Params    // the act of try n
	whole func(out act.Outcome)     // looks at a good outcome; may be nil
	pre   func(t *testing.T, n int) // before try n; may be nil
}

// killedAtEveryPoint kills the carrier of every kind of act with SIGKILL at each point where it writes or does something, and holds what
// it answers afterwards against what the machine shows. Nothing half-done stays unnoticed, and nothing is done twice by a repeat.
func killedAtEveryPoint(t *testing.T, m machine) {
	m.Write(t, "/etc/systemd/system/picky.service", "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/cp /etc/picky.conf /run/picky.loaded\n", 0o644)
	m.Write(t, "/etc/picky.conf", "conf\n", 0o644)
	m.Exec(t, "systemctl daemon-reload; systemctl start picky; mkdir -p /etc/staunch/hooks /var/lib/staunch-host/payloads /opt/killed")
	m.Write(t, "/etc/staunch/hooks/touch", "#!/bin/sh\ntouch /run/touched\n", 0o755)
	m.Write(t, "/etc/staunch/hooks/touched", "#!/bin/sh\ntest -e /run/touched\n", 0o755)
	m.Write(t, "/etc/staunch/hooks/touch.json", `{"schema":1,"verify":"touched"}`, 0o644)
	m.Write(t, "/etc/staunch/hooks/balance", "#!/bin/sh\necho $STAUNCH_ACTION >/run/balance\n", 0o755)
	for _, k := range killings(t, m) {
		t.Run(string(k.kind), func(t *testing.T) { k.story(t, machine{m.Host, t}) })
	}
	rebootKilled(t, m)
}

func killings(t *testing.T, m machine) []killing {
	tallyd := &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 100}
	units := func(int) act.Params { return tallyd }
	library := "\x7fELF made for tests"
	sum := sha256.Sum256([]byte(library))
	m.Write(t, "/var/lib/staunch-host/payloads/"+hex.EncodeToString(sum[:]), library, 0o600)
	var pid int
	var start string
	var sealed act.UnsealWith
	list := []killing{
		{kind: act.Restart, shown: "systemctl is-active tallyd", with: units},
		{kind: act.Stop, reset: "systemctl start tallyd", shown: "! systemctl is-active tallyd", with: units},
		{kind: act.Start, reset: "systemctl stop tallyd", shown: "systemctl is-active tallyd", with: units},
		{kind: act.Mask, reset: "systemctl unmask tallyd", shown: "test $(systemctl is-enabled tallyd) = masked", with: units},
		{kind: act.Unmask, reset: "systemctl mask tallyd", shown: "test $(systemctl is-enabled tallyd) != masked", with: units},
		{kind: act.Reload, reset: "rm -f /run/picky.loaded", shown: "test -e /run/picky.loaded", with: func(int) act.Params { return &act.UnitsWith{Units: []string{"picky.service"}, SettleMS: 100} }},
		{kind: act.Hook, reset: "rm -f /run/touched", shown: "test -e /run/touched", with: func(int) act.Params { return &act.HookWith{Name: "touch"} }},
		{kind: act.Drain, reset: "rm -f /run/balance", shown: "grep -q drain /run/balance", with: func(int) act.Params { return &act.DrainWith{Service: "shop", Hook: "balance"} }},
		{kind: act.Undrain, reset: "rm -f /run/balance", shown: "grep -q undrain /run/balance", with: func(int) act.Params { return &act.DrainWith{Service: "shop", Hook: "balance"} }},
		{kind: act.Place, reset: "echo old >/opt/killed/a; rm -f /opt/killed/b /run/picky.loaded", shown: "grep -q new /opt/killed/a && grep -q new /opt/killed/b && test $(ls -A /opt/killed | grep -c ^.staunch-) = 0", with: func(int) act.Params {
			text := []act.Piece{{Text: "new\n"}}
			return &act.PlaceWith{Files: []act.File{{Path: "/opt/killed/a", Pieces: text}, {Path: "/opt/killed/b", Pieces: text}}, Reload: []string{"picky.service"}}
		}},
		{
			kind: act.Signal, shown: "! test -e /proc/$(cat /run/sleeper)", with: func(int) act.Params {
				return &act.SignalWith{PID: pid, Start: startAt(t, start), Signal: "TERM", Gone: true}
			},
			pre: func(t *testing.T, _ int) {
				m.Exec(t, "rm -f /run/sleeper; setsid sh -c 'echo $$ >/run/sleeper; exec sleep 600' >/dev/null 2>&1 </dev/null & for i in $(seq 100); do test -s /run/sleeper && break; sleep 0.05; done; sleep 0.1")
				if _, err := fmt.Sscan(m.Exec(t, "cat /run/sleeper"), &pid); err != nil {
					t.Fatal(err)
				}
				start = m.Exec(t, fmt.Sprintf("cut -d' ' -f22 /proc/%d/stat; grep btime /proc/stat", pid))
			},
		},
		{kind: act.InstallLib, reset: "rm -f /opt/killed/lib*", shown: "test -e /opt/killed/libx.so && test $(ls -A /opt/killed | grep -c ^.staunch-) = 0", with: func(int) act.Params {
			return &act.InstallLibWith{SHA256: hex.EncodeToString(sum[:]), Path: "/opt/killed/libx.so.1", Links: []string{"libx.so"}}
		}},
		{
			kind: act.MakeKey, shown: "true", with: func(n int) act.Params {
				recipient := strings.Trim(strings.TrimSpace(mustCall(t, m, "recipient")), `"`)
				return &act.MakeKeyWith{Name: fmt.Sprintf("key-%d", n), Type: "ecdsa-p256", Names: []string{"a.example"}, Recipients: []string{recipient}}
			},
			whole: func(out act.Outcome) {
				var made struct {
					SPKI   string `json:"spki_sha256"`
					Sealed string `json:"sealed"`
				}
				if err := json.Unmarshal(out.After, &made); err == nil && made.Sealed != "" {
					sealed = act.UnsealWith{Sealed: made.Sealed, SPKI: made.SPKI}
				}
			},
		},
		{kind: act.Unseal, shown: "true", with: func(n int) act.Params {
			one := sealed
			one.Name = fmt.Sprintf("copy-%d", n)
			return &one
		}},
		{
			kind: act.Upgrade, reset: "while pgrep -x apt-get || pgrep -x dpkg; do sleep 0.1; done; dpkg --configure -a; DEBIAN_FRONTEND=noninteractive apt-get -q -y --allow-downgrades install libtally1=" + testbed.Old,
			shown: "test $(dpkg-query -W -f '${Version}' libtally1) = " + testbed.New, with: func(int) act.Params { return libtally(testbed.New) },
		},
	}
	return list
}

func (k killing) story(t *testing.T, m machine) {
	for point := 1; point < 60; point++ {
		if k.pre != nil {
			k.pre(t, point)
		}
		if k.reset != "" {
			m.Exec(t, k.reset+" >/dev/null 2>&1; true")
		}
		o := newOrder(t, fmt.Sprintf("kill-%s-%d", k.kind, point), k.kind, k.with(point))
		text, err := m.call("do", o, fmt.Sprintf("CARRY_DIE_AT=%d", point))
		if err == nil {
			var out act.Outcome
			if err := json.Unmarshal([]byte(text), &out); err != nil {
				t.Fatal(err)
			}
			m.want(out, act.Done, "")
			k.good(t, m, out)
			if point < 4 {
				t.Errorf("only %d points on the way of %s", point-1, k.kind)
			}
			return
		}
		if !strings.Contains(err.Error(), "status 137") {
			t.Fatalf("point %d: %v: %s", point, err, text)
		}
		k.after(t, m, o, point)
	}
	t.Errorf("the way of %s has no end", k.kind)
}

// after is what a caller does who never heard of the order's end.
func (k killing) after(t *testing.T, m machine, o act.Order, point int) {
	t.Helper()
	left := mustCall(t, m, "unfinished")
	out := m.do(o)
	switch {
	case out.Status == act.Done && out.Repeat && !strings.Contains(left, o.ID) && !strings.Contains(out.Says, "done and seen"):
		t.Errorf("point %d: done, begun before, and nothing had noticed: %s", point, left)
	case out.Status == act.Unknown:
		if !strings.Contains(left, o.ID) {
			t.Errorf("point %d: an unknown end went unnoticed: %s", point, left)
		}
		o.ID = strings.TrimSuffix(o.ID, "0") + "1"
		out = m.do(o)
	}
	if out.Status != act.Done && out.Status != act.Already {
		// a key whose making was killed halfway is there already, and a key is never made over
		if k.kind == act.MakeKey && strings.Contains(out.Says, "exists on this host") {
			return
		}
		t.Fatalf("point %d: after the second attempt %s: %s %v", point, out.Status, out.Says, out.Log)
	}
	k.good(t, m, out)
}

func (k killing) good(t *testing.T, m machine, out act.Outcome) {
	t.Helper()
	if text, err := m.Run("root", k.shown); err != nil {
		t.Errorf("%s ended as %s, and the machine does not show it: %s", out.Order, out.Status, text)
	}
	if k.whole != nil {
		k.whole(out)
	}
}

// rebootKilled is killed before the machine was told to go down.
func rebootKilled(t *testing.T, m machine) {
	o := newOrder(t, "kill-reboot", act.Reboot, &act.RebootWith{BootID: m.Exec(t, "cat /proc/sys/kernel/random/boot_id")})
	before := m.Exec(t, "cut -d' ' -f22 /proc/1/stat")
	for point := 1; ; point++ {
		o.ID = fmt.Sprintf("kill-reboot/%d", point)
		if text, err := m.call("do", o, fmt.Sprintf("CARRY_DIE_AT=%d", point)); err == nil || !strings.Contains(err.Error(), "status 137") {
			t.Fatalf("point %d: %v, %s", point, err, text)
		}
		if strings.Contains(mustCall(t, m, "unfinished"), o.ID) {
			break // written down, not yet done
		}
	}
	if out := m.do(o); out.Status != act.Unknown || m.Exec(t, "cut -d' ' -f22 /proc/1/stat") != before {
		t.Errorf("a reboot whose begin was killed: %+v", out)
	}
}

func mustCall(t *testing.T, m machine, verb string) string {
	t.Helper()
	text, err := m.call(verb, act.Order{ID: verb})
	if err != nil {
		t.Fatalf("%s: %v: %s", verb, err, text)
	}
	return text
}

// startAt turns ticks since boot and the time of boot into a moment.
func startAt(t *testing.T, text string) time.Time {
	t.Helper()
	var ticks, boot int64
	if _, err := fmt.Sscanf(strings.ReplaceAll(text, "\n", " "), "%d btime %d", &ticks, &boot); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return time.Unix(boot, 0).UTC().Add(time.Duration(ticks) * 10 * time.Millisecond)
}
