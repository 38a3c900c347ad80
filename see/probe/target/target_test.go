package target

import (
	"fmt"
	"strings"
	"testing"

	"staunch/fault"
)

// What people write, and what it means.
func TestTargets(t *testing.T) {
	for text, want := range map[string]string{
		"www.example.org":             "www.example.org:443",
		"WWW.Example.org.":            "www.example.org:443",
		"bücher.example":              "xn--bcher-kva.example:443",
		"_dmarc.example.org":          "_dmarc.example.org:443",
		"example.org:8443":            "example.org:8443",
		"mail.example.org:25":         "mail.example.org:25 smtp",
		"192.0.2.7":                   "192.0.2.7:443",
		"192.0.2.7:993":               "192.0.2.7:993",
		"2001:db8::1":                 "2001:db8::1:443",
		"[2001:db8::1]:8443":          "2001:db8::1:8443",
		"::ffff:192.0.2.7":            "192.0.2.7:443",
		"https://example.org/a?b#c":   "example.org:443",
		"https://[2001:db8::1]:444/":  "2001:db8::1:444",
		"smtp://mail.example.org":     "mail.example.org:25 smtp",
		"imaps://mail.example.org":    "mail.example.org:993",
		"xmpp-server://chat.example":  "chat.example:5269 xmpp-server",
		"turns://turn.example.org":    "turn.example.org:5349",
		"postgres://db.example.org/x": "db.example.org:5432 postgres",
		"10.0.0.0/31:443,8443":        "10.0.0.0:443 10.0.0.0:8443 10.0.0.1:443 10.0.0.1:8443",
		"10.0.0.9/32:80-82":           "10.0.0.9:80 10.0.0.9:81 10.0.0.9:82",
		"[fd00::/127]:443":            "fd00:::443 fd00::1:443",
	} {
		all, err := parseTargets(Asked{Targets: []string{text}, Allow: []string{"10.0.0.0/8", "fd00::/8"}})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, x := range all {
			host := x.host
			if x.address.IsValid() {
				host = x.address.String()
			}
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s:%d %s", host, x.port, x.starttls)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s means %q, want %q", text, strings.Join(got, " "), want)
		}
	}
}

// What is refused, with the reason: nothing is ever sent for a question that is wrong.
func TestTargetsThatAreRefused(t *testing.T) {
	for text, want := range map[string]fault.Kind{
		"": fault.Usage, "a b": fault.Usage, "evil\x1b[2Jhost": fault.Usage, "host\n": fault.Usage, "host:0": fault.Usage, "host:65536": fault.Usage,
		"host:": fault.Usage, "host:https": fault.Usage, "host:-1": fault.Usage, "[2001:db8::1": fault.Usage, "[::1]443": fault.Usage, "300.1.2.3": fault.Usage, "1.2.3": fault.Usage,
		"-x.example": fault.Usage, "a..b": fault.Usage, strings.Repeat("a", 64) + ".example": fault.Usage, strings.Repeat("a.", 200) + "example": fault.Usage,
		"http://example.org": fault.Usage, "gopher://example.org": fault.Usage, "https://user:secret@example.org": fault.Usage, "https://": fault.Usage, "https://host:99999/": fault.Usage,
		"dtls://example.org": fault.Unsupported, "turn://example.org": fault.Unsupported,
		"192.0.2.0/24:443": fault.Denied, "10.0.0.0/7:443": fault.Denied, "10.0.0.0/33": fault.Usage, "10.0.0.0/8:443": fault.Usage, "10.0.0.0/24:1-65535": fault.Usage,
		"10.0.0.0/24:90-80": fault.Usage, "10.0.0.0/24:": fault.Usage, "fd00::/8": fault.Usage,
	} {
		_, err := parseTargets(Asked{Targets: []string{text}, Allow: []string{"10.0.0.0/8", "fd00::/8"}})
		if fault.KindOf(err) != want {
			t.Errorf("%q: %v (%s), want %s", text, err, fault.KindOf(err), want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%q: the message carries control characters", text)
		}
	}
}

func TestQuestionsThatAreRefused(t *testing.T) {
	for name, q := range map[string]Asked{
		"nothing named":       {},
		"unknown starttls":    {Targets: []string{"a.example"}, StartTLS: "telnet"},
		"a name with escapes": {Targets: []string{"a.example"}, SNI: "a\x1b.example"},
		"not a range":         {Targets: []string{"a.example"}, Allow: []string{"everything"}},
		"one of two is wrong": {Targets: []string{"a.example", "b:0"}},
	} {
		if _, err := parseTargets(q); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"a.example:443", "[::1]:1", "10.0.0.0/30:1-3,9", "https://x.example:1/", "bücher.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseTargets(Asked{Targets: []string{text}, Allow: []string{"10.0.0.0/8"}})
		if err == nil && len(all) == 0 {
			t.Error("no target and no error")
		}
		if len(all) > maxRange {
			t.Errorf("%d targets", len(all))
		}
		for _, x := range all {
			if x.port == 0 || x.host == "" && !x.address.IsValid() {
				t.Errorf("%q gives %+v", text, x)
			}
			if x.ranged && !strings.HasPrefix(x.address.String(), "10.") {
				t.Errorf("%q leaves the allowed range: %s", text, x.address)
			}
		}
	})
}
