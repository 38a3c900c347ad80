package story_test

import (
	"bytes"
	"flag"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"staunch/testbed"
	"staunch/testbed/real"
)

var keep = flag.Bool("keep-report", false, "write the night's report to docs/example-report.md and .html")

// kills is how often the runner dies in a night: three times, or as often as STAUNCH_KILLS says.
func kills(t *testing.T) int {
	often := os.Getenv("STAUNCH_KILLS")
	if often == "" {
		return 3
	}
	n, err := strconv.Atoi(often)
	if err != nil || n < 0 {
		t.Fatalf("STAUNCH_KILLS=%q is no number", often)
	}
	return n
}

// The night: a library in two versions, three rings, nginx and haproxy linked to it, a program with it inside, a daemon that is switched off,
// a silent host, customers all the time, and a runner that is killed at random.
func TestTheNightOnRealHosts(t *testing.T) {
	x := newTeam(t, 5, fiveHosts)
	x.furnish()
	x.hosts[4].Partition(t)
	crowd := visit(x.hosts[3].Addr+":8443", "shop.example", x.shop.roots)
	defer crowd.stop()

	x.patchPlan()
	out := x.runKilled("1", kills(t))
	x.has("the run", out, "plan 1.1: done")
	x.atRest(out)
	x.people()
	x.served(crowd, out)
	x.nothingLeaked()
	x.report("1")
}

// patchPlan takes the team from the advisory to a plan with its votes.
func (x *team) patchPlan(opening ...string) {
	x.Helper()
	ada, ben := x.key("ada"), x.key("ben")
	x.write("tally.json", tallybleed)
	x.says(0, "advisories", "add", x.path("tally.json"))
	opened := x.says(1, append([]string{"incident", "open", "CVE-2026-0001", "--host-timeout", "20s"}, opening...)...)
	x.has("the opening", opened, "st-5")
	made := x.says(0, "plan", "make", "1", "--urgency", "now", "--soak", "1s", "--owner", "ada", "--off", "legacyd.service")
	x.has("the plan", made, "not reached: st-5")
	x.has("the plan's text", x.says(0, "plan", "show", "1.1"), "upgrade-canary", "stop-staging-legacyd", "public-haproxy")
	x.says(0, "approve", "1.1", "--key", ada)
	x.says(0, "approve", "1.1", "--key", ben)
}

// runKilled runs the incident; the runner is killed at random moments, so often as is said, and started again.
func (x *team) runKilled(id string, kills int) string {
	x.Helper()
	seed := uint64(time.Now().UnixNano())
	x.Logf("seed of the kills: %d", seed)
	chance := mathrand.New(mathrand.NewPCG(seed, 1))
	longest := min(8*time.Second, time.Second+80*time.Second/time.Duration(max(kills, 1))) // many kills must fit into one night
	for killed := range kills {
		cmd := x.command("incident", "run", id)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		x.must(cmd.Start())
		death := time.AfterFunc(300*time.Millisecond+time.Duration(chance.Int64N(int64(longest))), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		death.Stop()
		x.Logf("a runner ended with %v after:\n%s", err, out.String())
		if exitOf(err) != -1 {
			x.Fatalf("after %d kills of %d a runner ended by itself: %v", killed, kills, err)
		}
	}
	x.Logf("%d runners were killed", kills)
	return x.says(0, "incident", "run", id)
}

// atRest looks at the hosts themselves: what runs, what is switched off.
func (x *team) atRest(out string) {
	x.Helper()
	for i, h := range x.hosts[:4] {
		for _, unit := range []string{"tallyd", "tallyd-static"} {
			port := map[string]string{"tallyd": "7001", "tallyd-static": "7002"}[unit]
			ask := "exec 3<>/dev/tcp/127.0.0.1/" + port + "; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -1 <&3"
			h.Write(x, "/root/ask", ask, 0o600)
			if got := h.Exec(x, "bash /root/ask"); got != "libtally "+testbed.New+" 1" {
				x.Errorf("%s on %s answers %q\n%s", unit, h.Name, got, out)
			}
		}
		if got := h.Exec(x, "grep -l 'libtally.so.1.*(deleted)' /proc/[0-9]*/maps 2>/dev/null | wc -l"); got != "0" {
			x.Errorf("%s processes of %s still map the old library", got, h.Name)
		}
		if i != 3 {
			if got := h.Exec(x, "cat /var/www/html/ready"); got != "yes" {
				x.Errorf("%s was not put back into service", h.Name)
			}
		}
	}
	if got := x.hosts[1].Exec(x, "systemctl is-active legacyd; systemctl is-enabled legacyd; true"); got != "inactive\nmasked" && got != "failed\nmasked" {
		x.Errorf("the daemon without an update is %q", got)
	}
	look, _ := x.command("incident", "look", "1", "--host-timeout", "10s").CombinedOutput()
	x.has("a fresh look", string(look), "unknown: 1 host", "4 of 5 known hosts seen, 4 clean")
}

// people is what the team writes down by hand meanwhile.
func (x *team) people() {
	x.Helper()
	x.says(0, "incident", "check", "1", "lead", "--owner", "ada", "--done", "ada leads until 06:00, then ben")
	x.says(0, "incident", "check", "1", "customers", "--owner", "cleo", "--due", "8h", "--remind", "1h")
	x.says(0, "incident", "searched", "1", "logs of the balancer", "--since", "2026-11-20", "--found", "nothing", "--cannot", "packet captures: none are kept")
	x.says(0, "incident", "comment", "1", "the vendor of legacyd promised a build for Tuesday")
	x.says(0, "incident", "lesson", "1", "action", "give st-5 a console that works without its network", "--owner", "dora")
}

// served: no customer may have met a failure, and they met the old library first and the new one last.
func (x *team) served(crowd *customers, out string) {
	x.Helper()
	served, failed := crowd.ended()
	x.Logf("customers: %d requests, %d failed; answered by %v", served, len(failed), crowd.ran)
	if len(failed) > 0 || served < 100 {
		x.Errorf("%d of %d requests failed, the first: %v\n%s\n%s", len(failed), served, failed, out, x.hosts[3].Exec(x, "journalctl -u haproxy --no-pager -o short-precise | tail -40"))
	}
	for _, version := range []string{testbed.Old, testbed.New} {
		if want := "front libtally " + version + ", web libtally " + version; !crowd.ran[want] {
			x.Errorf("no customer was answered by %q", want)
		}
	}
}

// nothingLeaked looks for values of secrets and keys in everything that the team's machine has kept.
func (x *team) nothingLeaked() {
	x.Helper()
	key := x.hosts[0].Exec(x, "sed -n '/PRIVATE/,/PRIVATE/p' /etc/ssl/private/shop.pem | sed -n 2p")
	x.must(filepath.WalkDir(x.path("data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, value := range []string{legacyToken, sessionValue, key} {
			if bytes.Contains(content, []byte(value)) {
				x.Errorf("%s holds the value of a secret: %.12s...", path, value)
			}
		}
		return err
	}))
}

// report writes the night up, and holds the text to what a manager wants to know.
func (x *team) report(id string) {
	x.Helper()
	text := x.says(0, "incident", "report", id, "--zone", "Europe/Berlin")
	x.has("the report", text, "st-5", "ada approved plan 1.1", "ben approved plan 1.1", "orders, addresses", "packet captures: none are kept", "SHOP_SESSION_SECRET", "LEGACY_API_TOKEN",
		"public part clean", "on 4 of them where strangers can reach it", "shop.example 10.66.0.14:8443", "st-1:443, st-2:443, st-3:443", "/etc/ssl/private/shop.pem", "the vendor of legacyd", "(cleo, due")
	if public, all := strings.Index(text, "public part clean"), strings.Index(text, "nothing affected is left on"); public < 0 || all < public {
		x.Error("the public part was not clean before the rest")
	}
	if strings.Contains(text, legacyToken) || strings.Contains(text, sessionValue) {
		x.Error("the report tells the value of a secret")
	}
	if !*keep {
		return
	}
	docs := filepath.Join(real.Top(x), "docs")
	x.must(os.WriteFile(filepath.Join(docs, "example-report.md"), []byte(text), 0o644))
	x.says(0, "incident", "report", id, "--zone", "Europe/Berlin", "--format", "html", "-o", filepath.Join(docs, "example-report.html"))
}
