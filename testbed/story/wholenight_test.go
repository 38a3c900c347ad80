package story_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"staunch/mend/cert/acme"
	"staunch/testbed/real"
	"staunch/testbed/stepca"
)

// The whole night: the patch under load, then every key that may have leaked. The old certificate comes from a CA that publishes what it
// revoked, the new one from another CA; the CDN says that it changed over, and does so later.
func TestTheWholeNight(t *testing.T) {
	real.Long(t)
	x := newTeam(t, 5, fiveHosts)
	k, shop, old := nightKeys(x)
	x.hosts[4].Partition(t)
	crowd := visit(x.hosts[3].Addr+":8443", "shop.example", x.shop.roots)
	defer crowd.stop()

	x.patchPlan("--from-heard", x.rumour())
	out := x.runKilled("1", kills(t))
	x.has("the run", out, "plan 1.1: done")
	x.atRest(out)
	chapter := k.burnt(shop, old)
	x.people()
	x.served(crowd, out)
	x.nothingLeaked()
	x.report("1")
	x.has("the report", x.says(0, "incident", "report", "1"), "accepted by the CA", "1 of 1 certificates are listed as revoked")
	k.healed(shop)
	if *keep {
		x.must(os.WriteFile(real.Top(t)+"/docs/example-keys.md", []byte(chapter), 0o644))
	}
}

// rumour is the first minute: no advisory yet, only a word. Somebody looks on the first machine at hand who has the library in memory, and the
// desk notes when it was heard: the incident's clock runs from then.
func (x *team) rumour() string {
	x.Helper()
	h := x.hosts[0]
	program, err := os.ReadFile(x.staunch)
	x.must(err)
	x.must(os.WriteFile(h.Path("/usr/local/bin/staunch"), program, 0o755))
	says := []string{"heard", "every process with libtally leaks its memory", "--component", "tally"}
	x.has("the rumour on a host", h.Exec(x, "staunch "+says[0]+" '"+says[1]+"' "+says[2]+" "+says[3]), "nginx", "tallyd", "Noted as", "next: staunch incident open --from-heard")
	h.Exec(x, "rm /usr/local/bin/staunch; rm -rf /var/lib/staunch")
	var note struct {
		ID string `json:"id"`
	}
	x.must(json.Unmarshal([]byte(x.says(0, append(says, "--format", "json")...)), &note))
	return note.ID
}

// chapterHead explains what the kept output shows.
const chapterHead = `<!-- written by the story on real hosts: make night -->

# The keys of the night

What a team saw on five test hosts after the patch of [the example report](example-report.md): nginx and haproxy serve one key, and so does a CDN (an nginx that
takes new material at once and serves it only later). The old certificate comes from step-ca, which publishes what it revoked; the new one from pebble. One
host is cut off all night. Two people approved each plan before it was run.

`

// nightKeys gives the hosts and the CDN the shop's old key, certified by the second CA.
func nightKeys(x *team) (*keyring, *oldKey, *x509.Certificate) {
	x.Helper()
	port := freePort(x.T)
	pebble, p := atPebble(x, port, "")
	s := stepca.Up(x.T, stepca.Options{HTTPPort: port})
	x.write("second.pem", string(s.RootPEM))
	second := ca{acme.CA{Name: "second", Directory: s.Directory, Roots: s.Roots}, ""}
	k := newKeyring(x, port, pebble, second)
	shop := newOldKey(x, newKey(x))
	chain, leaf := k.certify(second, k.opened("second.age"), shop, "shop.example", "cdn.shop.example")
	x.shop.roots = p.Issuers
	x.shop.roots.AppendCertsFromPEM(s.RootPEM)
	x.write("trusted.pem", string(p.IssuersPEM)+string(s.RootPEM))
	x.Setenv("SSL_CERT_FILE", x.path("trusted.pem")) // what this machine trusts
	x.serveTLS(pair{Cert: chain, Key: shop.pem, SPKI: shop.spki})
	k.cdn(chain + shop.pem)
	x.write("staunch.yaml", fiveHosts+fmt.Sprintf("  web.shop.example:\n    addresses: [\"10.66.0.11:443\", \"10.66.0.12:443\", \"10.66.0.13:443\"]\n    sni: shop.example\n  cdn.shop.example:\n    addresses: [%q]\n    behind: cdn\n", k.edge))
	return k, shop, leaf
}

// burnt replaces the shop's key everywhere, proves it, and revokes the old one when nobody serves it any more. It returns what the team saw.
func (k *keyring) burnt(shop *oldKey, old *x509.Certificate) string {
	k.Helper()
	var chapter strings.Builder
	chapter.WriteString(chapterHead)
	note := func(text string, args ...string) {
		fmt.Fprintf(&chapter, "```\n$ staunch %s\n%s```\n\n", strings.Join(args, " "), text)
	}
	show := func(code int, args ...string) string {
		text := k.says(code, args...)
		note(text, args...)
		return text
	}
	k.has("the list", show(1, "cert", "list", "shop.example"), shop.spki[:12], "incident 1", "st-5")
	k.has("the plan", show(0, "cert", "replace", "--incident", "1", "--urgency", "now", "--soak", "1s"), "not reached: st-5")
	k.signed("1.2")
	k.has("new keys", show(0, "incident", "run", "1"), "plan 1.2: done")
	show(0, "cert", "replace", "--incident", "1", "--urgency", "now", "--soak", "1s")
	k.signed("1.3")

	wait := k.runs()
	k.until("the CDN was activated", func() bool { _, err := os.Stat(k.path("cdn/activated")); return err == nil })
	k.until("the run names who is late", func() bool {
		return strings.Contains(k.says(0, "incident", "brief", "1"), "cdn.shop.example@"+k.edge+" serves ")
	})
	k.must(wait.Process.Kill()) // the runner dies while the gate holds
	text, _ := wait.ended()
	note(text+"(kill -9: the runner is dead; it is started again, and meanwhile somebody loses patience)\n", "incident", "run", "1")
	wait = k.runs()
	k.has("a revocation by hand", show(2, "cert", "revoke", shop.spki), "is not revoked", k.edge+" still serves the key")
	k.has("the CA's list", show(3, "cert", "verify", shop.spki), "is not on its list yet")
	k.write("cdn/go", "")
	text, code := wait.ended()
	note(text, "incident", "run", "1")
	if code != 0 {
		k.Fatalf("the rollout: exit %d\n%s", code, text)
	}
	serial := old.SerialNumber.Text(16)
	k.has("the rollout", text, "plan 1.3: done", "accepted by the CA", serial, "1 of 1 certificates are listed as revoked")
	k.has("the CA's list afterwards", show(0, "cert", "verify", shop.spki), strings.TrimLeft(serial, "0")+" is on the CA's list", "browsers may still accept it until")
	k.has("the watch", show(0, "cert", "watch", "--soon", "24h"), "0 alarms")
	return chapter.String()
}

// healed: the host that was silent all night is there again, with the old key.
func (k *keyring) healed(shop *oldKey) {
	k.Helper()
	k.hosts[4].Heal(k)
	text, err := os.ReadFile(k.path("staunch.yaml"))
	k.must(err)
	k.write("staunch.yaml", string(text)+"  back.shop.example:\n    addresses: [\"10.66.0.15:443\"]\n    sni: shop.example\n")
	k.until("the host is back", func() bool { _, err := k.hosts[4].Run("root", "true"); return err == nil })
	k.has("the watch", k.says(1, "cert", "watch"), "ALARM", "back.shop.example@10.66.0.15:443", "serves the old key "+shop.spki[:12]+" again")
}
