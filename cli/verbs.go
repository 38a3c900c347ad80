package cli

import (
	"staunch/cli/advisories"
	"staunch/cli/cert"
	"staunch/cli/hosts"
	"staunch/cli/incident"
	"staunch/cli/ledger"
	"staunch/cli/outside"
	"staunch/cli/plan"
	"staunch/cli/scan"

	"github.com/spf13/cobra"
)

// chapter is a part of the work, as help tells it: what to look at, what to change, what keeps it together.
type chapter struct {
	title string
	verbs []func(*Env) *cobra.Command
}

// chapters lists every top-level command in the order of a night; one line a verb, one file a verb.
func chapters() []chapter {
	return []chapter{
		{"See what is wrong:", []func(*Env) *cobra.Command{scan.NewHeard, scan.New, outside.NewProbe, outside.NewWhy, advisories.New}},
		{"Lead a fleet out of it:", []func(*Env) *cobra.Command{incident.New, plan.NewBuild, plan.New, plan.NewApprove, cert.New, ledger.NewTimeline}},
		{"Reach machines, keep the record:", []func(*Env) *cobra.Command{hosts.New, hosts.NewDo, ledger.New, advisories.NewBundle}},
	}
}
