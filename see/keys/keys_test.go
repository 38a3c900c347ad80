package keys_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/see/keys"
	"staunch/testbed/real"

	"golang.org/x/crypto/ssh"
)

// pair is a key with a certificate, as PEM, and the hash of its public half.
type pair struct{ key, cert, spki string }

func newPair(t *testing.T, name string) pair {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(public)
	return pair{
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), hex.EncodeToString(sum[:]),
	}
}

// pretend is a procfs written by hand with one process, whose root is a directory of its own.
type pretend struct {
	t    *testing.T
	proc string
	root string
}

func newProcess(t *testing.T, program, unit string, args, environ []string) pretend {
	t.Helper()
	p := pretend{t, t.TempDir(), t.TempDir()}
	dir := filepath.Join(p.proc, "100")
	for name, text := range map[string]string{
		"comm": program + "\n", "cgroup": "0::/system.slice/" + unit + "\n", "cmdline": strings.Join(args, "\x00") + "\x00", "environ": strings.Join(environ, "\x00") + "\x00",
	} {
		p.put(filepath.Join(dir, name), text)
	}
	for link, to := range map[string]string{"root": p.root, "exe": "/usr/sbin/" + program} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p pretend) put(path, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		p.t.Fatal(err)
	}
}

func (p pretend) file(path, text string) { p.t.Helper(); p.put(filepath.Join(p.root, path), text) }

func (p pretend) opens(fd int, path string) {
	p.t.Helper()
	if err := os.Symlink(path, filepath.Join(p.proc, "100", "fd", fmt.Sprint(fd))); err != nil {
		p.t.Fatal(err)
	}
}

func (p pretend) look(q keys.Question) *keys.Found {
	p.t.Helper()
	f, err := keys.Look(p.t.Context(), q, keys.Env{Proc: p.proc, Host: "web1"})
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

func find(t *testing.T, f *keys.Found, spki string) keys.Key {
	t.Helper()
	at := slices.IndexFunc(f.Keys, func(k keys.Key) bool { return k.SPKI == spki })
	if at < 0 {
		b, _ := json.MarshalIndent(f, "", " ")
		t.Fatalf("the key %.12s was not found:\n%s", spki, b)
	}
	return f.Keys[at]
}

// TestConfigurationsOfServers: each server names its key in its own way, and the key is found with who reads it and why.
func TestConfigurationsOfServers(t *testing.T) {
	for program, files := range map[string]map[string]string{
		"nginx": {
			"etc/nginx/nginx.conf":         "http {\n include sites-enabled/*;\n}\n",
			"etc/nginx/sites-enabled/shop": "server { listen 443 ssl; ssl_certificate /k/cert.pem; # ssl_certificate /other\n  ssl_certificate_key \"/k/key.pem\"; ssl_session_ticket_key ticket.key; }\n",
		},
		"apache2": {
			"etc/apache2/apache2.conf":          "IncludeOptional sites-enabled/*.conf\n",
			"etc/apache2/sites-enabled/a.conf":  "<VirtualHost *:443>\n SSLCertificateFile /k/cert.pem\n SSLCertificateKeyFile /k/key.pem\n</VirtualHost>\n",
			"etc/apache2/sites-enabled/b.other": "SSLCertificateFile /nowhere\n",
		},
		"haproxy":  {"etc/haproxy/haproxy.cfg": "global\n crt-base /k\nfrontend x\n bind :443 ssl crt both.pem alpn h2\n"},
		"master":   {"etc/postfix/main.cf": "smtpd_tls_cert_file=/k/cert.pem\nsmtpd_tls_key_file = /k/key.pem\n"},
		"dovecot":  {"etc/dovecot/dovecot.conf": "!include conf.d/*.conf\n", "etc/dovecot/conf.d/10-ssl.conf": "ssl_cert = </k/cert.pem\nssl_key = </k/key.pem\n"},
		"prosody":  {"etc/prosody/prosody.cfg.lua": "-- key = \"/nowhere\"\nssl = {\n  key = \"/k/key.pem\";\n  certificate = \"/k/cert.pem\";\n}\n"},
		"caddy":    {"etc/caddy/Caddyfile": "shop.example.org {\n tls /k/cert.pem /k/key.pem\n}\n"},
		"sshd":     {"etc/ssh/ssh_host_ecdsa_key": ""},
		"anything": {},
	} {
		t.Run(program, func(t *testing.T) {
			pair := newPair(t, "shop.example.org")
			p := newProcess(t, program, program+".service", []string{program}, nil)
			p.file("k/key.pem", pair.key)
			p.file("k/cert.pem", pair.cert)
			p.file("k/both.pem", pair.cert+pair.key)
			for name, text := range files {
				p.file(name, text)
			}
			switch program {
			case "sshd":
				p.file("etc/ssh/ssh_host_ecdsa_key", pair.key)
			case "anything":
				p.opens(7, "/k/key.pem")
			}
			f := p.look(keys.Question{})
			k := find(t, f, pair.spki)
			if !k.Private || k.Type != "ecdsa" || len(k.Readers) != 1 || k.Readers[0].Unit != program+".service" || k.Readers[0].PID != 100 {
				t.Errorf("%+v", k)
			}
			for _, u := range f.Unseen {
				if strings.Contains(u.Path, "nowhere") {
					t.Errorf("followed a comment: %+v", u)
				}
			}
			if program == "nginx" && (len(f.Secrets) != 1 || f.Secrets[0].Kind != keys.Session) {
				t.Errorf("the session ticket key: %+v", f.Secrets)
			}
			if program != "sshd" && program != "anything" && (len(k.Certificates) != 1 || k.Certificates[0].Names[0] != "shop.example.org") {
				t.Errorf("certificates: %+v", k.Certificates)
			}
		})
	}
}

func TestNamesOfSecretsAndNeverValues(t *testing.T) {
	p := newProcess(t, "app", "app.service", []string{"app", "--password=hunter2"}, []string{
		"JWT_SECRET=hunter2", "DATABASE_URL=postgres://u:hunter2@db/x", "SESSION_SECRET=hunter2", "API_KEY_ID=42", "HOME=/", "EMPTY_PASSWORD=",
		"PUBLIC_KEY=abc", "KEYBOARD=us", "CREDENTIALS_DIRECTORY=/run/credentials/app.service",
	})
	pair := newPair(t, "x")
	p.file("run/credentials/app.service/tls.key", pair.key)
	p.file("run/credentials/app.service/db-password", "hunter2")
	f := p.look(keys.Question{PIDs: []int{100}})
	var got []string
	for _, s := range f.Secrets {
		got = append(got, string(s.Kind)+" "+s.Name+" "+s.Where)
	}
	want := []string{"jwt JWT_SECRET environment", "password DATABASE_URL environment", "password db-password credential", "secret tls.key credential", "session SESSION_SECRET environment"}
	if !slices.Equal(got, want) {
		t.Errorf("secrets %q, want %q", got, want)
	}
	if k := find(t, f, pair.spki); k.Readers[0].How != "credential" {
		t.Errorf("%+v", k)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "hunter2") || strings.Contains(string(b), "PRIVATE") {
		t.Errorf("a value left the host:\n%s", b)
	}
}

func TestKeysOfEveryForm(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, "app", "app.service", []string{"app"}, nil)
	for i, text := range []string{
		string(pem.EncodeToMemory(plain)), string(pem.EncodeToMemory(locked)), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"\xfe\xed\xfe\xed\x00\x00\x00\x02", "nothing of the kind", "",
	} {
		name := fmt.Sprintf("/k/%d.pem", i)
		p.file(name[1:], text)
		p.opens(10+i, name)
	}
	p.opens(30, "/k/gone.pem")
	f := p.look(keys.Question{})
	clear, encrypted, stores := 0, 0, 0
	for _, k := range f.Keys {
		switch {
		case k.Files[0].Holds == "keystore":
			stores++
		case k.Encrypted && k.SPKI == "":
			encrypted++
		default:
			clear++
		}
	}
	if clear != 1 || encrypted != 1 || stores != 1 {
		t.Errorf("%d told by their hash, %d encrypted, %d stores: %+v; the two forms of one ssh key are one key", clear, encrypted, stores, f.Keys)
	}
	if !slices.ContainsFunc(f.Unseen, func(u keys.Unseen) bool { return u.Path == "/k/gone.pem" }) {
		t.Errorf("a file that cannot be read was dropped: %+v", f.Unseen)
	}
}

// TestHostileRoots: links out of the process's root, loops of includes, pipes and huge files cost nothing and find nothing of ours.
func TestHostileRoots(t *testing.T) {
	pair := newPair(t, "ours")
	outside := filepath.Join(t.TempDir(), "ours.pem")
	if err := os.WriteFile(outside, []byte(pair.key), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, "nginx", "nginx.service", []string{"nginx"}, nil)
	p.file("etc/nginx/nginx.conf", "include nginx.conf;\ninclude /etc/nginx/*;\nssl_certificate_key /k/link.pem;\nssl_certificate /k/pipe.pem;\nssl_certificate /k/big.pem;\n")
	p.file("k/big.pem", strings.Repeat("x", 2<<20))
	if err := os.Symlink(outside, filepath.Join(p.root, "k/link.pem")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfifo", filepath.Join(p.root, "k/pipe.pem")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f := p.look(keys.Question{})
	if len(f.Keys) != 0 {
		t.Errorf("found %+v", f.Keys)
	}
	if len(f.Unseen) < 2 {
		t.Errorf("what could not be read was dropped: %+v", f.Unseen)
	}
	if f := p.look(keys.Question{PIDs: []int{4711}}); len(f.Unseen) != 1 {
		t.Errorf("a process that is gone: %+v", f.Unseen)
	}
}

// TestRunningNginx asks this very machine.
func TestRunningNginx(t *testing.T) {
	real.Root(t)
	nginx := real.Program(t, "nginx")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pair := newPair(t, "shop.example.org")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("daemon off; pid %[1]s/pid; error_log %[1]s/error.log; events {}\nhttp { access_log off; server { listen %[2]s ssl; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem; } }\n", dir, address)
	for name, text := range map[string]string{"nginx.conf": conf, "cert.pem": pair.cert, "key.pem": pair.key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := exec.Command(nginx, "-c", filepath.Join(dir, "nginx.conf"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		_ = server.Wait() // it was interrupted
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx did not start")
		}
	}
	f, err := keys.Local(t.Context(), keys.Question{PIDs: []int{server.Process.Pid}})
	if err != nil {
		t.Fatal(err)
	}
	k := find(t, f, pair.spki)
	if !k.Private || len(k.Readers) != 1 || k.Readers[0].Name != "nginx" || k.Files[0].Mode != "0600" || k.Files[0].Owner != "root" {
		t.Errorf("%+v", k)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("server { ssl_certificate /k/a; include x*; }", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "A_TOKEN=1\x00B=2")
	f.Add(`{"apps": {"tls": {"certificates": {"load_files": [{"certificate": "/k/a", "key": "/k/a"}]}}}}`, "", "")
	f.Add("define a ${b}\ndefine b ${a}\nsslcertificatefile ${a}/{$b}\n--[[ \ntls /k/a /k/{$X}", "", "X=a")
	f.Add("bind :1 ssl crt", "\x30\x82\x01\x00\x02\x01\x03\x30", "=")
	f.Fuzz(func(t *testing.T, conf, key, environ string) {
		for _, program := range []string{"nginx", "haproxy", "dovecot", "caddy", "apache2", "prosody"} {
			p := newProcess(t, program, "x.service", []string{program, "-f", "/c", "-c", "/c", "--config", "/c"}, strings.Split(environ, "\x00"))
			p.file("c", conf)
			p.file("k/a", key)
			p.look(keys.Question{})
		}
	})
}
