package patch

import (
	"strings"

	"staunch/see/advisory/version"
	"staunch/see/verdict"
)

// newer compares two versions of one package in the order of the finding's package manager; what cannot be compared is not newer.
func newer(f verdict.Finding, a, b string) bool {
	kind, _, _ := strings.Cut(f.Package, " ")
	compare := version.Debian
	switch kind {
	case "rpm":
		compare = version.RPM
	case "apk":
		compare = version.Alpine
	}
	c, ok := compare(a, b)
	return ok && c > 0
}
