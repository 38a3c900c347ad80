package grade

import (
	"fmt"
	"strings"

	"staunch/see/probe/hello"
)

// rule is one line of the rubric: it holds the letter down when it finds something.
type rule struct {
	letter string
	change string                     // what to do about it
	finds  func(Facts) (string, bool) // the evidence
}

// rules returns the caps of the rubric, worst first.
func rules() []rule {
	return append(append(certificateRules(), flawRules()...), offerRules()...)
}

func certificateRules() []rule {
	return []rule{
		{"T", "serve a certificate that a trusted authority has signed for this name and date, with its chain", func(f Facts) (string, bool) {
			p, bad := f.problem("expired", "not_yet_valid", "self_signed", "untrusted", "chain_expired", "revoked", "broken", "weak_signature")
			return "the certificate is not trusted: " + strings.ReplaceAll(p, "_", " "), bad && f.Known
		}},
		{"M", "serve a certificate that has this name", func(f Facts) (string, bool) {
			_, bad := f.problem("name_mismatch")
			return "the certificate is for other names", bad
		}},
		{"F", "have it signed with SHA-256 or better", func(f Facts) (string, bool) {
			return "the certificate is signed with " + f.Signature, strings.HasPrefix(f.Signature, "MD2-") || strings.HasPrefix(f.Signature, "MD5-")
		}},
		{"F", "make a new key", func(f Facts) (string, bool) { return "the RSA key has exponent 1", f.Exponent1 }},
		{"B", "send the intermediate certificates too", func(f Facts) (string, bool) {
			_, bad := f.problem("incomplete_chain")
			return "the chain is incomplete", bad
		}},
	}
}

func flawRules() []rule {
	return []rule{
		{"F", "update OpenSSL, restart, and replace key and certificate", func(f Facts) (string, bool) {
			return "Heartbleed (CVE-2014-0160)", f.Heartbleed
		}},
		{"F", "update the TLS library", func(f Facts) (string, bool) { return strings.Join(f.Flaws, ", "), len(f.Flaws) > 0 }},
		{"C", "switch TLS compression off", func(f Facts) (string, bool) { return "TLS compression is accepted (CRIME)", f.Compression }},
	}
}

func offerRules() []rule {
	return []rule{
		{"F", "switch SSLv2 off", func(f Facts) (string, bool) { return "SSLv2 is offered (DROWN)", f.offers(hello.SSL20) }},
		{"F", "switch TLS 1.2 and 1.3 on", func(f Facts) (string, bool) { return "SSLv3 is the best version", f.best() == hello.SSL30 }},
		{"F", "remove suites that encrypt nothing, prove nothing or use less than 112 bits", weakSuites},
		{"F", "use keys and groups of at least 2,048 bits (RSA, DH) or 224 bits (curves)", func(f Facts) (string, bool) {
			return fmt.Sprintf("key exchange scores %d: %s", f.exchangeScore(), f.weakest()), f.exchangeScore() <= 40
		}},
		{"C", "switch TLS 1.2 or 1.3 on", func(f Facts) (string, bool) {
			return "no TLS 1.2 or newer", f.best() > hello.SSL30 && f.best() < hello.TLS12
		}},
		{"C", "switch SSLv3 off", func(f Facts) (string, bool) {
			s, bad := first(f.suites(hello.SSL30, hello.SSL30), hello.Suite.CBC)
			return "POODLE: " + s, bad
		}},
		{"C", "remove RC4", func(f Facts) (string, bool) {
			s, bad := first(f.suites(hello.TLS11, hello.TLS12), hello.Suite.RC4)
			return "RC4 in a modern version: " + s, bad
		}},
		{"C", "remove 3DES and other ciphers with 64-bit blocks", func(f Facts) (string, bool) {
			s, bad := first(f.suites(hello.TLS11, hello.TLS12), hello.Suite.Block64)
			return "SWEET32 in a modern version: " + s, bad
		}},
		{"B", "switch SSLv3, TLS 1.0 and TLS 1.1 off", func(f Facts) (string, bool) { return f.oldVersions() }},
		{"B", "remove RC4", func(f Facts) (string, bool) {
			s, bad := first(f.suites(hello.SSL30, hello.TLS12), hello.Suite.RC4)
			return "RC4: " + s, bad
		}},
		{"B", "offer suites with GCM, CCM or ChaCha20-Poly1305", func(f Facts) (string, bool) {
			_, has := first(f.suites(hello.TLS12, hello.TLS13), func(s hello.Suite) bool { return s.AEAD() || s.ID>>8 == 0x13 })
			return "no AEAD suite", !has && len(f.suites(hello.SSL30, hello.TLS13)) > 0
		}},
		{"B", "offer suites with ECDHE", func(f Facts) (string, bool) {
			_, has := first(f.suites(hello.SSL30, hello.TLS13), hello.Suite.ForwardSecret)
			return "no forward secrecy", !has && len(f.suites(hello.SSL30, hello.TLS13)) > 0
		}},
		{"B", "switch TLS 1.0 off", func(f Facts) (string, bool) {
			s, bad := first(f.suites(hello.SSL30, hello.TLS10), hello.Suite.CBC)
			return "BEAST: " + s, bad
		}},
		{"B", "use keys and groups of at least 2,048 bits (RSA, DH) or 224 bits (curves)", func(f Facts) (string, bool) {
			return fmt.Sprintf("key exchange scores %d: %s", f.exchangeScore(), f.weakest()), f.exchangeScore() > 40 && f.exchangeScore() <= 80
		}},
	}
}

func weakSuites(f Facts) (string, bool) {
	s, bad := first(f.suites(hello.SSL30, hello.TLS13), func(s hello.Suite) bool { return s.Export() || s.Bits() < 112 || s.Anonymous() })
	return "a suite that protects too little: " + s, bad
}

func (f Facts) best() uint16 {
	best := uint16(0)
	for _, v := range f.Versions {
		best = max(best, v.Number)
	}
	return best
}

func (f Facts) oldVersions() (string, bool) {
	var old []string
	for _, v := range []uint16{hello.SSL30, hello.TLS10, hello.TLS11} {
		if f.offers(v) {
			old = append(old, hello.VersionName(v))
		}
	}
	return "offered: " + strings.Join(old, ", "), len(old) > 0
}

// weakest names what the key exchange score comes from.
func (f Facts) weakest() string {
	score := f.exchangeScore()
	if s, anonymous := first(f.suites(hello.SSL30, hello.TLS12), hello.Suite.Anonymous); anonymous {
		return s
	}
	if keyPoints(f.Key) == score {
		return fmt.Sprintf("the certificate's %s key has %d bits", f.Key.Type, f.Key.Bits)
	}
	if f.DHBits > 0 && points(f.DHBits, primePoints()) == score {
		return fmt.Sprintf("a Diffie-Hellman prime has %d bits", f.DHBits)
	}
	for _, g := range f.Groups {
		if group := hello.GroupNamed(g); group.Bits > 0 && !group.DH && points(group.Bits, curvePoints()) == score {
			return "the group " + group.Name
		}
	}
	return "a weak group"
}

// sixMonths is the shortest Strict-Transport-Security that earns no warning, in seconds.
const sixMonths = 180 * 24 * 3600

// caution is a rule that only turns an A into an A-.
type caution struct {
	because, change string
	holds           func(Facts) bool
}

func cautions() []caution {
	return []caution{
		{"TLS 1.3 is not offered", "switch TLS 1.3 on", func(f Facts) bool { return !f.offers(hello.TLS13) }},
		{"no secure renegotiation (RFC 5746)", "update the TLS library", func(f Facts) bool { return f.Secure != nil && !*f.Secure }},
		{"Strict-Transport-Security is shorter than 180 days or makes no sense", "set max-age=15552000 or more", func(f Facts) bool {
			return f.HSTS != nil && f.HSTS.Present && f.HSTS.MaxAge < sixMonths
		}},
	}
}
