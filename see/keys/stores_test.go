package keys_test

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/see/keys"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
)

// TestAJavaStoreTellsItsKeys: without any password the certificates beside the encrypted keys tell which keys lie there.
func TestAJavaStoreTellsItsKeys(t *testing.T) {
	own, trusted := newPair(t, "java.example"), newPair(t, "ca.example")
	der := func(text string) []byte { b, _ := pem.Decode([]byte(text)); return b.Bytes }
	store := keystore.New()
	if err := store.SetPrivateKeyEntry("a", keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der(own.key), CertificateChain: []keystore.Certificate{{Type: "X509", Content: der(own.cert)}}}, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if err := store.SetTrustedCertificateEntry("b", keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: der(trusted.cert)}}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := store.Store(&b, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, "java", "app.service", []string{"java"}, nil)
	p.file("/srv/app.jks", b.String())
	p.file("/srv/cut.jks", b.String()[:b.Len()/2])
	p.opens(3, "/srv/app.jks")
	p.opens(4, "/srv/cut.jks")
	found := p.look(keys.Question{})
	private, locked := map[string]bool{}, 0
	for _, k := range found.Keys {
		private[k.SPKI] = k.Private
		if k.SPKI == "" {
			locked++
		}
	}
	if is, known := private[own.spki]; !known || !is {
		t.Errorf("the store's own key: %+v", found.Keys)
	}
	if is, known := private[trusted.spki]; !known || is {
		t.Errorf("the trusted certificate: %+v", found.Keys)
	}
	if locked == 0 {
		t.Error("a store that is cut off says nothing of what it may hold")
	}
}

// TestConfigurationsOfFurtherServers follows what each program's manual says.
func TestConfigurationsOfFurtherServers(t *testing.T) {
	for name, c := range map[string]struct{ program, file, text string }{
		"hitch":                         {"hitch", "/etc/hitch/hitch.conf", "frontend = \"[*]:443\"\npem-file = \"/srv/x.pem\"\n"},
		"coturn":                        {"turnserver", "/etc/turnserver.conf", "cert=/srv/x.pem\npkey=/srv/x.pem\n"},
		"postgres":                      {"postgres", "/var/lib/pgsql/data/postgresql.conf", "ssl = on\nssl_cert_file = '/srv/x.pem'\n"},
		"postfix, on lines that go on":  {"master", "/etc/postfix/main.cf", "smtpd_tls_chain_files =\n  /srv/x.pem,\n  /srv/$other.pem\n"},
		"postfix, for one service only": {"master", "/etc/postfix/master.cf", "smtps inet n - y - - smtpd\n  -o smtpd_tls_cert_file=/srv/x.pem\n"},
		"redis":                         {"redis-server", "/etc/redis/redis.conf", "port 0\ntls-cert-file /srv/x.pem\ntls-key-file /srv/x.pem\n"},
		"stunnel":                       {"stunnel4", "/etc/stunnel/stunnel.conf", "[https]\naccept = 443\ncert = /srv/x.pem\n"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newPair(t, "x.example")
			unit := c.program + ".service"
			p := newProcess(t, c.program, unit, []string{c.program}, nil)
			p.file(c.file, c.text)
			p.file("/srv/x.pem", k.cert+k.key)
			found := p.look(keys.Question{})
			if len(found.Keys) != 1 || found.Keys[0].SPKI != k.spki || !found.Keys[0].Private || len(found.Keys[0].Certificates) != 1 || len(found.Keys[0].Certificates[0].DER) == 0 {
				t.Errorf("%+v, unseen %+v", found.Keys, found.Unseen)
			}
			if r := found.Keys[0].Readers; len(r) != 1 || r[0].Unit != unit {
				t.Errorf("readers %+v", r)
			}
			if strings.Contains(c.text, "$other") != slices.ContainsFunc(found.Unseen, func(u keys.Unseen) bool { return strings.Contains(u.Reason, "variable") }) {
				t.Errorf("a path with a variable is neither followed nor told: %+v", found.Unseen)
			}
		})
	}
}
