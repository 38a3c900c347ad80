package syntax_test

import (
	"strings"
	"testing"

	"staunch/fault"
	"staunch/reach/fleet/syntax"
)

// TestTextThatWouldCostTooMuchIsRefused: each of these would take gigabytes of memory as a tree.
func TestTextThatWouldCostTooMuchIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind fault.Kind
	}{
		"brackets":      {"hosts: " + strings.Repeat("[", 3_000_000), fault.Usage},
		"braces":        {strings.Repeat("{a: ", 1_000_000), fault.Usage},
		"dashes":        {strings.Repeat("- ", 3_000_000), fault.Usage},
		"tags":          {strings.Repeat("!a ", 300_000), fault.Usage},
		"over lines":    {strings.Repeat("[\n", 200_000), fault.Usage},
		"not nested":    {"a: [" + strings.Repeat("x,", 2_100_000) + "]", fault.Full},
		"within quotes": {`a: "` + strings.Repeat("[", 1000) + `"`, ""},
		"closed again":  {strings.Repeat("- [a, {b: c}]\n", 1000), ""},
	} {
		if _, err := syntax.Parse([]byte(c.text), "f"); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want kind %q", name, err, c.kind)
		}
	}
}

func TestAliasesAreFound(t *testing.T) {
	for text, want := range map[string]bool{"a: &x 1\nb: *x\n": true, "a: [1, {b: [*x]}]\n": true, "a: '*x'\n": false} {
		tree, err := syntax.Parse([]byte(text), "f")
		if err != nil || syntax.Aliased(tree) != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
