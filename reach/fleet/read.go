package fleet

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/fleet/syntax"

	"github.com/goccy/go-yaml/ast"
)

// Limits of an inventory. A file or fleet beyond them is refused.
const (
	MaxBytes = 16 << 20
	MaxHosts = 100_000
	maxDepth = 20
	maxSaid  = 10 // problems told at once
)

// problem is one thing wrong with the file.
type problem struct {
	spot
	says, hint string
}

// reader walks the syntax tree into the form and collects problems.
type reader struct {
	source   string
	shapes   map[string]shape
	problems []problem
	known    map[string]bool // host names so far
}

// parse reads the text into the form; syntax errors and everything unknown or of a wrong type are one fault that names all places.
func parse(text []byte, source string) (*form, *reader, error) {
	if len(text) > MaxBytes {
		return nil, nil, fault.New(fault.Full, "%s has %d bytes, the limit is %d", source, len(text), MaxBytes)
	}
	tree, err := syntax.Parse(text, source)
	if err != nil {
		return nil, nil, err
	}
	r, f := &reader{source: source, shapes: shapes()}, &form{Alone: AloneDelay, Keep: UsualKeep}
	switch {
	case len(tree.Docs) == 0 || tree.Docs[0].Body == nil:
		return f, r, nil
	case len(tree.Docs) > 1:
		return nil, nil, fault.New(fault.Usage, "%s holds %d documents, one is expected", source, len(tree.Docs))
	}
	r.value(tree.Docs[0].Body, reflect.ValueOf(f).Elem(), "", 0)
	return f, r, r.fault()
}

func (r *reader) wrong(at spot, hint, format string, args ...any) {
	if len(r.problems) == 10*maxSaid {
		return
	}
	r.problems = append(r.problems, problem{spot: at, says: fmt.Sprintf(format, args...), hint: hint})
}

// fault turns the problems into one error, or nil.
func (r *reader) fault() error {
	if len(r.problems) == 0 {
		return nil
	}
	var lines []string
	for i, p := range r.problems {
		if i == maxSaid {
			lines = append(lines, "and more")
			break
		}
		line := fmt.Sprintf("%s:%d:%d: %s", r.source, p.line, p.column, p.says)
		if i > 0 && p.hint != "" {
			line += " (" + p.hint + ")"
		}
		lines = append(lines, line)
	}
	f := fault.New(fault.Usage, "%s", strings.Join(lines, "\n"))
	f.Hint = r.problems[0].hint
	return f
}

func place(n ast.Node) spot {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return spot{1, 1}
	}
	return spot{n.GetToken().Position.Line, n.GetToken().Position.Column}
}

// value reads node into v. key names it in messages.
func (r *reader) value(node ast.Node, v reflect.Value, key string, depth int) {
	if depth > maxDepth {
		r.wrong(place(node), "", "nested too deeply")
		return
	}
	if _, empty := node.(*ast.NullNode); empty || r.clever(node) {
		return
	}
	switch v.Interface().(type) {
	case time.Duration:
		r.duration(node, v, key)
		return
	case Width:
		r.width(node, v, key)
		return
	case map[string]string:
		r.labels(node, v, key)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.mapping(node, v, key, depth)
	case reflect.Slice:
		r.list(node, v, key, depth)
	default:
		r.scalar(node, v, key)
	}
}

// clever refuses what makes a small text stand for a large one.
func (r *reader) clever(node ast.Node) bool {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		r.wrong(place(node), "write the value out; patterns such as web[01-20] and labels save repetition", "anchors, aliases and tags are not read here")
		return true
	}
	return false
}

// pairs returns the entries of a mapping with unique plain keys.
func (r *reader) pairs(node ast.Node, key string) []*ast.MappingValueNode {
	m, ok := node.(ast.MapNode)
	if !ok {
		r.wrong(place(node), mappingHint(key), "%sexpected a mapping (key: value), found %s", prefix(key), kind(node))
		return nil
	}
	var pairs []*ast.MappingValueNode
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		pair := it.KeyValue()
		name, plain := keyText(pair)
		if !plain {
			r.wrong(place(pair.Key), "", "%skeys are plain words, found %s", prefix(key), kind(pair.Key))
			continue
		}
		if seen[name] {
			r.wrong(place(pair.Key), "", "key %q stands twice", name)
			continue
		}
		seen[name] = true
		pairs = append(pairs, pair)
	}
	return pairs
}

func mappingHint(key string) string {
	switch key {
	case "labels":
		return "as in labels: [web, db], or labels: {room: b}"
	case "hosts":
		return "each host is a key of its own, as in hosts: {web1: {}, web2: {}}"
	case "":
		return "as in hosts: {web1: {}}; docs/fleet.md has an example"
	}
	return "as in {key: value}, or one line each, indented by spaces"
}

func prefix(key string) string {
	if key == "" {
		return ""
	}
	return key + ": "
}

func keyText(pair *ast.MappingValueNode) (string, bool) {
	switch k := pair.Key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode:
		return k.GetToken().Value, true
	}
	return "", false
}

func (r *reader) mapping(node ast.Node, v reflect.Value, key string, depth int) {
	fields := fieldsOf(v.Type())
	for _, pair := range r.pairs(node, key) {
		name, _ := keyText(pair)
		f, known := fields[name]
		if !known {
			r.wrong(place(pair.Key), didYouMean(name, keysOf(v.Type())), "unknown key %q%s", name, in(key))
			continue
		}
		if e, notes := v.Addr().Interface().(interface{ note(string, spot) }); notes {
			e.note(name, place(pair.Value))
		}
		r.field(pair, v.FieldByIndex(f.index), f, depth+1)
	}
}

// field reads the value of a key that is known, and holds it to what the form says of it.
func (r *reader) field(pair *ast.MappingValueNode, v reflect.Value, f field, depth int) {
	if f.named {
		r.named(pair.Value, v, f, depth)
		return
	}
	if _, empty := pair.Value.(*ast.NullNode); empty && v.Kind() != reflect.Map {
		r.wrong(place(pair.Key), "write its value, or take the line out", "%s has no value", f.key)
		return
	}
	before := len(r.problems)
	r.value(pair.Value, v, f.key, depth)
	if len(r.problems) > before {
		return
	}
	switch {
	case len(f.enum) > 0 && !allowed(v.String(), f.enum):
		r.wrong(place(pair.Value), strings.ReplaceAll(didYouMean(v.String(), f.enum), "*", "NAME"), "%s: %q is not one of %s", f.key, v.String(), strings.ReplaceAll(strings.Join(f.enum, ", "), "*", "NAME"))
	case v.Kind() == reflect.Int && (int(v.Int()) < f.min || f.max > 0 && int(v.Int()) > f.max):
		r.wrong(place(pair.Value), "", "%s: %d is not from %d to %d", f.key, v.Int(), f.min, f.max)
	case f.shape != "":
		r.shaped(pair.Value, v, f)
	}
}

// shaped holds a text, or each text of a list, to its rule.
func (r *reader) shaped(node ast.Node, v reflect.Value, f field) {
	rule := r.shapes[f.shape]
	if list, is := node.(*ast.SequenceNode); is {
		for i, item := range list.Values {
			if i < v.Len() && !rule.pattern.MatchString(v.Index(i).String()) {
				r.wrong(place(item), rule.hint, "%s: %q %s", f.key, v.Index(i).String(), rule.says)
			}
		}
		return
	}
	if !rule.pattern.MatchString(v.String()) {
		r.wrong(place(node), rule.hint, "%s: %q %s", f.key, v.String(), rule.says)
	}
}

func in(key string) string {
	if key == "" {
		return ""
	}
	return " in " + key
}

// allowed tells whether a value is in an enumeration; "hook:*" stands for any name of a hook after the colon. Nothing given is allowed.
func allowed(value string, enum []string) bool {
	for _, e := range enum {
		if stem, open := strings.CutSuffix(e, "*"); value == e && !open || open && strings.HasPrefix(value, stem) && reHook.MatchString(value[len(stem):]) {
			return true
		}
	}
	return value == ""
}

// named reads a mapping from name to entry into a slice, in the file's order.
func (r *reader) named(node ast.Node, v reflect.Value, f field, depth int) {
	if _, empty := node.(*ast.NullNode); empty || r.clever(node) {
		return
	}
	rule := r.shapes[f.shape]
	for _, pair := range r.pairs(node, f.key) {
		name, _ := keyText(pair)
		if !rule.pattern.MatchString(name) {
			r.wrong(place(pair.Key), rule.hint, "%s: %q %s", f.key, name, rule.says)
			continue
		}
		entry := reflect.New(v.Type().Elem()).Elem()
		entry.FieldByName("Name").SetString(name)
		r.value(pair.Value, entry, name, depth)
		if e, ok := entry.Addr().Interface().(interface{ put(spot) }); ok {
			e.put(place(pair.Key))
		}
		v.Set(reflect.Append(v, entry))
	}
}

func (r *reader) list(node ast.Node, v reflect.Value, key string, depth int) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		r.wrong(place(node), "write [one, two], or one line with a dash each", "%s: expected a list, found %s", key, kind(node))
		return
	}
	for _, item := range seq.Values {
		entry := reflect.New(v.Type().Elem()).Elem()
		r.value(item, entry, key, depth+1)
		v.Set(reflect.Append(v, entry))
	}
}

func (r *reader) scalar(node ast.Node, v reflect.Value, key string) {
	switch n := node.(type) {
	case *ast.StringNode:
		if v.Kind() == reflect.String {
			v.SetString(n.Value)
			return
		}
	case *ast.LiteralNode:
		if v.Kind() == reflect.String && n.Value != nil {
			v.SetString(n.Value.Value)
			return
		}
	case *ast.IntegerNode:
		plain := n.GetToken().Value
		zeros := len(plain) > 1 && plain[0] == '0' // some read 022 as 18
		if i, err := strconv.ParseInt(plain, 10, 32); err == nil && v.Kind() == reflect.Int && i >= 0 && !zeros {
			v.SetInt(i)
			return
		}
	case *ast.BoolNode:
		if v.Kind() == reflect.Bool {
			v.SetBool(n.Value)
			return
		}
	}
	hint := map[reflect.Kind]string{
		reflect.String: "put it in quotes", reflect.Int: "plain digits without quotes, as in 22", reflect.Bool: "write true or false, without quotes",
	}[v.Kind()]
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		hint = "one value, neither a list nor a mapping"
	}
	r.wrong(place(node), hint, "%s: expected %s, found %s", key, wanted(v.Kind()), kind(node))
}

func wanted(k reflect.Kind) string {
	switch k {
	case reflect.Int:
		return "a whole number from 0"
	case reflect.Bool:
		return "true or false"
	}
	return "text"
}

func kind(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return fmt.Sprintf("text (%.40q)", n.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return fmt.Sprintf("a number (%.40s)", n.GetToken().Value)
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.NullNode:
		return "nothing"
	}
	return "something else"
}

func (r *reader) duration(node ast.Node, v reflect.Value, key string) {
	s, ok := node.(*ast.StringNode)
	if !ok {
		r.wrong(place(node), "write it with a unit, as in 30s, 10m or 1h", "%s: expected a duration, found %s", key, kind(node))
		return
	}
	d, err := time.ParseDuration(s.Value)
	if err != nil || !reDuration.MatchString(s.Value) {
		r.wrong(place(node), "write it with a unit, as in 30s, 10m or 1h", "%s: %q is not a duration", key, s.Value)
		return
	}
	v.SetInt(int64(d))
}

func (r *reader) width(node ast.Node, v reflect.Value, key string) {
	w, err := parseWidth(node.GetToken().Value)
	_, isText := node.(*ast.StringNode)
	_, isNumber := node.(*ast.IntegerNode)
	if err != nil || !isText && !isNumber {
		r.wrong(place(node), "a number of hosts such as 2, or a percentage such as 25%", "%s: expected how many hosts, found %s", key, kind(node))
		return
	}
	v.Set(reflect.ValueOf(w))
}

func parseWidth(s string) (Width, error) {
	number, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(number)
	if err != nil || n > MaxHosts || !reWidth.MatchString(s) {
		return Width{}, fault.New(fault.Usage, "%q is not a width", s)
	}
	if percent {
		return Width{Percent: n}, nil
	}
	return Width{Hosts: n}, nil
}

// labels are a list of words or a mapping from word to value.
func (r *reader) labels(node ast.Node, v reflect.Value, key string) {
	labels := map[string]string{}
	if _, isList := node.(*ast.SequenceNode); isList {
		var words []string
		r.list(node, reflect.ValueOf(&words).Elem(), key, 0)
		for _, w := range words {
			labels[w] = ""
		}
	} else {
		for _, pair := range r.pairs(node, key) {
			name, _ := keyText(pair)
			var value string
			r.value(pair.Value, reflect.ValueOf(&value).Elem(), name, 0)
			labels[name] = value
		}
	}
	for name := range labels {
		if !reWord.MatchString(name) {
			r.wrong(place(node), "letters, digits, dots, dashes and underscores", "label %q is not a word", name)
		}
	}
	v.Set(reflect.ValueOf(labels))
}
