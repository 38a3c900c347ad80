package fleet

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"staunch/fault"
)

// A selector names a part of a fleet:
//
//	selector = every { "|" every } .          either; a comma means the same
//	every    = one { "&" one } .              both
//	one      = "!" one | "(" selector ")" | word | key "=" word | "@" file .
//	word     = host name | pattern (web[01-20], web*) | label | service | "all" .
//	key      = "name" | "ring" | "service" | "label" | any label .
//
// A word that is both a host and a label (or service) is refused as ambiguous; write name=WORD, label=WORD or service=WORD.
// A file has one host name a line. Quotes keep spaces and signs in a word.
type selector struct {
	fleet *Fleet
	file  func(string) ([]byte, error)
	text  string
	ats   []int    // where each token stands in text
	left  []string // the tokens that are not read yet
	depth int
}

// set holds the positions of hosts.
type set map[int]bool

// Select returns the hosts that a selector names, in the fleet's order. A word that names nothing is an error: a typing mistake must not
// look like an empty part of the fleet. file reads "@" files; nil refuses them.
func (f *Fleet) Select(text string, file func(name string) ([]byte, error)) ([]Host, error) {
	tokens, ats, err := tokens(text)
	if err != nil {
		return nil, err
	}
	s := &selector{fleet: f, file: file, text: text, ats: ats, left: tokens}
	chosen, err := s.either()
	if err != nil {
		return nil, err
	}
	if len(s.left) > 0 {
		return nil, s.unexpected()
	}
	var hosts []Host
	for i, h := range f.Hosts {
		if chosen[i] {
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

// Mentioned returns the plain host names that a selector names by themselves or in "@" files: enough to start without an inventory.
func Mentioned(text string, file func(name string) ([]byte, error)) ([]string, error) {
	tokens, _, err := tokens(text)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range tokens {
		switch {
		case strings.ContainsAny(t, "&|!()=,*") || t == "all":
		case t[0] == '@' && file != nil:
			text, err := file(t[1:])
			if err != nil {
				return nil, unreadable(t, err)
			}
			hosts, err := List(text, t[1:])
			if err != nil {
				return nil, err
			}
			names = append(names, hosts.names()...)
		default:
			some, err := Expand(t)
			if err != nil {
				return nil, err
			}
			names = append(names, some...)
		}
	}
	return names, nil
}

const selectorHint = "as in: web, web[01-20], ring=canary, web & !db1, (web | db) & ring=production, @file"

// misread says what is wrong with a selector, and shows where.
func misread(text string, at int, format string, args ...any) error {
	says := fmt.Sprintf(format, args...) + fmt.Sprintf(" (character %d)", at+1)
	if len(text) < 200 && !strings.ContainsAny(text, "\r\n\t") {
		says += "\n  " + text + "\n  " + strings.Repeat(" ", utf8.RuneCountInString(text[:at])) + "^"
	}
	return fault.New(fault.Usage, "%s", says).Hinted(selectorHint)
}

// tokens splits a selector, and tells where each token stands. Quotes are taken off; a quoted word never is an operator.
func tokens(text string) (out []string, ats []int, err error) {
	if len(text) > 64<<10 {
		return nil, nil, fault.New(fault.Full, "the selector is too long").Hinted("put the names into a file and write @file")
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case strings.IndexByte("&|!(),", c) >= 0:
			out, ats = append(out, strings.Replace(string(c), ",", "|", 1)), append(ats, i)
			i++
		default:
			word, n, err := wordAt(text, i)
			if err != nil {
				return nil, nil, err
			}
			out, ats = append(out, word), append(ats, i)
			i += n
		}
	}
	return out, ats, nil
}

// wordAt reads the word that begins at a place; commas inside brackets belong to it.
func wordAt(text string, from int) (word string, length int, err error) {
	var b strings.Builder
	brackets, s := false, text[from:]
	n := len(s)
reading:
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			end := strings.IndexByte(s[i+1:], '"')
			if end < 0 {
				return "", 0, misread(text, from+i, "the selector has an open quote")
			}
			b.WriteString(s[i+1 : i+1+end])
			i += end + 1
		case c == '[' || c == ']':
			brackets = c == '['
			b.WriteByte(c)
		case !brackets && strings.IndexByte(" \t\r\n&|!(),", c) >= 0:
			n = i
			break reading
		default:
			b.WriteByte(c)
		}
	}
	if word = b.String(); word == "" || strings.IndexByte("&|!()", word[0]) >= 0 {
		return "", 0, misread(text, from, "the selector has an empty or strange word")
	}
	return word, n, nil
}

func (s *selector) next(token string) bool {
	if len(s.left) > 0 && s.left[0] == token {
		s.left = s.left[1:]
		return true
	}
	return false
}

func (s *selector) unexpected() error {
	if len(s.left) == 0 {
		return misread(s.text, len(s.text), "the selector ends too early")
	}
	return misread(s.text, s.ats[len(s.ats)-len(s.left)], "the selector has an unexpected %q", s.left[0])
}

func (s *selector) either() (set, error) {
	chosen, err := s.both()
	for err == nil && s.next("|") {
		var more set
		if more, err = s.both(); err == nil {
			for i := range more {
				chosen[i] = true
			}
		}
	}
	return chosen, err
}

func (s *selector) both() (set, error) {
	chosen, err := s.one()
	for err == nil && s.next("&") {
		var also set
		if also, err = s.one(); err == nil {
			for i := range chosen {
				if !also[i] {
					delete(chosen, i)
				}
			}
		}
	}
	return chosen, err
}

func (s *selector) one() (set, error) {
	if s.depth++; s.depth > 1000 {
		return nil, fault.New(fault.Usage, "the selector is nested too deeply").Hinted(selectorHint)
	}
	switch {
	case s.next("!"):
		not, err := s.one()
		if err != nil {
			return nil, err
		}
		return s.where(func(i int, _ Host) bool { return !not[i] }), nil
	case s.next("("):
		inner, err := s.either()
		if err == nil && !s.next(")") {
			err = s.unexpected()
		}
		return inner, err
	case len(s.left) == 0 || strings.IndexByte("&|)", s.left[0][0]) >= 0:
		return nil, s.unexpected()
	}
	word := s.left[0]
	s.left = s.left[1:]
	if word[0] == '@' {
		return s.listed(word[1:])
	}
	if key, value, has := strings.Cut(word, "="); has {
		return s.keyed(key, value)
	}
	return s.word(word)
}

func (s *selector) where(is func(int, Host) bool) set {
	chosen := set{}
	for i, h := range s.fleet.Hosts {
		if is(i, h) {
			chosen[i] = true
		}
	}
	return chosen
}

func (s *selector) word(word string) (set, error) {
	if word == "all" || word == "*" {
		return s.where(func(int, Host) bool { return true }), nil
	}
	names, err := s.named(word)
	if err != nil {
		return nil, err
	}
	ways := []set{names, s.labelled(word, nil), s.serving(word)}
	ways = slices.DeleteFunc(ways, func(w set) bool { return len(w) == 0 })
	switch len(ways) {
	case 0:
		return nil, fault.New(fault.NotFound, "nothing is called %q", word).Hinted("%s", s.near(word))
	case 1:
		return ways[0], nil
	}
	return nil, fault.New(fault.Usage, "%q is ambiguous: it is more than one of host, label and service", word).Hinted("write name=%s, label=%s or service=%s", word, word, word)
}

func (s *selector) named(word string) (set, error) {
	if strings.ContainsAny(word, "*?") {
		if _, err := path.Match(word, ""); err != nil {
			return nil, badPattern(word)
		}
		return s.where(func(_ int, h Host) bool { ok, err := path.Match(word, h.Name); return ok && err == nil }), nil
	}
	names, err := Expand(word)
	if err != nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	chosen := s.where(func(_ int, h Host) bool { return wanted[h.Name] })
	if len(chosen) > 0 && len(chosen) < len(wanted) {
		return nil, fault.New(fault.NotFound, "only %d of the %d hosts of %q exist", len(chosen), len(wanted), word).Hinted("write %s* for those that exist", word[:strings.IndexByte(word, '[')])
	}
	return chosen, nil
}

func (s *selector) labelled(label string, value *string) set {
	return s.where(func(_ int, h Host) bool {
		v, has := h.Labels[label]
		return has && (value == nil || v == *value)
	})
}

func (s *selector) serving(service string) set {
	chosen := set{}
	for _, svc := range s.fleet.Services {
		if svc.Name == service {
			return s.where(func(_ int, h Host) bool { return slices.Contains(svc.Hosts, h.Name) })
		}
	}
	return chosen
}

func (s *selector) keyed(key, value string) (set, error) {
	var chosen set
	var err error
	switch key {
	case "name":
		chosen, err = s.named(value)
	case "ring":
		if _, known := s.fleet.Ring(value); known {
			return s.where(func(_ int, h Host) bool { return h.Ring == value }), nil
		}
	case "service":
		chosen = s.serving(value)
	case "label":
		chosen = s.labelled(value, nil)
	default:
		chosen = s.labelled(key, &value)
	}
	if err == nil && len(chosen) == 0 {
		err = fault.New(fault.NotFound, "no host has %s=%s", key, value).Hinted("%s", s.near(value))
	}
	return chosen, err
}

// listed reads a file of names; each must be known.
func (s *selector) listed(name string) (set, error) {
	if s.file == nil {
		return nil, fault.New(fault.Usage, "a file (@%s) cannot be named here", name)
	}
	text, err := s.file(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	list, err := List(text, name)
	if err != nil {
		return nil, err
	}
	position := map[string]int{}
	for i, h := range s.fleet.Hosts {
		position[h.Name] = i
	}
	chosen := set{}
	for _, n := range list.names() {
		i, known := position[n]
		if !known {
			return nil, fault.New(fault.NotFound, "%s: no host is called %q", name, n).Hinted("%s", s.near(n))
		}
		chosen[i] = true
	}
	return chosen, nil
}

func unreadable(name string, err error) error {
	return fault.New(fault.NotFound, "cannot read %s: %v", name, err)
}

func (s *selector) near(word string) string {
	words := s.fleet.names()
	for _, r := range s.fleet.Rings {
		words = append(words, "ring="+r.Name)
	}
	for _, svc := range s.fleet.Services {
		words = append(words, svc.Name)
	}
	for _, h := range s.fleet.Hosts {
		for l := range h.Labels {
			words = append(words, l)
		}
	}
	slices.Sort(words)
	if hint := didYouMean(word, slices.Compact(words)); hint != "" {
		return hint
	}
	return "staunch hosts lists what there is"
}
