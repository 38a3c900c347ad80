package version

import (
	"cmp"
	"strings"
)

// openssl is one of OpenSSL's release numbers, taken apart.
type openssl struct {
	numbers [3]string
	letters string // "", "a" ... "z", "za" ...
	stage   int
	n       string // of the stage
}

// OpenSSL orders OpenSSL's releases: letters go ” < a < ... < z < za, and dev < alpha < pre < beta < rc < the release itself. What
// distributions append ("-fips") does not count.
// "-cvs" stands for the end of a branch: the project's own records use it where a fix was never released.
func OpenSSL(a, b string) (int, bool) {
	x, okX := parseOpenSSL(a)
	y, okY := parseOpenSSL(b)
	if !okX || !okY {
		return 0, false
	}
	for i := range x.numbers {
		if c := number(x.numbers[i], y.numbers[i]); c != 0 {
			return c, true
		}
	}
	return cmp.Or(
		cmp.Compare(len(x.letters), len(y.letters)), strings.Compare(x.letters, y.letters),
		cmp.Compare(x.stage, y.stage), number(x.n, y.n),
	), true
}

func parseOpenSSL(s string) (v openssl, ok bool) {
	if !fits(s) {
		return v, false
	}
	rest := s
	if s[0] == 'v' || s[0] == 'V' {
		rest = s[1:]
	}
	for i := range v.numbers {
		v.numbers[i], rest = digits(rest)
		if v.numbers[i] == "" || len(v.numbers[i]) > 9 {
			return v, false
		}
		if i == 2 || i == 1 && !strings.HasPrefix(rest, ".") {
			break
		}
		if !strings.HasPrefix(rest, ".") {
			return v, false
		}
		rest = rest[1:]
	}
	v.letters, rest = cutRun(rest, func(c byte) bool { return 'a' <= c && c <= 'z' })
	return v.tail(rest)
}

// tail reads what follows the letters: a stage, the end of a branch, or what a distribution appended.
func (v openssl) tail(rest string) (openssl, bool) {
	v.stage = stage("")
	rest, _, _ = strings.Cut(rest, "+")
	if len(v.letters) > 3 || rest != "" && rest[0] != '-' {
		return v, false
	}
	if rest == "-cvs" {
		v.letters = "zzzz"
		return v, true
	}
	for _, part := range strings.Split(rest, "-") {
		word, n := cutRun(part, letter)
		if at := stage(word); word != "" && at < stage("") && v.stage == stage("") {
			v.stage, v.n = at, strings.TrimPrefix(n, ".")
			if run, left := digits(v.n); left != "" || len(run) > 9 {
				return v, false
			}
		}
	}
	return v, debianText(rest, ".-")
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
