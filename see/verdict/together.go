package verdict

import (
	"strings"

	"staunch/see/advisory/version"
)

// Together returns the fix that cures all of these findings of one component in one place: the one with the highest version.
// The list must not be empty.
func Together(list []Finding) Fix {
	best := list[0].Fix
	for _, f := range list[1:] {
		if f.Fix.Kind != best.Kind || f.Fix.Package != best.Package || f.Fix.Version == "" {
			continue
		}
		if best.Version == "" {
			best = f.Fix
			continue
		}
		if n, ok := orderOf(f)(f.Fix.Version, best.Version); ok && n > 0 {
			best = f.Fix
		}
	}
	return best
}

// orderOf is the order of the numbers in a finding's fix.
func orderOf(f Finding) version.Order {
	kind, _, _ := strings.Cut(f.Package, " ")
	switch {
	case f.Fix.Package == "":
		return version.Upstream(f.Component)
	case kind == "rpm":
		return version.RPM
	case kind == "apk":
		return version.Alpine
	}
	return version.Debian
}
