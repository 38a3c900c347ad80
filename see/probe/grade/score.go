package grade

import (
	"strings"

	"staunch/see/probe/hello"
)

// step is one row of a table: values below under are worth points.
type step struct{ under, points int }

// The tables of the guide. Source: SSL Labs SSL Server Rating Guide 2009q with rule 2009r, as testssl.sh implements it.

func versionPoints(version uint16) int {
	return map[uint16]int{hello.SSL20: 0, hello.SSL30: 80, hello.TLS10: 90, hello.TLS11: 95, hello.TLS12: 100, hello.TLS13: 100}[version]
}

func primePoints() []step  { return []step{{512, 20}, {1024, 40}, {2048, 80}, {4096, 90}} }
func curvePoints() []step  { return []step{{110, 20}, {123, 40}, {163, 80}, {225, 90}} }
func cipherPoints() []step { return []step{{1, 0}, {128, 20}, {256, 80}} }

func points(value int, table []step) int {
	for _, s := range table {
		if value < s.under {
			return s.points
		}
	}
	return 100
}

// protocolScore is the mean of the best and the worst version.
func (f Facts) protocolScore() int {
	best, worst := 0, 100
	for _, v := range f.Versions {
		p := versionPoints(v.Number)
		best, worst = max(best, p), min(worst, p)
	}
	return (best + min(best, worst)) / 2
}

// exchangeScore is the weakest of the certificate's key, the curves and the prime of DHE suites; anonymous suites prove nothing and count 0.
// The finite-field groups of TLS 1.3 count only where no curve is offered: no client prefers them, and testssl.sh does not count them.
func (f Facts) exchangeScore() int {
	if _, anonymous := first(f.suites(hello.SSL30, hello.TLS12), hello.Suite.Anonymous); anonymous {
		return 0
	}
	score, curves, fields := keyPoints(f.Key), false, 100
	for _, g := range f.Groups {
		switch group := hello.GroupNamed(g); {
		case group.Bits == 0:
		case group.DH:
			fields = min(fields, points(group.Bits, primePoints()))
		default:
			curves = true
			score = min(score, points(group.Bits, curvePoints()))
		}
	}
	if !curves {
		score = min(score, fields)
	}
	if f.DHBits > 0 {
		score = min(score, points(f.DHBits, primePoints()))
	}
	return score
}

func keyPoints(k Key) int {
	switch {
	case k.Type == "RSA" || k.Type == "DSA":
		return points(k.Bits, primePoints())
	case k.Type == "ECDSA" || k.Type == "Ed25519" || k.Type == "Ed448":
		return points(k.Bits, curvePoints())
	case strings.HasPrefix(k.Type, "ML-DSA"):
		return points(k.Bits, []step{{4032 * 8, 90}})
	}
	return 100 // a key of a kind that the guide does not know is not judged by its size
}

// cipherScore is the mean of the strongest and the weakest suite.
func (f Facts) cipherScore() int {
	strongest, weakest := 0, 1<<30
	note := func(bits int) { strongest, weakest = max(strongest, bits), min(weakest, bits) }
	for _, s := range f.suites(hello.SSL30, hello.TLS13) {
		note(s.Bits())
	}
	for _, v := range f.Versions {
		for _, id := range v.V2 {
			_, bits := hello.V2Suite(id)
			note(bits)
		}
	}
	if weakest == 1<<30 {
		return 0
	}
	return (points(strongest, cipherPoints()) + points(weakest, cipherPoints())) / 2
}

// letterOf turns a score into a letter.
func letterOf(score int) string {
	for _, l := range []struct {
		from   int
		letter string
	}{{80, "A"}, {65, "B"}, {50, "C"}, {35, "D"}, {20, "E"}} {
		if score >= l.from {
			return l.letter
		}
	}
	return "F"
}
