package list

import (
	"slices"
	"strings"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
)

// choice is a list of which every hello shows one entry beside the suite.
type choice struct {
	all, left, found []uint16
	over             bool // nothing that is left would be taken
}

func newChoice(all []uint16, wanted bool) choice { return choice{all: all, left: all, over: !wanted} }

// learn takes a value off the list. A server that uses what was not offered does not look at the list, and nothing more can be learned.
func (c *choice) learn(value uint16) {
	if c.over {
		return
	}
	rest := hello.Without(c.left, value)
	if c.over = len(rest) == len(c.left) || len(rest) == 0; len(rest) < len(c.left) {
		c.left, c.found = rest, append(c.found, value)
	}
}

// spare are the lists that shrink beside the suites: as long as the server still takes suites of the same kind, what is left of them was
// enough. The nil spare shrinks nothing.
type spare struct {
	groups, signatures choice
	off                bool   // the suites go on alone, with whole lists
	doubted            bool   // only because of the signature schemes: the next choice tells
	dry                string // the kind of certificate that can sign with nothing that is left
	kind, curve        string // of the suite taken last
	dhBits             int
}

// reduce puts what is left of the lists into the hello, and says how far its answer must be read.
func (s *spare) reduce(c *hello.Client) (reduced bool, until hello.Until) {
	switch {
	case s == nil:
		return false, hello.UntilHello
	case s.off || c.Version == hello.TLS13 && !common(c.Suites): // nothing will come: the refusal had better be unmistakable
		return false, hello.UntilKeys
	}
	if !s.groups.over {
		c.Groups = s.groups.left
	}
	if !s.signatures.over {
		c.Signatures = s.signatures.left
	}
	return len(c.Groups) < len(s.groups.all) || len(c.Signatures) < len(s.signatures.all), hello.UntilKeys
}

// common holds while one of the suites is left that nearly every TLS 1.3 server has.
func common(suites []uint16) bool {
	return slices.ContainsFunc(suites, func(id uint16) bool { return id >= 0x1301 && id <= 0x1303 })
}

// fits tells whether an answer to reduced lists can be taken at its word: a suite of another kind may only be there because no group or
// scheme was left for the others. In TLS 1.3 they do not depend on each other.
func (s *spare) fits(f *hello.Flight, got door.Answer) bool {
	switch {
	case got != door.Accepted:
		return false
	case f.Hello.Version == hello.TLS13:
		return true
	case f.KeyExchange == nil:
		return false
	}
	kind, curve := kindOf(f.Hello.Suite)
	return kind == s.kind && (curve == s.curve || len(s.groups.left) == len(s.groups.all))
}

// doubt lets the suites go on with whole lists, because the answer to c did not fit. A broken connection proves nothing.
func (s *spare) doubt(c *hello.Client, got door.Answer) {
	s.off, s.doubted = true, len(c.Groups) == len(s.groups.all) && (got == door.Refused || got == door.Accepted)
}

func (s *spare) learn(f *hello.Flight) {
	if s == nil {
		return
	}
	kind, curve := kindOf(f.Hello.Suite)
	if s.doubted && kind == s.kind { // with all schemes it is chosen, with those that are left it was not
		s.dry = kind
	}
	s.doubted, s.kind, s.curve = false, kind, curve
	if f.Hello.Version == hello.TLS13 {
		s.learnGroup(f.Hello.Group)
		return
	}
	k := f.KeyExchange
	if k == nil {
		return
	}
	if k.DHBits > 0 && (s.dhBits == 0 || k.DHBits < s.dhBits) {
		s.dhBits = k.DHBits
	}
	if s.curve != "" {
		s.learnGroup(k.Group)
	}
	if !s.off && k.Signature != 0 {
		s.signatures.learn(k.Signature)
	}
}

func (s *spare) learnGroup(id uint16) {
	if !s.off && id != 0 {
		s.groups.learn(id)
	}
}

// kindOf is what groups and signature schemes rule out together: the kind of certificate, and whether there is a curve.
func kindOf(suite uint16) (kind, curve string) {
	s := hello.Named(suite)
	kind = "other"
	switch {
	case s.Anonymous():
		kind = "anonymous"
	case s.PSK():
		kind = "shared"
	case strings.Contains(s.Name, "_ECDSA_"):
		kind = "ECDSA"
	case s.RSAKeyExchange():
		kind = "encrypted"
	case strings.Contains(s.Name, "_RSA_"):
		kind = "RSA"
	case strings.Contains(s.Name, "_DSS_"):
		kind = "DSS"
	}
	if s.ECDHE() {
		curve = "curve"
	}
	return kind, curve
}

func sameKind(a, b uint16) bool {
	kind, curve := kindOf(a)
	kind2, curve2 := kindOf(b)
	return kind == kind2 && curve == curve2
}
