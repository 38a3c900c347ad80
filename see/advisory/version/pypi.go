package version

import (
	"cmp"
	"strings"

	"staunch/pattern"
)

var pypiForm = pattern.New(`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?` +
	`(-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?` +
	`([-_.]?dev[-_.]?\d*)?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// PyPI orders versions as PEP 440 does: epoch, release, pre, post, dev, local.
func PyPI(a, b string) (int, bool) {
	x, okX := parsePyPI(a)
	y, okY := parsePyPI(b)
	if !okX || !okY {
		return 0, false
	}
	return cmp.Or(
		number(x.epoch, y.epoch), numbers(x.release, y.release),
		cmp.Compare(x.pre, y.pre), number(x.preN, y.preN),
		cmp.Compare(x.post, y.post), number(x.postN, y.postN),
		cmp.Compare(x.dev, y.dev), number(x.devN, y.devN),
		pypiLocal(x.local, y.local),
	), true
}

// pypi holds the sort key: pre is -1 (dev only), 0 a, 1 b, 2 rc, 3 none; post is 0 none, 1; dev is 0 dev, 1 none.
type pypi struct {
	epoch, preN, postN, devN string
	release, local           []string
	pre, post, dev           int
}

func parsePyPI(s string) (p pypi, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if !fits(s) {
		return p, false
	}
	m := pypiForm.FindStringSubmatch(s)
	if m == nil {
		return p, false
	}
	p = pypi{epoch: m[1], release: strings.Split(m[2], "."), preN: m[4], postN: lastNumber(m[5]), devN: lastNumber(m[6]), dev: 1}
	if m[5] != "" {
		p.post = 1
	}
	if m[6] != "" {
		p.dev = 0
	}
	p.pre = pypiPre(m[3], m[5] == "" && m[6] != "")
	if m[7] != "" {
		p.local = strings.FieldsFunc(m[7], func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	}
	return p, true
}

func pypiPre(word string, devOnly bool) int {
	switch {
	case word == "" && devOnly:
		return -1
	case word == "":
		return 3
	case word[0] == 'a':
		return 0
	case word[0] == 'b':
		return 1
	}
	return 2
}

func lastNumber(s string) string {
	i := len(s)
	for i > 0 && digit(s[i-1]) {
		i--
	}
	return s[i:]
}

// pypiLocal: none sorts first, numbers above words, a longer one above its prefix.
func pypiLocal(a, b []string) int {
	for i := range min(len(a), len(b)) {
		_, restA := digits(a[i])
		_, restB := digits(b[i])
		var c int
		switch {
		case restA == "" && restB == "":
			c = number(a[i], b[i])
		case restA == "":
			c = 1
		case restB == "":
			c = -1
		default:
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
