package cli

import (
	"slices"
	"testing"

	"staunch/see/scan"
)

// Ports on all addresses are met on loopback, each once; what is not TCP is not met.
func TestProbeTargetsOutOfAScan(t *testing.T) {
	got := listening(&scan.Report{Processes: []scan.Process{{Listens: []scan.Listen{
		{Proto: "tcp", Addr: "0.0.0.0", Port: 443},
		{Proto: "tcp", Addr: "::", Port: 444},
		{Proto: "udp", Addr: "0.0.0.0", Port: 53},
		{Proto: "tcp", Addr: "192.0.2.1", Port: 8443},
		{Proto: "tcp", Addr: "/run/socket", Port: 1},
		{Proto: "tcp", Addr: "0.0.0.0", Port: 443},
	}}}})
	if want := []string{"127.0.0.1:443", "192.0.2.1:8443", "[::1]:444"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
