package probe

import (
	"strconv"
	"strings"

	"staunch/see/probe/grade"
	"staunch/see/probe/hello"
	"staunch/see/probe/list"
)

// report writes what was seen into the result, and grades it.
func (s *sight) report() {
	for v := hello.TLS13; v >= hello.SSL30; v-- {
		s.protocol(s.seen[v])
	}
	s.protocol(s.seen[hello.SSL20])
	s.options()
	s.always()
	if len(s.r.Protocols) == 0 || s.r.Certificate == nil && s.nothingOffered() {
		s.r.Error = "no version of TLS could be agreed on"
		return
	}
	g := grade.Give(s.facts())
	if g.Letter != "" {
		s.r.Grade = &g
	}
}

func (s *sight) nothingOffered() bool {
	for _, l := range s.seen {
		if l.Offered {
			return false
		}
	}
	return true
}

func (s *sight) protocol(l *list.Version) {
	if l == nil {
		return
	}
	s.r.Protocols = append(s.r.Protocols, Protocol{
		Version: hello.VersionName(l.Number), Offered: l.Offered, Suites: named(l), ServerPreference: l.Preference, Unsure: l.Unsure,
	})
	if l.Unsure != "" && l.Number != hello.SSL20 {
		s.skip("%s completely: %s", hello.VersionName(l.Number), l.Unsure)
	}
}

// options reads renegotiation and compression out of hellos of TLS 1.2 and older.
func (s *sight) options() {
	version, _ := s.newestOld()
	if version == 0 {
		return
	}
	if s.flight != nil && s.flight.Hello != nil && s.r.Renegotiate == nil {
		s.r.Renegotiate = &Renegotiation{Secure: s.flight.Hello.Renegotiate, ClientInitiated: "unknown"}
	}
	deflate := false
	for _, l := range s.seen {
		deflate = deflate || l.Deflate
	}
	s.r.Compression = &deflate
}

// always names what no probe from outside can settle, and what was left out.
func (s *sight) always() {
	if !s.l.q.Intrusive {
		s.skip("ROBOT, Ticketbleed, early CCS (CVE-2014-0224): they need --intrusive")
	}
	s.skip("DTLS, and programs that act as clients: only evidence from the host (staunch scan) settles them")
	if s.d.StartTLS != "" {
		s.skip("whether clients insist: STARTTLS is opportunistic, and somebody on the path can take it away from a client that does not")
	}
	if s.l.q.mode() == ModeQuick {
		s.skip("every suite and group: --quick asks for the bad ones only, so the letter is an upper bound")
	}
}

func (s *sight) facts() grade.Facts {
	f := grade.Facts{
		DHBits: s.dhBits, Heartbleed: s.r.Heartbleed.Verdict == Vulnerable, Compression: s.r.Compression != nil && *s.r.Compression,
		Partial: s.l.q.mode() == ModeQuick,
	}
	for _, v := range []uint16{hello.SSL20, hello.SSL30, hello.TLS10, hello.TLS11, hello.TLS12, hello.TLS13} {
		l := s.seen[v]
		if l == nil {
			continue
		}
		f.Partial = f.Partial || l.Unsure != "" && v != hello.SSL20
		if l.Offered {
			version := grade.Version{Number: v, V2: l.V2}
			for _, id := range l.Suites {
				version.Suites = append(version.Suites, hello.Named(id))
			}
			f.Versions = append(f.Versions, version)
		}
	}
	for _, g := range s.r.Groups {
		if id, err := strconv.ParseUint(strings.TrimPrefix(g.ID, "0x"), 16, 16); err == nil {
			f.Groups = append(f.Groups, uint16(id))
		}
	}
	if s.r.Renegotiate != nil {
		f.Secure = &s.r.Renegotiate.Secure
	}
	if h := s.r.HSTS; h != nil {
		f.HSTS = &grade.HSTS{Present: h.Present, MaxAge: h.MaxAge}
	}
	for _, flaw := range s.r.Flaws {
		if flaw.Verdict == "vulnerable" {
			f.Flaws = append(f.Flaws, flaw.Name)
		}
	}
	s.certificateFacts(&f)
	return f
}

func (s *sight) certificateFacts(f *grade.Facts) {
	c := s.r.Certificate
	if c == nil {
		f.Partial = true // whatever it holds could only lower the letter
		return
	}
	f.Known, f.Trusted, f.Key, f.Exponent1, f.Signature = true, c.Trusted, grade.Key{Type: c.Key.Type, Bits: c.Key.Bits}, c.RSAExponent1, c.Signature
	for _, p := range c.Problems {
		code, _, _ := strings.Cut(p, ":")
		f.Problems = append(f.Problems, code)
	}
}
