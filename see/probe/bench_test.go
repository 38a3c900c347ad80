package probe_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"staunch/testbed/real"
)

// benching skips everything here unless make bench asked for it: it measures, and asserts only that answers came.
func benching(t *testing.T) {
	t.Helper()
	if os.Getenv("STAUNCH_BENCH") != "1" {
		t.Skip("left out: run by make bench")
	}
}

// tool is a way to look at one server from outside.
type tool struct {
	name string
	args func(host, port string) []string
	slow bool
}

func tools(t *testing.T, staunch string) []tool {
	t.Helper()
	at := func(args ...string) func(string, string) []string {
		return func(host, port string) []string { return append(args, net.JoinHostPort(host, port)) }
	}
	return []tool{
		{"staunch probe", at(staunch, "probe", "--offline", "--format", "json"), false},
		{"staunch probe --quick", at(staunch, "probe", "--offline", "--quick", "--format", "json"), false},
		{"staunch probe --heartbleed", at(staunch, "probe", "--heartbleed", "--format", "json"), false},
		{"sslscan", at(real.Program(t, "sslscan"), "--no-colour"), false},
		{"nmap ssl-enum-ciphers", func(host, port string) []string {
			return []string{real.Program(t, "nmap"), "-Pn", "-n", "-p", port, "--script", "ssl-enum-ciphers", host}
		}, false},
		{"nmap ssl-heartbleed", func(host, port string) []string {
			return []string{real.Program(t, "nmap"), "-Pn", "-n", "-p", port, "--script", "ssl-heartbleed", host}
		}, false},
		{"testssl.sh -E", at(real.Program(t, "testssl"), "--color", "0", "--warnings", "off", "-E"), true},
	}
}

// TestBenchAgainstPeers prints a table: wall time against the server itself, connections counted by a relay in a second run.
func TestBenchAgainstPeers(t *testing.T) {
	benching(t)
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	staunch := real.Build(t, "./cmd/staunch")
	for i, server := range []struct{ name, target string }{
		{"openssl s_server, RSA", openssl(t, rsa)},
		{"nginx, ECDSA", nginx(t, ec, "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;")},
		{"node 0.10.1", node(t, "0.10.1", rsa)},
		{"node 0.8.28", node(t, "0.8.28", rsa)},
	} {
		ours := time.Duration(0)
		for _, x := range tools(t, staunch) {
			if x.slow && i == 3 { // minutes each; the last server has what the third has
				continue
			}
			took := timed(t, x, server.target)
			if ours == 0 {
				ours = took
			}
			relay, opened := counting(t, server.target)
			timed(t, x, relay)
			fmt.Printf("| %s | %s | %.3f s | %.2f | %d |\n", server.name, x.name, took.Seconds(), took.Seconds()/ours.Seconds(), opened.Load())
		}
	}
}

func timed(t *testing.T, x tool, target string) time.Duration {
	t.Helper()
	host, port, err := net.SplitHostPort(target)
	must(t, err)
	args := x.args(host, port)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = t.TempDir()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if len(out) == 0 {
		t.Errorf("%s said nothing: %v", x.name, err)
	}
	return took
}

// counting relays to target and counts connections.
func counting(t *testing.T, target string) (string, *atomic.Int64) {
	t.Helper()
	opened := &atomic.Int64{}
	return serving(t, func(conn net.Conn) {
		defer conn.Close()
		opened.Add(1)
		inner, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer inner.Close()
		go func() { _, _ = io.Copy(inner, conn); _ = inner.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(conn, inner)
	}), opened
}

// many listens on n loopback addresses, all answered by serve, and returns a file that lists them.
func many(t *testing.T, n int, serve func(net.Conn)) string {
	t.Helper()
	var list strings.Builder
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.9.%d.%d:0", i/250, 1+i%250))
		must(t, err)
		t.Cleanup(func() { l.Close() })
		fmt.Fprintln(&list, l.Addr())
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go serve(conn)
			}
		}()
	}
	file := filepath.Join(t.TempDir(), "targets")
	must(t, os.WriteFile(file, []byte(list.String()), 0o600))
	return file
}

// TestBenchFleet prints endpoints a second and the memory that 2,000 endpoints need.
func TestBenchFleet(t *testing.T) {
	benching(t)
	l := newAuthority(t).issue(t, ecKey(t))
	staunch := real.Build(t, "./cmd/staunch")
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{l.cert.Raw}, PrivateKey: l.key}}}
	web := func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		server := tls.Server(conn, config)
		if server.Handshake() != nil {
			return
		}
		_, _ = server.Read(make([]byte, 4096))
		_, _ = io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	}
	for _, c := range []struct {
		name  string
		n     int
		serve func(net.Conn)
		args  []string
	}{
		{"Heartbleed alone, flawed stubs", 2000, stub{extension: 1, beat: echo, cert: l.cert.Raw}.serve, []string{"--heartbleed"}},
		{"Heartbleed alone, no heartbeats", 2000, stub{cert: l.cert.Raw}.serve, []string{"--heartbleed"}},
		{"quick, Go servers", 2000, web, []string{"--quick", "--offline"}},
		{"full, Go servers", 2000, web, []string{"--offline"}},
	} {
		file := many(t, c.n, c.serve)
		cmd := exec.Command(staunch, append(append([]string{"probe", "--format", "json"}, c.args...), "-f", file)...)
		began := time.Now()
		out, _ := cmd.Output() // its exit code tells what it found
		took := time.Since(began)
		if strings.Count(string(out), `"heartbleed": {`) != c.n {
			t.Errorf("%s: not every endpoint was answered", c.name)
		}
		usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		fmt.Printf("| %s | %d | %.0f a second | %.1f MB |\n", c.name, c.n, float64(c.n)/took.Seconds(), float64(usage.Maxrss)/1024)
	}
}
