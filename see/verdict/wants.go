package verdict

import (
	"staunch/see/advisory"
	"staunch/see/scan"
)

// Wants lists, once each, everything in a report that advisories may speak about: what a catalogue must hold to judge it.
func Wants(report *scan.Report) []advisory.Key {
	j := newJudge(report, advisory.NewCatalogue(), Options{})
	seen := map[advisory.Key]bool{}
	var list []advisory.Key
	want := func(key advisory.Key) {
		if !seen[key] {
			seen[key] = true
			list = append(list, key)
		}
	}
	each := func(subjects []*subject) {
		for _, s := range subjects {
			if s.component.Kind != "package" {
				want(s.upstreamKey())
			}
			if s.own {
				for _, key := range s.packageKeys() {
					want(key)
				}
			}
		}
	}
	for i := range report.Processes {
		if a := j.alikeOf(&report.Processes[i]); !a.wanted {
			a.wanted = true
			each(a.subjects)
		}
	}
	for i := range report.Dormant {
		each(j.subjects(j.asIfStarted(&report.Dormant[i])))
	}
	return list
}
