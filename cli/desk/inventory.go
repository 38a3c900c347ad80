package desk

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"
)

// person is how the ledger names who types.
func person(env *Env) string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(env.Getenv("USER"), fmt.Sprintf("uid %d", os.Getuid()))
}

// MachineName is what this machine calls itself; "" where it does not say.
func MachineName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// FindFleet reads the inventory: the one named, else the first of the usual places, else this machine alone.
func FindFleet(env *Env, named string) (*fleet.Fleet, error) {
	if named != "" {
		return borrow.File(named)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, fault.New(fault.Denied, "the working directory: %v", err)
	}
	home := env.Getenv("XDG_CONFIG_HOME")
	if h := env.Getenv("HOME"); home == "" && filepath.IsAbs(h) {
		home = filepath.Join(h, ".config")
	}
	for _, place := range fleet.Places(dir, home) {
		f, err := borrow.File(place)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return f, err
		}
	}
	name := MachineName()
	return fleet.Of("this machine alone, as there is no "+fleet.FileName, []fleet.Host{{Name: cmp.Or(name, "localhost"), Via: fleet.ViaLocal}}), nil
}
