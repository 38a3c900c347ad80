// Package rules is what marks each component inside a program, as data: texts, symbols, names of libraries. How they are looked for is not
// said here.
package rules

import "slices"

// Rule is what there is to know about recognising one component.
type Rule struct {
	Name    string
	Sonames []string // regular expressions of the names of its own libraries, matched whole
	Self    []string // texts among code that only its own library holds, whatever that calls itself
	Program bool     // it is also a program of its own: its code outside a library is the component itself, not a static copy
	// Versions are texts that give the version.
	Versions []Version
	// Code are texts that only its code holds (messages, source files, tables); this many of them (Needs) prove the code.
	Code  []string
	Needs int
	// Build is how the text begins in which the component records its compiler and flags; "" when it does not.
	Build string
	// Symbols are names that its code defines: one of them defined proves the code, imported it only proves use.
	Symbols []string
	Both    bool // two of them are needed
	// Values are symbols whose value gives the version.
	Values []Value
	// Lone is how a version text without any words around it looks; looked for only when the code is there and nothing else gave a version.
	Lone    string
	LoneOwn bool // only in the component's own library
	// Forks are components that grew from this one and hold much of its code and texts: where one of them is contained, this one is
	// only believed on a text that proves it.
	Forks []string
	// Note is said where the version is unknown: where else it can be had.
	Note string
}

// Version is a text with a version in it.
type Version struct {
	Key     string // what is searched for: eight bytes or more
	Before  int    // bytes before the key that belong to the text
	Pattern string // regular expression over the text around the key; its first group is the version
	Proves  bool   // only the code of the component holds this text, headers and users do not
}

// Value is a symbol (function or data) that gives the version.
type Value struct {
	Symbol string
	Read   string // "text": a C string, "number": a 32-bit number
	Number func(uint32) string
	// Pattern is the part of the text that is the version; "" takes it whole.
	Pattern string
}

// All returns what is known about every component; docs/components.md says the same in words.
// Texts were taken from the components' own releases as Debian 12, npm and Maven ship them.
func All() []Rule {
	return slices.Concat(opensslRules(), tlsRules(), packingRules(), dataRules(), networkRules(), libcRules(), runtimeRules(), serverRules())
}
