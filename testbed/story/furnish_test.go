package story_test

import (
	"fmt"
	"strings"

	"staunch/testbed"
)

// tallybleed is the advisory of the night: memory of every process with the library may be read by strangers.
const tallybleed = `{"schema_version":"1.6.0","id":"CVE-2026-0001","aliases":["TALLYBLEED"],"published":"2026-11-20T00:00:00Z","modified":"2026-11-20T00:00:00Z",
"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
"affected":[{"package":{"ecosystem":"Debian:12","name":"tally"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.1-1"}]}]}],
"database_specific":{"cwe_ids":["CWE-125"]}}`

// fiveHosts is the fleet of the night: a shop on web servers behind a balancer, in three rings.
const fiveHosts = `rings:
  canary: {width: 1}
  staging: {width: 1}
  production: {width: 2, quorum: 2}
hosts:
  st-1: {address: 10.66.0.11, ring: canary, labels: [web]}
  st-2: {address: 10.66.0.12, ring: staging, labels: [web]}
  st-3: {address: 10.66.0.13, ring: production, labels: [web]}
  st-4: {address: 10.66.0.14, ring: production, labels: [front]}
  st-5: {address: 10.66.0.15, ring: production, labels: [web]}
services:
  shop:
    on: web
    units: [nginx.service]
    health: {url: "http://{host}/", within: 30s}
    drain: drain
    undrain: undrain
    max_down: 1
    holds: [orders, addresses]
    owner: cleo
    public: true
  front:
    on: front
    units: [haproxy.service]
    restart: reload
    health: {tcp: "{host}:8443", within: 30s}
    holds: [passwords of customers in transit]
    owner: dora
    public: true
endpoints:
  shop.example:
    addresses: ["10.66.0.14:8443"]
    service: front
`

// Secrets that lie on the hosts. Their values must never be seen anywhere else: atRest looks.
const (
	legacyToken  = "tok-4f1e0c66-never-leaves-the-host"
	sessionValue = "ses-91b7ad02-never-leaves-the-host"
)

// furnish makes the hosts what the story is about: nginx and haproxy that load modules linked to the library, one key for both,
// a vendor's daemon without an update, hooks that drain, and a balancer that customers meet.
func (x *team) furnish() {
	x.Helper()
	x.shop = newAuthority(x)
	x.serveTLS(x.shop.issue(x, "shop.example"))
}

// serveTLS gives every host the shop's key and certificate, and starts what serves them.
func (x *team) serveTLS(served pair) {
	x.Helper()
	for i, h := range x.hosts {
		h.Exec(x, "apt-get update -q")
		h.Exec(x, "mkdir -p /etc/staunch/hooks /etc/systemd/system/nginx.service.d")
		h.Write(x, "/etc/ssl/private/shop.pem", served.Cert+served.Key, 0o600)
		if i == 3 {
			h.Write(x, "/etc/haproxy/haproxy.cfg", balancer(x.hosts), 0o644)
			h.Exec(x, "systemctl disable -q --now nginx; systemctl restart haproxy")
			continue
		}
		h.Write(x, "/etc/staunch/hooks/drain", "#!/bin/sh\nrm -f /var/www/html/ready\nsleep 4\n", 0o755)
		h.Write(x, "/etc/staunch/hooks/undrain", "#!/bin/sh\necho yes >/var/www/html/ready\nchmod 644 /var/www/html/ready\nsleep 4\n", 0o755)
		h.Write(x, "/etc/nginx/sites-enabled/tls", webServer, 0o644)
		h.Write(x, "/etc/systemd/system/nginx.service.d/session.conf", "[Service]\nEnvironment=SHOP_SESSION_SECRET="+sessionValue+"\n", 0o600)
		h.Exec(x, "systemctl daemon-reload; echo shop >/var/www/html/index.html; echo yes >/var/www/html/ready; systemctl disable -q --now haproxy; systemctl restart nginx")
	}
	h := x.hosts[1]
	h.Write(x, "/lib/systemd/system/legacyd.service", "[Unit]\nDescription=a vendor's daemon\n[Service]\nExecStart=/usr/sbin/tallyd 7003\nEnvironment=LEGACY_API_TOKEN="+legacyToken+
		"\n[Install]\nWantedBy=multi-user.target\n", 0o644)
	h.Exec(x, "systemctl daemon-reload; systemctl enable -q --now legacyd")
}

const webServer = `server {
	listen 443 ssl;
	root /var/www/html;
	ssl_certificate /etc/ssl/private/shop.pem;
	ssl_certificate_key /etc/ssl/private/shop.pem;
}
`

// balancer takes customers' connections and tells, as the web servers do, which version of the library answers.
func balancer(hosts []*testbed.Host) string {
	var text strings.Builder
	text.WriteString("global\n  lua-load /etc/haproxy/tally.lua\n  stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners\n" +
		"defaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n  timeout check 3s\n  retries 3\n  option redispatch\n" +
		"frontend shop\n  bind :8443 ssl crt /etc/ssl/private/shop.pem\n  http-response set-header X-Tally-Front %[lua.tally_version]\n  default_backend web\n" +
		"backend web\n  option httpchk GET /ready\n")
	for _, h := range hosts[:3] {
		fmt.Fprintf(&text, "  server %s %s:80 check inter 500ms fall 2 rise 2\n", h.Name, h.Addr)
	}
	return text.String()
}
