// Package version tells which of two versions is older, in the order of their own ecosystem.
package version

import (
	"cmp"
	"strings"
)

// maxLength bounds what is taken as a version; longer texts are none.
const maxLength = 256

// Order compares two versions of one ecosystem: negative when a is older. ok is false where one of them is no version there,
// and then the number means nothing.
type Order func(a, b string) (n int, ok bool)

// For returns the order of a canonical ecosystem ("debian:12", "npm"); for "" and unknown ones the order of upstream's release numbers.
func For(ecosystem string) Order {
	family, _, _ := strings.Cut(ecosystem, ":")
	switch family {
	case "debian", "ubuntu", "raspbian":
		return Debian
	case "rhel", "rocky", "almalinux", "fedora", "centos", "suse", "opensuse", "amzn", "ol":
		return RPM
	case "alpine", "wolfi", "chainguard":
		return Alpine
	case "npm", "crates.io":
		return Semver
	case "Go":
		return Go
	case "PyPI":
		return PyPI
	case "Maven":
		return Maven
	case "RubyGems":
		return Gem
	}
	return Plain
}

// Upstream returns the order of an upstream component's own release numbers.
func Upstream(component string) Order {
	switch component {
	case "openssl":
		return OpenSSL
	case "python":
		return PyPI
	}
	return Plain
}

// number compares two runs of digits without ever overflowing.
func number(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func digit(c byte) bool  { return '0' <= c && c <= '9' }
func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// digits splits s after its leading run of digits.
func digits(s string) (run, rest string) { return cutRun(s, digit) }

func cutRun(s string, in func(byte) bool) (run, rest string) {
	i := 0
	for i < len(s) && in(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// numbers compares dotted numbers part by part; missing parts count as zero.
func numbers(a, b []string) int {
	for i := range max(len(a), len(b)) {
		x, y := "0", "0"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := number(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func fits(list ...string) bool {
	for _, s := range list {
		if s == "" || len(s) > maxLength {
			return false
		}
	}
	return true
}
