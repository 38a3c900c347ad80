package phrase_test

import (
	"strings"
	"testing"

	"staunch/phrase"
)

func TestNumbersAndLists(t *testing.T) {
	for n, want := range map[int]string{0: "0 hosts", 1: "1 host", 7: "7 hosts"} {
		if got := phrase.Count(n, "host", "hosts"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	list := []string{"a", "b", "c"}
	if got := strings.Join(phrase.Some(list, 3), ", "); got != "a, b, c" {
		t.Errorf("three of three: %q", got)
	}
	if got := strings.Join(phrase.Some(list, 1), ", "); got != "a, and 2 more" || list[1] != "b" {
		t.Errorf("one of three: %q, and the list is %q", got, list)
	}
}
