package cli

import "github.com/spf13/cobra"

// chapter is a part of the work, as help tells it: what to look at, what to change, what keeps it together.
type chapter struct {
	title string
	verbs []func(*Env) *cobra.Command
}

// chapters lists every top-level command in the order of a night; one line a verb, one file a verb.
func chapters() []chapter {
	return []chapter{
		{"See what is wrong:", []func(*Env) *cobra.Command{newHeard, newScan, newProbe, newWhy, newAdvisories}},
		{"Lead a fleet out of it:", []func(*Env) *cobra.Command{newIncident, newBuild, newPlan, newApprove, newCert, newTimeline}},
		{"Reach machines, keep the record:", []func(*Env) *cobra.Command{newHosts, newDo, newLedger, newBundle}},
	}
}
