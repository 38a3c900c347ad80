// Package pattern is regular expressions that are compiled when they are first asked, so that a program starts without those that it does not need.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression by its text.
type Pattern struct {
	text string
	once sync.Once
	made *regexp.Regexp
}

// New is a pattern by its text, in the syntax of package regexp. A text that is none panics when it is first asked; a test of this package
// compiles every one that our sources hold.
func New(text string) *Pattern { return &Pattern{text: text} }

func (p *Pattern) re() *regexp.Regexp {
	p.once.Do(func() { p.made = regexp.MustCompile(p.text) })
	return p.made
}

// MatchString tells whether s holds a match.
func (p *Pattern) MatchString(s string) bool { return p.re().MatchString(s) }

// Match tells whether b holds a match.
func (p *Pattern) Match(b []byte) bool { return p.re().Match(b) }

// FindStringSubmatch is the first match with its groups; nil when there is none.
func (p *Pattern) FindStringSubmatch(s string) []string { return p.re().FindStringSubmatch(s) }

// FindAllStringSubmatch are the first n matches with their groups; all of them when n is negative.
func (p *Pattern) FindAllStringSubmatch(s string, n int) [][]string {
	return p.re().FindAllStringSubmatch(s, n)
}

// ReplaceAllString replaces every match.
func (p *Pattern) ReplaceAllString(s, by string) string { return p.re().ReplaceAllString(s, by) }

// FindStringIndex is where the first match lies; nil when there is none.
func (p *Pattern) FindStringIndex(s string) []int { return p.re().FindStringIndex(s) }

// String is the text that it was made of.
func (p *Pattern) String() string { return p.text }

// ReplaceAllStringFunc replaces every match by what by makes of it.
func (p *Pattern) ReplaceAllStringFunc(s string, by func(string) string) string {
	return p.re().ReplaceAllStringFunc(s, by)
}
