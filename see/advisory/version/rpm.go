package version

import (
	"cmp"
	"strings"
)

// RPM orders [epoch:]version[-release] as rpm does, with '~' (before) and '^' (after). A missing release on either side is not compared.
func RPM(a, b string) (int, bool) {
	x, okX := splitRPM(a)
	y, okY := splitRPM(b)
	if !okX || !okY {
		return 0, false
	}
	c := cmp.Or(number(x[0], y[0]), rpmPart(x[1], y[1]))
	if c != 0 || x[2] == "" || y[2] == "" {
		return c, true
	}
	return rpmPart(x[2], y[2]), true
}

func splitRPM(s string) (parts [3]string, ok bool) {
	s = strings.TrimSpace(s)
	if !fits(s) {
		return parts, false
	}
	rest := s
	if epoch, after, has := strings.Cut(s, ":"); has {
		if epoch != "(none)" {
			if run, tail := digits(epoch); run == "" || tail != "" {
				return parts, false
			}
			parts[0] = epoch
		}
		rest = after
	}
	parts[1], parts[2], _ = strings.Cut(rest, "-")
	return parts, strings.ContainsFunc(parts[1], func(r rune) bool { return r < 128 && (digit(byte(r)) || letter(byte(r))) })
}

func rpmPart(a, b string) int {
	for {
		a, b = rpmSkip(a), rpmSkip(b)
		if c, done := rpmMark(a, b, '~', -1); done {
			return c
		} else if c == 2 {
			a, b = a[1:], b[1:]
			continue
		}
		if c, done := rpmCaret(a, b); done {
			return c
		} else if c == 2 {
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			return cmp.Compare(min(len(a), 1), min(len(b), 1))
		}
		var c int
		if c, a, b = rpmSegment(a, b); c != 0 {
			return c
		}
	}
}

func rpmSkip(s string) string {
	return strings.TrimLeftFunc(s, func(r rune) bool {
		return r != '~' && r != '^' && (r >= 128 || !digit(byte(r)) && !letter(byte(r)))
	})
}

// rpmMark handles a mark that sorts before everything: 2 means both have it, done means it decides.
func rpmMark(a, b string, mark byte, sign int) (c int, done bool) {
	inA, inB := a != "" && a[0] == mark, b != "" && b[0] == mark
	switch {
	case inA && inB:
		return 2, false
	case inA:
		return sign, true
	case inB:
		return -sign, true
	}
	return 0, false
}

// rpmCaret handles '^': after the end of the other, before anything else.
func rpmCaret(a, b string) (c int, done bool) {
	inA, inB := a != "" && a[0] == '^', b != "" && b[0] == '^'
	switch {
	case inA && inB:
		return 2, false
	case inA && b == "":
		return 1, true
	case inA:
		return -1, true
	case inB && a == "":
		return -1, true
	case inB:
		return 1, true
	}
	return 0, false
}

func rpmSegment(a, b string) (c int, restA, restB string) {
	kind, numeric := letter, false
	if digit(a[0]) {
		kind, numeric = digit, true
	}
	x, restA := cutRun(a, kind)
	y, restB := cutRun(b, kind)
	switch {
	case y == "" && numeric:
		return 1, restA, restB
	case y == "":
		return -1, restA, restB
	case numeric:
		return number(x, y), restA, restB
	}
	return strings.Compare(x, y), restA, restB
}
