package mandate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"staunch/fault"
)

// MaxCanonical is the largest JSON text, in bytes, that Canonical takes.
const MaxCanonical = 4 << 20

// maxDepth bounds nesting; plans nest a handful of levels.
const maxDepth = 64

// Canonical returns v as canonical JSON (RFC 8785), so that equal content has equal bytes and equal digests.
// It refuses what two readers could understand differently: keys that appear twice, text that is not UTF-8,
// and numbers other than integers between -(2^53-1) and 2^53-1.
func Canonical(v any) ([]byte, error) {
	raw, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return nil, fault.New(fault.Usage, "cannot be written as JSON: %v", err)
		}
	}
	if len(raw) > MaxCanonical {
		return nil, fault.New(fault.Full, "JSON of %d bytes, at most %d can be signed", len(raw), MaxCanonical)
	}
	if !utf8.Valid(raw) {
		return nil, fault.New(fault.Corrupt, "JSON is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var out bytes.Buffer
	if err := canonicalValue(dec, &out, 0); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Corrupt, "more than one JSON value")
	}
	return out.Bytes(), nil
}

func canonicalValue(dec *json.Decoder, out *bytes.Buffer, depth int) error {
	if depth > maxDepth {
		return fault.New(fault.Corrupt, "JSON nests deeper than %d", maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return fault.New(fault.Corrupt, "not JSON: %v", err)
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			return canonicalObject(dec, out, depth)
		}
		return canonicalArray(dec, out, depth)
	case string:
		writeString(out, t)
	case json.Number:
		return writeNumber(out, t)
	case bool:
		out.WriteString(strconv.FormatBool(t))
	default:
		out.WriteString("null")
	}
	return nil
}

func canonicalArray(dec *json.Decoder, out *bytes.Buffer, depth int) error {
	out.WriteByte('[')
	for first := true; dec.More(); first = false {
		if !first {
			out.WriteByte(',')
		}
		if err := canonicalValue(dec, out, depth+1); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return endOf(dec)
}

func canonicalObject(dec *json.Decoder, out *bytes.Buffer, depth int) error {
	members := map[string][]byte{}
	var keys []string
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return fault.New(fault.Corrupt, "not JSON: %v", err)
		}
		key, _ := tok.(string)
		if _, twice := members[key]; twice {
			return fault.New(fault.Corrupt, "key %q appears twice", key)
		}
		var value bytes.Buffer
		if err := canonicalValue(dec, &value, depth+1); err != nil {
			return err
		}
		members[key] = value.Bytes()
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	out.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			out.WriteByte(',')
		}
		writeString(out, key)
		out.WriteByte(':')
		out.Write(members[key])
	}
	out.WriteByte('}')
	return endOf(dec)
}

// endOf takes the closing bracket, which is there unless the text ends early.
func endOf(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fault.New(fault.Corrupt, "not JSON: %v", err)
	}
	return nil
}

func writeNumber(out *bytes.Buffer, n json.Number) error {
	const limit = 1<<53 - 1
	if i, err := n.Int64(); err == nil && i <= limit && i >= -limit {
		out.WriteString(strconv.FormatInt(i, 10))
		return nil
	}
	if f, err := n.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) <= limit {
		out.WriteString(strconv.FormatInt(int64(f), 10))
		return nil
	}
	return fault.New(fault.Corrupt, "number %.40s: only integers up to 2^53-1 can be signed", n.String())
}

// writeString escapes what RFC 8785 section 3.2.2.2 says and nothing else.
func writeString(out *bytes.Buffer, s string) {
	const hexdigits = "0123456789abcdef"
	short := map[byte]string{'\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`, '"': `\"`, '\\': `\\`}
	out.WriteByte('"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch esc, known := short[c]; {
		case known:
			out.WriteString(esc)
		case c < 0x20:
			out.WriteString(`\u00`)
			out.WriteByte(hexdigits[c>>4])
			out.WriteByte(hexdigits[c&15])
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('"')
}
