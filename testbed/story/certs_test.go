package story_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/reach/act/vault"
	"staunch/testbed"
	"staunch/testbed/pebble"
	"staunch/testbed/real"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// keyring is what a team has for its certificates: a CA, custodians, old keys, and a CDN that takes its time.
type keyring struct {
	*team
	ca      *pebble.Server
	account crypto.Signer
	port    int    // of the proofs for the CA
	edge    string // address of the CDN
	ann     *age.X25519Identity
}

// newKeyring starts the CA and an account at it, by which the old certificates come into being.
func newKeyring(x *team) *keyring {
	x.Helper()
	k := &keyring{team: x, port: freePort(x.T)}
	k.ca = pebble.Up(x.T, pebble.Options{HTTPPort: k.port, RetryAfter: 1})
	x.write("pebble.pem", string(k.ca.RootsPEM()))
	k.custodians()
	k.account = k.opened("team.age")
	return k
}

// opened reads what is encrypted to the custodians.
func (k *keyring) opened(name string) crypto.Signer {
	k.Helper()
	sealed, err := os.ReadFile(k.path(name))
	k.must(err)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(sealed)), k.ann)
	k.must(err)
	plain, err := io.ReadAll(r)
	k.must(err)
	key, err := vault.Parse(plain)
	k.must(err)
	return key
}

// custodians are two people; ann works tonight.
func (k *keyring) custodians() {
	k.Helper()
	ann, err := age.GenerateX25519Identity()
	k.must(err)
	ben, err := age.GenerateX25519Identity()
	k.must(err)
	k.ann = ann
	k.write("identity", ann.String()+"\n")
	k.write("certs.yaml", fmt.Sprintf("custodians: {ann: %s, ben: %s}\nauthorities:\n  - {name: pebble, acme: %q, roots: pebble.pem, accounts: [team.age], solve: {http: \"127.0.0.1:%d\"}, drill: true}\n",
		ann.Recipient(), ben.Recipient(), k.ca.Directory, k.port))
	k.says(0, "cert", "account", "pebble", "team.age")
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// oldKey is a key of the time before, as PEM, with the certificates on it.
type oldKey struct {
	crypto.Signer
	spki, pem string
}

func newOldKey(t testing.TB, key crypto.Signer) *oldKey {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &oldKey{key, cert.SPKI(&x509.Certificate{RawSubjectPublicKeyInfo: public}), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
}

// certify has an account at the CA certify an old key for names, and returns the chain and the leaf's serial.
func (k *keyring) certify(by crypto.Signer, key *oldKey, names ...string) (chain, serial string) {
	k.Helper()
	web, err := acme.ListenHTTP(fmt.Sprintf("127.0.0.1:%d", k.port))
	k.must(err)
	defer web.Close()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key.Signer)
	k.must(err)
	o, err := acme.NewOrder(csr, nil)
	k.must(err)
	at, err := acme.Connect(k.Context(), acme.Client{
		CA: acme.CA{Name: "pebble", Directory: k.ca.Directory, Roots: k.ca.Roots}, Account: acme.Account{Key: by}, Solvers: map[string]acme.Solver{"http-01": web}, Poll: 50 * time.Millisecond,
	})
	k.must(err)
	_, err = at.Register(k.Context())
	k.must(err)
	o, err = at.Run(k.Context(), o, func(acme.Order) error { return nil })
	k.must(err)
	leaf, err := acme.Leaf([]byte(o.Chain))
	k.must(err)
	return o.Chain, leaf.SerialNumber.Text(16)
}

func (k *keyring) status(serial string) string {
	status, _ := k.ca.Status(k.T, serial)
	return status
}

const nginxTLS = `server { listen 443 ssl; server_name shop.example; ssl_certificate /etc/nginx/tls/shop.crt; ssl_certificate_key /etc/nginx/tls/shop.key; location / { return 200 "shop\n"; } }
server { listen 443 ssl; server_name legacy.example; ssl_certificate /etc/nginx/tls/legacy.crt; ssl_certificate_key /etc/nginx/tls/shop.key; location / { return 200 "legacy\n"; } }
`

const haproxyTLS = `defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend shop
  bind :443 ssl crt /etc/haproxy/shop.pem
  http-request return status 200 content-type text/plain string shop
`

const apacheTLS = `<VirtualHost *:443>
  ServerName shop.example
  SSLEngine on
  SSLCertificateFile /etc/apache2/tls/shop.crt
  SSLCertificateKeyFile /etc/apache2/tls/shop.key
</VirtualHost>
`

const postfixTLS = `compatibility_level = 3.6
myhostname = mail.example
mydestination =
inet_interfaces = all
inet_protocols = ipv4
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/mail-tls/mail.crt
smtpd_tls_key_file = /etc/mail-tls/mail.key
`

const dovecotTLS = `ssl = required
ssl_cert = </etc/mail-tls/mail.crt
ssl_key = </etc/mail-tls/mail.key
`

// serve makes the hosts what they are: nginx, haproxy and apache with the shop's key, postfix and dovecot with the mail's.
func (k *keyring) serve(shop, mail *oldKey) (serials map[string]string) {
	k.Helper()
	shopChain, a := k.certify(k.account, shop, "shop.example", "www.shop.example")
	legacyChain, b := k.certify(k.account, shop, "legacy.example")
	gone, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // the account of somebody who left
	k.must(err)
	mailChain, c := k.certify(gone, mail, "mail.example")
	web, balancer, third := k.hosts[0], k.hosts[1], k.hosts[2]
	web.Exec(k, "systemctl disable -q --now haproxy apache2 postfix dovecot; mkdir -p /etc/nginx/tls; chmod 700 /etc/nginx/tls")
	web.Write(k, "/etc/nginx/tls/shop.crt", shopChain, 0o644)
	web.Write(k, "/etc/nginx/tls/legacy.crt", legacyChain, 0o644)
	web.Write(k, "/etc/nginx/tls/shop.key", shop.pem, 0o600)
	web.Write(k, "/etc/nginx/conf.d/tls.conf", nginxTLS, 0o644)
	web.Exec(k, "nginx -t -q && systemctl restart nginx")
	balancer.Exec(k, "systemctl disable -q --now nginx apache2 postfix dovecot")
	balancer.Write(k, "/etc/haproxy/shop.pem", shopChain+shop.pem, 0o600)
	balancer.Write(k, "/etc/haproxy/haproxy.cfg", haproxyTLS, 0o644)
	balancer.Exec(k, "systemctl restart haproxy")
	third.Exec(k, "systemctl disable -q --now nginx haproxy; mkdir -p /etc/apache2/tls /etc/mail-tls; a2enmod -q ssl")
	third.Write(k, "/etc/apache2/tls/shop.crt", shopChain, 0o644)
	third.Write(k, "/etc/apache2/tls/shop.key", shop.pem, 0o600)
	third.Write(k, "/etc/apache2/sites-enabled/shop.conf", apacheTLS, 0o644)
	third.Write(k, "/etc/mail-tls/mail.crt", mailChain, 0o644)
	third.Write(k, "/etc/mail-tls/mail.key", mail.pem, 0o600)
	third.Write(k, "/etc/postfix/main.cf", postfixTLS, 0o644)
	third.Write(k, "/etc/dovecot/local.conf", dovecotTLS, 0o644)
	third.Exec(k, "systemctl restart apache2 postfix dovecot")
	k.cdn(shopChain + shop.pem)
	return map[string]string{"shop": a, "legacy": b, "mail": c}
}

// cdnHook takes new material at once, says that it serves it, and does so only when a file "go" appears: edges take their time.
const cdnHook = `#!/usr/bin/python3
import json, os, subprocess, sys
here = os.path.dirname(os.path.abspath(sys.argv[0]))
given = json.load(sys.stdin)
if sys.argv[1] == "stage":
    with open(os.open(here + "/staged.pem", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(given["chain"] + given["key"])
    print(json.dumps({"id": given["name"]}))
elif sys.argv[1] == "activate":
    late = "while [ ! -e go ]; do sleep 0.1; done; mv staged.pem live.pem; kill -HUP $(cat nginx.pid)"
    subprocess.Popen(["/bin/sh", "-c", late], cwd=here, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    open(here + "/activated", "w").close()
`

// cdn is an nginx of our own on this machine that stands for an edge network.
func (k *keyring) cdn(bundle string) {
	k.Helper()
	nginx := real.Program(k, "nginx")
	k.must(os.Mkdir(k.path("cdn"), 0o755))
	k.edge = fmt.Sprintf("%s:%d", testbed.Gateway, freePort(k.T))
	k.write("cdn/live.pem", bundle)
	k.write("cdn/hook", cdnHook)
	k.must(os.Chmod(k.path("cdn/hook"), 0o755))
	k.write("cdn/nginx.conf", fmt.Sprintf("pid nginx.pid;\nerror_log error.log;\nworker_processes 1;\nevents {}\nhttp { access_log off;\nserver { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; return 200 \"edge\\n\"; } }\n",
		k.edge, k.path("cdn/live.pem"), k.path("cdn/live.pem")))
	cmd := exec.Command(nginx, "-p", k.path("cdn")+"/", "-c", k.path("cdn/nginx.conf"), "-e", k.path("cdn/error.log"), "-g", "daemon off;")
	k.must(cmd.Start())
	k.Cleanup(func() {
		k.write("cdn/go", "")
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	certs, err := os.ReadFile(k.path("certs.yaml"))
	k.must(err)
	k.write("certs.yaml", string(certs)+fmt.Sprintf("edges:\n  cdn: {driver: hook, program: %q, courier: %s}\n", k.path("cdn/hook"), k.ann.Recipient()))
}

const keysInventory = `rings:
  canary: {width: 1}
  production: {width: 2, quorum: 2}
hosts:
  st-1: {ring: canary, address: 10.66.0.11, labels: [web]}
  st-2: {address: 10.66.0.12, labels: [front]}
  st-3: {address: 10.66.0.13, labels: [third]}
services:
  web: {on: web, units: [nginx.service], public: true}
  front: {on: front, units: [haproxy.service], restart: reload, public: true}
endpoints:
  shop.example: {addresses: ["10.66.0.11:443", "10.66.0.12:443", "10.66.0.13:443"]}
  legacy.example: {addresses: ["10.66.0.11:443"]}
  www.shop.example: {addresses: ["EDGE"], behind: cdn}
  smtp.example: {addresses: ["10.66.0.13:25"], sni: mail.example, starttls: smtp}
  imap.example: {addresses: ["10.66.0.13:993"], sni: mail.example}
`

func (k *keyring) inventory() {
	k.write("staunch.yaml", strings.ReplaceAll(keysInventory, "EDGE", k.edge))
}

// signed approves the newest plan with two people's votes.
func (k *keyring) signed(plan string) {
	k.Helper()
	for _, who := range []string{"ada", "ben"} {
		k.says(0, "approve", plan, "--key", k.path(who+".key"))
	}
}

func TestKeysOnRealServers(t *testing.T) {
	x := newTeam(t, 3, keysInventory, testbed.Bare(), testbed.With("nginx-light", "haproxy", "apache2", "postfix", "dovecot-imapd"))
	x.key("ada")
	x.key("ben")
	k := newKeyring(x)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	x.must(err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	x.must(err)
	shop, mail := newOldKey(t, p256), newOldKey(t, p384)
	serials := k.serve(shop, mail)
	k.inventory()

	k.found(shop, mail)
	k.rolled(shop, serials)
}

// found: every key is known by its files, its programs and its endpoints, and who could replace it.
func (k *keyring) found(shop, mail *oldKey) {
	k.Helper()
	graph, err := k.command("cert", "list", "--graph").CombinedOutput()
	if code := exitOf(err); code != 0 && code != 3 {
		k.Fatalf("cert list: exit %d\n%s", code, graph)
	}
	k.has("the picture", string(graph), "key "+shop.spki[:16], "key "+mail.spki[:16],
		"st-1:/etc/nginx/tls/shop.key", "st-1:/etc/nginx/tls/legacy.crt", "st-2:/etc/haproxy/shop.pem (both", "st-3:/etc/apache2/tls/shop.key", "st-3:/etc/mail-tls/mail.key",
		"nginx.service on st-1", "haproxy.service on st-2", "apache2.service on st-3", "postfix@-.service on st-3", "dovecot.service on st-3",
		"served at shop.example@10.66.0.12:443", "served at legacy.example@10.66.0.11:443", "served at www.shop.example@"+k.edge, "held by cdn",
		"served at smtp.example@10.66.0.13:25 (mail.example)", "served at imap.example@10.66.0.13:993 (mail.example)", "revoked by: pebble (ann, ben)")
}

// runs carries the newest plan of incident 1 out, in the background; the function it returns waits for the end.
func (k *keyring) runs() func() (string, int) {
	k.Helper()
	cmd := k.command("incident", "run", "1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	k.must(cmd.Start())
	k.Cleanup(func() { _ = cmd.Process.Kill() }) // ended long ago, unless the test failed
	return func() (string, int) { err := cmd.Wait(); return out.String(), exitOf(err) }
}

// until waits until something is so.
func (k *keyring) until(what string, is func() bool) {
	k.Helper()
	for end := time.Now().Add(90 * time.Second); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("it never came about that %s", what)
		}
	}
}

// rolled replaces the shop's key everywhere: a configuration that is refused, a CDN that is late, and the revocation that waits for it.
func (k *keyring) rolled(shop *oldKey, serials map[string]string) {
	k.Helper()
	k.says(0, "cert", "replace", "shop.example", "--drill", "--urgency", "now", "--soak", "0s")
	k.signed("1.1")
	k.has("new keys", k.says(0, "incident", "run", "1"), "plan 1.1: done")
	k.says(0, "cert", "replace", "shop.example", "--incident", "1", "--drill", "--urgency", "now", "--soak", "0s")
	k.signed("1.2")

	broken := "/etc/apache2/sites-enabled/broken.conf"
	k.hosts[2].Write(k, broken, "ThisIsNoDirective on\n", 0o644)
	out := k.says(1, "incident", "run", "1")
	k.has("a refused configuration", out, "apache refuses the new files", "the old files are back", "failed:")
	k.serves("10.66.0.13:443", "shop.example", shop.spki)
	k.hosts[2].Exec(k, "systemctl is-active apache2; rm "+broken)
	k.says(0, "incident", "retry", "1", k.step("1.2", "place", "st-3"), "st-3")

	wait := k.runs()
	k.until("the CDN was activated", func() bool { _, err := os.Stat(k.path("cdn/activated")); return err == nil })
	k.until("the run says who is late", func() bool {
		return strings.Contains(k.says(0, "incident", "brief", "1"), k.edge)
	})
	k.Logf("%s", k.says(0, "incident", "brief", "1"))
	refused := k.says(2, "cert", "revoke", shop.spki)
	k.has("a revocation by hand", refused, "is not revoked", k.edge+" still serves the key")
	if a, b := k.status(serials["shop"]), k.status(serials["legacy"]); a != "Valid" || b != "Valid" {
		k.Errorf("while the CDN serves the old key, its certificates are %s and %s", a, b)
	}
	k.write("cdn/go", "")
	out, code := wait()
	if code != 0 {
		k.Fatalf("the rollout: exit %d\n%s", code, out)
	}
	k.has("the rollout", out, "plan 1.2: done", "accepted by the CA")
	for name := range map[string]bool{"shop": true, "legacy": true} {
		if got := k.status(serials[name]); got != "Revoked" {
			k.Errorf("the old certificate of %s is %s", name, got)
		}
	}
	k.Logf("%s", out)
}

// serves holds one address to the key that it serves right now.
func (k *keyring) serves(address, name, spki string) {
	k.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	k.must(err)
	defer conn.Close()
	if got := cert.SPKI(conn.ConnectionState().PeerCertificates[0]); got != spki {
		k.Errorf("%s serves key %s, want %s", address, got, spki)
	}
}

// step finds a plan's step by the beginning of its id and the host that it is about.
func (k *keyring) step(plan, kind, host string) string {
	k.Helper()
	text := k.says(0, "plan", "show", plan)
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, kind+"-") && strings.HasSuffix(word, "-"+host) {
			return word
		}
	}
	k.Fatalf("plan %s has no step %s for %s:\n%s", plan, kind, host, text)
	return ""
}
