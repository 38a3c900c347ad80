package fleet

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one key of a mapping, as its tags tell.
type field struct {
	key, doc string
	named    bool
	enum     []string
	shape    string // a rule of shapes(), or ""
	min, max int    // of a number; 0: not bounded
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
		entry := field{key: key, doc: f.Tag.Get("doc"), named: option == "named", index: f.Index, of: f.Type, shape: f.Tag.Get("is")}
		entry.min, entry.max = bound(f, "min"), bound(f, "max")
		if e := f.Tag.Get("enum"); e != "" {
			entry.enum = strings.Split(e, ",")
		}
		fields = append(fields, entry)
	}
	return fields
}

func bound(f reflect.StructField, tag string) int {
	n, err := strconv.Atoi(f.Tag.Get(tag))
	if err != nil {
		return 0
	}
	return n
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

// Keys lists what may stand at the top of staunch.yaml.
func Keys() []string { return keysOf(reflect.TypeFor[form]()) }

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
	o := map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
	maps.Copy(o, together(t))
	return o
}

// together is what the keys of one mapping ask of each other, as far as a schema can say it.
func together(t reflect.Type) map[string]any {
	has := func(key string) map[string]any { return map[string]any{"required": []string{key}} }
	switch t {
	case reflect.TypeFor[serviceForm]():
		return map[string]any{"type": "object", "required": []string{"on"}}
	case reflect.TypeFor[healthForm]():
		return map[string]any{
			"type": "object", "oneOf": []any{has("unit"), has("tcp"), has("url"), has("hook")}, "dependentRequired": map[string]any{"status": []string{"url"}},
		}
	case reflect.TypeFor[hostForm]():
		return map[string]any{"dependentRequired": map[string]any{"restart_on": []string{"restart_hook"}}}
	case reflect.TypeFor[endpointForm]():
		return map[string]any{"dependentRequired": map[string]any{"xmpp_domain": []string{"starttls"}}}
	}
	return nil
}

func property(f field) map[string]any {
	var p map[string]any
	switch {
	case f.named:
		p = map[string]any{"type": []string{"object", "null"}, "additionalProperties": object(f.of.Elem()), "propertyNames": map[string]any{"pattern": shapes()[f.shape].pattern.String()}}
	case f.of == reflect.TypeFor[time.Duration]():
		p = map[string]any{"type": "string", "pattern": reDuration.String()}
	case f.of == reflect.TypeFor[Width]():
		p = map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 1, "maximum": MaxHosts}, map[string]any{"type": "string", "pattern": reWidth.String()}}}
	case f.of == reflect.TypeFor[map[string]string]():
		word := map[string]any{"type": "string", "pattern": reWord.String()}
		p = map[string]any{"anyOf": []any{
			map[string]any{"type": "array", "items": word},
			map[string]any{"type": []string{"object", "null"}, "propertyNames": word, "additionalProperties": map[string]any{"type": []string{"string", "null"}}},
		}}
	case f.of.Kind() == reflect.Struct:
		p = object(f.of)
	case f.of.Kind() == reflect.Slice:
		p = map[string]any{"type": "array", "items": text(f)}
	case f.of.Kind() == reflect.Int:
		p = number(f)
	case f.of.Kind() == reflect.Bool:
		p = map[string]any{"type": "boolean"}
	default:
		p = text(f)
	}
	p["description"] = f.doc
	return p
}

func number(f field) map[string]any {
	p := map[string]any{"type": "integer", "minimum": f.min}
	if f.max > 0 {
		p["maximum"] = f.max
	}
	return p
}

func text(f field) map[string]any {
	p := map[string]any{"type": "string"}
	var choices []string
	open := slices.ContainsFunc(f.enum, func(e string) bool { return strings.HasSuffix(e, "*") })
	for _, e := range f.enum {
		choices = append(choices, strings.ReplaceAll(e, "*", "[A-Za-z0-9_][A-Za-z0-9._-]*"))
	}
	switch {
	case open:
		p["pattern"] = "^(" + strings.Join(choices, "|") + ")$"
	case len(f.enum) > 0:
		p["enum"] = f.enum
	case f.shape != "":
		p["pattern"] = shapes()[f.shape].pattern.String()
	}
	return p
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
