package version

import (
	"cmp"
	"regexp"
	"strings"
)

// opensslForm is every release number that OpenSSL has used, with the additions of distributions ("-fips").
var opensslForm = regexp.MustCompile(`^[vV]?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?([a-z]{0,3})(?:-(dev|alpha|pre|beta|rc)[.-]?(\d{0,9}))?(-[0-9a-z.-]*)?(\+[0-9A-Za-z.-]*)?$`)

// OpenSSL orders OpenSSL's releases: letters go ” < a < ... < z < za, and dev < alpha < pre < beta < rc < the release itself.
func OpenSSL(a, b string) (int, bool) {
	if !fits(a, b) {
		return 0, false
	}
	x, y := opensslForm.FindStringSubmatch(a), opensslForm.FindStringSubmatch(b)
	if x == nil || y == nil {
		return 0, false
	}
	for _, m := range [][]string{x, y} {
		if m[7] == "-cvs" {
			m[4] = "zzzz"
		}
	}
	return cmp.Or(
		numbers(x[1:4], y[1:4]),
		cmp.Compare(len(x[4]), len(y[4])),
		strings.Compare(x[4], y[4]),
		cmp.Compare(stage(x[5]), stage(y[5])),
		number(x[6], y[6]),
	), true
}

func stage(word string) int {
	switch word {
	case "dev":
		return 0
	case "alpha":
		return 1
	case "pre":
		return 2
	case "beta":
		return 3
	case "rc":
		return 4
	}
	return 5
}
