package elf

import "staunch/see/scan/elf/shape"

// Anchor is a question, as data, that an advisory's rule asks of every object which holds a component: "is this code in here?".
// It is answered in the same pass that hashes the object. An anchor without a way to answer for the object's machine is Unknown.
type Anchor struct {
	ID        string   `json:"id"`                  // "CVE-2014-0160/present"
	Component string   `json:"component"`           // only objects that hold this component answer; "" asks every object
	Symbols   []string `json:"symbols,omitempty"`   // any of these defined in .dynsym or .symtab: yes
	Strings   []string `json:"strings,omitempty"`   // any of these texts: yes (build flags, messages that only this code has)
	Code      []Code   `json:"code,omitempty"`      // any of these byte patterns: yes
	Functions []Shape  `json:"functions,omitempty"` // any function of this shape: yes
	// Decisive lists which of "symbols", "strings", "code", "functions" prove a "no" when they find nothing
	// (and could be looked for on this machine). Without any, nothing found is Unknown.
	Decisive []string `json:"decisive,omitempty"`
	// Within restricts Functions to functions that match this other anchor's shape (a fix is looked for inside the code it fixes).
	Within string `json:"within,omitempty"`
}

// Code is a byte pattern in executable segments with companions near it.
type Code struct {
	Machine string `json:"machine"`
	Bytes   string `json:"bytes"` // hex, "??" for any byte; starts with a fixed byte
	Near    []Near `json:"near,omitempty"`
	AtLeast int    `json:"at_least,omitempty"` // sites needed; 0 means 1
}

// Near is a pattern that must begin within Before bytes before or After bytes after the site; one of Any suffices.
type Near struct {
	Any    []string `json:"any"` // hex
	Before int      `json:"before"`
	After  int      `json:"after"`
}

// Shape is the content that one function must have.
type Shape = shape.Shape

// Instr matches instructions of a Shape.
type Instr = shape.Instr
