package version

import (
	"cmp"
	"strings"

	"staunch/pattern"
)

var alpineForm = pattern.New(`^(\d+(?:\.\d+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(~[0-9a-f]+)?(?:-r(\d+))?$`)

// Alpine orders versions as apk does: numbers, a letter, suffixes (_alpha < _beta < _pre < _rc < none < _cvs < _svn < _git < _hg < _p), -r revision.
// A leading zero in a part after the first makes both sides compare as fractions, as apk does.
func Alpine(a, b string) (int, bool) {
	if !fits(a, b) {
		return 0, false
	}
	x, y := alpineForm.FindStringSubmatch(a), alpineForm.FindStringSubmatch(b)
	if x == nil || y == nil {
		return 0, false
	}
	return cmp.Or(
		alpineNumbers(strings.Split(x[1], "."), strings.Split(y[1], ".")),
		strings.Compare(x[2], y[2]),
		alpineSuffixes(x[3], y[3]),
		number(x[5], y[5]),
	), true
}

func alpineNumbers(a, b []string) int {
	for i := range min(len(a), len(b)) {
		c := number(a[i], b[i])
		if i > 0 && (fraction(a[i]) || fraction(b[i])) {
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func fraction(part string) bool { return len(part) > 1 && part[0] == '0' }

func alpineSuffixes(a, b string) int {
	x, y := strings.Split(a, "_")[1:], strings.Split(b, "_")[1:]
	if a == "" {
		x = nil
	}
	if b == "" {
		y = nil
	}
	for i := range max(len(x), len(y)) {
		wx, nx := alpineSuffix(x, i)
		wy, ny := alpineSuffix(y, i)
		if c := cmp.Or(cmp.Compare(wx, wy), number(nx, ny)); c != 0 {
			return c
		}
	}
	return 0
}

func alpineSuffix(list []string, i int) (weight int, n string) {
	if i >= len(list) {
		return 0, ""
	}
	word, n := cutRun(list[i], letter)
	weights := map[string]int{"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
	return weights[word], n
}
