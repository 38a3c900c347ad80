package version

import "strings"

// Line names a line of releases: the first number of a version; for OpenSSL the branch, "1.0.1" or "3.0".
func Line(component, v string) string {
	parts := strings.SplitN(v, ".", 4)
	keep := 1
	if component == "openssl" {
		keep = 2
		if len(parts) > 2 && (parts[0] == "0" || parts[0] == "1") {
			keep = 3
			parts[2], _, _ = strings.Cut(parts[2], "-")
			parts[2] = strings.TrimRight(parts[2], "abcdefghijklmnopqrstuvwxyz")
		}
	}
	return strings.Join(parts[:min(keep, len(parts))], ".")
}

// Unpackaged cuts epoch, revision and repacking marks off a package's version.
func Unpackaged(v string) string {
	if _, rest, has := strings.Cut(v, ":"); has {
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v = v[:i]
	}
	v, _, _ = strings.Cut(v, "+")
	return strings.TrimRight(v, "~")
}
