package carry_test

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
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/testbed"
)

// server is a real program of Debian whose configuration and certificate are placed.
type server struct {
	name, unit   string
	port         int
	conf         string // where its configuration goes
	good, broken string // configuration that it takes, and one that it does not
	prepare      string // shell, once, with good and the old certificate in place
	one          bool   // certificate and key lie in one file
}

func servers() []server {
	return []server{
		{
			name: "nginx", unit: "nginx.service", port: 8441, conf: "/etc/nginx/conf.d/shop.conf",
			good:   "server { listen 8441 ssl; ssl_certificate /etc/shop/nginx.crt; ssl_certificate_key /etc/shop/nginx.key; return 200; }\n",
			broken: "server { listen 8441 ssl; ssl_certificat /etc/shop/nginx.crt; }\n", prepare: "rm -f /etc/nginx/sites-enabled/default",
		},
		{
			name: "haproxy", unit: "haproxy.service", port: 8442, conf: "/etc/haproxy/haproxy.cfg", one: true,
			good:   "global\n  daemon\ndefaults\n  mode http\n  timeout client 9s\n  timeout server 9s\n  timeout connect 9s\nfrontend shop\n  bind :8442 ssl crt /etc/shop/haproxy.crt\n  http-request return status 200\n",
			broken: "global\n  daemon\nfrontend shop\n  bind :8442 ssl crt /etc/shop/haproxy.crt\n  http-request retrun status 200\n",
		},
		{
			name: "apache", unit: "apache2.service", port: 8443, conf: "/etc/apache2/sites-enabled/shop.conf",
			good:    "<VirtualHost *:8443>\nSSLEngine on\nSSLCertificateFile /etc/shop/apache.crt\nSSLCertificateKeyFile /etc/shop/apache.key\n</VirtualHost>\n",
			broken:  "<VirtualHost *:8443>\nSSLEngin on\n</VirtualHost>\n",
			prepare: "a2enmod -q ssl && rm -f /etc/apache2/sites-enabled/000-default.conf && echo 'Listen 8443' >/etc/apache2/ports.conf",
		},
		{
			name: "postfix", unit: "postfix.service", port: 25, conf: "/etc/postfix/main.cf",
			good:   "compatibility_level = 3.6\nmyhostname = st-1.example\nmydestination =\nsmtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/shop/postfix.crt\nsmtpd_tls_key_file = /etc/shop/postfix.key\n",
			broken: "compatibility_level = 3.6\nsmtpd_tls_security_level may\n",
		},
		{
			name: "dovecot", unit: "dovecot.service", port: 993, conf: "/etc/dovecot/local.conf",
			good:   "ssl = yes\nssl_cert = </etc/shop/dovecot.crt\nssl_key = </etc/shop/dovecot.key\n",
			broken: "ssl = yes\nssl_certificate = </etc/shop/dovecot.crt\n",
		},
	}
}

// TestRealServersTakeAGoodBundleAndKeepTheOldOneInsteadOfABrokenOne asks every named validator on the real program, and a stranger
// which certificate is served.
func TestRealServersTakeAGoodBundleAndKeepTheOldOneInsteadOfABrokenOne(t *testing.T) {
	h := machines(t, 1, testbed.With("nginx-light", "haproxy", "apache2", "postfix", "dovecot-imapd"))[0]
	was, will := newPair(t, "old"), newPair(t, "new")
	for _, s := range servers() {
		t.Run(s.name, func(t *testing.T) { s.story(t, machine{h.Host, t}, was, will) })
	}
}

func (s server) story(t *testing.T, m machine, was, will pair) {
	for path, text := range s.files(s.good, was) {
		m.Write(t, path, text, 0o600)
	}
	m.Exec(t, strings.TrimPrefix(s.prepare+" && systemctl restart "+s.unit, " && "))
	s.serves(t, m, "old")

	m.want(m.do(s.order(t, "broken", s.files(s.broken, will))), act.Failed, s.name+" refuses the new files")
	s.unchanged(t, m, was)
	foreign := s.order(t, "foreign-key", s.files(s.good, pair{will.cert, was.key}))
	m.want(m.do(foreign), act.Failed, "the old files are back")
	s.unchanged(t, m, was)

	good := s.order(t, "good", s.files(s.good, will))
	m.want(m.do(good), act.Done, "done and seen")
	s.serves(t, m, "new")
	m.want(m.do(undoOf(good)), act.Undone, "")
	s.serves(t, m, "old")
}

// files are configuration and certificate as they lie on the host.
func (s server) files(conf string, p pair) map[string]string {
	files := map[string]string{s.conf: conf, "/etc/shop/" + s.name + ".crt": p.cert, "/etc/shop/" + s.name + ".key": p.key}
	if s.one {
		files["/etc/shop/"+s.name+".crt"] += p.key
	}
	return files
}

func (s server) order(t *testing.T, id string, files map[string]string) act.Order {
	t.Helper()
	with := &act.PlaceWith{Validator: s.name, Reload: []string{s.unit}}
	for path, text := range files {
		mode := ""
		if strings.HasSuffix(path, ".key") || s.one {
			mode = "0600"
		}
		with.Files = append(with.Files, act.File{Path: path, Pieces: []act.Piece{{Text: text}}, Mode: mode})
	}
	return newOrder(t, s.name+"-"+id, act.Place, with)
}

// unchanged proves that the old files lie there, and that the old certificate is served by a unit that runs.
func (s server) unchanged(t *testing.T, m machine, was pair) {
	t.Helper()
	for path, text := range s.files(s.good, was) {
		if got := m.Exec(t, "cat "+path) + "\n"; got != text {
			t.Errorf("%s after the refusal:\n%s", path, got)
		}
	}
	if got := m.Exec(t, "ls -A /etc/shop $(dirname "+s.conf+") | grep -c '^.staunch-' || true"); got != "0" {
		t.Errorf("%s staged files were left", got)
	}
	if got := m.Exec(t, "systemctl is-active "+s.unit); got != "active" {
		t.Errorf("%s is %s after the refusal", s.unit, got)
	}
	s.serves(t, m, "old")
}

// serves waits until a stranger gets the certificate with this name.
func (s server) serves(t *testing.T, m machine, name string) {
	t.Helper()
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s served last: %s", s.name, last)
		}
	}()
	eventually(t, s.name+" serves the "+name+" certificate", func() bool { last = s.certificate(m.Addr); return last == name })
}

// certificate is the common name of what is served, or why there is none.
func (s server) certificate(host string) string {
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // what is served is the question
	address := net.JoinHostPort(host, fmt.Sprint(s.port))
	if s.name != "postfix" {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, config)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	client, err := smtp.Dial(address)
	if err != nil {
		return err.Error()
	}
	defer client.Close()
	if err := client.StartTLS(config); err != nil {
		return err.Error()
	}
	state, _ := client.TLSConnectionState()
	return state.PeerCertificates[0].Subject.CommonName
}

// pair is a certificate with its key.
type pair struct{ cert, key string }

func newPair(t *testing.T, name string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))}
}
