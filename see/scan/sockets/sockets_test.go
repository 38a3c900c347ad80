package sockets

import (
	"net"
	"os"
	"reflect"
	"testing"

	"staunch/see/scan/proc"
)

// TestAskedAndReadSaysTheSame describes this process's sockets by what the kernel lists, and by the texts of procfs.
func TestAskedAndReadSaysTheSame(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	call, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	answer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	udp, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()

	dir, err := proc.Open("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s := &proc.Scratch{}
	inodes, err := dir.Sockets(s, nil, nil, nil)
	if err != nil || len(inodes) < 4 {
		t.Fatalf("%d sockets: %v", len(inodes), err)
	}
	asking, reading := New("/proc"), New("/nowhere") // which does not know our own namespace, so that nothing is asked
	if asking.own == 0 || reading.own != 0 {
		t.Fatalf("own namespaces %d and %d", asking.own, reading.own)
	}
	for _, n := range []*Nets{asking, reading} {
		n.Read(asking.own, dir, s)
		n.Read(asking.own, dir, s) // the second time it is known
	}
	listens, calls := reading.Describe(inodes)
	asked, askedCalls := asking.Describe(inodes)
	if !reflect.DeepEqual(asked, listens) || !reflect.DeepEqual(askedCalls, calls) || len(reading.Notes())+len(asking.Notes()) > 0 {
		t.Errorf("asked %+v %+v\nread %+v %+v\n%v %v", asked, askedCalls, listens, calls, asking.Notes(), reading.Notes())
	}
	port := listener.Addr().(*net.TCPAddr).Port
	want := Outbound{Proto: "tcp", Addr: "127.0.0.1", Port: port, Reach: "loopback"}
	if len(calls) != 1 || calls[0] != want { // the answering end calls nobody
		t.Errorf("calls %+v, want %+v", calls, want)
	}
	if len(listens) != 2 {
		t.Errorf("listens %+v", listens)
	}
	if none, calls := asking.Describe(nil); none == nil || len(none) != 0 || calls != nil {
		t.Errorf("without sockets: %+v %+v", none, calls)
	}
}
