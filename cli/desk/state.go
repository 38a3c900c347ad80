package desk

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ledger/sqlite"
)

// StateDir is where staunch keeps what must not be lost: /var/lib/staunch for root, else $XDG_DATA_HOME/staunch.
func StateDir(env *Env) (string, error) {
	if dir := env.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "staunch"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/staunch", nil
	}
	if home := env.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "staunch"), nil
	}
	return "", fault.New(fault.Usage, "where to keep the ledger is not known: neither XDG_DATA_HOME nor HOME is set").Hinted("name a file with --ledger")
}

// LedgerPath is the ledger's file: the one named by --ledger, else ledger.db in the state directory.
func LedgerPath(env *Env, named string) (string, error) {
	if named != "" {
		return filepath.Abs(named)
	}
	dir, err := StateDir(env)
	return filepath.Join(dir, "ledger.db"), err
}

// OpenLedger opens the ledger; writers wait a moment for each other, readers never.
func OpenLedger(ctx context.Context, env *Env, named string, reader bool) (*sqlite.Store, error) {
	path, err := LedgerPath(env, named)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, sqlite.Options{Path: path, Who: "staunch " + commandWords(env.Args), Wait: 3 * time.Second, Reader: reader})
}

// commandWords is the command line without flags and what may be long or private in it.
func commandWords(args []string) string {
	var words []string
	for _, a := range args {
		if strings.HasPrefix(a, "-") || len(words) == 3 {
			break
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// ScanCache is where analysed objects are kept: $XDG_CACHE_HOME/staunch, "" without a home.
func ScanCache(env *Env) string {
	if dir := env.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "staunch")
	}
	if home := env.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "staunch")
	}
	return ""
}
