package cli

import "github.com/spf13/cobra"

// verbs lists every top-level command; one line a verb, one file a verb.
func verbs() []func(*Env) *cobra.Command {
	return []func(*Env) *cobra.Command{
		newAdvisories,
		newApprove,
		newCert,
		newDo,
		newHeard,
		newHosts,
		newIncident,
		newLedger,
		newPlan,
		newProbe,
		newScan,
		newTimeline,
		newBundle,
		newWhy,
	}
}
