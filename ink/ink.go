// Package ink lays text out for a terminal: colours, columns, counted words.
package ink

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Paint colours words when it is true.
type Paint bool

func (p Paint) wrap(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bold is for headings.
func (p Paint) Bold(s string) string { return p.wrap("1", s) }

// Dim is for what may be overlooked.
func (p Paint) Dim(s string) string { return p.wrap("2", s) }

// Red is for what is bad.
func (p Paint) Red(s string) string { return p.wrap("1;31", s) }

// Yellow is for what is open or in doubt.
func (p Paint) Yellow(s string) string { return p.wrap("1;33", s) }

// Green is for what is good.
func (p Paint) Green(s string) string { return p.wrap("32", s) }

// Wrap writes text in lines of at most width columns, each behind the indent, and four columns more from the second one on.
func Wrap(b *strings.Builder, width int, indent, text string) {
	room := max(width-len(indent), 20)
	line, length := indent, 0
	for i, word := range strings.Split(text, " ") {
		n := Columns(word)
		if length > 0 && length+1+n > room {
			fmt.Fprintln(b, strings.TrimRight(line, " "))
			line, length = indent+"    ", 4
		} else if i > 0 {
			line += " "
			length++
		}
		line += word
		length += n
	}
	fmt.Fprintln(b, strings.TrimRight(line, " "))
}

// Hang writes text behind a lead, and what does not fit in the width below it, as far in as the lead is wide.
func Hang(b *strings.Builder, width int, lead, text string) {
	indent := Columns(lead)
	room := max(width-indent, 20)
	line := lead
	used := 0
	for _, word := range strings.Split(text, " ") {
		n := Columns(word)
		if used > 0 && used+1+n > room {
			fmt.Fprintln(b, strings.TrimRight(line, " "))
			line, used = strings.Repeat(" ", indent), 0
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	fmt.Fprintln(b, strings.TrimRight(line, " "))
}

// Columns is how many columns a text takes; our own colours take none.
func Columns(text string) int {
	n := utf8.RuneCountInString(text)
	for rest := text; ; {
		at := strings.Index(rest, "\x1b[")
		if at < 0 {
			return n
		}
		end := strings.IndexByte(rest[at:], 'm')
		if end < 0 {
			return n
		}
		n -= end + 1
		rest = rest[at+end+1:]
	}
}

// Fit cuts a text without colours to some columns.
func Fit(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(width-1, 0)]) + "…"
}

// Count is a number with its word: "1 host", "3 hosts".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Few joins the first n words and counts the rest.
func Few(list []string, n int) string {
	if len(list) <= n+1 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], ", "), len(list)-n)
}
