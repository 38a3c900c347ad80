package elf

import (
	"fmt"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/sieve"
)

// textOwner says what a found text stands for.
type textOwner struct {
	rule    int // index of the component rule, -1 when none
	version int // index of the rule's version text, -1 for a text that only the code holds
	anchor  int // index of the anchor, -1 when none
	special string
	text    string
}

// buildText bounds what is kept of a recorded compiler line.
const buildText = 240

// sighting is a place where something was found.
type sighting struct {
	text string
	off  uint64 // in the file
}

// trace collects what one pass over one object meets.
type trace struct {
	a           *Analyser
	versions    map[int][]versionText // per rule, distinct
	code        map[int][]sighting    // per rule, distinct texts that only its code holds
	build       map[int]sighting      // per rule, the first one
	strings     map[int][]sighting    // per anchor
	sites       map[siteKey]*siteCount
	goInfo      []uint64 // offsets of Go's build information
	packed      string
	noC         bool // a Go program whose toolchain recorded that no C code was linked
	quotes      bool // it holds the texts of most rules: see quotesRules
	tries       int
	flooded     bool
	symbols     map[string]image.Presence
	symbolsRead bool
	patterns    codeSet
}

// versionText is a version that a text in the object gives for a rule's component.
type versionText struct {
	sighting
	version string
	proves  bool // only the component's code holds this text
}

type siteKey struct{ anchor, code int }

type siteCount struct {
	count int
	first uint64 // file offset
}

func newTrace(a *Analyser, machine string) *trace {
	return &trace{
		a: a, versions: map[int][]versionText{}, code: map[int][]sighting{}, build: map[int]sighting{}, strings: map[int][]sighting{},
		sites: map[siteKey]*siteCount{}, patterns: a.code[machine],
	}
}

// Limits on what is kept and tried for one object.
const (
	maxTries    = 20000
	maxVersions = 16
	maxText     = 160
	maxBefore   = 64
)

const (
	specialUPX = "upx"
	specialGo  = "go"
	// specialBuild marks the text with the compiler and its flags
	specialBuild = "build"
)

// look is called with every window of the object, once.
func (t *trace) look(w image.Window) {
	t.a.text.Scan(w.Text, func(id, at int) {
		if at >= w.From && at < w.To {
			t.meet(t.a.owners[id], w, at)
		}
	})
	if w.Exec {
		t.lookAtCode(w)
	}
}

func (t *trace) meet(o textOwner, w image.Window, at int) {
	off := w.Base + uint64(at)
	switch {
	case o.special == specialGo:
		if len(t.goInfo) < 4 {
			t.goInfo = append(t.goInfo, off)
		}
	case o.special == specialUPX:
		t.packed = "UPX"
	case o.special == specialBuild:
		if _, ok := t.build[o.rule]; !ok {
			t.build[o.rule] = sighting{image.Text(w.Text[at:], 0, buildText), off}
		}
	case o.anchor >= 0:
		t.strings[o.anchor] = addSighting(t.strings[o.anchor], sighting{o.text, off})
	case o.version >= 0:
		t.meetVersion(o, w, at)
	default:
		t.code[o.rule] = addSighting(t.code[o.rule], sighting{o.text, off})
	}
}

// addSighting keeps the first place of each distinct text.
func addSighting(list []sighting, s sighting) []sighting {
	for _, have := range list {
		if have.text == s.text {
			return list
		}
	}
	return append(list, s)
}

func (t *trace) meetVersion(o textOwner, w image.Window, at int) {
	if t.tries++; t.tries > maxTries {
		t.flooded = true
		return
	}
	rule := t.a.rules[o.rule].Versions[o.version]
	from := max(0, at-min(rule.Before, maxBefore))
	around := printable(w.Text[from:], at-from)
	m := t.a.regexps[o.rule][o.version].FindSubmatch(around)
	if m == nil || len(t.versions[o.rule]) >= maxVersions {
		return
	}
	version := string(m[1])
	for i, have := range t.versions[o.rule] {
		if have.version == version {
			t.versions[o.rule][i].proves = have.proves || rule.Proves
			return
		}
	}
	t.versions[o.rule] = append(t.versions[o.rule], versionText{sighting{string(m[0]), w.Base + uint64(at)}, version, rule.Proves})
}

// printable returns the printable text around b[at], not more than maxText bytes beyond it.
func printable(b []byte, at int) []byte {
	plain := func(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' || c == '\t' }
	from, to := at, at
	for from > 0 && plain(b[from-1]) {
		from--
	}
	for to < len(b) && to < at+maxText && plain(b[to]) {
		to++
	}
	return b[from:to]
}

// checkTexts refuses anchors whose text would match nearly everywhere.
func (a *Analyser) checkTexts() error {
	for _, n := range a.anchors {
		for _, s := range n.Strings {
			if len(s) < 4 {
				return fmt.Errorf("anchor %s: the text %q is too short", n.ID, s)
			}
		}
	}
	return nil
}

// compileTexts gathers every text to look for: the rules', the anchors', Go's and the packer's marks.
func (a *Analyser) compileTexts() error {
	var patterns []sieve.Pattern
	add := func(o textOwner) {
		a.owners = append(a.owners, o)
		patterns = append(patterns, sieve.Pattern{Bytes: []byte(o.text)})
	}
	add(textOwner{rule: -1, version: -1, anchor: -1, special: specialGo, text: "\xff Go buildinf:"})
	add(textOwner{rule: -1, version: -1, anchor: -1, special: specialUPX, text: "$Info: This file is packed with the UPX"})
	for i, r := range a.rules {
		for j, v := range r.Versions {
			add(textOwner{rule: i, version: j, anchor: -1, text: v.Key})
		}
		if r.Build != "" {
			add(textOwner{rule: i, version: -1, anchor: -1, special: specialBuild, text: r.Build})
		}
		for _, c := range r.Code {
			add(textOwner{rule: i, version: -1, anchor: -1, text: c})
		}
	}
	for i, n := range a.anchors {
		for _, s := range n.Strings {
			add(textOwner{rule: -1, version: -1, anchor: i, text: s})
		}
	}
	var err error
	a.text, err = sieve.New(patterns)
	return err
}
