package bundle

import (
	"slices"
	"strings"
	"testing"

	"staunch/reach/act/files"
)

func TestAProgramIsCheckedWithTheConfigurationThatItRunsWith(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/sbin/haproxy\x00-Ws\x00-f\x00/etc/haproxy/a.cfg\x00-f\x00/etc/haproxy/b\x00-p\x00/run/haproxy.pid\x00-S\x00/run/master.sock\x00": "-f /etc/haproxy/a.cfg -f /etc/haproxy/b",
		"nginx: master process /usr/sbin/nginx -c /srv/nginx.conf -g daemon on;":                                                               "-c /srv/nginx.conf",
		"/usr/sbin/dovecot\x00-F\x00": "",
		"x\x00-c":                     "",
	} {
		if got := strings.Join(options(line, []string{"-f", "-C", "-c"}), " "); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestCertificatesAreReadFromWhatProgramsSayOfTheirConfiguration(t *testing.T) {
	apache := "SSLCertificateFile /a.pem\n<VirtualHost *:443>\n  sslcertificatefile \"/b.crt\"\n SSLCertificateKeyFile /b.key\nSSLCertificateFile /c.crt\nSSLCertificateKeyFile /c.key\n</VirtualHost>\nSSLCertificateFile ${X}/d\n#SSLCertificateFile /e\n"
	postfix := []string{"smtpd_tls_chain_files =", "smtpd_tls_cert_file = /p.crt", "smtpd_tls_key_file = /p.key", "smtpd_tls_eccert_file =", "submission/inet/smtpd_tls_cert_file = /q.pem", "submission/inet/smtpd_tls_key_file = /q.key", "465/inet/smtpd_tls_chain_files = /r.pem, /s.pem"}
	dovecot := []string{"ssl_cert = </d.crt", "ssl_key = </d.key", "local_name a {", "  ssl_cert = </e.crt", "  ssl_key = </e.key", "}", "ssl_server_cert_file = /f.crt", "ssl_server_key_file = /f.key", "}"}
	for name, c := range map[string]struct{ got, want []files.Pair }{
		"apache":  {apacheNames(apache), []files.Pair{{Cert: "/a.pem", Key: "/a.pem"}, {Cert: "/b.crt", Key: "/b.key"}, {Cert: "/c.crt", Key: "/c.key"}}},
		"postfix": {postfixNames(postfix), []files.Pair{{Cert: "/p.crt", Key: "/p.key"}, {Cert: "/q.pem", Key: "/q.key"}, {Cert: "/r.pem", Key: "/r.pem"}, {Cert: "/s.pem", Key: "/s.pem"}}},
		"dovecot": {dovecotNames(dovecot), []files.Pair{{Cert: "/e.crt", Key: "/e.key"}, {Cert: "/d.crt", Key: "/d.key"}, {Cert: "/f.crt", Key: "/f.key"}}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

func FuzzCertificateNames(f *testing.F) {
	f.Add("<VirtualHost *>\nSSLCertificateFile /a\nSSLCertificateKeyFile /b\n}\nssl_cert = </a\nx {\nssl_key = </b\nsmtpd_tls_cert_file = /a\na/b/smtpd_tls_chain_files = /a,/b")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		for _, pair := range slices.Concat(apacheNames(text), postfixNames(lines), dovecotNames(lines)) {
			if pair.Cert == "" || pair.Key == "" {
				t.Errorf("half a pair %+v of %q", pair, text)
			}
		}
	})
}
