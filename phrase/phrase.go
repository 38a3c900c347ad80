// Package phrase words numbers and lists for sentences.
package phrase

import (
	"fmt"
	"slices"
)

// Count words a number of things: "1 host", "7 hosts".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Some shortens a list for a sentence: what is over most becomes "and N more".
func Some(list []string, most int) []string {
	if len(list) <= most {
		return list
	}
	return append(slices.Clone(list[:most]), fmt.Sprintf("and %d more", len(list)-most))
}
