package version

import (
	"cmp"
	"slices"
	"strings"

	"staunch/pattern"
)

var gemForm = pattern.New(`^[0-9]+(\.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// Gem orders versions as RubyGems does: numbers above words, so that any word marks a pre-release; trailing zeros do not count.
func Gem(a, b string) (int, bool) {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if !fits(a, b) || !gemForm.MatchString(a) || !gemForm.MatchString(b) {
		return 0, false
	}
	x, y := gemParts(a), gemParts(b)
	for i := range max(len(x), len(y)) {
		if c := gemPart(gemAt(x, i), gemAt(y, i)); c != 0 {
			return c, true
		}
	}
	return 0, true
}

// gemParts splits as Gem::Version does and drops zeros before the first word and at the end.
func gemParts(s string) []string {
	var parts []string
	for s = strings.ReplaceAll(s, "-", ".pre."); s != ""; {
		var part string
		switch {
		case digit(s[0]):
			part, s = digits(s)
		case letter(s[0]):
			part, s = cutRun(s, letter)
		default:
			s = s[1:]
			continue
		}
		parts = append(parts, part)
	}
	word := slices.IndexFunc(parts, func(p string) bool { return letter(p[0]) })
	if word < 0 {
		return gemTrim(parts)
	}
	return slices.Concat(gemTrim(parts[:word]), gemTrim(parts[word:]))
}

func gemTrim(parts []string) []string {
	for len(parts) > 0 && strings.Trim(parts[len(parts)-1], "0") == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}

func gemAt(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return "0"
}

func gemPart(a, b string) int {
	wordA, wordB := letter(a[0]), letter(b[0])
	switch {
	case wordA && wordB:
		return strings.Compare(a, b)
	case wordA || wordB:
		return cmp.Compare(boolInt(wordB), boolInt(wordA))
	}
	return number(a, b)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
