package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"staunch/fault"
	"staunch/see/advisory"
	"staunch/see/advisory/feed"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// systemAdvisories is where root's updates lie, for everybody to read.
const systemAdvisories = "/var/lib/staunch/advisories"

// advisoriesDir is where fetched advisories are written: the state directory's own.
func advisoriesDir(env *Env) (string, error) {
	dir, err := stateDir(env)
	if err != nil {
		return "", fault.From(err, fault.Usage).Hinted("set HOME or XDG_DATA_HOME")
	}
	return filepath.Join(dir, "advisories"), nil
}

// advisoryStore is what scans read.
func advisoryStore(env *Env) *feed.Store {
	dir, err := storeDir(env)
	if err != nil {
		dir = systemAdvisories
	}
	return feed.Open(dir)
}

// storeDir is the first that exists of: this user's own advisories, those bundled with the program, the machine's.
func storeDir(env *Env) (string, error) {
	dir, err := advisoriesDir(env)
	if err == nil {
		if _, err = os.Stat(dir); err == nil {
			return dir, nil
		}
	}
	if bundled, ok := bundledAdvisories(); ok {
		return bundled, nil
	}
	_, err = os.Stat(systemAdvisories)
	return systemAdvisories, err
}

// loadRules loads only what a scan has to ask the objects.
func loadRules(env *Env) *advisory.Catalogue { return loadInto(env, advisory.BuiltinRules(), nil, "") }

// loadCatalogue loads the built-in catalogue and, of what was fetched or added, only what speaks about the wanted things, and the one asked about.
// A broken source is said on stderr and left out.
func loadCatalogue(env *Env, keys []advisory.Key, id string) (*advisory.Catalogue, error) {
	set, err := advisory.Builtin()
	if err != nil {
		return nil, err
	}
	return loadInto(env, set, keys, id), nil
}

func loadInto(env *Env, set advisory.Set, keys []advisory.Key, id string) *advisory.Catalogue {
	store := advisoryStore(env)
	var ids []string
	if id != "" {
		ids = append(ids, id)
		if a, ok := advisory.NewCatalogue(set).Find(id); ok {
			ids = []string{a.ID}
		}
	}
	sets, broken := store.Load(keys, ids...)
	for _, err := range broken {
		fmt.Fprintf(env.Stderr, "warning: %s\n", tame.Line(err.Error()))
		if hint := fault.HintOf(err); hint != "" {
			fmt.Fprintf(env.Stderr, "hint: %s\n", tame.Line(hint))
		}
	}
	c := advisory.NewCatalogue(append([]advisory.Set{set}, sets...)...)
	store.Mark(c)
	return c
}

// completeBuiltin offers the names and ids that are built in.
func completeBuiltin(cmd *cobra.Command) {
	completeWith(cmd, "advisory", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		set, err := advisory.Builtin()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // completion is a comfort; the verb itself reports a broken catalogue
		}
		var words []string
		for _, a := range set.Advisories {
			words = append(words, a.ID)
			words = append(words, a.Names...)
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	})
}
