package replace_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/see/keys"
	"staunch/steer/plan"
	"staunch/testbed/real"
)

// newKeyPair writes a key (as a host's store keeps it, or plain) and its certificate.
func newKeyPair(t *testing.T, keyFile, certFile, before string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "java.example"}, DNSNames: []string{"java.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{keyFile: append([]byte(before), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), certFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return leaf
}

// TestTheCommandsForKeystores types what a plan tells a person: the new key takes the old one's alias, everything else in the store stays, and
// it is still the kind of store that it was.
func TestTheCommandsForKeystores(t *testing.T) {
	keytool, openssl := real.Program(t, "keytool"), real.Program(t, "openssl")
	for format, kind := range map[string]string{"jks": "JKS", "pkcs12": "PKCS12"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel() // Java starts slowly
			dir := t.TempDir()
			in := func(name string) string { return filepath.Join(dir, name) }
			run := func(input, command string) string {
				t.Helper()
				cmd := exec.Command("sh", "-e", "-c", command)
				cmd.Dir, cmd.Stdin, cmd.Env = dir, strings.NewReader(input), append(os.Environ(), "LC_ALL=C")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
				return string(out)
			}
			newKeyPair(t, in("old.key"), in("old.pem"), "")
			newKeyPair(t, in("other.key"), in("other.pem"), "")
			fresh := newKeyPair(t, in("made.pem"), in("chain.pem"), "order x\nspki y\n")
			store := in("it's a store")
			run("", openssl+" pkcs12 -export -inkey old.key -in old.pem -name web -out old.p12 -passout pass:secret1")
			run("", fmt.Sprintf("%s -importkeystore -noprompt -srckeystore old.p12 -srcstoretype PKCS12 -srcstorepass secret1 -destkeystore \"%s\" -deststoretype %s -deststorepass secret1", keytool, store, kind))
			run("", fmt.Sprintf("%s -importcert -noprompt -alias trusted -file other.pem -keystore \"%s\" -storepass secret1", keytool, store))

			typed := strings.NewReplacer("/var/lib/staunch-host/keys/made.pem", in("made.pem"), "ALIAS", "web").Replace(replace.Conversion(format, "made", store))
			for _, line := range strings.Split(typed, "\n") { // passwords are typed by hand; here they stand on the command line
				line = strings.Replace(line, "-export ", "-export -passout pass:secret1 ", 1)
				line = strings.Replace(line, "-importkeystore ", "-importkeystore -noprompt -srcstorepass secret1 -deststorepass secret1 ", 1)
				for _, verb := range []string{"-list ", "-delete "} {
					line = strings.Replace(line, verb, verb+"-storepass secret1 ", 1)
				}
				run("", line)
			}
			list := run("", fmt.Sprintf("%s -list -v -keystore \"%s\" -storepass secret1", keytool, store))
			if !strings.Contains(list, "Keystore type: "+kind) || !strings.Contains(list, "Your keystore contains 2 entries") || !strings.Contains(list, "Alias name: trusted") {
				t.Errorf("the store is not what it was:\n%s", list)
			}
			run("", fmt.Sprintf("%s -importkeystore -noprompt -srckeystore \"%s\" -srcstorepass secret1 -srcalias web -destkeystore out.p12 -deststoretype PKCS12 -deststorepass secret1", keytool, store))
			run("", openssl+" pkcs12 -in out.p12 -passin pass:secret1 -nodes -out out.pem")
			got, err := tls.LoadX509KeyPair(in("out.pem"), in("out.pem"))
			if err != nil || !slices.Equal(got.Certificate[0], fresh.Raw) {
				t.Errorf("under the old alias lies another key: %v", err)
			}
			if _, err := os.Stat(store + ".old"); err != nil {
				t.Errorf("the old store is gone: %v", err)
			}
		})
	}
}

// TestAKeystoreIsAPersonsStepWithAProof: a host that has the key only in a keystore gets the new one opened in its own store, then a person with a deputy
// brings it over, and the proof from outside and the revocation wait for it.
func TestAKeystoreIsAPersonsStepWithAProof(t *testing.T) {
	leaf, fresh := issued(t, "java.example"), issued(t, "java.example")
	old := cert.SPKI(leaf)
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Quorum: 1}}, Hosts: []fleet.Host{{Name: "web1", Ring: "canary"}, {Name: "java1", Ring: "canary"}, {Name: "cache1", Ring: "canary"}}}
	point := cert.Point{Name: "java.example", Address: "192.0.2.1:8443"}
	on := func(host, path, format, holds, unit string) keys.Found {
		return keys.Found{Host: host, Keys: []keys.Key{{SPKI: old, Type: "ecdsa", Bits: 256, Private: true, Files: []keys.File{{Path: path, Format: format, Holds: holds}}, Readers: []keys.Reader{{PID: 1, Name: "x", Unit: unit}}}}}
	}
	c := cert.Gather(cert.Inputs{
		Hosts:  []keys.Found{on("web1", "/etc/tls/a.pem", "pem", "both", "session-1.scope"), on("web1", "/etc/tls/a.pem", "pem", "both", "nginx.service"), on("java1", "/srv/app.jks", "jks", "keystore", "tomcat9.service"), on("cache1", "/etc/tls/a.pem", "pem", "both", "redis-server.service")},
		Served: []cert.Served{{Sighting: cert.Sighting{Point: point, Keys: []string{old}}, Chain: [][]byte{leaf.Raw}}},
	})
	age := recipient(t)
	o := replace.Options{Fleet: f, Incident: "7", ID: "7.2", Now: time.Now(), Points: []cert.Point{point}, Recipients: map[string]string{"java1": age, "cache1": age}, Routes: []acme.Route{{CA: "le", Accounts: []string{"a"}}}, Custodians: []string{"ann", "ben"}}
	p, err := replace.RollOut(c.Keys, []replace.Made{{Old: old, Name: "made", SPKI: cert.SPKI(fresh), Host: "web1", Sealed: "sealed", Chain: text(fresh)}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if problems := plan.Lint(&p, replace.World(f, c, o.Points, o.Now)); len(problems) > 0 {
		t.Fatal(problems)
	}
	if !slices.ContainsFunc(p.Unseen, func(u plan.Unseen) bool {
		return u.Host == "web1" && strings.Contains(u.Why, "no unit that could be reloaded")
	}) {
		t.Errorf("nobody is told of a program that runs by hand: %+v", p.Unseen)
	}
	at := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return strings.HasPrefix(s.ID, "convert-") })
	if at < 0 {
		t.Fatalf("no step for the keystore: %+v", p.Steps)
	}
	s := p.Steps[at]
	if s.Task.Owner != "ann" || s.Task.Deputy != "ben" || !strings.Contains(s.Task.Asks, "keytool -importkeystore") || !slices.Equal(s.After, []string{"unseal-made-java1"}) {
		t.Errorf("%+v, task %+v", s, s.Task)
	}
	if gone := p.Step("gone-" + old[:12]); gone == nil || !slices.Contains(gone.After, s.ID) {
		t.Errorf("the proof does not wait for it: %+v", gone)
	}
	for _, s := range p.Steps { // redis takes no reload
		if s.Act != nil && s.Act.Kind == act.Place && s.Targets[0].Host == "cache1" && strings.Contains(string(s.Act.With), "reload") {
			t.Errorf("a reload that its unit does not know: %s", s.Act.With)
		}
	}
	if r := p.Step("restart-made-cache1"); r == nil || r.Act.Kind != act.Restart {
		t.Errorf("nothing lets redis read the new key: %+v", r)
	}
}
