package probe_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// openDir is a directory that servers with users of their own may enter; it is removed at the end.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "staunch-starttls")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func write(t testing.TB, file, format string, args ...any) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(fmt.Sprintf(format, args...)), 0o644))
	return file
}

// own gives everything below dir to a user of the system.
func own(t testing.TB, dir, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		real.Missing(t, "user %s", name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	must(t, filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	}))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func copied(t testing.TB, dir string, l leaf) leaf {
	t.Helper()
	for _, f := range []*string{&l.certFile, &l.keyFile} {
		b, err := os.ReadFile(*f)
		must(t, err)
		*f = filepath.Join(dir, filepath.Base(*f))
		must(t, os.WriteFile(*f, b, 0o600))
	}
	return l
}

func runAs(t testing.TB, port int, who *syscall.Credential, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Setpgid: true}
	startCommand(t, port, cmd)
}

// Every STARTTLS protocol against the server that people run for it, with its own configuration, on loopback.
func TestStartTLSOnRealServers(t *testing.T) {
	real.Slow(t)
	real.Root(t)
	t.Parallel()
	a := newAuthority(t)
	l := a.issue(t, rsaKey(t, 2048))
	for name, serve := range map[string]func(*testing.T, leaf) map[string]int{
		"postfix": postfix, "dovecot": dovecot, "vsftpd": vsftpd, "prosody": prosody, "slapd": slapd, "postgres": postgres, "mariadb": mariadb, "inn": nnrpd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for protocol, port := range serve(t, l) {
				meetsStartTLS(t, a, l, protocol, port)
			}
		})
	}
}

func meetsStartTLS(t *testing.T, a *authority, l leaf, protocol string, port int) {
	t.Helper()
	r := look(t, local(port), trusting(a), mode(probe.ModeQuick), func(q *probe.Question) {
		q.StartTLS, q.Domain = protocol, "localhost"
		q.TimeoutMS = 20000
	})
	if r.Error != "" || r.StartTLS != protocol {
		t.Errorf("%s: %s", protocol, r.Error)
		return
	}
	if r.Certificate == nil || r.Certificate.Serial != fmt.Sprintf("%x", l.cert.SerialNumber) || !r.Certificate.Trusted {
		t.Errorf("%s: certificate %+v", protocol, r.Certificate)
	}
	if r.Heartbleed.Verdict != probe.NoHeartbeat {
		t.Errorf("%s: heartbleed %+v", protocol, r.Heartbleed)
	}
	if r.Grade == nil || r.Grade.Letter == "F" || r.Grade.Letter == "T" {
		t.Errorf("%s: grade %+v", protocol, r.Grade)
	}
	keys, err := probe.ServesAnyone(t.Context(), probe.Endpoint{Address: netip.MustParseAddr("127.0.0.1"), Port: uint16(port), SNI: "localhost", StartTLS: protocol, Domain: "localhost"})
	if want := sha256.Sum256(l.cert.RawSubjectPublicKeyInfo); err != nil || len(keys) != 1 || keys[0] != hex.EncodeToString(want[:]) {
		t.Errorf("%s: keys %v, %v", protocol, keys, err)
	}
	if !strings.Contains(offered(r), "TLS1.2") && !strings.Contains(offered(r), "TLS1.3") {
		t.Errorf("%s: offered %q", protocol, offered(r))
	}
}

// A mail server that lets strangers wait six seconds before it greets is looked at all the same.
func TestServesOfAMailServerThatGreetsLate(t *testing.T) {
	real.Slow(t)
	real.Root(t)
	t.Parallel()
	a := newAuthority(t)
	var behind int
	for _, port := range postfix(t, a.issue(t, ecKey(t))) {
		behind = port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				time.Sleep(6 * time.Second)
				pipe(c, local(behind))
			}()
		}
	}()
	at := netip.MustParseAddrPort(l.Addr().String())
	if _, _, err := probe.Serves(t.Context(), probe.Endpoint{Address: at.Addr(), Port: at.Port(), SNI: "localhost", StartTLS: "smtp"}); err != nil {
		t.Error(err)
	}
}

func postfix(t *testing.T, l leaf) map[string]int {
	program, dir, port := real.Program(t, "postfix"), openDir(t), freePort(t)
	for _, d := range []string{"queue", "data"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	own(t, filepath.Join(dir, "data"), "postfix")
	write(t, filepath.Join(dir, "main.cf"), `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
myhostname = localhost
mydestination = localhost
inet_interfaces = 127.0.0.1
maillog_file = /dev/stdout
smtpd_tls_cert_file = %[2]s
smtpd_tls_key_file = %[3]s
smtpd_tls_security_level = may
smtpd_tls_exclude_ciphers = aNULL
`, dir, l.certFile, l.keyFile)
	write(t, filepath.Join(dir, "master.cf"), `127.0.0.1:%d inet n - n - - smtpd
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
qmgr unix n - n 300 1 qmgr
cleanup unix n - n - 0 cleanup
pickup unix n - n 60 1 pickup
`, port)
	start(t, port, program, "-c", dir, "start-fg")
	t.Cleanup(func() { _ = exec.Command(program, "-c", dir, "abort").Run() }) // master is another process than the one that we started
	return map[string]int{"smtp": port}
}

func dovecot(t *testing.T, l leaf) map[string]int {
	program, dir := real.Program(t, "dovecot"), openDir(t)
	ports := map[string]int{"imap": freePort(t), "pop3": freePort(t), "lmtp": freePort(t), "sieve": freePort(t)}
	file := write(t, filepath.Join(dir, "dovecot.conf"), `protocols = imap pop3 lmtp sieve
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[2]s
ssl_key = <%[3]s
mail_location = maildir:%[1]s/mail
passdb {
 driver = static
 args = password=x
}
userdb {
 driver = static
 args = uid=65534 gid=65534 home=%[1]s/home
}
service imap-login {
 inet_listener imap {
  port = %[4]d
 }
 inet_listener imaps {
  port = 0
 }
}
service pop3-login {
 inet_listener pop3 {
  port = %[5]d
 }
 inet_listener pop3s {
  port = 0
 }
}
service lmtp {
 inet_listener lmtp {
  port = %[6]d
 }
}
service managesieve-login {
 inet_listener sieve {
  port = %[7]d
 }
}
`, dir, l.certFile, l.keyFile, ports["imap"], ports["pop3"], ports["lmtp"], ports["sieve"])
	start(t, ports["imap"], program, "-F", "-c", file)
	return ports
}

func vsftpd(t *testing.T, l leaf) map[string]int {
	program, dir, port := real.Program(t, "vsftpd"), openDir(t), freePort(t)
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	file := write(t, filepath.Join(dir, "vsftpd.conf"), `listen=YES
listen_address=127.0.0.1
listen_port=%d
background=NO
anonymous_enable=YES
anon_root=%[2]s/empty
secure_chroot_dir=%[2]s/empty
ssl_enable=YES
allow_anon_ssl=YES
rsa_cert_file=%[3]s
rsa_private_key_file=%[4]s
require_ssl_reuse=NO
seccomp_sandbox=NO
`, port, dir, l.certFile, l.keyFile)
	start(t, port, program, file)
	return map[string]int{"ftp": port}
}

func prosody(t *testing.T, l leaf) map[string]int {
	program, dir := real.Program(t, "prosody"), openDir(t)
	l = copied(t, dir, l)
	client, server := freePort(t), freePort(t)
	file := write(t, filepath.Join(dir, "prosody.cfg.lua"), `data_path = "%[1]s/data"
pidfile = "%[1]s/pid"
log = { info = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = { %[4]d }
s2s_ports = { %[5]d }
modules_enabled = { "tls", "saslauth", "dialback" }
c2s_require_encryption = true
VirtualHost "localhost"
 ssl = { certificate = "%[2]s"; key = "%[3]s" }
`, dir, l.certFile, l.keyFile, client, server)
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755))
	who := own(t, dir, "prosody")
	runAs(t, client, who, dir, program, "-F", "--config", file)
	awaitPort(t, server, func() string { return "s2s" })
	return map[string]int{"xmpp": client, "xmpp-server": server}
}

func slapd(t *testing.T, l leaf) map[string]int {
	program, dir, port := real.Program(t, "slapd"), openDir(t), freePort(t)
	file := write(t, filepath.Join(dir, "slapd.conf"), "pidfile %s/pid\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n", dir, l.certFile, l.keyFile)
	start(t, port, program, "-h", "ldap://"+local(port)+"/", "-f", file, "-d", "0")
	return map[string]int{"ldap": port}
}

func postgres(t *testing.T, l leaf) map[string]int {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	must(t, err)
	if len(found) == 0 {
		real.Missing(t, "PostgreSQL's server")
	}
	bin, dir, port := found[0], openDir(t), freePort(t)
	l = copied(t, dir, l)
	who := own(t, dir, "postgres")
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: who}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	runAs(t, port, who, dir, filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir,
		"-c", "ssl=on", "-c", "ssl_cert_file="+l.certFile, "-c", "ssl_key_file="+l.keyFile, "-c", "fsync=off")
	return map[string]int{"postgres": port}
}

func mariadb(t *testing.T, l leaf) map[string]int {
	program, dir, port := real.Program(t, "mariadbd"), openDir(t), freePort(t)
	l = copied(t, dir, l)
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755))
	who := own(t, dir, "nobody") // the package with the program alone makes no user, and root is refused
	runAs(t, port, who, dir, program, "--no-defaults", "--datadir="+filepath.Join(dir, "data"), "--bind-address=127.0.0.1", "--port="+strconv.Itoa(port),
		"--socket="+filepath.Join(dir, "sock"), "--pid-file="+filepath.Join(dir, "pid"), "--skip-grant-tables", "--skip-networking=0",
		"--ssl-cert="+l.certFile, "--ssl-key="+l.keyFile)
	return map[string]int{"mysql": port}
}
