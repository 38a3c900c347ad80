package keys_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/see/keys"
	"staunch/testbed/real"
)

// site is one real server that is to run with its package's own configuration, in a mount namespace of its own where that configuration has
// TLS switched on.
type site struct {
	t     *testing.T
	etc   string            // a copy of the package's configuration
	over  map[string]string // what lies over which directory of the machine
	setup string            // shell, as root inside the namespace, before the server begins
	port  int
	pairs map[string]pair // what it serves, by the name that a client asks for
	made  []string        // names for which it made keys itself
	out   bytes.Buffer
}

// newSite copies a directory of the machine, that the server is going to see in its place.
func newSite(t *testing.T, etc string) *site {
	t.Helper()
	real.Root(t)
	dir, err := os.MkdirTemp("", "staunch-site") // not below the test's own directory, which other users may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{t: t, etc: filepath.Join(dir, "etc"), port: closedPort(t), pairs: map[string]pair{}, setup: "mount -t tmpfs none /run; mount -t tmpfs none /var/log"}
	s.over = map[string]string{etc: s.etc}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", etc, s.etc).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return s
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// pair makes a key for a name and puts it into the configuration's directory: all of it in one file, or in two.
func (s *site) pair(name string, files ...string) {
	s.t.Helper()
	p := newPair(s.t, name)
	s.pairs[name] = p
	if len(files) == 1 {
		s.file(files[0], p.cert+p.key)
		return
	}
	s.file(files[0], p.cert)
	s.file(files[1], p.key)
}

// file writes a file below the configuration's directory; "+" before its name adds to it.
func (s *site) file(name, text string) {
	s.t.Helper()
	name, more := strings.CutPrefix(name, "+")
	path := filepath.Join(s.etc, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	mode := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if more {
		mode = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(path, mode, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// run starts the server and returns when it listens.
func (s *site) run(program string, args ...string) {
	s.t.Helper()
	script := s.setup + "\n"
	for at, from := range s.over {
		script += fmt.Sprintf("mkdir -p %s && mount --bind %s %s || exit 1\n", at, from, at)
	}
	cmd := exec.Command("unshare", append([]string{"-m", "--propagation", "private", "sh", "-c", script + `exec "$@"`, "sh", program}, args...)...)
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		for _, pid := range s.processes(cmd.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone by itself
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.address()); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			s.t.Fatalf("%s does not listen: %s", program, s.out.String())
		}
	}
	s.check(s.processes(cmd.Process.Pid))
}

func (s *site) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// processes are those that live in the mount namespace of the one that we started.
func (s *site) processes(first int) []int {
	space := func(pid string) string {
		to, err := os.Readlink("/proc/" + pid + "/ns/mnt")
		if err != nil {
			return "gone"
		}
		return to
	}
	ours := space(strconv.Itoa(first))
	var out []int
	entries, err := os.ReadDir("/proc")
	if err != nil || ours == "gone" || ours == space("self") {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && space(e.Name()) == ours {
			out = append(out, pid)
		}
	}
	return out
}

// check holds what a look finds by the configuration against what a handshake shows.
func (s *site) check(pids []int) {
	s.t.Helper()
	if len(pids) == 0 {
		s.t.Fatal("the server is gone")
	}
	shown := map[string]string{}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(s.pairs)), s.made) {
		shown[name] = s.serves(name)
	}
	f, err := keys.Local(s.t.Context(), keys.Question{PIDs: pids})
	if err != nil {
		s.t.Fatal(err)
	}
	for name, p := range s.pairs {
		if served := shown[name]; served != p.spki {
			s.t.Errorf("asked for %s it shows key %.12s, not %.12s: %s", name, served, p.spki, s.out.String())
		}
		k := find(s.t, f, p.spki)
		byConfig := slices.IndexFunc(k.Readers, func(r keys.Reader) bool { return r.How == "configuration" })
		if !k.Private || byConfig < 0 || len(k.Certificates) == 0 {
			s.t.Errorf("%s: private %v, readers %+v", name, k.Private, k.Readers)
			continue
		}
		s.t.Logf("%s: %s", name, k.Readers[byConfig].Says)
	}
	for _, name := range s.made {
		if k := find(s.t, f, shown[name]); !k.Private || k.Readers[0].How != "configuration" {
			s.t.Errorf("%s: %+v", name, k)
		}
	}
	for _, u := range f.Unseen {
		s.t.Logf("unseen: %+v", u)
		if u.Path != "" {
			s.t.Errorf("unseen: %+v", u)
		}
	}
}

// serves asks for the key, by handshakes like any client's; a server that listens may still be making its certificate, or its workers.
func (s *site) serves(name string) string {
	s.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		spki, err := s.handshake(name)
		if err == nil {
			return spki
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: %v: %s", name, err, s.out.String())
		}
	}
}

func (s *site) handshake(name string) (string, error) {
	c, err := net.DialTimeout("tcp", s.address(), 20*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if strings.HasPrefix(name, "postgres") { // SSLRequest, answered by S
		if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
			return "", err
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return "", err
		}
	}
	shake := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // whose key it is, is the question
	if err := shake.Handshake(); err != nil {
		return "", err
	}
	sum := sha256.Sum256(shake.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}

// as runs a program as another user.
func as(user string, args ...string) []string {
	return append([]string{"--reuid", user, "--regid", user, "--init-groups"}, args...)
}

// TestRealServersWithTheirOwnConfiguration: each program's package, its own configuration with TLS switched on, in the notations that it allows.
func TestRealServersWithTheirOwnConfiguration(t *testing.T) {
	real.Slow(t)
	for name, serve := range map[string]func(t *testing.T){
		"nginx": nginxSite, "apache": apacheSite, "haproxy": haproxySite, "caddy": caddySite, "caddy with JSON": caddyJSONSite, "hitch": hitchSite, "stunnel": stunnelSite, "prosody": prosodySite,
		"coturn": coturnSite, "postgres": postgresSite, "postgres by its defaults": postgresDefaultSite, "redis": redisSite, "postfix": postfixSite, "dovecot": dovecotSite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve(t)
		})
	}
}

// nginxSite: paths are relative to the main configuration's directory, also in included files.
func nginxSite(t *testing.T) {
	nginx := real.Program(t, "nginx")
	s := newSite(t, "/etc/nginx")
	s.pair("shop.example", "tls/shop.pem", "tls/shop.key")
	s.pair("other.example", "tls/other.pem")
	s.file("sites-enabled/default", "")
	s.file("sites-enabled/shop", fmt.Sprintf("server {\n  listen %[1]s ssl; server_name shop.example;\n  ssl_certificate\n    tls/shop.pem;\n  ssl_certificate_key tls/shop.key;\n}\n"+
		"server { listen %[1]s ssl; server_name other.example; ssl_certificate \"tls/other.pem\"; ssl_certificate_key 'tls/other.pem'; }\n", s.address()))
	s.setup += "; mkdir /var/log/nginx"
	s.run(nginx, "-g", "daemon off;")
}

// apacheSite: paths are relative to ServerRoot, and may hold variables of the environment or of Define.
func apacheSite(t *testing.T) {
	apache := real.Program(t, "apache2")
	s := newSite(t, filepath.Join(real.Unpacked(t, "apache2"), "etc/apache2")) // the package apache2-bin has no configuration
	s.over = map[string]string{"/etc/apache2": s.etc}
	s.pair("shop.example", "tls/shop.pem", "tls/shop.key")
	s.pair("other.example", "tls/other.pem")
	s.file("ports.conf", "ErrorLog /proc/self/fd/2\nListen "+s.address()+"\n")
	s.file("sites-enabled/000-default.conf", "")
	s.file("mods-enabled/ours.load", "")
	for _, f := range []string{"mpm_event.load", "authz_core.load", "authz_host.load", "setenvif.load", "ssl.load", "socache_shmcb.load"} {
		s.file("+mods-enabled/ours.load", fmt.Sprintf("Include mods-available/%s\n", f))
	}
	s.file("sites-enabled/shop.conf", "Define keys tls\n<VirtualHost *:"+strconv.Itoa(s.port)+">\n ServerName shop.example\n SSLEngine on\n SSLCertificateFile ${keys}/shop.pem\n"+
		" SSLCertificateKeyFile \\\n   \"${APACHE_CONFDIR}/tls/shop.key\"\n</VirtualHost>\n<VirtualHost *:"+strconv.Itoa(s.port)+">\n ServerName other.example\n SSLEngine on\n SSLCertificateFile tls/other.pem\n</VirtualHost>\n")
	s.setup += "; mkdir -p /var/log/apache2 /run/apache2 /run/lock"
	s.run("sh", "-c", "export APACHE_CONFDIR=/etc/apache2; . /etc/apache2/envvars; exec "+apache+" -DFOREGROUND")
}

// haproxySite: a list of certificates, a directory of them, and a key beside its certificate.
func haproxySite(t *testing.T) {
	haproxy := real.Program(t, "haproxy")
	s := newSite(t, "/etc/haproxy")
	s.pair("shop.example", "certs/shop.pem", "certs/shop.pem.key")
	s.pair("listed.example", "listed.pem")
	s.file("list", "# what we serve\n/etc/haproxy/listed.pem [alpn h2] listed.example\n")
	s.file("+haproxy.cfg", fmt.Sprintf("\nfrontend shop\n\tbind %s ssl crt-list /etc/haproxy/list crt /etc/haproxy/certs/ alpn h2\n", s.address()))
	s.setup += "; mkdir -p /run/haproxy"
	s.run(haproxy, "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg", "-p", "/run/haproxy.pid")
}

// caddySite: files by the Caddyfile, a directory of them, and certificates that caddy makes itself.
func caddySite(t *testing.T) {
	caddy := real.Program(t, "caddy")
	s := newSite(t, "/etc/caddy")
	s.pair("shop.example", "tls/shop.pem", "tls/shop.key")
	s.pair("loaded.example", "certs/loaded.pem")
	s.file("sites/shop", fmt.Sprintf("https://shop.example:%d {\n\ttls tls/shop.pem tls/shop.key {\n\t\tprotocols tls1.2\n\t}\n}\n", s.port))
	s.file("Caddyfile", fmt.Sprintf("{\n\tauto_https disable_redirects\n\tskip_install_trust\n\tadmin off\n}\n(common) {\n\tencode gzip\n}\nimport sites/*\nhttps://loaded.example:%d {\n\timport common\n\ttls {\n\t\tload /etc/caddy/certs\n\t}\n}\nhttps://own.localhost:%[1]d {\n\ttls internal\n}\n", s.port))
	s.made = []string{"own.localhost"}
	s.over["/var/lib/caddy"] = filepath.Join(filepath.Dir(s.etc), "home")
	s.setup += "; mkdir -p " + s.over["/var/lib/caddy"] + "; chown -R caddy " + s.over["/var/lib/caddy"] + "; export HOME=/var/lib/caddy"
	s.run("setpriv", as("caddy", "sh", "-c", `cd /etc/caddy; exec "$0" "$@"`, caddy, "run", "--environ", "--config", "/etc/caddy/Caddyfile")...)
}

// caddyJSONSite: the native form of caddy's configuration.
func caddyJSONSite(t *testing.T) {
	caddy := real.Program(t, "caddy")
	s := newSite(t, "/etc/caddy")
	s.pair("shop.example", "tls/shop.pem", "tls/shop.key")
	s.pair("loaded.example", "certs/loaded.pem")
	s.file("caddy.json", fmt.Sprintf(`{"admin": {"disabled": true}, "apps": {"http": {"servers": {"shop": {"listen": [":%d"], "automatic_https": {"disable": true}, "tls_connection_policies": [{}]}}},
 "tls": {"certificates": {"load_files": [{"certificate": "/etc/caddy/tls/shop.pem", "key": "/etc/caddy/tls/shop.key"}], "load_folders": ["/etc/caddy/certs"]}}}}`, s.port))
	s.setup += "; export HOME=/run"
	s.run(caddy, "run", "--config", "/etc/caddy/caddy.json")
}

// hitchSite: the example that hitch ships, with certificates in the three ways it knows.
func hitchSite(t *testing.T) {
	hitch := real.Program(t, "hitch")
	s := newSite(t, "/etc/hitch")
	s.pair("shop.example", "shop.pem")
	s.pair("two.example", "two.crt", "two.key")
	s.pair("dir.example", "certs/dir.pem")
	example, err := os.ReadFile("/usr/share/doc/hitch/examples/hitch.conf.example")
	if err != nil {
		real.Missing(t, "hitch's example: %v", err)
	}
	text := strings.NewReplacer(`host = "*"`, `host = "127.0.0.1"`, `port = "443"`, fmt.Sprintf(`port = "%d"`, s.port), "daemon = on", "daemon = off", `"hitch"`, `"_hitch"`).Replace(string(example))
	s.file("hitch.conf", text+"\npem-file = \"/etc/hitch/shop.pem\"\npem-file = {\n  cert = \"/etc/hitch/two.crt\"\n  private-key = \"/etc/hitch/two.key\"\n}\npem-dir = \"/etc/hitch/certs\"\n")
	s.run(hitch, "--user", "_hitch", "--group", "_hitch", "--config", "/etc/hitch/hitch.conf")
}

// stunnelSite: the sample with a service added, as the unit stunnel@shop starts it.
func stunnelSite(t *testing.T) {
	stunnel := real.Program(t, "stunnel4")
	s := newSite(t, "/etc/stunnel")
	s.pair("shop.example", "shop.pem", "shop.key")
	s.file("other.conf", "[other]\naccept = 1\ncert = /nowhere/other.pem\n")
	s.file("shop.conf", fmt.Sprintf("; global\nforeground = yes\npid =\n[shop]\naccept = %s\nconnect = 127.0.0.1:1\ncert = /etc/stunnel/shop.pem\nkey = /etc/stunnel/shop.key\n; cert = /nowhere/old.pem\n", s.address()))
	s.run(stunnel, "/etc/stunnel/shop.conf")
}

// prosodySite: its directory of certificates, a site of conf.d, and paths relative to the configuration.
func prosodySite(t *testing.T) {
	prosody := real.Program(t, "prosody")
	s := newSite(t, "/etc/prosody")
	s.pair("localhost", "certs/localhost.crt", "certs/localhost.key")
	s.file("+prosody.cfg.lua", "\n-- certificate = \"/nowhere/old.crt\"\n")
	text, err := os.ReadFile(filepath.Join(s.etc, "prosody.cfg.lua"))
	if err != nil {
		t.Fatal(err)
	}
	s.file("prosody.cfg.lua", fmt.Sprintf("c2s_ports = {}\ns2s_ports = {}\nc2s_direct_tls_ports = { %d }\ninterfaces = { \"127.0.0.1\" }\n", s.port)+strings.ReplaceAll(string(text), "to = \"syslog\"", "to = \"console\""))
	s.over["/var/lib/prosody"] = filepath.Join(filepath.Dir(s.etc), "data")
	s.setup += "; mkdir -p /run/prosody /var/log/prosody " + s.over["/var/lib/prosody"] + "; chown -R prosody /run/prosody /var/log/prosody " + s.over["/var/lib/prosody"] + "; chown -R root:prosody " + s.etc
	s.run("setpriv", as("prosody", prosody, "-F")...)
}

func coturnSite(t *testing.T) {
	turnserver := real.Program(t, "turnserver")
	real.Slow(t)
	dir, err := os.MkdirTemp("", "staunch-turn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if out, err := exec.Command("cp", "/etc/turnserver.conf", dir).CombinedOutput(); err != nil {
		real.Missing(t, "coturn's configuration: %s", out)
	}
	s := newSite(t, dir)
	s.pair("turn.example", "turn.pem", "turn.key")
	s.file("+turnserver.conf", fmt.Sprintf("\nlistening-ip=127.0.0.1\ntls-listening-port=%d\nlistening-port=%d\ncert=%s/turn.pem\npkey=%[3]s/turn.key\nno-cli\nlog-file=stdout\n", s.port, closedPort(t), dir))
	s.run(turnserver, "-c", dir+"/turnserver.conf", "--pidfile=")
}

// postgresSite: Debian's split, with the configuration apart from the data.
func postgresSite(t *testing.T) {
	s, bin, data := postgresData(t)
	s.pair("postgres.example", "main/shop.pem", "main/shop.key")
	s.file("main/pg_hba.conf", "local all all trust\n")
	s.file("main/conf.d/ssl.conf", "ssl_cert_file = 'shop.pem'\n")
	s.file("main/postgresql.conf", "")
	s.file("main/postgresql.conf", fmt.Sprintf("data_directory = '%s'\nhba_file = '/etc/postgresql/main/pg_hba.conf'\nlisten_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = ''\nssl = on\nssl_key_file = '/etc/postgresql/main/shop.key'\nssl_cert_file = '/etc/postgresql/main/shop.pem' # ours\n", data, s.port))
	s.own("postgres")
	s.run("setpriv", as("postgres", filepath.Join(bin, "postgres"), "-D", data, "-c", "config_file=/etc/postgresql/main/postgresql.conf")...)
}

// postgresDefaultSite: server.crt and server.key of the data directory, which no line names.
func postgresDefaultSite(t *testing.T) {
	s, bin, data := postgresData(t)
	p := newPair(t, "postgres.example")
	s.pairs["postgres.example"] = p
	for name, text := range map[string]string{"server.crt": p.cert, "server.key": p.key} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.own("postgres")
	s.run("setpriv", as("postgres", filepath.Join(bin, "postgres"), "-D", data, "-c", "ssl=on", "-p", strconv.Itoa(s.port), "-c", "unix_socket_directories=")...)
}

func postgresData(t *testing.T) (*site, string, string) {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		real.Missing(t, "PostgreSQL's server: %v", err)
	}
	s := newSite(t, "/etc/postgresql")
	data := filepath.Join(filepath.Dir(s.etc), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	s.own("postgres")
	initdb := exec.Command("setpriv", as("postgres", filepath.Join(found[0], "initdb"), "-D", data, "-A", "trust", "--no-sync")...)
	initdb.Dir = "/"
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	return s, found[0], data
}

// own gives everything of the site to a user; private keys are closed to everybody else.
func (s *site) own(user string) {
	s.t.Helper()
	dir := filepath.Dir(s.etc)
	if out, err := exec.Command("sh", "-c", fmt.Sprintf("chown -R %s %s; find %s -name '*.key' -exec chmod 600 {} +", user, dir, dir)).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

func redisSite(t *testing.T) {
	redis := real.Program(t, "redis-server")
	s := newSite(t, "/etc/redis")
	s.pair("redis.example", "tls/redis.crt", "tls/redis.key")
	s.file("+redis.conf", fmt.Sprintf("\nport 0\ntls-port %d\nbind 127.0.0.1\ntls-cert-file /etc/redis/tls/redis.crt\ntls-key-file \"/etc/redis/tls/redis.key\"\ntls-ca-cert-file /etc/redis/tls/redis.crt\ntls-auth-clients no\nlogfile \"\"\ndir /run\npidfile \"\"\n", s.port))
	s.run(redis, "/etc/redis/redis.conf", "--daemonize", "no")
}

// postfixSite: a file named by another parameter, a service of master.cf with a certificate of its own.
func postfixSite(t *testing.T) {
	postfix := real.Program(t, "postfix")
	s := newSite(t, "/etc/postfix")
	s.pair("smtps.example", "tls/smtps.pem", "tls/smtps.key")
	var queue string
	for _, d := range []string{"queue", "data"} {
		queue = filepath.Join(filepath.Dir(s.etc), d)
		if err := os.Mkdir(queue, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	debian, err := os.ReadFile("/usr/share/postfix/main.cf.debian")
	if err != nil {
		real.Missing(t, "postfix's configuration: %v", err)
	}
	s.file("main.cf", string(debian))
	s.file("+main.cf", fmt.Sprintf("\nqueue_directory = %[1]s/queue\ndata_directory = %[1]s/data\nmydestination =\ninet_interfaces = 127.0.0.1\nmaillog_file = /dev/stdout\nsmtpd_tls_cert_file = $config_directory/tls/smtps.pem\nkeys = ${config_directory}/tls\nsmtpd_tls_key_file = ${keys}/smtps.key\nsmtpd_tls_security_level = may\n", filepath.Dir(s.etc)))
	s.file("master.cf", fmt.Sprintf("127.0.0.1:%d inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\ntlsmgr unix - - n 1000? 1 tlsmgr\nanvil unix - - n - 1 anvil\nproxymap unix - - n - - proxymap\npostlog unix-dgram n - n - 1 postlogd\n", s.port))
	s.setup += "; chown postfix " + queue
	s.run("sh", "-c", postfix+" start-fg")
}

func dovecotSite(t *testing.T) {
	dovecot := real.Program(t, "dovecot")
	s := newSite(t, "/etc/dovecot")
	s.pair("imap.example", "private/imap.pem", "private/imap.key")
	s.pair("other.example", "private/other.pem")
	s.file("conf.d/10-ssl.conf", "ssl = required\nssl_cert = </etc/dovecot/private/imap.pem\nssl_key = </etc/dovecot/private/imap.key\nlocal_name other.example {\n  ssl_cert = </etc/dovecot/private/other.pem\n  ssl_key = </etc/dovecot/private/other.pem\n}\n")
	s.file("local.conf", fmt.Sprintf("listen = 127.0.0.1\nprotocols = imap\nlog_path = /dev/stderr\nservice imap-login {\n  inet_listener imap {\n    port = 0\n  }\n  inet_listener imaps {\n    port = %d\n  }\n}\n", s.port))
	s.run(dovecot, "-F")
}
