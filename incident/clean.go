package incident

import (
	"strings"
	"unicode"
)

// Clean replaces what a terminal or a reader's eye could be tricked with: control characters and changes of writing direction.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '\ufffd'
		}
		return r
	}, s)
}
