package why_test

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"staunch/see/why"
	"staunch/testbed/real"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// internet is a name space of our own: root, top-level domain and authorities, each a real NSD on an address of its own.
type internet struct {
	t     *testing.T
	ns    string
	dir   string
	bin   string
	nsd   string
	hints string
}

const (
	rootAddr, tldAddr, firstAddr, secondAddr, lameAddr = "10.53.0.1", "10.53.0.2", "10.53.0.3", "10.53.0.4", "10.53.0.5"
	webAddr, otherAddr, goneAddr                       = "10.53.0.6", "10.53.0.7", "10.53.9.9"
)

func newInternet(t *testing.T) *internet {
	real.Root(t)
	n := &internet{t: t, ns: fmt.Sprintf("whytest-%d", os.Getpid()), dir: t.TempDir(), nsd: real.Program(t, "nsd")}
	ip := real.Program(t, "ip")
	n.run(ip, "netns", "add", n.ns)
	t.Cleanup(func() { n.run(ip, "netns", "del", n.ns) })
	n.run(ip, "-n", n.ns, "link", "set", "lo", "up")
	for _, a := range []string{rootAddr, tldAddr, firstAddr, secondAddr, lameAddr, webAddr, otherAddr} {
		n.run(ip, "-n", n.ns, "addr", "add", a+"/32", "dev", "lo")
	}
	n.run(ip, "-n", n.ns, "route", "add", "unreachable", goneAddr+"/32")
	n.bin = real.Build(t, "./cmd/staunch")
	n.hints = filepath.Join(n.dir, "hints")
	n.write("hints", ".                3600000  NS  a.root.\na.root.          3600000  A   "+rootAddr+"\n")
	return n
}

func (n *internet) run(name string, args ...string) {
	n.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func (n *internet) write(name, text string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// serve starts one NSD on one address with zones (name to text).
func (n *internet) serve(addr string, zones map[string]string) {
	n.t.Helper()
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n  ip-address: %s\n  username: \"\"\n  chroot: \"\"\n  zonesdir: %q\n  pidfile: \"\"\n  database: \"\"\n  logfile: %q\n  xfrdfile: %q\n  zonelistfile: %q\n  server-count: 1\nremote-control:\n  control-enable: no\n",
		addr, n.dir, filepath.Join(n.dir, addr+".log"), filepath.Join(n.dir, addr+".xfrd"), filepath.Join(n.dir, addr+".list"))
	for zone, text := range zones {
		file := n.write(addr+"-"+strings.ReplaceAll(zone, ".", "_")+".zone", "$TTL 60\n"+text)
		fmt.Fprintf(&conf, "zone:\n  name: %q\n  zonefile: %q\n", zone, file)
	}
	cmd := exec.Command("ip", "netns", "exec", n.ns, n.nsd, "-d", "-c", n.write(addr+".conf", conf.String()))
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Process.Signal(unix.SIGTERM); _ = cmd.Wait() })
	n.inside(func() {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(30 * time.Millisecond) {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(addr, "53"), time.Second)
			if err == nil {
				c.Close()
				return
			}
			if time.Now().After(deadline) {
				log, _ := os.ReadFile(filepath.Join(n.dir, addr+".log"))
				n.t.Errorf("nsd on %s does not come up: %s", addr, log)
				return
			}
		}
	})
}

// inside runs f on a thread that lives in the name space; sockets made there stay there.
func (n *internet) inside(f func()) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and takes its name space along
		fd, err := unix.Open("/run/netns/"+n.ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

func (n *internet) web(addr string) {
	n.inside(func() {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, "80"))
		if err != nil {
			n.t.Error(err)
			return
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })}
		go func() { _ = srv.Serve(l) }()
		n.t.Cleanup(func() { srv.Close() })
	})
}

func (n *internet) why(url string, more ...string) why.Answer {
	n.t.Helper()
	args := append([]string{"netns", "exec", n.ns, n.bin, "why", "--format", "json", "--timeout", "2s", "--root-hints", n.hints}, more...)
	cmd := exec.Command("ip", append(args, url)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var a why.Answer
	if jsonErr := json.Unmarshal(out, &a); jsonErr != nil {
		n.t.Fatalf("%s: %v %v\n%s%s", url, err, jsonErr, out, errs.String())
	}
	return a
}

func soa(zone string, serial int) string {
	return fmt.Sprintf("%s SOA ns.%s admin.%s %d 3600 600 86400 60\n", zone, strings.TrimPrefix(zone, "."), strings.TrimPrefix(zone, "."), serial)
}

// key is a zone's signing key.
type key struct {
	*dns.DNSKEY
	private crypto.Signer
}

func newKey(t *testing.T, zone string) key {
	t.Helper()
	k := &dns.DNSKEY{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60}, Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	private, err := k.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	return key{k, private.(*ecdsa.PrivateKey)}
}

// files writes the key as BIND's tools read it and returns the name of its files.
func (k key) files(t *testing.T, dir string) string {
	t.Helper()
	base := fmt.Sprintf("K%s+%03d+%05d", k.Hdr.Name, k.Algorithm, k.KeyTag())
	for ending, text := range map[string]string{".key": k.String() + "\n", ".private": k.PrivateKeyString(k.private)} {
		if err := os.WriteFile(filepath.Join(dir, base+ending), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

// signed returns the zone's text as BIND signs it: every record set that the zone owns, and the proofs of what it does not have (NSEC, or
// with more arguments NSEC3).
func (k key) signed(t *testing.T, text string, until time.Time, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "zone"), []byte("$TTL 60\n"+text+k.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stamp := func(at time.Time) string { return at.UTC().Format("20060102150405") }
	args := append(more, "-z", "-P", "-o", k.Hdr.Name, "-s", stamp(until.Add(-240*time.Hour)), "-e", stamp(until), "-f", "signed", "zone", k.files(t, dir))
	cmd := exec.Command(real.Program(t, "dnssec-signzone"), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("dnssec-signzone %v: %v\n%s\n%s", args, err, out, text)
	}
	out, err := os.ReadFile(filepath.Join(dir, "signed"))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// bare returns the zone's text with its key and a signature over every record set that the zone owns, and no proof of anything else.
func (k key) bare(t *testing.T, text string, until time.Time) string {
	t.Helper()
	sets := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader("$TTL 60\n"+text+k.String()+"\n"), k.Hdr.Name, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if h := rr.Header(); h.Rrtype != dns.TypeNS || h.Name == k.Hdr.Name {
			id := h.Name + " " + dns.TypeToString[h.Rrtype]
			sets[id] = append(sets[id], rr)
		}
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	out := text + k.String() + "\n"
	for _, set := range sets {
		sig := &dns.RRSIG{Hdr: dns.RR_Header{Ttl: 60}, Algorithm: k.Algorithm, KeyTag: k.KeyTag(), SignerName: k.Hdr.Name, Inception: uint32(until.Add(-240 * time.Hour).Unix()), Expiration: uint32(until.Unix())}
		if err := sig.Sign(k.private, set); err != nil {
			t.Fatal(err)
		}
		out += sig.String() + "\n"
	}
	return out
}

// build sets up the name space that the stories below live in.
func (n *internet) build() (anchor string) {
	soon := time.Now().Add(24 * time.Hour)
	root, test, good, expired := newKey(n.t, "."), newKey(n.t, "test."), newKey(n.t, "signed.test."), newKey(n.t, "expired.test.")
	stranger, hashed, bare, roomy := newKey(n.t, "stranger.test."), newKey(n.t, "hashed.test."), newKey(n.t, "bare.test."), newKey(n.t, "roomy.test.")
	wrongDS := newKey(n.t, "stranger.test.").ToDS(dns.SHA256)
	n.serve(rootAddr, map[string]string{".": root.signed(n.t, soa(".", 1)+". NS a.root.\na.root. A "+rootAddr+"\ntest. NS ns.test.\nns.test. A "+tldAddr+"\n"+test.ToDS(dns.SHA256).String()+"\n", soon)})
	tld := soa("test.", 1) + "test. NS ns.test.\nns.test. A " + tldAddr + "\n"
	for _, z := range []string{"good", "disagree", "half", "alias", "signed", "expired", "stranger", "serials", "noaddr", "closed", "gone", "hashed", "bare", "roomy"} {
		second := secondAddr
		if z == "half" {
			second = lameAddr
		}
		tld += fmt.Sprintf("%[1]s.test. NS ns1.%[1]s.test.\n%[1]s.test. NS ns2.%[1]s.test.\nns1.%[1]s.test. A %[2]s\nns2.%[1]s.test. A %[3]s\n", z, firstAddr, second)
	}
	tld += "broken.test. NS ns1.broken.test.\nns1.broken.test. A " + lameAddr + "\n"
	tld += "glueless.test. NS ns1.good.test.\n"
	for _, k := range []key{hashed, bare, roomy} {
		tld += k.ToDS(dns.SHA256).String() + "\n"
	}
	tld += good.ToDS(dns.SHA256).String() + "\n" + expired.ToDS(dns.SHA256).String() + "\n" + wrongDS.String() + "\n"
	n.serve(tldAddr, map[string]string{"test.": test.signed(n.t, tld, soon)})
	zone := func(name string, serial int, records string) string {
		return soa(name, serial) + fmt.Sprintf("%[1]s NS ns1.%[1]s\n%[1]s NS ns2.%[1]s\nns1.%[1]s A %[2]s\nns2.%[1]s A %[3]s\n", name, firstAddr, secondAddr) + records
	}
	both := map[string]string{
		"good.test.": zone("good.test.", 1, "www.good.test. A "+webAddr+"\n"), "glueless.test.": soa("glueless.test.", 1) + "glueless.test. NS ns1.good.test.\nwww.glueless.test. A " + webAddr + "\n",
		"alias.test.":    zone("alias.test.", 1, "www.alias.test. CNAME www.good.test.\n"),
		"signed.test.":   good.signed(n.t, zone("signed.test.", 1, "www.signed.test. A "+webAddr+"\n*.any.signed.test. A "+webAddr+"\nalias.signed.test. CNAME www\nnote.signed.test. TXT \"x\"\ndeep.down.signed.test. A "+webAddr+"\n"), soon),
		"hashed.test.":   hashed.signed(n.t, zone("hashed.test.", 1, "www.hashed.test. A "+webAddr+"\n*.any.hashed.test. A "+webAddr+"\nnote.hashed.test. TXT \"x\"\ndeep.down.hashed.test. A "+webAddr+"\n"), soon, "-3", "aabb", "-H", "5"),
		"roomy.test.":    roomy.signed(n.t, zone("roomy.test.", 1, "www.roomy.test. A "+webAddr+"\nkid.roomy.test. NS ns1.good.test.\n"), soon, "-A", "-3", "-", "-H", "0"),
		"bare.test.":     bare.bare(n.t, zone("bare.test.", 1, "www.bare.test. A "+webAddr+"\n"), soon),
		"expired.test.":  expired.signed(n.t, zone("expired.test.", 1, "www.expired.test. A "+webAddr+"\n"), time.Now().Add(-24*time.Hour)),
		"stranger.test.": stranger.signed(n.t, zone("stranger.test.", 1, "www.stranger.test. A "+webAddr+"\n"), soon),
		"noaddr.test.":   zone("noaddr.test.", 1, "www.noaddr.test. TXT \"nothing\"\n"),
		"half.test.":     zone("half.test.", 1, "www.half.test. A "+webAddr+"\n"),
		"closed.test.":   zone("closed.test.", 1, "www.closed.test. A "+otherAddr+"\n"),
		"gone.test.":     zone("gone.test.", 1, "www.gone.test. A "+goneAddr+"\n"),
	}
	first, second := map[string]string{}, map[string]string{}
	for name, text := range both {
		first[name], second[name] = text, text
	}
	first["disagree.test."] = zone("disagree.test.", 2, "www.disagree.test. A "+webAddr+"\n")
	second["disagree.test."] = zone("disagree.test.", 1, "www.disagree.test. A "+otherAddr+"\n")
	first["serials.test."] = zone("serials.test.", 7, "www.serials.test. A "+webAddr+"\n")
	second["serials.test."] = zone("serials.test.", 8, "www.serials.test. A "+webAddr+"\n")
	n.serve(firstAddr, first)
	n.serve(secondAddr, second)
	n.serve(lameAddr, nil)
	n.web(webAddr)
	return root.ToDS(dns.SHA256).String()
}

// TestNamesFromTheRoot walks real name servers in a name space of our own, from the root to the page.
func TestNamesFromTheRoot(t *testing.T) {
	n := newInternet(t)
	anchor := n.write("anchor", n.build()+"\n")
	for _, c := range []struct {
		name    string
		verdict why.Verdict
		dns     why.State
		says    string // somewhere in the dns layer
		sec     string
	}{
		{"www.good.test", why.Fine, why.OK, "delegated", "unsigned"},
		{"www.glueless.test", why.Fine, why.OK, "delegated", "unsigned"},
		{"www.alias.test", why.Fine, why.OK, "another name for www.good.test", "unsigned"},
		{"www.signed.test", why.Fine, why.OK, "every signature", "valid"},
		{"www.expired.test", why.DNSBroken, why.Failed, "held from", "broken"},
		{"www.stranger.test", why.DNSBroken, why.Failed, "the one its parent names", "broken"},
		{"www.disagree.test", why.Slow, why.Slowly, "disagree", "unsigned"},
		{"www.serials.test", why.Slow, why.Slowly, "different versions", "unsigned"},
		{"www.half.test", why.Slow, why.Slowly, "lame delegation", "unsigned"},
		{"www.broken.test", why.DNSBroken, why.Failed, "lame delegation", ""},
		{"www.noaddr.test", why.NoSuchName, why.Failed, "no address", "unsigned"},
		{"nowhere.good.test", why.NoSuchName, why.Failed, "does not exist", ""},
		{"www.unknown.test", why.NoSuchName, why.Failed, "does not exist", ""},
		{"www.nothing", why.NoSuchName, why.Failed, "prove that there is no such name", "valid"},
		{"alias.signed.test", why.Fine, why.OK, "every signature", "valid"},
		{"x.any.signed.test", why.Fine, why.OK, "every signature", "valid"},
		{"nowhere.signed.test", why.NoSuchName, why.Failed, "prove that there is no such name", "valid"},
		{"note.signed.test", why.NoSuchName, why.Failed, "prove that the name has no such record", "valid"},
		{"down.signed.test", why.NoSuchName, why.Failed, "prove that the name has no such record", "valid"},
		{"www.hashed.test", why.Fine, why.OK, "every signature", "valid"},
		{"x.y.any.hashed.test", why.Fine, why.OK, "every signature", "valid"},
		{"a.b.nowhere.hashed.test", why.NoSuchName, why.Failed, "prove that there is no such name", "valid"},
		{"note.hashed.test", why.NoSuchName, why.Failed, "prove that the name has no such record", "valid"},
		{"down.hashed.test", why.NoSuchName, why.Failed, "prove that the name has no such record", "valid"},
		{"nowhere.roomy.test", why.NoSuchName, why.Failed, "opt-out", "unknown"},
		{"www.bare.test", why.Slow, why.Slowly, "no proof (asked for AAAA)", "broken"},
		{"nowhere.bare.test", why.DNSBroken, why.Failed, "carries no proof", "broken"},
		{"www.closed.test", why.PortClosed, why.OK, "", "unsigned"},
		{"www.gone.test", why.Unreachable, why.OK, "", "unsigned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.t = t
			a := n.why("http://"+c.name+"/", "--trust-anchor", anchor)
			l := layer(t, a, "dns")
			text, err := json.MarshalIndent(l, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if a.Verdict != c.verdict || l.State != c.dns || !strings.Contains(string(text), c.says) {
				t.Errorf("%s (%s), dns %s, want %s, dns %s with %q\n%s", a.Verdict, a.Says, l.State, c.verdict, c.dns, c.says, text)
			}
			if c.sec != "" && !strings.Contains(string(text), `"state": "`+c.sec+`"`) {
				t.Errorf("DNSSEC is not %s: %s", c.sec, text)
			}
		})
	}
	n.t = t
}

// TestAFullAcceptQueueIsNoFirewall shows what a listener that accepts nobody looks like.
func TestAFullAcceptQueueIsNoFirewall(t *testing.T) {
	n := newInternet(t)
	n.inside(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 80, Addr: [4]byte{10, 53, 0, 6}}); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Listen(fd, 0); err != nil {
			t.Error(err)
			return
		}
		for range 3 { // one more than a backlog of 0 takes
			c, err := net.DialTimeout("tcp", webAddr+":80", 300*time.Millisecond)
			if err == nil {
				t.Cleanup(func() { c.Close() })
			}
		}
	})
	a := n.why("http://" + webAddr + "/")
	if a.Verdict != why.Filtered || !strings.Contains(a.Says, "overloaded") {
		t.Errorf("%s: %s", a.Verdict, a.Says)
	}
}
