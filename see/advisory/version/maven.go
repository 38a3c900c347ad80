package version

import (
	"cmp"
	"strings"
)

// Maven orders versions as Maven's ComparableVersion does: lists nested at hyphens and at changes between digits and letters,
// qualifiers alpha < beta < milestone < rc < snapshot < release < sp < any other word < numbers.
func Maven(a, b string) (int, bool) {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if !fits(a, b) {
		return 0, false
	}
	x, y := parseMaven(a), parseMaven(b)
	return x.compare(y), true
}

// mavenItem is a number, a word or a list.
type mavenItem struct {
	kind byte // 'n', 'w', 'l'
	text string
	list []*mavenItem
}

func parseMaven(s string) *mavenItem {
	s = strings.ToLower(s)
	root := &mavenItem{kind: 'l'}
	stack, list := []*mavenItem{root}, root
	nest := func() {
		inner := &mavenItem{kind: 'l'}
		list.list = append(list.list, inner)
		list = inner
		stack = append(stack, inner)
	}
	start, inDigits := 0, false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.':
			list.list = append(list.list, mavenToken(s[start:i], inDigits, false))
			start = i + 1
		case c == '-':
			list.list = append(list.list, mavenToken(s[start:i], inDigits, false))
			start = i + 1
			nest()
		case digit(c):
			if !inDigits && i > start {
				list.list = append(list.list, mavenToken(s[start:i], false, true))
				start = i
				nest()
			}
			inDigits = true
		default:
			if inDigits && i > start {
				list.list = append(list.list, mavenToken(s[start:i], true, false))
				start = i
				nest()
			}
			inDigits = false
		}
	}
	if len(s) > start {
		list.list = append(list.list, mavenToken(s[start:], inDigits, false))
	}
	for i := len(stack) - 1; i >= 0; i-- {
		stack[i].normalize()
	}
	return root
}

// mavenToken makes a number (an empty text is zero) or a word with its short forms spelled out.
func mavenToken(text string, number, digitFollows bool) *mavenItem {
	if number || text == "" {
		return &mavenItem{kind: 'n', text: strings.TrimLeft(text, "0")}
	}
	if digitFollows {
		switch text {
		case "a":
			text = "alpha"
		case "b":
			text = "beta"
		case "m":
			text = "milestone"
		}
	}
	switch text {
	case "cr":
		text = "rc"
	case "ga", "final", "release":
		text = ""
	}
	return &mavenItem{kind: 'w', text: text}
}

// normalize drops null items at the end, and before lists at the end, as Maven does.
func (m *mavenItem) normalize() {
	for i := len(m.list) - 1; i >= 0; i-- {
		if last := m.list[i]; last.null() {
			m.list = append(m.list[:i], m.list[i+1:]...)
		} else if last.kind != 'l' {
			break
		}
	}
}

func (m *mavenItem) null() bool {
	if m.kind == 'l' {
		return len(m.list) == 0
	}
	return m.text == ""
}

// compare follows ComparableVersion.compareTo; other is nil where it has no item at this place.
func (m *mavenItem) compare(other *mavenItem) int {
	switch m.kind {
	case 'n':
		return m.compareNumber(other)
	case 'w':
		return m.compareWord(other)
	}
	return m.compareList(other)
}

func (m *mavenItem) compareNumber(other *mavenItem) int {
	switch {
	case other == nil:
		return min(len(m.text), 1)
	case other.kind == 'n':
		return number(m.text, other.text)
	}
	return 1
}

func (m *mavenItem) compareWord(other *mavenItem) int {
	switch {
	case other == nil:
		return mavenWord(m.text, "")
	case other.kind == 'w':
		return mavenWord(m.text, other.text)
	}
	return -1
}

func (m *mavenItem) compareList(other *mavenItem) int {
	if other == nil {
		for _, item := range m.list {
			if c := item.compare(nil); c != 0 {
				return c
			}
		}
		return 0
	}
	switch other.kind {
	case 'n':
		return -1
	case 'w':
		return 1
	}
	for i := range max(len(m.list), len(other.list)) {
		var c int
		switch {
		case i >= len(m.list):
			c = -other.list[i].compare(nil)
		case i >= len(other.list):
			c = m.list[i].compare(nil)
		default:
			c = m.list[i].compare(other.list[i])
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func mavenWord(a, b string) int {
	x, y := mavenRank(a), mavenRank(b)
	if x == 7 && y == 7 {
		return strings.Compare(a, b)
	}
	return cmp.Compare(x, y)
}

func mavenRank(word string) int {
	for i, known := range []string{"alpha", "beta", "milestone", "rc", "snapshot", "", "sp"} {
		if word == known {
			return i
		}
	}
	return 7
}
