package elf

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/sieve"
)

// codeSet is the byte patterns of one machine's code.
type codeSet struct {
	set    *sieve.Set
	owners []siteKey
	near   [][]companion
}

// companion is a compiled Near.
type companion struct {
	any           []sieve.Pattern
	before, after int
}

func (t *trace) lookAtCode(w image.Window) {
	t.patterns.set.Scan(w.Text, func(id, at int) {
		if at < w.From || at >= w.To || !nearby(t.patterns.near[id], w.Text, at) {
			return
		}
		s := t.sites[t.patterns.owners[id]]
		if s == nil {
			s = &siteCount{first: w.Base + uint64(at)}
			t.sites[t.patterns.owners[id]] = s
		}
		s.count++
	})
}

// nearby tells whether every companion lies close enough to the site.
func nearby(all []companion, text []byte, at int) bool {
	for _, c := range all {
		if !c.near(text, at) {
			return false
		}
	}
	return true
}

func (c companion) near(text []byte, at int) bool {
	for _, p := range c.any {
		for i := max(0, at-c.before); i <= at+c.after && i < len(text); i++ {
			if p.At(text, i) {
				return true
			}
		}
	}
	return false
}

// compileCode turns the anchors' byte patterns into one set a machine.
func (a *Analyser) compileCode() error {
	a.code = map[string]codeSet{}
	patterns := map[string][]sieve.Pattern{}
	for i, n := range a.anchors {
		for j, c := range n.Code {
			p, near, err := compilePattern(c)
			if err != nil {
				return fmt.Errorf("anchor %s: %s", n.ID, err)
			}
			set := a.code[c.Machine]
			set.owners, set.near = append(set.owners, siteKey{i, j}), append(set.near, near)
			a.code[c.Machine], patterns[c.Machine] = set, append(patterns[c.Machine], p)
		}
	}
	for machine, list := range patterns {
		set := a.code[machine]
		var err error
		if set.set, err = sieve.New(list); err != nil {
			return fmt.Errorf("code anchors for %s: %s", machine, err)
		}
		a.code[machine] = set
	}
	return nil
}

func compilePattern(c Code) (sieve.Pattern, []companion, error) {
	p, err := hexPattern(c.Bytes)
	if err != nil {
		return p, nil, err
	}
	var near []companion
	for _, n := range c.Near {
		if n.Before < 0 || n.After < 0 || n.Before > image.Margin/2 || n.After > image.Margin/2 {
			return p, nil, fmt.Errorf("companions may lie at most %d bytes away", image.Margin/2)
		}
		one := companion{before: n.Before, after: n.After}
		for _, h := range n.Any {
			q, err := hexPattern(h)
			if err != nil {
				return p, nil, err
			}
			one.any = append(one.any, q)
		}
		near = append(near, one)
	}
	return p, near, nil
}

// hexPattern reads hex bytes, blanks ignored, "??" for any byte.
func hexPattern(s string) (sieve.Pattern, error) {
	s = strings.Join(strings.Fields(s), "")
	var p sieve.Pattern
	if len(s) == 0 || len(s)%2 != 0 || len(s) > image.Margin {
		return p, fmt.Errorf("%q is no byte pattern", s)
	}
	for i := 0; i < len(s); i += 2 {
		wild := s[i:i+2] == "??"
		b := []byte{0}
		if !wild {
			var err error
			if b, err = hex.DecodeString(s[i : i+2]); err != nil {
				return p, fmt.Errorf("%q is no byte pattern", s)
			}
		}
		p.Bytes, p.Wild = append(p.Bytes, b[0]), append(p.Wild, wild)
	}
	if p.Wild[0] {
		return p, errors.New("a byte pattern starts with a fixed byte")
	}
	return p, nil
}
