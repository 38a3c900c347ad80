package version

import (
	"cmp"
	"strings"
)

// Debian orders versions as dpkg does (deb-version(7)): epoch, upstream part, revision; '~' sorts before the end.
func Debian(a, b string) (int, bool) {
	x, okX := splitDebian(a)
	y, okY := splitDebian(b)
	if !okX || !okY {
		return 0, false
	}
	return cmp.Or(number(x[0], y[0]), debianPart(x[1], y[1]), debianPart(x[2], y[2])), true
}

// splitDebian gives epoch, upstream part and revision.
func splitDebian(s string) (parts [3]string, ok bool) {
	s = strings.TrimSpace(s)
	if !fits(s) {
		return parts, false
	}
	rest := s
	if epoch, after, has := strings.Cut(s, ":"); has {
		if run, tail := digits(epoch); run == "" || tail != "" {
			return parts, false
		}
		parts[0], rest = epoch, after
	}
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		rest, parts[2] = rest[:i], rest[i+1:]
		if parts[2] == "" {
			return parts, false
		}
	}
	parts[1] = rest
	if rest == "" || !digit(rest[0]) {
		return parts, false
	}
	return parts, debianText(parts[1], ".-+~:") && debianText(parts[2], ".+~")
}

func debianText(s, also string) bool {
	for i := range len(s) {
		if !digit(s[i]) && !letter(s[i]) && strings.IndexByte(also, s[i]) < 0 {
			return false
		}
	}
	return true
}

func debianPart(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutRun(a, func(c byte) bool { return !digit(c) })
		y, b = cutRun(b, func(c byte) bool { return !digit(c) })
		if c := debianWords(x, y); c != 0 {
			return c
		}
		x, a = digits(a)
		y, b = digits(b)
		if c := number(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func debianWords(a, b string) int {
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(debianChar(a, i), debianChar(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// debianChar weighs one character: '~' before the end, the end before letters, letters before all others.
func debianChar(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case letter(s[i]):
		return int(s[i])
	default:
		return int(s[i]) + 256
	}
}
