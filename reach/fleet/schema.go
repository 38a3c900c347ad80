package fleet

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// field is one key of a mapping, as its tags tell.
type field struct {
	key, doc string
	named    bool
	enum     []string
	index    []int
	of       reflect.Type
}

func orderedFields(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		entry := field{key: key, doc: f.Tag.Get("doc"), named: option == "named", index: f.Index, of: f.Type}
		if e := f.Tag.Get("enum"); e != "" {
			entry.enum = strings.Split(e, ",")
		}
		fields = append(fields, entry)
	}
	return fields
}

func fieldsOf(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for _, f := range orderedFields(t) {
		fields[f.key] = f
	}
	return fields
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range orderedFields(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// Schema returns the JSON schema of staunch.yaml (draft 2020-12), for editors.
func Schema() ([]byte, error) {
	s := object(reflect.TypeFor[form]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "staunch.yaml"
	out, err := json.MarshalIndent(s, "", "  ")
	return append(out, '\n'), err
}

func object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for _, f := range orderedFields(t) {
		properties[f.key] = property(f)
	}
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
}

func property(f field) map[string]any {
	var p map[string]any
	switch {
	case f.named:
		p = map[string]any{"type": []string{"object", "null"}, "additionalProperties": object(f.of.Elem())}
	case f.of == reflect.TypeFor[time.Duration]():
		p = map[string]any{"type": "string", "pattern": `^([0-9.]+(ms|s|m|h))+$`}
	case f.of == reflect.TypeFor[Width]():
		p = map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 1}, map[string]any{"type": "string", "pattern": "^[0-9]+%?$"}}}
	case f.of == reflect.TypeFor[map[string]string]():
		p = map[string]any{"anyOf": []any{
			map[string]any{"type": "array", "items": map[string]any{"type": "string"}},
			map[string]any{"type": "object", "additionalProperties": map[string]any{"type": []string{"string", "null"}}},
		}}
	case f.of.Kind() == reflect.Struct:
		p = object(f.of)
	case f.of.Kind() == reflect.Slice:
		p = map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	case f.of.Kind() == reflect.Int:
		p = map[string]any{"type": "integer", "minimum": 0}
	case f.of.Kind() == reflect.Bool:
		p = map[string]any{"type": "boolean"}
	default:
		p = text(f.enum)
	}
	p["description"] = f.doc
	return p
}

func text(enum []string) map[string]any {
	if len(enum) == 0 {
		return map[string]any{"type": "string"}
	}
	var choices []string
	open := slices.ContainsFunc(enum, func(e string) bool { return strings.HasSuffix(e, "*") })
	for _, e := range enum {
		choices = append(choices, strings.ReplaceAll(e, "*", ".+"))
	}
	if open {
		return map[string]any{"type": "string", "pattern": "^(" + strings.Join(choices, "|") + ")$"}
	}
	return map[string]any{"type": "string", "enum": enum}
}

// didYouMean is a hint with the nearest of the words, or with all of them where none is near.
func didYouMean(word string, words []string) string {
	best, distance := "", 1+len(word)/2
	for _, w := range words {
		if d := edits(word, w); d < distance {
			best, distance = w, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	if len(words) == 0 || len(words) > 30 {
		return ""
	}
	return "known are: " + strings.Join(words, ", ")
}

// edits is the number of letters to insert, remove, replace or swap with their neighbour to get from a to b. Long words are cut.
func edits(a, b string) int {
	a, b = strings.ToLower(a[:min(len(a), 60)]), strings.ToLower(b[:min(len(b), 60)])
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
