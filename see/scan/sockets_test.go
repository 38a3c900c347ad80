package scan_test

import (
	"net"
	"os"
	"testing"

	"staunch/see/scan"
)

func TestSocketsOfThisProcess(t *testing.T) {
	four, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	wide, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer wide.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	call, err := net.Dial("tcp", four.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()

	p := only(t, look(t, scan.Question{PIDs: []int{os.Getpid()}}, scan.Env{}))
	want := map[scan.Listen]bool{
		{Proto: "tcp", Addr: "127.0.0.1", Port: four.Addr().(*net.TCPAddr).Port, Reach: "loopback"}:     false,
		{Proto: "udp", Addr: "127.0.0.1", Port: udp.LocalAddr().(*net.UDPAddr).Port, Reach: "loopback"}: false,
	}
	sawWide := false
	for _, l := range p.Listens {
		if _, ok := want[l]; ok {
			want[l] = true
		}
		if l.Port == wide.Addr().(*net.TCPAddr).Port {
			sawWide = true
			if l.Reach == "" || l.Public != (l.Reach == "public") {
				t.Errorf("wildcard: %+v", l)
			}
		}
	}
	for l, saw := range want {
		if !saw {
			t.Errorf("%+v is missing in %+v", l, p.Listens)
		}
	}
	if !sawWide {
		t.Errorf("the wildcard listener is missing in %+v", p.Listens)
	}
	calls := 0
	for _, o := range p.Outbound {
		if o.Port == four.Addr().(*net.TCPAddr).Port && o.Reach == "loopback" {
			calls++
		}
	}
	if calls != 1 {
		t.Errorf("%d calls to our own listener in %+v, want one (the answering end is none)", calls, p.Outbound)
	}
}
