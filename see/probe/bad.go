package probe

import (
	"staunch/see/probe/grade"
)

// Live is the one live probe that staunch has; an advisory's rule names it.
const Live = "heartbleed"

// Bad tells whether what was seen is vulnerable, graded F, below the least letter asked for ("": none), or another key than expected.
func Bad(r Result, least string) bool {
	if r.Heartbleed.Verdict == Vulnerable || r.ExpectSPKI == "different" {
		return true
	}
	for _, f := range r.Flaws {
		if f.Verdict == "vulnerable" {
			return true
		}
	}
	return r.Grade != nil && (r.Grade.Letter == "F" || least != "" && grade.Below(r.Grade.Letter, least))
}
