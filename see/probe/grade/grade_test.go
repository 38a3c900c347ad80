package grade

import (
	"strings"
	"testing"

	"staunch/see/probe/hello"
)

func suites(ids ...uint16) []hello.Suite {
	var all []hello.Suite
	for _, id := range ids {
		all = append(all, hello.Named(id))
	}
	return all
}

// good is a server that deserves an A+; each case bends one thing.
func good() Facts {
	return Facts{
		Versions: []Version{{Number: hello.TLS12, Suites: suites(0xc02f, 0xc030)}, {Number: hello.TLS13, Suites: suites(0x1301, 0x1302)}},
		Key:      Key{"RSA", 2048}, Groups: []uint16{0x001d}, Signature: "SHA256-RSA", Known: true, Trusted: true,
	}
}

// Every rule of the rubric, derived by hand: what is bent, and the letter and score that follow.
func TestRubric(t *testing.T) {
	no := false
	for _, c := range []struct {
		name    string
		bend    func(*Facts)
		letter  string
		score   int
		because string
	}{
		{"nothing", func(*Facts) {}, "A+", 93, ""},
		{"ECDSA P-256", func(f *Facts) { f.Key = Key{"ECDSA", 256} }, "A+", 96, ""},
		{"RSA 4096, 256 bits", func(f *Facts) {
			f.Key = Key{"RSA", 4096}
			f.Versions = []Version{{Number: hello.TLS13, Suites: suites(0x1302, 0x1303)}}
		}, "A+", 100, ""},
		{"Heartbleed", func(f *Facts) { f.Heartbleed = true }, "F", 93, "Heartbleed"},
		{"ROBOT", func(f *Facts) { f.Flaws = []string{"ROBOT"} }, "F", 93, "ROBOT"},
		{"not trusted", func(f *Facts) { f.Problems = []string{"untrusted"} }, "T", 93, "not trusted"},
		{"revoked", func(f *Facts) { f.Problems = []string{"revoked"} }, "T", 93, "revoked"},
		{"SHA-1", func(f *Facts) { f.Problems, f.Signature = []string{"weak_signature"}, "SHA1-RSA" }, "T", 93, "weak signature"},
		{"MD5", func(f *Facts) { f.Signature = "MD5-RSA" }, "F", 93, "MD5"},
		{"exponent 1", func(f *Facts) { f.Exponent1 = true }, "F", 93, "exponent"},
		{"another name", func(f *Facts) { f.Problems = []string{"name_mismatch"} }, "M", 93, "other names"},
		{"untrusted and another name", func(f *Facts) { f.Problems = []string{"name_mismatch", "untrusted"} }, "T", 93, ""},
		{"incomplete chain", func(f *Facts) { f.Problems = []string{"incomplete_chain"} }, "B", 93, "incomplete"},
		{"compression", func(f *Facts) { f.Compression = true }, "C", 93, "CRIME"},
		{"no secure renegotiation", func(f *Facts) { f.Secure = &no }, "A-", 93, "renegotiation"},
		{"short HSTS", func(f *Facts) { f.HSTS = &HSTS{true, 300} }, "A-", 93, "Strict-Transport-Security"},
		{"unreadable HSTS", func(f *Facts) { f.HSTS = &HSTS{true, -1} }, "A-", 93, "Strict-Transport-Security"},
		{"no HSTS", func(f *Facts) { f.HSTS = &HSTS{} }, "A+", 93, ""},
		{"no TLS 1.3", func(f *Facts) { f.Versions = f.Versions[:1] }, "A-", 93, "TLS 1.3"},
		{"TLS 1.0", func(f *Facts) { f.Versions = append(f.Versions, Version{Number: hello.TLS10, Suites: suites(0xc013)}) }, "B", 91, "BEAST"},
		{"RC4 in TLS 1.0", func(f *Facts) { f.Versions = append(f.Versions, Version{Number: hello.TLS10, Suites: suites(0x0005)}) }, "B", 91, "RC4"},
		{"RC4 in TLS 1.2", func(f *Facts) { f.Versions[0].Suites = suites(0xc02f, 0xc030, 0x0005) }, "C", 93, "RC4 in a modern"},
		{"3DES in TLS 1.2", func(f *Facts) { f.Versions[0].Suites = suites(0xc02f, 0xc030, 0x000a) }, "C", 81, "SWEET32"},
		{"SSLv3 with CBC", func(f *Facts) { f.Versions = append(f.Versions, Version{Number: hello.SSL30, Suites: suites(0x002f)}) }, "C", 90, "POODLE"},
		{"SSLv3 alone", func(f *Facts) { f.Versions = []Version{{Number: hello.SSL30, Suites: suites(0x002f)}} }, "F", 83, "SSLv3 is the best"},
		{"TLS 1.1 alone", func(f *Facts) { f.Versions = []Version{{Number: hello.TLS11, Suites: suites(0xc013)}} }, "C", 87, "no TLS 1.2"},
		{"SSLv2", func(f *Facts) { f.Versions = append(f.Versions, Version{Number: hello.SSL20, V2: []uint32{0x010080}}) }, "F", 78, "DROWN"},
		{"export", func(f *Facts) { f.Versions[0].Suites = suites(0xc030, 0x0003) }, "F", 81, "EXPORT"},
		{"single DES", func(f *Facts) { f.Versions[0].Suites = suites(0xc030, 0x0009) }, "F", 81, "DES_CBC"},
		{"nothing encrypted", func(f *Facts) { f.Versions[0].Suites = suites(0xc030, 0x0002) }, "F", 77, "NULL"},
		{"anonymous", func(f *Facts) { f.Versions[0].Suites = suites(0xc030, 0x0034) }, "F", 0, "anon"},
		{"RSA 1024", func(f *Facts) { f.Key.Bits = 1024 }, "B", 90, "1024 bits"},
		{"RSA 512", func(f *Facts) { f.Key.Bits = 512 }, "F", 78, "512 bits"},
		{"DH 1024", func(f *Facts) { f.DHBits = 1024 }, "B", 90, "prime has 1024"},
		{"a small curve", func(f *Facts) { f.Groups = []uint16{0x001d, 0x0010} }, "B", 90, "secp160r1"},
		{"only finite fields", func(f *Facts) { f.Key, f.Groups = Key{"ECDSA", 256}, []uint16{0x0100} }, "A+", 93, ""},
		{"fields beside curves", func(f *Facts) { f.Key, f.Groups = Key{"ECDSA", 256}, []uint16{0x001d, 0x0100} }, "A+", 96, ""},
		{"no AEAD", func(f *Facts) { f.Versions = []Version{{Number: hello.TLS12, Suites: suites(0xc013, 0xc014)}} }, "B", 93, "no AEAD"},
		{"no forward secrecy", func(f *Facts) { f.Versions = []Version{{Number: hello.TLS12, Suites: suites(0x002f, 0x009d)}} }, "B", 93, "no forward secrecy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good()
			c.bend(&f)
			g := Give(f)
			if g.Letter != c.letter || g.Score != c.score {
				t.Errorf("%s %d, want %s %d: %+v", g.Letter, g.Score, c.letter, c.score, g)
			}
			says := ""
			for _, x := range g.Caps {
				says += x.Because + "\n"
			}
			for _, x := range g.Warnings {
				says += x.Because + "\n"
			}
			if c.because != "" && !strings.Contains(says, c.because) {
				t.Errorf("no word of %q in:\n%s", c.because, says)
			}
			if c.because == "" && c.letter == "A+" && says != "" {
				t.Errorf("it complains about nothing: %s", says)
			}
			if g.Letter != "A+" && len(g.Next) == 0 {
				t.Error("it does not say how to get better")
			}
		})
	}
}

func TestNothingSeenGetsNoLetter(t *testing.T) {
	if g := Give(Facts{}); g.Letter != "" {
		t.Errorf("letter %q for nothing", g.Letter)
	}
}

func TestLettersHaveAnOrder(t *testing.T) {
	order := strings.Fields("T M F E D C B A- A A+")
	for i := 1; i < len(order); i++ {
		if !Below(order[i-1], order[i]) || Below(order[i], order[i-1]) {
			t.Errorf("%s and %s", order[i-1], order[i])
		}
	}
	if Known("Z") || !Known("A-") {
		t.Error("letters that are none")
	}
}
