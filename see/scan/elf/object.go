// Package elf looks inside one executable object: what it is, which components it holds, and what its code proves.
package elf

// Object is one executable or shared library, identified by content.
type Object struct {
	// ID is the lower-case hex SHA-256 over all bytes of the non-writable PT_LOAD segments, in file order.
	ID      string   `json:"id"`
	BuildID string   `json:"build_id,omitempty"` // evidence, never a key
	SHA256  string   `json:"sha256,omitempty"`   // of the whole file; only where its package manager keeps this sum (rpm), so that it was taken anyway
	Machine string   `json:"machine,omitempty"`  // "x86-64", "aarch64", or the name of another one
	Soname  string   `json:"soname,omitempty"`
	Needed  []string `json:"needed,omitempty"`
	Loading
	Size       int64       `json:"size"` // bytes
	Components []Component `json:"components"`
	Answers    []Answer    `json:"answers,omitempty"` // one per anchor that was asked, except plain "no"s for components it does not hold
	Unknown    string      `json:"unknown,omitempty"` // why it could not be analysed (packed, truncated, another machine); "" when it was
}

// Loading is what an object tells the dynamic loader besides the names in Needed.
type Loading struct {
	Interpreter string   `json:"interpreter,omitempty"`    // the loader that the program asks for
	RPath       []string `json:"rpath,omitempty"`          // DT_RPATH, as written: with $ORIGIN and the like
	RunPath     []string `json:"runpath,omitempty"`        // DT_RUNPATH, as written
	NoDefault   bool     `json:"no_default_lib,omitempty"` // DF_1_NODEFLIB: never in the system's own directories
}

// Component is named, versioned software inside an object.
type Component struct {
	Name     string     `json:"name"`              // catalogue name: openssl, zlib, nodejs, golang.org/x/net ...
	Version  string     `json:"version,omitempty"` // upstream's version; "" when unknown
	Linkage  Linkage    `json:"linkage"`
	Kind     string     `json:"kind,omitempty"` // ecosystem of the name: "" upstream, "Go", "crates.io", "Maven", "PyPI", "npm", "RubyGems"
	Evidence []Evidence `json:"evidence"`
}

// Linkage tells how the code of a component came into a process.
type Linkage string

// How code gets in. Headers means: compiled against the component's headers, its code is not in this object.
const (
	Dynamic Linkage = "dynamic" // the object is the component's own library or program
	Static  Linkage = "static"  // the component's code is linked into another program or library
	Bundled Linkage = "bundled" // shipped along as a file of its own (jar, wheel, gem, module)
	Headers Linkage = "headers" // mentioned only
)

// Evidence is one reason to believe something, strongest kinds first in a list.
type Evidence struct {
	Kind   string `json:"kind"`             // probe, code, symbol, build_flag, build_id, package, version, name ...
	Says   string `json:"says"`             // one plain sentence
	Detail string `json:"detail,omitempty"` // address, offset, matched text: what an engineer checks
}

// Answer is what one object's content says to one anchor.
type Answer struct {
	Anchor string `json:"anchor"` // Anchor.ID
	Says   Tri    `json:"says"`
	Kind   string `json:"kind"` // evidence kind that decided: code, symbol, build_flag, string
	Detail string `json:"detail,omitempty"`
}

// Tri is yes, no or unknown. The zero value means: not yet looked for.
type Tri string

// The three answers.
const (
	Yes     Tri = "yes"
	No      Tri = "no"
	Unknown Tri = "unknown"
)
