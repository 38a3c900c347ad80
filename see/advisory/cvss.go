package advisory

import (
	"math"
	"strings"
)

// CVSS3 gives the severity of a CVSS 3.0 or 3.1 vector's base score (FIRST's specification, section 7); "" for a broken vector or a score of 0.
func CVSS3(vector string) Severity {
	score, ok := cvss3(vector)
	switch {
	case !ok || score == 0:
		return ""
	case score >= 9:
		return Critical
	case score >= 7:
		return High
	case score >= 4:
		return Moderate
	}
	return Low
}

func cvss3(vector string) (float64, bool) {
	m := map[string]string{}
	for _, part := range strings.Split(vector[:min(len(vector), 200)], "/") {
		k, v, _ := strings.Cut(part, ":")
		m[k] = v
	}
	ok := true
	weight := func(metric string, weights map[string]float64) float64 {
		w, known := weights[m[metric]]
		ok = ok && known
		return w
	}
	changed := m["S"] == "C"
	privileges := map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}
	if changed {
		privileges = map[string]float64{"N": 0.85, "L": 0.68, "H": 0.5}
	}
	impacts := map[string]float64{"N": 0, "L": 0.22, "H": 0.56}
	exploit := 8.22 * weight("AV", map[string]float64{"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}) *
		weight("AC", map[string]float64{"L": 0.77, "H": 0.44}) * weight("PR", privileges) * weight("UI", map[string]float64{"N": 0.85, "R": 0.62})
	loss := 1 - (1-weight("C", impacts))*(1-weight("I", impacts))*(1-weight("A", impacts))
	impact := 6.42 * loss
	if changed {
		impact = 7.52*(loss-0.029) - 3.25*math.Pow(loss-0.02, 15)
	}
	if !ok || !changed && m["S"] != "U" {
		return 0, false
	}
	if impact <= 0 {
		return 0, true
	}
	total := impact + exploit
	if changed {
		total *= 1.08
	}
	return roundUp(min(total, 10)), true
}

// roundUp is the specification's Roundup: to one decimal, upwards, without surprises of binary fractions.
func roundUp(x float64) float64 {
	n := int(math.Round(x * 100_000))
	if n%10_000 == 0 {
		return float64(n) / 100_000
	}
	return (math.Floor(float64(n)/10_000) + 1) / 10
}
