package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
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

// TestAJavaServerNamesItsStores on its command line, and Tomcat in its server.xml, where comments name nothing.
func TestAJavaServerNamesItsStores(t *testing.T) {
	const tomcat = `<?xml version="1.0"?>
<Server port="8005">
  <!-- <Connector port="1" keystoreFile="/nowhere/old.jks" /> -->
  <Service name="Catalina">
    <Connector port="8443"
               SSLEnabled="true">
      <SSLHostConfig>
        <Certificate certificateKeystoreFile="conf/one.pem" type="RSA" />
        <Certificate certificateKeyFile='${catalina.base}/conf/two.key' certificateFile="${catalina.home}/two.pem"/>
      </SSLHostConfig>
    </Connector>
  </Service>
</Server>
`
	one, two, three := newPair(t, "one.example"), newPair(t, "two.example"), newPair(t, "three.example")
	p := newProcess(t, "java", "tomcat9.service", []string{"/usr/bin/java", "-Dcatalina.base=/var/lib/tomcat9", "-Djavax.net.ssl.keyStore=/srv/three.pem", "org.apache.catalina.startup.Bootstrap", "start"}, nil)
	p.file("var/lib/tomcat9/conf/server.xml", tomcat)
	p.file("var/lib/tomcat9/conf/one.pem", one.cert+one.key)
	p.file("var/lib/tomcat9/conf/two.key", two.key)
	p.file("srv/three.pem", three.cert+three.key)
	f := p.look(keys.Question{})
	for _, k := range []pair{one, two, three} {
		if got := find(t, f, k.spki); !got.Private || got.Readers[0].How != "configuration" {
			t.Errorf("%+v", got)
		}
	}
	if len(f.Unseen) != 1 || !strings.Contains(f.Unseen[0].Path, "catalina.home") {
		t.Errorf("unseen: %+v", f.Unseen)
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

// TestAccountsOfACMEClients: certbot keeps its account as JSON, others as PEM; the path tells whose it is.
func TestAccountsOfACMEClients(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	spki := sha256.Sum256(der)
	b64 := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	point := der[len(der)-64:]
	p := newProcess(t, "certbot", "certbot.service", []string{"certbot"}, nil)
	const file = "/etc/letsencrypt/accounts/ca/directory/0/private_key.json"
	p.file(file, `{"kty":"EC","crv":"P-256","x":"`+b64(point[:32])+`","y":"`+b64(point[32:])+`","d":"c2VjcmV0"}`)
	p.opens(3, file)
	for i, bad := range []string{"{", "{}", `{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"x"}`, `{"kty":"RSA","n":"AA","e":"AQAB","d":"x"}`, `{"kty":"oct","d":"x"}`, `{"kty":"EC","crv":"P-1","d":"x"}`} {
		name := fmt.Sprintf("/etc/letsencrypt/accounts/bad%d/private_key.json", i)
		p.file(name, bad)
		p.opens(10+i, name)
	}
	found := p.look(keys.Question{})
	if len(found.Keys) != 1 || found.Keys[0].SPKI != hex.EncodeToString(spki[:]) || !found.Keys[0].Private || found.Keys[0].Files[0].Format != "jwk" {
		t.Errorf("%+v", found.Keys)
	}
	for path, want := range map[string]string{
		file: "certbot", "/root/.acme.sh/ca/acme-v02.api.letsencrypt.org/directory/account.key": "acme.sh", "/var/lib/caddy/.local/share/caddy/acme/ca/users/a@b/a.key": "caddy",
		"/etc/dehydrated/accounts/x/account_key.pem": "dehydrated", "/root/.lego/accounts/ca/a@b/keys/a@b.key": "lego", "/etc/tls/private_key.json": "", "/etc/tls/shop.key": "",
	} {
		if got := keys.AccountOf(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestStoresThatStayShut: PKCS #12, JCEKS and garbage with their endings are told as what they are, and never as an empty place.
func TestStoresThatStayShut(t *testing.T) {
	p := newProcess(t, "java", "app.service", []string{"java"}, nil)
	own := newPair(t, "x.example")
	cert, _ := pem.Decode([]byte(own.cert))
	for name, text := range map[string]string{
		"a.p12": "\x30\x82\x01\x00\x02\x01\x03\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01", "b.jceks": "\xce\xce\xce\xce\x00\x00\x00\x02\x00\x00\x00\x01", "c.jks": "\xfe\xed\xfe\xed\x00\x00\x00\x02\xff\xff\xff\xff",
		"d.der": string(cert.Bytes), "e.der": string(cert.Bytes[:len(cert.Bytes)/2]), "f.pem": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"g.key": "-----BEGIN PRIVATE KEY-----\n%%%%\n-----END PRIVATE KEY-----\n",
	} {
		p.file("/srv/"+name, text)
	}
	for i, name := range []string{"a.p12", "b.jceks", "c.jks", "d.der", "e.der", "f.pem", "g.key"} {
		if name == "b.jceks" {
			name = "b.keystore"
			p.file("/srv/"+name, "\xce\xce\xce\xce\x00\x00\x00\x02\x00\x00\x00\x01")
		}
		p.opens(3+i, "/srv/"+name)
	}
	locked, told := 0, 0
	for _, k := range p.look(keys.Question{}).Keys {
		if k.SPKI == "" && k.Encrypted {
			locked++
		} else {
			told++
		}
	}
	if locked != 4 || told != 1 { // the PFX, two stores and one encrypted key; the certificate in DER
		t.Errorf("%d shut, %d told", locked, told)
	}
}
