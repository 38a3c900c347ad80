package grade

import (
	"staunch/see/probe/hello"
)

// Facts is what the rubric looks at. What was not asked is left at its zero value, and Partial is set.
type Facts struct {
	Versions    []Version
	Key         Key
	Exponent1   bool     // RSA with exponent 1
	Groups      []uint16 // key exchange groups
	DHBits      int      // the smallest prime seen; 0: no DHE
	Signature   string   // the leaf's signature, like "SHA256-RSA"
	Problems    []string // codes of see/probe/chain, without what follows the colon
	Trusted     bool
	Known       bool  // the certificate could be read
	Secure      *bool // secure renegotiation; nil: not applicable or not asked
	Compression bool
	HSTS        *HSTS // nil: not asked
	Heartbleed  bool
	Flaws       []string // names of intrusive tests that found something
	Partial     bool     // not every suite was asked for: the letter is an upper bound
}

// Key is the certificate's key.
type Key struct {
	Type string
	Bits int
}

// HSTS is the header as it was read; MaxAge is in seconds, -1 when it makes no sense.
type HSTS struct {
	Present bool
	MaxAge  int64
}

// Version is one offered protocol version with its suites; SSLv2 has V2 instead.
type Version struct {
	Number uint16
	Suites []hello.Suite
	V2     []uint32
}

func (f Facts) offers(version uint16) bool {
	for _, v := range f.Versions {
		if v.Number == version {
			return true
		}
	}
	return false
}

// suites returns the suites of the versions from..to, with where each was seen.
func (f Facts) suites(from, to uint16) []seen {
	var all []seen
	for _, v := range f.Versions {
		if v.Number < from || v.Number > to {
			continue
		}
		for _, s := range v.Suites {
			all = append(all, seen{s, hello.VersionName(v.Number)})
		}
	}
	return all
}

// seen is a suite with the version that it was offered in.
type seen struct {
	hello.Suite
	version string
}

func (s seen) String() string { return s.Name + " (" + s.version + ")" }

// first returns the first suite for which holds is true, as evidence.
func first(all []seen, holds func(hello.Suite) bool) (string, bool) {
	for _, s := range all {
		if holds(s.Suite) {
			return s.String(), true
		}
	}
	return "", false
}

func (f Facts) problem(codes ...string) (string, bool) {
	for _, p := range f.Problems {
		for _, c := range codes {
			if p == c {
				return c, true
			}
		}
	}
	return "", false
}
