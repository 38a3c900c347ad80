package patch_test

import (
	"fmt"
	"testing"

	"staunch/mend/patch"
	"staunch/reach/fleet"
	"staunch/see/scan"
	"staunch/see/verdict"
	"staunch/steer/plan"
)

// BenchmarkPlan plans for 10,000 hosts of 300 processes each, of which 20 hold the component, holds the plan to its rules and seals it.
func BenchmarkPlan(b *testing.B) {
	const hosts, processes, holding = 10_000, 300, 20
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Order: 0, Quorum: 1}, {Name: "staging", Order: 1, Quorum: 1}, {Name: "production", Order: 2, Quorum: 2, Width: fleet.Width{Percent: 10}}}}
	w := patch.Wish{ID: "7.1", Incident: "7", Title: "fix it", Advisories: []string{bug}, Now: start, Fleet: f}
	for i := range hosts {
		ring := "production"
		if i < 10 {
			ring = "canary"
		} else if i < 500 {
			ring = "staging"
		}
		name := fmt.Sprintf("host%05d", i)
		f.Hosts = append(f.Hosts, fleet.Host{Name: name, Ring: ring})
		doc := &verdict.Document{Report: scan.Report{Host: name, Processes: make([]scan.Process, processes)}}
		for p := range holding {
			doc.Findings = append(doc.Findings, finding(fmt.Sprintf("unit%d.service", p%5), verdict.FixUpgrade, []string{"public", "internal"}[p%2]))
		}
		w.Hosts = append(w.Hosts, patch.Host{Name: name, Doc: doc})
	}
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := patch.Plan(w); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plan, rules, seal", func(b *testing.B) {
		for b.Loop() {
			p, world, err := patch.Plan(w)
			if err != nil {
				b.Fatal(err)
			}
			if err := plan.Refuse(plan.Lint(&p, world)); err != nil {
				b.Fatal(err)
			}
			sealed, err := plan.Seal(p)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(p.Steps)), "steps")
			b.ReportMetric(float64(len(sealed.Bytes))/1e6, "MB")
			b.ReportMetric(float64(sealed.Header.Leaves), "leaves")
		}
	})
}
