package proc

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

const someMaps = `00400000-00c5d000 r-xp 00000000 fe:00 1234                               /opt/node 0.10/bin/node
00e5c000-00e73000 rw-p 0085c000 fe:00 1234                               /opt/node 0.10/bin/node
7f0000000000-7f0000021000 rw-p 00000000 00:00 0
7f1122334000-7f1122500000 r-xp 00026000 103:02 99                        /usr/lib/lib\012x.so (deleted)
7f2000000000-7f2000010000 r-xs 00000000 00:01 2052                       /memfd:jit (deleted)
7f3000000000-7f3000001000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`

func TestMapsNamesAreNotPaddedAndPathsAreRaw(t *testing.T) {
	type row struct{ name, path string }
	var got []row
	if bad := EachExecutable([]byte(someMaps), func(m Mapping) {
		got = append(got, row{RangeName(m.Start, m.End), string(m.Path)})
	}); bad != 0 {
		t.Errorf("%d bad lines", bad)
	}
	want := []row{
		{"map_files/400000-c5d000", "/opt/node 0.10/bin/node"},
		{"map_files/7f1122334000-7f1122500000", `/usr/lib/lib\012x.so (deleted)`},
		{"map_files/7f2000000000-7f2000010000", "/memfd:jit (deleted)"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestNamesWithBracketsDoNotMoveTheFieldsOfStat(t *testing.T) {
	st, err := ParseStat([]byte("42 (a) Z (b) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1 2 3\n"))
	if err != nil || st.Name != "a) Z (b" || st.State != 'S' || st.PPID != 7 || st.Threads != 3 || st.Start != 98765 || st.Kernel {
		t.Errorf("%+v %v", st, err)
	}
}

const someTCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0
   1: 0500000A:C350 08080808:01BB 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0000000000000000 20 4 30 10 -1
   2: 0500000A:C351 08080808:01BB 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0000000000000000
`

func TestSockets(t *testing.T) {
	var got []Socket
	if bad := ParseSockets("tcp", []byte(someTCP), func(s Socket) { got = append(got, s) }); bad != 0 {
		t.Errorf("%d bad lines", bad)
	}
	if len(got) != 2 || !got[0].Listen || got[0].Local != netip.MustParseAddrPort("127.0.0.1:8080") || got[0].Inode != 12345 ||
		!got[1].Peer || got[1].Remote != netip.MustParseAddrPort("8.8.8.8:443") {
		t.Errorf("%+v", got)
	}
}

func TestUnconnectedUDPListens(t *testing.T) {
	const text = "head\n 9: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 77 2 0 0\n"
	var got []Socket
	ParseSockets("udp", []byte(text), func(s Socket) { got = append(got, s) })
	if len(got) != 1 || !got[0].Listen || got[0].Local.Port() != 53 || !got[0].Local.Addr().IsUnspecified() {
		t.Errorf("%+v", got)
	}
}

func TestReach(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.53": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback", "10.1.2.3": "internal", "172.31.0.1": "internal",
		"172.32.0.1": "public", "100.64.0.1": "internal", "100.128.0.1": "public", "169.254.1.1": "internal", "fd00::1": "internal",
		"fe80::1": "internal", "2001:db8::1": "public", "8.8.8.8": "public",
	} {
		if got := Reach(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestWildcardsReachAsFarAsTheWidestAddress(t *testing.T) {
	const trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.5\n        /32 host LOCAL\n"
	const six = "00000000000000000000000000000001 01 80 10 80       lo\n20010db8000000000000000000000005 02 40 00 80     eth0\n"
	if got := Widest(LocalAddresses([]byte(trie), nil)); got != "internal" {
		t.Errorf("v4 alone: %s", got)
	}
	if got := Widest(LocalAddresses([]byte(trie), []byte(six))); got != "public" {
		t.Errorf("with v6: %s", got)
	}
}

func FuzzMaps(f *testing.F) {
	f.Add([]byte(someMaps))
	f.Add([]byte("0-1 r-xp 0 0:0 1 /x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines := strings.Count(string(b), "\n") + 1
		n := 0
		bad := EachExecutable(b, func(m Mapping) {
			n++
			if m.End <= m.Start || m.Inode == 0 || len(m.Path) == 0 {
				t.Errorf("%+v", m)
			}
		})
		if n+bad > lines {
			t.Errorf("%d mappings and %d bad lines of %d", n, bad, lines)
		}
	})
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("42 (x) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1 2 3\n"))
	f.Add([]byte(")("))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if st, err := ParseStat(b); err == nil {
			Clock{}.At(st.Start)
		}
		_, _ = parseUID(b)
	})
}

func FuzzSockets(f *testing.F) {
	f.Add([]byte(someTCP))
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseSockets("tcp", b, func(s Socket) {
			if s.Inode == 0 || !s.Listen && !s.Peer || !s.Local.IsValid() {
				t.Errorf("%+v", s)
			}
		})
		Widest(LocalAddresses(b, b))
	})
}
