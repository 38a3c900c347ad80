package story_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	mathrand "math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/testbed"
	"staunch/testbed/real"
)

// Runners die and hosts lose their power at random moments while keys are replaced on real servers. In the end every server runs with the
// new key, each host has one new key, and the old one was never revoked while anybody served it.
func TestPowerCutsWhileKeysAreReplaced(t *testing.T) {
	real.Long(t)
	x := newTeam(t, 3, keysInventory, testbed.Bare(), testbed.With("nginx-light", "haproxy", "apache2", "postfix", "dovecot-imapd"))
	x.key("ada")
	x.key("ben")
	port := freePort(t)
	at, pebble := atPebble(x, port, ", drill: true")
	k := newKeyring(x, port, at)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	x.must(err)
	shop := newOldKey(t, newKey(t))
	old := k.serve(at, shop, newOldKey(t, p384))
	k.write("staunch.yaml", strings.ReplaceAll(keysInventory, "EDGE", k.edge))
	k.write("cdn/go", "") // not late tonight

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := mathrand.New(mathrand.NewPCG(seed, 3))
	early := func() {
		if status, _ := pebble.Status(t, old["shop"].SerialNumber.Text(16)); status != "Valid" {
			k.nobodyServes(shop.spki)
		}
	}
	for i, plan := range []string{"1.1", "1.2"} {
		args := []string{"cert", "replace", shop.spki, "--drill", "--urgency", "now", "--soak", "0s"}
		if i > 0 {
			args = append(args, "--incident", "1")
		}
		k.says(0, args...)
		k.signed(plan)
		for range 4 {
			k.cut(chance)
			early()
		}
		k.finish(plan)
	}
	early()
	if status, _ := pebble.Status(t, old["shop"].SerialNumber.Text(16)); status != "Revoked" {
		t.Errorf("the old certificate is %s", status)
	}
	for _, h := range k.hosts {
		if got := h.Exec(t, "ls /var/lib/staunch-host/keys"); strings.Count(got, ".pem") != 1 || strings.Contains(got, ".new") {
			t.Errorf("%s has the keys %q", h.Name, got)
		}
	}
	k.hosts[0].Exec(t, "systemctl is-active nginx")
	k.hosts[1].Exec(t, "systemctl is-active haproxy")
	k.hosts[2].Exec(t, "systemctl is-active apache2 postfix dovecot")
}

// cut lets a runner work for a while; then it dies, and sometimes a host with it, which boots again.
func (k *keyring) cut(chance *mathrand.Rand) {
	k.Helper()
	run := k.runs()
	time.Sleep(time.Duration(300+chance.IntN(3500)) * time.Millisecond)
	if h := chance.IntN(5); h < len(k.hosts) {
		k.hosts[h].Kill(k)
		time.Sleep(time.Duration(chance.IntN(1500)) * time.Millisecond)
		k.hosts[h].Start(k)
	}
	_ = run.Process.Kill()
	text, code := run.ended()
	k.Logf("a runner ended with %d after:\n%s", code, text)
}

var failedStep = regexp.MustCompile(`(?m)^  failed: (\S+) on (\S+): `)

// finish runs what is left, as a person would who says "retry" to what failed while the power was away.
func (k *keyring) finish(plan string) {
	k.Helper()
	for range 8 {
		run := k.runs()
		text, code := run.ended()
		if code == 0 {
			k.has("the end", text, "plan "+plan+": done")
			return
		}
		k.Logf("exit %d\n%s", code, text)
		for _, f := range failedStep.FindAllStringSubmatch(text, -1) {
			k.says(0, "incident", "retry", "1", f[1], f[2])
		}
	}
	k.Fatalf("plan %s does not end", plan)
}

// nobodyServes looks at every endpoint of the shop.
func (k *keyring) nobodyServes(spki string) {
	k.Helper()
	for _, address := range []string{"10.66.0.11:443", "10.66.0.12:443", "10.66.0.13:443", k.edge} {
		conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: "shop.example", InsecureSkipVerify: true})
		if err != nil {
			continue // it was just cut off from its power
		}
		if cert.SPKI(conn.ConnectionState().PeerCertificates[0]) == spki {
			k.Errorf("%s serves the old key, which is revoked", address)
		}
		conn.Close()
	}
}
