package why_test

import (
	"strings"
	"testing"

	"staunch/see/why"
	"staunch/testbed/real"
)

const (
	rootSix, zoneSix, webSix, idleSix = "fd53::1", "fd53::2", "fd53::6", "fd53::7"
	lostFour, lostSix, cutSix         = "10.54.0.9", "fd54::9", "fd55::9"
)

// dual adds IPv6 to the name space: addresses that serve, one with no listener, networks in which every packet vanishes, and one that a
// router says cannot be reached.
func (n *internet) dual() {
	ip := real.Program(n.t, "ip")
	for _, a := range []string{rootSix, zoneSix, webSix, idleSix} {
		n.run(ip, "-n", n.ns, "-6", "addr", "add", a+"/128", "dev", "lo", "nodad")
	}
	n.run(ip, "-n", n.ns, "link", "add", "void", "type", "veth", "peer", "name", "hole")
	n.run(ip, "-n", n.ns, "link", "set", "void", "up")
	n.run(ip, "-n", n.ns, "link", "set", "hole", "up")
	n.run(ip, "-n", n.ns, "addr", "add", "10.54.0.1/24", "dev", "void")
	n.run(ip, "-n", n.ns, "-6", "addr", "add", "fd54::1/64", "dev", "void", "nodad")
	for _, a := range []string{lostFour, lostSix} { // nobody has these, and nobody says so
		n.run(ip, "-n", n.ns, "neigh", "add", a, "lladdr", "02:00:00:00:00:09", "dev", "void", "nud", "permanent")
	}
	n.run(ip, "-n", n.ns, "-6", "route", "add", "unreachable", cutSix+"/128")
	zone := soa("test.", 1) + "test. NS ns.test.\nns.test. AAAA " + zoneSix + "\n"
	for name, addresses := range map[string][2]string{
		"both": {webAddr, webSix}, "idle": {webAddr, idleSix}, "lost": {webAddr, lostSix}, "cut": {webAddr, cutSix}, "old": {lostFour, webSix}, "dead": {lostFour, lostSix},
	} {
		zone += name + ".test. A " + addresses[0] + "\n" + name + ".test. AAAA " + addresses[1] + "\n"
	}
	zone += "only.test. AAAA " + webSix + "\n"
	n.serve(rootSix, map[string]string{".": soa(".", 1) + ". NS a.root.\na.root. AAAA " + rootSix + "\ntest. NS ns.test.\nns.test. AAAA " + zoneSix + "\n"})
	n.serve(zoneSix, map[string]string{"test.": zone})
	n.write("hints", ". 3600000 NS a.root.\na.root. 3600000 AAAA "+rootSix+"\n")
	n.web(webAddr)
	n.web(webSix)
}

// One family works and the other does not: it is told which, and how its addresses failed. Names are looked up over IPv6 alone here.
func TestFamiliesAreToldApart(t *testing.T) {
	n := newInternet(t)
	n.dual()
	for _, c := range []struct {
		name    string
		verdict why.Verdict
		state   why.State
		says    string
		dials   string // state by family
	}{
		{"both", why.Fine, why.OK, "connected to 2 of 2", "IPv4 connected, IPv6 connected"},
		{"only", why.Fine, why.OK, "connected to 1 of 1", "IPv6 connected"},
		{"idle", why.Slow, why.Slowly, "none over IPv6 (refused)", "IPv4 connected, IPv6 refused"},
		{"lost", why.Slow, why.Slowly, "none over IPv6 (filtered)", "IPv4 connected, IPv6 filtered"},
		{"cut", why.Slow, why.Slowly, "none over IPv6 (unreachable)", "IPv4 connected, IPv6 unreachable"},
		{"old", why.Slow, why.Slowly, "none over IPv4 (filtered)", "IPv4 filtered, IPv6 connected"},
		{"dead", why.Filtered, why.Failed, "no answer at all", "IPv4 filtered, IPv6 filtered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.t = t
			a := n.why("http://" + c.name + ".test/")
			l := layer(t, a, "tcp")
			var dials []string
			for _, d := range l.Detail.([]any) {
				one := d.(map[string]any)
				dials = append(dials, one["family"].(string)+" "+one["state"].(string))
			}
			if a.Verdict != c.verdict || l.State != c.state || !strings.Contains(l.Says, c.says) || strings.Join(dials, ", ") != c.dials {
				t.Errorf("%s (%s); tcp %s: %s; %v\nwant %s, tcp %s with %q, %s", a.Verdict, a.Says, l.State, l.Says, dials, c.verdict, c.state, c.says, c.dials)
			}
		})
	}
	n.t = t
}
