package desk

import (
	"bytes"
	"encoding/json"
	"io"
)

// JSON writes JSON for people: every level one blank further in.
func JSON(w io.Writer, v any) error {
	out := json.NewEncoder(&indenter{w: w}) // it writes all at once
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

// indenter is json.Indent with one blank, for JSON that surely is some because an encoder wrote it: checking it again byte by byte took
// longer than writing it. What is given to one Write is a whole value.
type indenter struct {
	w     io.Writer
	out   []byte
	depth int
}

// piece is about how much is written at a time.
const piece = 64 << 10

// Write writes text with its levels.
func (d *indenter) Write(text []byte) (int, error) {
	d.out = make([]byte, 0, min(piece+piece/4, 2*len(text)))
	for i := 0; i < len(text); i++ {
		if len(d.out) >= piece {
			if _, err := d.w.Write(d.out); err != nil {
				return 0, err
			}
			d.out = d.out[:0]
		}
		i = d.take(text, i)
	}
	_, err := d.w.Write(d.out)
	return len(text), err
}

// take takes what begins at i and returns its last place.
func (d *indenter) take(text []byte, i int) int {
	switch c := text[i]; c {
	case '"':
		end := i + 1 + stringEnd(text[i+1:])
		d.out = append(d.out, text[i:end]...)
		return end - 1
	case '{', '[':
		d.out = append(d.out, c)
		if text[i+1] == c+2 { // the brackets of nothing stay together
			d.out = append(d.out, c+2)
			return i + 1
		}
		d.line(1)
	case '}', ']':
		d.line(-1)
		d.out = append(d.out, c)
	case ',':
		d.out = append(d.out, c)
		d.line(0)
	case ':':
		d.out = append(d.out, ':', ' ')
	default:
		d.out = append(d.out, c)
	}
	return i
}

// line begins a line, so many levels further in.
func (d *indenter) line(further int) {
	d.depth += further
	d.out = append(d.out, '\n')
	for range d.depth {
		d.out = append(d.out, ' ')
	}
}

// stringEnd is the length of the rest of a string that has begun, with its last quote.
func stringEnd(b []byte) int {
	for at := 0; ; {
		next := bytes.IndexByte(b[at:], '"')
		if next < 0 {
			return len(b)
		}
		at += next + 1
		slashes := 0
		for i := at - 2; i >= 0 && b[i] == '\\'; i-- {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
	}
}
