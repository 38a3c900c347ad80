package probe_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"staunch/see/probe"
	"staunch/see/probe/door"
	"staunch/see/probe/hello"
	"staunch/see/probe/target"
	"staunch/testbed/real"
)

// alone asks for one thing at a time, each on a connection of its own: slow, and nothing to be clever about.
func alone(t *testing.T, address string, ids []uint16, client func(*door.Door, uint16) hello.Client, accepts func(*hello.Flight) bool) (accepted []string) {
	t.Helper()
	d := door.New(target.Endpoint{Address: netip.MustParseAddrPort(address).Addr(), Port: netip.MustParseAddrPort(address).Port()}, door.NewLimits(0, 0, 0), patience)
	for _, id := range ids {
		flight, got, err := d.Ask(t.Context(), client(d, id), hello.UntilKeys)
		if got != door.Accepted && got != door.Refused && got != door.HungUp {
			t.Fatalf("0x%04x: %v", id, err)
		}
		if got == door.Accepted && accepts(flight) {
			accepted = append(accepted, fmt.Sprintf("0x%04x", id))
		}
	}
	slices.Sort(accepted)
	return accepted
}

func ids(list []probe.Named) []string {
	var all []string
	for _, n := range list {
		all = append(all, n.ID)
	}
	slices.Sort(all)
	return all
}

// gopher serves both kinds of key with Go's own TLS, which looks at signature schemes only when it has a key share.
func gopher(t *testing.T, config *tls.Config) string {
	return serving(t, func(conn net.Conn) {
		defer conn.Close()
		_ = tls.Server(conn, config).Handshake() // its failures are the answers
	})
}

// Asking for several things in one hello loses and invents nothing: suites, groups and schemes are those that single questions find.
func TestAskingTogetherFindsWhatSingleQuestionsFind(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	pair := func(l leaf) tls.Certificate {
		c, err := tls.LoadX509KeyPair(l.certFile, l.keyFile)
		must(t, err)
		return c
	}
	for name, serve := range map[string]func(*testing.T) string{
		"openssl, two keys": func(t *testing.T) string {
			return openssl(t, rsa, "-dcert", ec.certFile, "-dkey", ec.keyFile)
		},
		"openssl, two keys, own order, no TLS 1.3": func(t *testing.T) string {
			return openssl(t, rsa, "-dcert", ec.certFile, "-dkey", ec.keyFile, "-serverpref", "-no_tls1_3")
		},
		"nginx, one group, few suites": func(t *testing.T) string {
			return nginx(t, ec, "ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve secp384r1; ssl_ciphers ECDHE+AESGCM; ssl_prefer_server_ciphers on;")
		},
		"go, two keys": func(t *testing.T) string {
			return gopher(t, &tls.Config{Certificates: []tls.Certificate{pair(rsa), pair(ec)}, MinVersion: tls.VersionTLS10})
		},
		"node 0.10.1": func(t *testing.T) string { return node(t, "0.10.1", rsa) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t)
			r := look(t, address)
			same := func(what string, got, want []string) {
				t.Helper()
				if !slices.Equal(got, want) {
					t.Errorf("%s: together %v, alone %v", what, got, want)
				}
			}
			for _, p := range r.Protocols {
				for version := hello.SSL30; version <= hello.TLS13; version++ {
					if hello.VersionName(version) == p.Version {
						same(p.Version, ids(p.Suites), alone(t, address, hello.Suites(version), func(d *door.Door, id uint16) hello.Client { return d.Offering(version, []uint16{id}) },
							func(f *hello.Flight) bool { return f.Hello.Version == version }))
					}
				}
			}
			schemes := alone(t, address, hello.SignatureIDs(), func(d *door.Door, id uint16) hello.Client {
				c := d.Broad(hello.TLS12)
				c.Signatures = []uint16{id}
				return c
			}, func(f *hello.Flight) bool { return f.KeyExchange != nil })
			if strings.HasPrefix(name, "node") {
				schemes = nil // it has no suite that shows them
			}
			same("signature schemes", ids(r.Signatures), schemes)
			modern := slices.Contains(strings.Fields(offered(r)), "TLS1.3")
			version, groups := hello.TLS12, hello.GroupIDs(hello.Groups(hello.TLS12))
			if modern {
				version, groups = hello.TLS13, hello.GroupIDs(hello.Groups(hello.TLS13))
			}
			same("groups", ids(r.Groups), alone(t, address, groups, func(d *door.Door, id uint16) hello.Client {
				c := d.Offering(version, hello.Suites(version))
				c.Groups = []uint16{id}
				return c
			}, func(f *hello.Flight) bool { return modern || f.KeyExchange != nil && f.KeyExchange.Group == id16(f) }))
		})
	}
}

// A box that drops long hellos, or ends the connection at them, hides nothing: the lists are those of the server behind it.
func TestLongHellosAreDropped(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	server := openssl(t, newAuthority(t).issue(t, rsaKey(t, 2048)), "-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1")
	direct := look(t, server)
	for name, drop := range map[string]func(net.Conn){"in silence": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "by hanging up": func(net.Conn) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := look(t, serving(t, func(conn net.Conn) {
				defer conn.Close()
				kind, body, err := readRecord(conn)
				if err != nil || len(body) > 600 {
					drop(conn)
					return
				}
				inner, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer inner.Close()
				if _, err := inner.Write(append([]byte{kind, 3, 1, byte(len(body) >> 8), byte(len(body))}, body...)); err != nil {
					return
				}
				go func() { _, _ = io.Copy(inner, conn); inner.Close() }()
				_, _ = io.Copy(conn, inner)
			}), func(q *probe.Question) { q.TimeoutMS = 1500 })
			for _, version := range []string{"TLS1.0", "TLS1.1", "TLS1.2", "TLS1.3"} {
				got, want := slices.Sorted(slices.Values(suitesOf(behind, version))), slices.Sorted(slices.Values(suitesOf(direct, version)))
				if !slices.Equal(got, want) || len(want) == 0 {
					t.Errorf("%s: %v, directly %v", version, got, want)
				}
			}
			if !slices.Equal(ids(behind.Groups), ids(direct.Groups)) || !slices.Equal(ids(behind.Signatures), ids(direct.Signatures)) {
				t.Errorf("groups %v, signatures %v; directly %v, %v", behind.Groups, behind.Signatures, direct.Groups, direct.Signatures)
			}
		})
	}
}

// id16 is the group of the flight: a curve was used at all.
func id16(f *hello.Flight) uint16 {
	if f.KeyExchange.Group == 0 {
		return 1 // no curve
	}
	return f.KeyExchange.Group
}
