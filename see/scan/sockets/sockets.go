// Package sockets tells which sockets of which network namespace a process listens on and calls through, and how far they reach.
package sockets

import (
	"maps"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"

	"staunch/see/scan/proc"
)

// Nets are the sockets of every network namespace that some process lives in. Socket inode numbers are unique across namespaces,
// so a socket is also found when a process of another namespace holds it.
type Nets struct {
	own     uint64 // the namespace that this program lives in; 0 when that is not known
	mu      sync.Mutex
	begun   map[uint64]bool
	sockets map[uint64]ofNet
	widest  map[uint64]string      // namespace to the widest reach of its own addresses
	ports   map[listenKey]struct{} // what listens, to tell calls from answers
	notes   map[string]struct{}
}

// Listen is one listening socket.
type Listen struct {
	Proto  string `json:"proto"` // tcp, udp
	Addr   string `json:"addr"`
	Port   int    `json:"port"`
	Public bool   `json:"public"`
	Reach  string `json:"reach"` // public, internal, loopback
}

// Outbound is an established connection that the process opened to somebody: a leaking client counts too.
type Outbound struct {
	Proto string `json:"proto"`
	Addr  string `json:"addr"`
	Port  int    `json:"port"`
	Reach string `json:"reach"` // internet, internal, loopback
}

type ofNet struct {
	proc.Socket
	net uint64
}

type listenKey struct {
	net   uint64
	proto string
	port  uint16
}

// New knows no namespace yet; procfs is where our own is asked for.
func New(procfs string) *Nets {
	n := &Nets{
		begun: map[uint64]bool{}, sockets: map[uint64]ofNet{}, widest: map[uint64]string{},
		ports: map[listenKey]struct{}{}, notes: map[string]struct{}{},
	}
	if self, err := os.Readlink(procfs + "/self/ns/net"); err == nil {
		n.own = proc.Namespace(self)
	}
	return n
}

// tables are the socket tables of a namespace, below net/.
func tables() []struct{ name, proto string } {
	return []struct{ name, proto string }{{"tcp", "tcp"}, {"tcp6", "tcp"}, {"udp", "udp"}, {"udp6", "udp"}}
}

// inUse tells which tables hold anything. The kernel walks a hash table of the whole machine for each one that is read, so an empty
// one is dear. Without the counters every table is read.
func inUse(d *proc.Dir, s *proc.Scratch) func(table string) bool {
	var texts [2]string
	for i, name := range []string{"net/sockstat", "net/sockstat6"} {
		b, err := d.Read(s, name, 64<<10)
		if err != nil {
			return func(string) bool { return true }
		}
		texts[i] = string(b)
	}
	return func(table string) bool {
		return !proc.NoneInUse(texts[0]+texts[1], strings.ToUpper(table))
	}
}

const maxNet = 64 << 20

// Read takes in the tables of a namespace through one of its processes, once.
func (n *Nets) Read(net uint64, d *proc.Dir, s *proc.Scratch) {
	n.mu.Lock()
	begun := n.begun[net]
	n.begun[net] = true
	n.mu.Unlock()
	if begun {
		return
	}
	if net == n.own && n.ask(net, d, s) {
		return
	}
	var sockets []proc.Socket
	var notes []string
	used := inUse(d, s)
	for _, t := range tables() {
		if !used(t.name) {
			continue
		}
		text, err := d.Read(s, "net/"+t.name, maxNet)
		if err != nil {
			notes = append(notes, "the table net/"+t.name+" of a network namespace could not be read: "+err.Error())
			continue
		}
		proc.ParseSockets(t.proto, text, func(x proc.Socket) { sockets = append(sockets, x) })
	}
	n.add(net, sockets, widestOf(d, s), notes)
}

// ask has the kernel list the sockets of our own namespace; false where it does not.
func (n *Nets) ask(net uint64, d *proc.Dir, s *proc.Scratch) bool {
	var sockets []proc.Socket
	if proc.AskSockets(func(x proc.Socket) { sockets = append(sockets, x) }) != nil {
		return false
	}
	n.add(net, sockets, widestOf(d, s), nil)
	return true
}

// widestOf tells how far a wildcard address reaches. When the addresses cannot be read, it counts as public: the cautious answer.
func widestOf(d *proc.Dir, s *proc.Scratch) string {
	fib, err := d.Read(s, "net/fib_trie", maxNet)
	if err != nil {
		return "public"
	}
	four := proc.LocalAddresses(fib, nil)
	six, err := d.Read(s, "net/if_inet6", maxNet)
	if err != nil {
		return proc.Widest(four) // a kernel without IPv6
	}
	return proc.Widest(append(four, proc.LocalAddresses(nil, six)...))
}

func (n *Nets) add(net uint64, sockets []proc.Socket, widest string, notes []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.widest[net] = widest
	for _, s := range sockets {
		n.sockets[s.Inode] = ofNet{Socket: s, net: net}
		if s.Listen {
			n.ports[listenKey{net, s.Proto, s.Local.Port()}] = struct{}{}
		}
	}
	for _, note := range notes {
		n.notes[note] = struct{}{}
	}
}

// Describe tells what a process that holds these sockets listens on, and whom it calls. It is called after all tables are read.
func (n *Nets) Describe(inodes []uint64) (listens []Listen, calls []Outbound) {
	listens = []Listen{}
	if len(inodes) == 0 {
		return listens, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, inode := range inodes {
		s, ok := n.sockets[inode]
		if !ok {
			continue
		}
		if s.Listen {
			listens = append(listens, n.listen(s))
			continue
		}
		if _, answers := n.ports[listenKey{s.net, s.Proto, s.Local.Port()}]; !answers {
			calls = append(calls, outbound(s))
		}
	}
	listens = sortUnique(listens, func(a, b Listen) bool {
		return a.Port < b.Port || a.Port == b.Port && (a.Proto < b.Proto || a.Proto == b.Proto && a.Addr < b.Addr)
	})
	calls = sortUnique(calls, func(a, b Outbound) bool {
		return a.Addr < b.Addr || a.Addr == b.Addr && (a.Port < b.Port || a.Port == b.Port && a.Proto < b.Proto)
	})
	return listens, calls
}

func (n *Nets) listen(s ofNet) Listen {
	reach := proc.Reach(s.Local.Addr())
	if s.Local.Addr().IsUnspecified() {
		reach = n.widest[s.net]
	}
	return Listen{Proto: s.Proto, Addr: s.Local.Addr().String(), Port: int(s.Local.Port()), Public: reach == "public", Reach: reach}
}

func outbound(s ofNet) Outbound {
	reach := proc.Reach(s.Remote.Addr())
	if reach == "public" {
		reach = "internet"
	}
	return Outbound{Proto: s.Proto, Addr: plain(s.Remote.Addr()), Port: int(s.Remote.Port()), Reach: reach}
}

func plain(a netip.Addr) string { return a.Unmap().String() }

// sortUnique sorts and drops repetitions: several descriptors of one socket, or several sockets of one peer, say the same.
func sortUnique[T comparable](list []T, less func(a, b T) bool) []T {
	sort.Slice(list, func(i, j int) bool { return less(list[i], list[j]) })
	out := list[:0]
	for i, x := range list {
		if i == 0 || x != list[i-1] {
			out = append(out, x)
		}
	}
	return out
}

// Notes are sentences about what could not be read.
func (n *Nets) Notes() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.notes))
}
