package outside

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"staunch/cli/desk"
	"staunch/see/probe"
	"staunch/see/scan"
	"staunch/testbed/real"
)

// A port of another network is not ours to ask. Ports on all addresses are met on loopback, each once; what is not TCP is not met.
func TestProbeTargetsOutOfAScan(t *testing.T) {
	got, others := listening(&scan.Report{Processes: []scan.Process{{PID: 9, Listens: []scan.Listen{{Proto: "tcp", Addr: "127.0.0.1", Port: 1}, {Proto: "udp", Addr: "0.0.0.0", Port: 2}}}, {Listens: []scan.Listen{
		{Proto: "tcp", Addr: "0.0.0.0", Port: 443},
		{Proto: "tcp", Addr: "::", Port: 444},
		{Proto: "udp", Addr: "0.0.0.0", Port: 53},
		{Proto: "tcp", Addr: "192.0.2.1", Port: 8443},
		{Proto: "tcp", Addr: "/run/socket", Port: 1},
		{Proto: "tcp", Addr: "0.0.0.0", Port: 443},
	}}}}, func(pid int) bool { return pid != 9 })
	if others != 1 {
		t.Errorf("%d ports of another network, want 1", others)
	}
	if want := []string{"127.0.0.1:443", "192.0.2.1:8443", "[::1]:444"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What this machine really listens on: two servers with TLS, over IPv4 and IPv6, and one without, which is left out.
func TestProbeFromScan(t *testing.T) {
	real.Slow(t)
	four := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(four.Close)
	six := httptest.NewUnstartedServer(http.NotFoundHandler())
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	six.Listener.Close()
	six.Listener = l
	six.StartTLS()
	t.Cleanup(six.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	var out, errs bytes.Buffer
	env := &desk.Env{Stdout: &out, Stderr: &errs, Version: "test", Getenv: os.Getenv}
	targets, err := listeners(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	mine := []string{four.Listener.Addr().String(), six.Listener.Addr().String(), plain.Listener.Addr().String()}
	for _, address := range mine {
		if !slices.Contains(targets, address) {
			t.Errorf("%s is not among %v", address, targets)
		}
	}
	results, err := probe.Probe(t.Context(), probe.Question{Targets: mine, OnlyTLS: true, Offline: true, Mode: probe.ModeQuick}, nil)
	if err != nil || len(results) != 2 {
		t.Fatalf("%d results: %v", len(results), err)
	}
	for _, r := range results {
		if r.Certificate == nil || r.Address != "127.0.0.1" && r.Address != "::1" {
			t.Errorf("%+v", r)
		}
	}
}
