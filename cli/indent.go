package cli

import (
	"bytes"
	"encoding/json"
	"io"
)

// indented writes JSON for people: every level one blank further in.
func indented(w io.Writer, v any) error {
	var compact bytes.Buffer
	out := json.NewEncoder(&compact)
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(indent(compact.Bytes()))
	return err
}

// indent is json.Indent with one blank for JSON that surely is some because an encoder wrote it: checking it again byte by byte took longer
// than writing it.
func indent(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/2)
	depth := 0
	line := func() {
		out = append(out, '\n')
		for range depth {
			out = append(out, ' ')
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			end := i + 1 + stringEnd(text[i+1:])
			out = append(out, text[i:end]...)
			i = end - 1
		case '{', '[':
			out = append(out, c)
			if text[i+1] == c+2 { // the brackets of nothing stay together
				out = append(out, c+2)
				i++
				continue
			}
			depth++
			line()
		case '}', ']':
			depth--
			line()
			out = append(out, c)
		case ',':
			out = append(out, c)
			line()
		case ':':
			out = append(out, ':', ' ')
		default:
			out = append(out, c)
		}
	}
	return out
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
