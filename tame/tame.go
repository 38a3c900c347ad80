// Package tame makes text of others safe to print: what it returns cannot steer a terminal or hide from a reader's eye.
package tame

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line makes one line of s: a tab becomes a space, a line break the sign for one, and everything else that is not a visible character
// (control characters, changes of writing direction, characters without width, broken UTF-8) becomes U+FFFD, so that it shows that something was there.
// Space at the end is left out.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '\n':
			return '␤'
		case '\t':
			return ' '
		}
		return visible(r)
	}, strings.TrimRight(s, " \t\r\n"))
}

// Text is Line for several lines: line breaks and tabs stay.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, s)
}

// Short is Line, cut to at most limit bytes of s and never inside a character; what was cut shows as "...".
func Short(s string, limit int) string {
	if len(s) <= limit {
		return Line(s)
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return Line(s[:limit]) + "..."
}

func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return utf8.RuneError
}
