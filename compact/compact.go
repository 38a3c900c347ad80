// Package compact reads JSON as our own programs write it, without reflection and strictly: what is out of the ordinary is left to encoding/json.
package compact

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// Scanner reads compact JSON without reflection, strictly: whatever is out of the ordinary makes it odd, and somebody else reads it.
type Scanner struct {
	b     []byte
	i     int
	odd   bool
	words map[string]string
}

// New reads b; equal words share their memory through words, which may serve many readings, one after the other.
func New(b []byte, words map[string]string) *Scanner { return &Scanner{b: b, words: words} }

// Plain tells whether all of it was read and nothing was out of the ordinary; else what was read is worth nothing.
func (s *Scanner) Plain() bool { return !s.odd && s.i == len(s.b) }

// maxWords bounds the words that are shared: hostile events must not fill the memory with them.
const maxWords = 20_000

// want takes one character.
func (s *Scanner) want(c byte) {
	if s.odd || s.i >= len(s.b) || s.b[s.i] != c {
		s.odd = true
		return
	}
	s.i++
}

func (s *Scanner) next() byte {
	if s.odd || s.i >= len(s.b) {
		s.odd = true
		return 0
	}
	return s.b[s.i]
}

// Object calls field for each key; field reads the value, or says that it does not know the key.
func (s *Scanner) Object(field func(key []byte) bool) {
	s.want('{')
	if s.next() == '}' {
		s.i++
		return
	}
	var keys [16][]byte // those of one object so far: a key twice is odd
	for n := 0; !s.odd; n++ {
		key := s.raw()
		s.want(':')
		if s.odd || n == len(keys) {
			s.odd = true
			return
		}
		for _, earlier := range keys[:n] {
			if bytes.Equal(earlier, key) {
				s.odd = true
				return
			}
		}
		keys[n] = key
		if !field(key) {
			s.odd = true
			return
		}
		if s.next() != ',' {
			s.want('}')
			return
		}
		s.i++
	}
}

// Array calls element where each one begins; it reads the element.
func (s *Scanner) Array(element func()) {
	s.want('[')
	if s.next() == ']' {
		s.i++
		return
	}
	for !s.odd {
		element()
		if s.next() != ',' {
			s.want(']')
			return
		}
		s.i++
	}
}

// raw is the inside of a string without escapes.
func (s *Scanner) raw() []byte {
	s.want('"')
	if s.odd {
		return nil
	}
	start, wide := s.i, false
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			inside := s.b[start:s.i]
			s.i++
			if wide && !utf8.Valid(inside) {
				s.odd = true
			}
			return inside
		case c == '\\' || c < 0x20:
			s.odd = true
			return nil
		case c >= utf8.RuneSelf:
			wide = true
		}
	}
	s.odd = true
	return nil
}

// Word is a text; it is likely to come again.
func (s *Scanner) Word() string {
	raw := s.raw()
	if known, ok := s.words[string(raw)]; ok {
		return known
	}
	w := string(raw)
	if len(s.words) < maxWords && len(w) < 200 {
		s.words[w] = w
	}
	return w
}

// Int is a whole number of at most 15 digits.
func (s *Scanner) Int() int {
	negative := s.next() == '-'
	if negative {
		s.i++
	}
	start, n := s.i, 0
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		n = n*10 + int(s.b[s.i]-'0')
		s.i++
	}
	if digits := s.i - start; digits == 0 || digits > 15 || digits > 1 && s.b[start] == '0' {
		s.odd = true
	}
	if negative {
		return -n
	}
	return n
}

// Bool is true or false.
func (s *Scanner) Bool() bool {
	for text, value := range map[string]bool{"true": true, "false": false} {
		if bytes.HasPrefix(s.b[min(s.i, len(s.b)):], []byte(text)) {
			s.i += len(text)
			return value
		}
	}
	s.odd = true
	return false
}

// Time is a moment as encoding/json writes it.
func (s *Scanner) Time() time.Time {
	start := s.i
	s.raw()
	var t time.Time
	if s.odd || t.UnmarshalJSON(s.b[start:s.i]) != nil {
		s.odd = true
	}
	return t
}
