package syntax

import (
	"strings"
	"testing"

	"staunch/fault"
)

// TestTextThatWouldCostTooMuchIsRefused: each of these would take gigabytes of memory as a tree.
func TestTextThatWouldCostTooMuchIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind fault.Kind
	}{
		"brackets":      {"hosts: " + strings.Repeat("[", 300_000), fault.Usage},
		"braces":        {strings.Repeat("{a: ", 100_000), fault.Usage},
		"dashes":        {strings.Repeat("- ", 300_000), fault.Usage},
		"tags":          {strings.Repeat("!a ", 300_000), fault.Usage},
		"over lines":    {strings.Repeat("[\n", 100_000), fault.Usage},
		"within quotes": {`a: "` + strings.Repeat("[", 1000) + `"`, ""},
		"closed again":  {strings.Repeat("- [a, {b: c}]\n", 1000), ""},
	} {
		if _, err := Parse([]byte(c.text), "f"); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want kind %q", name, err, c.kind)
		}
	}
}

func TestTextThatSaysTooMuchIsRefused(t *testing.T) {
	text := []byte("a: [" + strings.Repeat("x,", 100) + "x]\n")
	if err := shallow(text, "f", 100); !fault.Is(err, fault.Full) {
		t.Errorf("over 200 tokens where 100 are allowed: %v", err)
	}
	if err := shallow(text, "f", maxTokens); err != nil {
		t.Error(err)
	}
}

func TestAliasesAreFound(t *testing.T) {
	for text, want := range map[string]bool{"a: &x 1\nb: *x\n": true, "a: [1, {b: [*x]}]\n": true, "a: '*x'\n": false} {
		tree, err := Parse([]byte(text), "f")
		if err != nil || Aliased(tree) != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
