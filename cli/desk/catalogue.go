package desk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"staunch/fault"
	"staunch/see/advisory"
	"staunch/see/advisory/feed"

	"github.com/spf13/cobra"
)

// systemAdvisories is where root's updates lie, for everybody to read.
const systemAdvisories = "/var/lib/staunch/advisories"

// BundleMark is the file that tells a directory of advisories beside the program from somebody's own directory of that name.
const BundleMark = ".staunch-bundle"

// AdvisoriesDir is where fetched advisories are written: the state directory's own.
func AdvisoriesDir(env *Env) (string, error) {
	dir, err := StateDir(env)
	if err != nil {
		return "", fault.From(err, fault.Usage).Hinted("set HOME or XDG_DATA_HOME")
	}
	return filepath.Join(dir, "advisories"), nil
}

// AdvisoryStore is what scans read.
func AdvisoryStore(env *Env) *feed.Store {
	dir, err := StoreDir(env)
	if err != nil {
		dir = systemAdvisories
	}
	return feed.Open(dir)
}

// StoreDir is the first that exists of: this user's own advisories, those bundled with the program, the machine's.
func StoreDir(env *Env) (string, error) {
	dir, err := AdvisoriesDir(env)
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

// closed tells that only the machine's advisories are left to this user, and that they may not be read.
func closed(env *Env) bool {
	_, err := StoreDir(env)
	return errors.Is(err, fs.ErrPermission)
}

// LoadRules loads only what a scan has to ask the objects.
func LoadRules(env *Env) *advisory.Catalogue { return loadInto(env, advisory.BuiltinRules(), nil, "") }

// LoadCatalogue loads the built-in catalogue and, of what was fetched or added, only what speaks about the wanted things, and the one asked about.
// A broken source is said on stderr and left out.
func LoadCatalogue(env *Env, keys []advisory.Key, id string) (*advisory.Catalogue, error) {
	set, err := advisory.Builtin()
	if err != nil {
		return nil, err
	}
	return loadInto(env, set, keys, id), nil
}

func loadInto(env *Env, set advisory.Set, keys []advisory.Key, id string) *advisory.Catalogue {
	store := AdvisoryStore(env)
	if closed(env) {
		env.Warn(fault.New(fault.Denied, "the machine's advisories in %s may not be read by this user", systemAdvisories).
			Hinted("fetch your own (staunch advisories update), or let root open that directory to everybody"))
		return advisory.NewCatalogue(set)
	}
	var ids []string
	if id != "" {
		ids = append(ids, id)
		if a, ok := advisory.NewCatalogue(set).Find(id); ok {
			ids = []string{a.ID}
		}
	}
	sets, broken := store.Load(keys, ids...)
	for _, err := range broken {
		env.Warn(err)
	}
	c := advisory.NewCatalogue(append([]advisory.Set{set}, sets...)...)
	store.Mark(c)
	return c
}

// CompleteBuiltin offers the names and ids that are built in.
func CompleteBuiltin(cmd *cobra.Command) {
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

// bundledAdvisories is the directory that came along with the program, if it did.
func bundledAdvisories() (string, bool) {
	self, err := os.Executable()
	if err != nil {
		return "", false
	}
	dir := filepath.Join(filepath.Dir(self), "advisories")
	_, err = os.Stat(filepath.Join(dir, BundleMark))
	return dir, err == nil
}

// MustKnow refuses the name of an advisory that is not loaded.
func MustKnow(c *advisory.Catalogue, id string) error {
	if _, ok := c.Find(id); ok {
		return nil
	}
	return fault.New(fault.NotFound, "no advisory %q is loaded", id).
		Hinted("staunch advisories update fetches the public ones, staunch advisories add FILE takes one from a file; before an id exists: staunch heard %q", id)
}
