package story_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"staunch/testbed"
)

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
func (k *keyring) serve(at ca, shop, mail *oldKey) map[string]*x509.Certificate {
	k.Helper()
	account := k.opened("pebble.age")
	shopChain, a := k.certify(at, account, shop, "shop.example", "www.shop.example")
	legacyChain, b := k.certify(at, account, shop, "legacy.example")
	mailChain, c := k.certify(at, newKey(k), mail, "mail.example") // by the account of somebody who left
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
	return map[string]*x509.Certificate{"shop": a, "legacy": b, "mail": c}
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

func TestKeysOnRealServers(t *testing.T) {
	x := newTeam(t, 3, keysInventory, testbed.Bare(), testbed.With("nginx-light", "haproxy", "apache2", "postfix", "dovecot-imapd"))
	x.key("ada")
	x.key("ben")
	port := freePort(t)
	at, pebble := atPebble(x, port, ", drill: true")
	k := newKeyring(x, port, at)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	x.must(err)
	shop, mail := newOldKey(t, newKey(t)), newOldKey(t, p384)
	old := k.serve(at, shop, mail)
	k.write("staunch.yaml", strings.ReplaceAll(keysInventory, "EDGE", k.edge))
	status := func(name string) string {
		got, _ := pebble.Status(t, old[name].SerialNumber.Text(16))
		return got
	}
	k.found(shop, mail)
	for _, h := range x.hosts[1:] { // these obey only what two people signed
		list, err := os.ReadFile(x.path("allowed_signers"))
		x.must(err)
		h.Write(x, "/etc/staunch/allowed_signers", string(list), 0o644)
	}
	k.rolled(shop, status)
	k.mailed(mail, status)
	k.comesBack(shop)
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

// rolled replaces the shop's key everywhere: a configuration that is refused, a CDN that is late, and the revocation that waits for it.
func (k *keyring) rolled(shop *oldKey, status func(name string) string) {
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
	k.until("the run names who is late", func() bool {
		return strings.Contains(k.says(0, "incident", "brief", "1"), "www.shop.example@"+k.edge+" serves ")
	})
	refused := k.says(2, "cert", "revoke", shop.spki)
	k.has("a revocation by hand", refused, "is not revoked", k.edge+" still serves the key")
	if a, b := status("shop"), status("legacy"); a != "Valid" || b != "Valid" {
		k.Errorf("while the CDN serves the old key, its certificates are %s and %s", a, b)
	}
	k.write("cdn/go", "")
	out, code := wait.ended()
	if code != 0 {
		k.Fatalf("the rollout: exit %d\n%s", code, out)
	}
	k.has("the rollout", out, "plan 1.2: done", "accepted by the CA")
	for _, name := range []string{"shop", "legacy"} {
		if got := status(name); got != "Revoked" {
			k.Errorf("the old certificate of %s is %s", name, got)
		}
	}
}

// mailed replaces the key of postfix and dovecot. The account that ordered its certificate is lost: the old key itself asks for its
// revocation, on the host that has it, which obeys because two people signed just that.
func (k *keyring) mailed(mail *oldKey, status func(name string) string) {
	k.Helper()
	for _, plan := range []string{"2.1", "2.2"} {
		args := []string{"cert", "replace", "mail.example", "--drill", "--urgency", "now", "--soak", "0s"}
		if plan == "2.2" {
			args = append(args, "--incident", "2", "--own-key", "pebble")
			args[2] = mail.spki // by now two keys have the name
		}
		k.says(0, args...)
		k.signed(plan)
		out := k.says(0, "incident", "run", "2")
		k.has("the mail's key", out, "plan "+plan+": done")
		if plan == "2.2" {
			k.has("the revocation", out, "asked by certificate key")
		}
	}
	if got := status("mail"); got != "Revoked" {
		k.Errorf("the old certificate of the mail is %s", got)
	}
	k.hosts[2].Exec(k, "systemctl is-active postfix dovecot apache2")
}

// comesBack: a host serves the old key again, as after a backup was put back. The watch tells.
func (k *keyring) comesBack(shop *oldKey) {
	k.Helper()
	quiet, _ := k.command("cert", "watch").CombinedOutput()
	if strings.Contains(string(quiet), "serves the old key") {
		k.Errorf("the watch before: %s", quiet)
	}
	bundle, err := os.ReadFile(k.path("cdn/first.pem"))
	k.must(err)
	k.hosts[1].Write(k, "/etc/haproxy/shop.pem", string(bundle), 0o600)
	k.hosts[1].Exec(k, "systemctl reload haproxy")
	k.until("the watch sees the old key", func() bool {
		text, _ := k.command("cert", "watch").CombinedOutput()
		return strings.Contains(string(text), "ALARM shop.example@10.66.0.12:443: serves the old key "+shop.spki[:12]+" again")
	})
}
