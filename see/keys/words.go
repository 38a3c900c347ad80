package keys

import (
	"slices"
	"strings"
)

// notation is how a configuration is written.
type notation struct {
	ends      string // what ends a statement, beside the end of a line
	free      bool   // the end of a line is a space like any other
	apart     bool   // the ends count only as words of their own
	folded    bool   // a line that begins with space continues the one before
	comment   string // what begins a comment at the beginning of a word: each of these characters, or "--"
	variables string // how variables are written: $name and ${name}, ${name} alone, or {$name} and {env.name}; "": there are none
}

// statements cuts a text into statements, and these into words: quotes keep spaces.
func (n notation) statements(text string) [][]string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	if n.folded {
		text = strings.NewReplacer("\n ", " ", "\n\t", " ").Replace(text)
	}
	text = n.uncommented(text)
	c := cutter{notation: n}
	for rest := text; rest != ""; {
		rest = c.step(rest)
	}
	c.end(true)
	return c.all
}

// uncommented takes out comments that go over lines: Lua's and XML's.
func (n notation) uncommented(text string) string {
	marks, has := map[string][2]string{"--": {"--[[", "]]"}, "<!--": {"<!--", "-->"}}[n.comment]
	if !has {
		return text
	}
	for from := strings.Index(text, marks[0]); from >= 0; from = strings.Index(text, marks[0]) {
		length := strings.Index(text[from:], marks[1])
		if length < 0 {
			break
		}
		text = text[:from] + text[from+length+len(marks[1]):]
	}
	return text
}

// cutter is a text being cut.
type cutter struct {
	notation
	all   [][]string
	words []string
	word  strings.Builder
	begun bool
	quote byte
}

func (c *cutter) end(statement bool) {
	if c.begun {
		c.words = append(c.words, c.word.String())
	}
	c.word.Reset()
	c.begun = false
	if statement && len(c.words) > 0 {
		c.all, c.words = append(c.all, c.words), nil
	}
}

// step takes one character, a variable or a comment off the text.
func (c *cutter) step(text string) string {
	b := text[0]
	switch {
	case c.quote != 0:
		if b == c.quote || b == '\n' && !c.free {
			c.quote = 0
			if b == '\n' {
				c.end(true)
			}
			return text[1:]
		}
	case b == '"' || b == '\'':
		c.quote, c.begun = b, true
		return text[1:]
	case !c.begun && c.comments(text):
		line := strings.IndexByte(text, '\n')
		if line < 0 {
			return ""
		}
		return text[line:]
	case b == '\n':
		c.end(!c.free)
		return text[1:]
	case c.variable(text) > 0:
		length := c.variable(text)
		c.word.WriteString(text[:length])
		c.begun = true
		return text[length:]
	case strings.IndexByte(c.ends, b) >= 0 && (!c.apart || !c.begun && (len(text) == 1 || strings.IndexByte(" \t\r\n", text[1]) >= 0)):
		c.end(true)
		return text[1:]
	case strings.IndexByte(" \t\r,=", b) >= 0:
		c.end(false)
		return text[1:]
	}
	c.word.WriteByte(b)
	c.begun = true
	return text[1:]
}

func (c *cutter) comments(text string) bool {
	if len(c.comment) > 2 {
		return false
	}
	if c.comment == "--" {
		return strings.HasPrefix(text, "--")
	}
	return strings.IndexByte(c.comment, text[0]) >= 0
}

// variable is the length of a variable in braces at the beginning of the text: its braces end no statement.
func (c *cutter) variable(text string) int {
	if c.variables == "" || !strings.HasPrefix(text, "${") && !(c.variables == "{" && (strings.HasPrefix(text, "{$") || strings.HasPrefix(text, "{env."))) {
		return 0
	}
	if end := strings.IndexAny(text, "}\n"); end > 0 && text[end] == '}' {
		return end + 1
	}
	return 0
}

// expand puts in what variables are known to be. What is left of them stays as it is.
func (n notation) expand(text string, known map[string]string) string {
	for range 8 { // a variable's value may hold others
		from, to, name := n.find(text)
		value, is := known[name]
		if name == "" || !is || len(text)+len(value) > 4096 {
			return text
		}
		text = text[:from] + value + text[to:]
	}
	return text
}

// find is the first variable of a text: from where to where it stands, and its name.
func (n notation) find(text string) (from, to int, name string) {
	open := map[string]string{"$": "$", "${": "${", "{": "{"}[n.variables]
	from = strings.Index(text, open)
	if open == "" || from < 0 {
		return 0, 0, ""
	}
	rest := strings.TrimLeft(text[from:], "${")
	lead := len(text) - from - len(rest)
	rest = strings.TrimPrefix(rest, "env.")
	skipped := len(text) - from - lead - len(rest)
	braced := strings.HasSuffix(text[:from+lead], "{")
	end := strings.IndexFunc(rest, func(r rune) bool {
		return (r != '.' || !braced) && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		end = len(rest)
	}
	to = from + lead + skipped + end
	if to < len(text) && text[to] == '}' {
		to++
	}
	return from, to, rest[:end]
}

// unknown tells whether a path still holds a variable.
func (n notation) unknown(text string) bool {
	_, _, name := n.find(text)
	return name != ""
}

// after finds the values of directives: the rest of a statement that begins with one of the names.
func after(names ...string) finder {
	return func(words []string) []string {
		if slices.Contains(names, strings.ToLower(words[0])) {
			return words[1:]
		}
		return nil
	}
}

// parameter finds the values of a parameter, on a line of its own or behind an option (postfix: -o name=value in master.cf).
func parameter(names ...string) finder { return both(after(names...), anywhere(names...)) }

// both finds what any of the two finds.
func both(one, other finder) finder {
	return func(words []string) []string { return slices.Concat(one(words), other(words)) }
}

// anywhere finds the word after each of the names, wherever in the statement.
func anywhere(names ...string) finder {
	return func(words []string) []string {
		var found []string
		for i, w := range words[:len(words)-1] {
			if slices.Contains(names, w) {
				found = append(found, words[i+1])
			}
		}
		return found
	}
}

// within is anywhere, in statements that begin with a word.
func within(first string, names ...string) finder {
	find := anywhere(names...)
	return func(words []string) []string {
		if words[0] != first {
			return nil
		}
		return find(words)
	}
}
