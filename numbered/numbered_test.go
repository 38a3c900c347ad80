package numbered_test

import (
	"slices"
	"testing"

	"staunch/numbered"
)

func TestEqualThingsHaveOneNumber(t *testing.T) {
	var words numbered.Table[string]
	if a, b, again := words.Of("a"), words.Of("b"), words.Of("a"); a != 0 || b != 1 || again != 0 || !slices.Equal(words.All, []string{"a", "b"}) {
		t.Errorf("%d %d %d, %q", a, b, again, words.All)
	}
	if _, known := words.Known("c"); known || len(words.All) != 2 {
		t.Errorf("asking made a number: %q", words.All)
	}
	var lists numbered.Lists
	one := []int32{1, 2}
	first := lists.Of(one)
	one[0] = 9
	if lists.Of([]int32{1, 2}) != first || lists.Of(one) == first || lists.Of(nil) != lists.Of([]int32{}) || !slices.Equal(lists.All[first], []int32{1, 2}) {
		t.Errorf("%v", lists.All)
	}
}
