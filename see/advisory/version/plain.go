package version

import (
	"cmp"
	"strings"
)

// Plain orders release numbers of software without an order of its own: runs of digits compare as numbers, runs of letters as text,
// words that mark something unfinished (alpha, beta, pre, rc, dev) sort before the end, all others after it ("9.8" < "9.8p1", "1.0rc1" < "1.0").
func Plain(a, b string) (int, bool) {
	a, b = strings.TrimLeft(strings.TrimSpace(a), "vV"), strings.TrimLeft(strings.TrimSpace(b), "vV")
	if !fits(a, b) || !digit(a[0]) || !digit(b[0]) {
		return 0, false
	}
	x, y := plainTokens(a), plainTokens(b)
	for i := range max(len(x), len(y)) {
		if c := plainToken(plainAt(x, i), plainAt(y, i)); c != 0 {
			return c, true
		}
	}
	return 0, true
}

// plainTokens drops separators and zeros at the end ("1.0" is "1").
func plainTokens(s string) []string {
	var list []string
	for s != "" {
		var t string
		switch {
		case digit(s[0]):
			t, s = digits(s)
		case letter(s[0]):
			t, s = cutRun(s, letter)
			t = strings.ToLower(t)
		case s[0] == '+': // build data
			s = ""
			continue
		default:
			s = s[1:]
			continue
		}
		list = append(list, t)
	}
	return plainTrim(list)
}

// plainTrim removes zeros that stand at the end or before a word.
func plainTrim(list []string) []string {
	var out []string
	for i := len(list) - 1; i >= 0; i-- {
		zero := strings.Trim(list[i], "0") == ""
		if zero && (len(out) == 0 || letter(out[len(out)-1][0])) {
			continue
		}
		out = append(out, list[i])
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func plainAt(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// plainToken: unfinished words < the end < other words < numbers.
func plainToken(a, b string) int {
	x, y := plainClass(a), plainClass(b)
	if x != y {
		return cmp.Compare(x, y)
	}
	if x == 3 {
		return number(a, b)
	}
	return cmp.Or(cmp.Compare(plainStage(a), plainStage(b)), strings.Compare(a, b))
}

func plainClass(t string) int {
	switch {
	case t == "":
		return 1
	case digit(t[0]):
		return 3
	case plainStage(t) < 5:
		return 0
	}
	return 2
}

func plainStage(t string) int {
	switch t {
	case "dev", "alpha", "pre", "beta", "rc":
		return stage(t)
	case "snapshot", "git":
		return 0
	}
	return 5
}
