package version

import (
	"cmp"
	"strings"

	"staunch/pattern"
)

var semverForm = pattern.New(`^[=vV]*(\d+)(?:\.(\d+))?(?:\.(\d+))?((?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]*)?$`)

// Semver orders versions of npm and crates.io: three numbers, then a pre-release that sorts below the release; build data is ignored.
func Semver(a, b string) (int, bool) {
	if !fits(a, b) {
		return 0, false
	}
	x, y := semverForm.FindStringSubmatch(a), semverForm.FindStringSubmatch(b)
	if x == nil || y == nil {
		return 0, false
	}
	return cmp.Or(numbers(semverNumbers(x), semverNumbers(y)), semverPre(x[5], y[5])), true
}

func semverNumbers(m []string) []string {
	list := []string{m[1], m[2], m[3]}
	if m[4] != "" {
		list = append(list, strings.Split(m[4][1:], ".")...)
	}
	return list
}

func semverPre(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(min(len(b), 1), min(len(a), 1))
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if c := semverWord(x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

func semverWord(a, b string) int {
	_, restA := digits(a)
	_, restB := digits(b)
	numA, numB := a != "" && restA == "", b != "" && restB == ""
	switch {
	case numA && numB:
		return number(a, b)
	case numA:
		return -1
	case numB:
		return 1
	}
	return strings.Compare(a, b)
}

// Go orders module versions: semver with "v", pseudo-versions being pre-releases of the next version; the toolchain's "go1.22.3" and
// "go1.22rc1" forms as well. "(devel)" and "" are no versions.
func Go(a, b string) (int, bool) {
	x, okX := goForm(a)
	y, okY := goForm(b)
	if !okX || !okY {
		return 0, false
	}
	return Semver(x, y)
}

var goToolchain = pattern.New(`^(?:go)?(\d+\.\d+)(?:\.(\d+))?(?:(rc|beta)(\d+))?$`)

func goForm(s string) (string, bool) {
	s, _, _ = strings.Cut(s, " ")
	m := goToolchain.FindStringSubmatch(s)
	if m == nil {
		return s, true
	}
	out := m[1] + "." + cmp.Or(m[2], "0")
	if m[3] != "" {
		out += "-" + m[3] + "." + m[4]
	}
	return out, true
}
