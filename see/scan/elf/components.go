package elf

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/rules"
	"staunch/see/scan/elf/sieve"
	"staunch/tame"
)

// components applies every rule to what was seen.
func (a *Analyser) components(im *image.Image, l image.Linking, t *trace) []Component {
	found := map[string][]Component{}
	contained := map[string]bool{}
	for i, r := range a.rules {
		found[r.Name] = a.component(i, im, l, t)
		for _, c := range found[r.Name] {
			contained[r.Name] = contained[r.Name] || c.Linkage != Headers
		}
	}
	taken := map[string]bool{}
	out := []Component{}
	for i, r := range a.rules {
		if forked(r, contained) && !t.proven(i) {
			continue
		}
		out = append(out, found[r.Name]...)
		for _, c := range found[r.Name] {
			taken[c.Version] = true
		}
	}
	return a.lonely(out, taken, im)
}

// lonely gives components that nothing else gave a version the one that stands alone in the object, unless it is another component's.
func (a *Analyser) lonely(list []Component, taken map[string]bool, im *image.Image) []Component {
	for n, c := range list {
		i := slices.IndexFunc(a.rules, func(r rules.Rule) bool { return r.Name == c.Name })
		if c.Version != "" || c.Linkage == Headers || a.rules[i].Lone == "" || a.rules[i].LoneOwn && c.Linkage != Dynamic {
			continue
		}
		if v := lone(im, a.rules[i].Lone, taken); v.version != "" {
			list[n].Version = v.version
			list[n].Evidence = append(list[n].Evidence, Evidence{
				Kind: "version", Says: "the only version standing alone in this object that looks like one of " + c.Name, Detail: fmt.Sprintf("%q at %#x", v.version, v.off),
			})
		}
	}
	return list
}

func forked(r rules.Rule, contained map[string]bool) bool {
	for _, f := range r.Forks {
		if contained[f] {
			return true
		}
	}
	return false
}

func (t *trace) proven(rule int) bool {
	for _, v := range t.versions[rule] {
		if v.proves {
			return true
		}
	}
	return false
}

// component tells how, if at all, an object holds one rule's component: one entry per version that its texts name.
func (a *Analyser) component(i int, im *image.Image, l image.Linking, t *trace) []Component {
	r := a.rules[i]
	evidence, contains := t.codeEvidence(i, im)
	named := a.sonames[i] != nil && a.sonames[i].MatchString(l.Soname)
	own := named || slices.ContainsFunc(t.codeTexts(i), func(s sighting) bool { return slices.Contains(r.Self, s.text) })
	versions := t.versionsOf(i, im, own || contains)
	if named {
		evidence = append(evidence, Evidence{Kind: "name", Says: "it calls itself " + tame.Short(l.Soname, 256), Detail: "soname"})
	}
	if b, ok := t.build[i]; ok {
		evidence = append(evidence, Evidence{Kind: "build_flag", Says: "records how it was built", Detail: tame.Short(b.text, 256)})
	}
	switch {
	case own, contains && r.Program:
		return withVersions(r, Dynamic, versions, evidence)
	case contains:
		return withVersions(r, Static, versions, evidence)
	}
	used := t.imported(r)
	if len(versions) == 0 {
		return nil
	}
	return withVersions(r, Headers, versions, append(used, Evidence{
		Kind: "name", Says: "only its version text is here, none of its code: compiled with the headers of " + r.Name + ", or naming it",
	}))
}

// withVersions makes a component per distinct version; without any, one whose version is unknown.
func withVersions(r rules.Rule, how Linkage, versions []versionText, evidence []Evidence) []Component {
	if len(versions) == 0 {
		c := Component{Name: r.Name, Linkage: how, Evidence: evidence}
		if r.Note != "" && (r.Lone == "" || r.LoneOwn && how != Dynamic) {
			c.Evidence = append(c.Evidence, Evidence{Kind: "version", Says: r.Note})
		}
		return []Component{c}
	}
	var out []Component
	for _, v := range versions {
		c := Component{Name: r.Name, Version: tame.Short(v.version, 256), Linkage: how, Evidence: append([]Evidence(nil), evidence...)}
		says := "its version text"
		if len(versions) > 1 {
			says = fmt.Sprintf("one of %d version texts", len(versions))
		}
		c.Evidence = append(c.Evidence, Evidence{Kind: "version", Says: says, Detail: fmt.Sprintf("%q at %#x", v.text, v.off)})
		out = append(out, c)
	}
	return out
}

// versionsOf gives the versions to believe. Texts that prove the code outrank texts that a header could have brought.
func (t *trace) versionsOf(i int, im *image.Image, contains bool) []versionText {
	texts := t.versions[i]
	if !contains {
		return texts
	}
	if v, ok := t.valueVersion(i, im); ok {
		return []versionText{v}
	}
	var proving []versionText
	for _, v := range texts {
		if v.proves {
			proving = append(proving, v)
		}
	}
	if len(proving) > 0 {
		return proving
	}
	return texts
}

// codeEvidence lists what proves that the component's code is here.
func (t *trace) codeEvidence(i int, im *image.Image) (out []Evidence, contains bool) {
	r := t.a.rules[i]
	if names := t.defined(r); len(names) > 1 || len(names) == 1 && !r.Both {
		contains = true
		out = append(out, Evidence{
			Kind: "symbol", Says: fmt.Sprintf("defines %s", names[0]),
			Detail: fmt.Sprintf("%d of %d symbols of %s, %s at %#x", len(names), len(r.Symbols), r.Name, names[0], t.symbols[names[0]].Addr),
		})
	}
	if texts := t.codeTexts(i); r.Needs > 0 && len(texts) >= r.Needs {
		contains = true
		out = append(out, Evidence{
			Kind: "code", Says: fmt.Sprintf("holds texts that only the code of %s has", r.Name),
			Detail: fmt.Sprintf("%d of %d, %q at %#x (address %#x)", len(texts), len(r.Code), texts[0].text, texts[0].off, im.Address(texts[0].off)),
		})
	}
	for _, v := range t.versions[i] {
		if v.proves {
			contains = true
			out = append(out, Evidence{Kind: "code", Says: "holds the version text of the code itself", Detail: fmt.Sprintf("%q at %#x", v.text, v.off)})
			break
		}
	}
	return out, contains
}

// codeTexts are the texts of a component's code that were met; none where the object quotes them.
func (t *trace) codeTexts(i int) []sighting {
	if t.quotes && len(t.code[i]) == len(t.a.rules[i].Code) {
		return nil
	}
	return t.code[i]
}

// quotesRules tells an object that holds every text of most components: a scanner's catalogue like our own. No program holds all that code,
// and none holds each of the alternatives that a rule lists for versions that exclude each other. What a catalogue names, it does not contain.
func (t *trace) quotesRules() bool {
	whole, all := 0, 0
	for i, r := range t.a.rules {
		if len(r.Code) >= 3 {
			all++
			if len(t.code[i]) == len(r.Code) {
				whole++
			}
		}
	}
	return whole > all/2
}

func (t *trace) defined(r rules.Rule) []string {
	var out []string
	for _, s := range r.Symbols {
		if t.symbols[s].Defined {
			out = append(out, s)
		}
	}
	return out
}

func (t *trace) imported(r rules.Rule) []Evidence {
	for _, s := range r.Symbols {
		if t.symbols[s].Imported {
			return []Evidence{{Kind: "symbol", Says: "uses " + s + " of another object"}}
		}
	}
	return nil
}

// compilePatterns compiles the regular expressions of the rules once for all objects.
func (a *Analyser) compilePatterns() error {
	for _, r := range a.rules {
		var list []*regexp.Regexp
		for _, v := range r.Versions {
			re, err := regexp.Compile(v.Pattern)
			if err != nil {
				return fmt.Errorf("rule %s: %s", r.Name, err)
			}
			list = append(list, re)
		}
		a.regexps = append(a.regexps, list)
		var sonames *regexp.Regexp
		if len(r.Sonames) > 0 {
			var err error
			if sonames, err = regexp.Compile("^(?:" + strings.Join(r.Sonames, "|") + ")$"); err != nil {
				return fmt.Errorf("rule %s: %s", r.Name, err)
			}
		}
		a.sonames = append(a.sonames, sonames)
	}
	return nil
}

// compileSymbols gathers the names to look up.
func (a *Analyser) compileSymbols() error {
	var names []string
	for _, r := range a.rules {
		names = append(names, r.Symbols...)
		for _, v := range r.Values {
			names = append(names, v.Symbol)
		}
	}
	for _, n := range a.anchors {
		names = append(names, n.Symbols...)
	}
	var err error
	a.wanted, err = newWanted(names)
	return err
}

// newWanted compiles names. Names shorter than three letters cannot be looked up and are left out.
func newWanted(names []string) (*image.Wanted, error) {
	w := &image.Wanted{}
	seen := map[string]bool{}
	var patterns []sieve.Pattern
	for _, n := range names {
		if len(n) < 3 || seen[n] {
			continue
		}
		seen[n] = true
		w.Names = append(w.Names, n)
		patterns = append(patterns, sieve.Pattern{Bytes: append([]byte(n), 0)})
	}
	var err error
	w.Set, err = sieve.New(patterns)
	return w, err
}
