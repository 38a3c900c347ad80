// Package packages changes installed packages to exact versions through the machine's own package manager, and nothing else with them.
package packages

import (
	"context"
	"fmt"
	"strings"

	"staunch/fault"
)

// Package is one package in one version, as the manager names it.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch,omitempty"`
}

func (p Package) String() string {
	if p.Arch == "" {
		return p.Name + " " + p.Version
	}
	return p.Name + ":" + p.Arch + " " + p.Version
}

// Change is what a transaction does to one package. From "" means: newly installed; To "" means: removed.
type Change struct {
	Name string `json:"name"`
	Arch string `json:"arch,omitempty"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

func (c Change) String() string {
	switch {
	case c.From == "":
		return "install " + c.Name + " " + c.To
	case c.To == "":
		return "remove " + c.Name + " " + c.From
	}
	return c.Name + " " + c.From + " -> " + c.To
}

// Installed is the present state of one package.
type Installed struct {
	Package
	Held   bool   `json:"held,omitempty"`
	Broken string `json:"broken,omitempty"` // half-installed, half-configured ...: dpkg was interrupted
}

// Run runs a program without a shell and returns its output's lines; the error tells of a bad end.
type Run func(ctx context.Context, stdin []byte, env []string, argv ...string) ([]string, error)

// Manager is one package manager.
type Manager interface {
	// Installed tells about the named packages; those that are not installed are left out. Names may carry ":arch".
	Installed(ctx context.Context, names []string) ([]Installed, error)
	// Simulate tells everything that the manager would do to reach the wanted versions, and changes nothing.
	Simulate(ctx context.Context, want []Package, downgrade bool) ([]Change, error)
	// Apply does it, without questions, without restarts, without removals.
	Apply(ctx context.Context, want []Package, downgrade bool) error
	// Refresh reads the package sources again.
	Refresh(ctx context.Context) error
	// Saver keeps old package files and brings them back.
	Saver
}

// Offerer is a manager that can say which versions its package sources have.
type Offerer interface {
	// Offers lists them for the named packages, as the sources were read last.
	Offers(ctx context.Context, names []string) ([]Package, error)
}

// Saver is what undo needs.
type Saver interface {
	// CanSave says for each package whether its file can be had, without fetching it; why is for the others.
	CanSave(ctx context.Context, have []Package) (why []string)
	// Save puts the package files into dir.
	Save(ctx context.Context, have []Package, dir string) error
	// Restore installs exactly the package files that lie in dir.
	Restore(ctx context.Context, dir string) error
}

// Allowed holds a simulated transaction against what was asked: every change must be one that is named, in that version; nothing
// is removed; nothing goes down unless that is meant; and everything asked for must be reached.
func Allowed(changes []Change, want, also []Package, installed []Installed) error {
	named := map[string]string{}
	for _, p := range append(append([]Package{}, want...), also...) {
		named[p.Name] = p.Version
	}
	var unasked []string
	for _, c := range changes {
		switch version, ok := named[c.Name]; {
		case c.To == "":
			return fault.New(fault.Denied, "this would remove %s %s: an upgrade never removes anything", c.Name, c.From)
		case !ok:
			unasked = append(unasked, c.String())
		case version != c.To:
			return fault.New(fault.Conflict, "%s would become %s, not %s", c.Name, c.To, version)
		}
	}
	if len(unasked) > 0 {
		return fault.New(fault.Denied, "this would also change what was not asked for: %s", strings.Join(unasked, ", ")).
			Hinted("name what must come along, in exact versions")
	}
	return reached(changes, want, installed)
}

func reached(changes []Change, want []Package, installed []Installed) error {
	will := map[string]string{}
	for _, p := range installed {
		will[p.Name] = p.Version
	}
	for _, c := range changes {
		will[c.Name] = c.To
	}
	for _, p := range want {
		if will[p.Name] != p.Version {
			return fault.New(fault.Conflict, "%s %s cannot be reached: it would be %q", p.Name, p.Version, will[p.Name])
		}
	}
	return nil
}

// Pick returns the manager of a machine. name "" asks the machine: has tells whether a program is there.
func Pick(name string, run Run, has func(program string) bool, root string) (Manager, error) {
	known := []struct {
		name, program string
		make          func() Manager
	}{
		{"apt", "apt-get", func() Manager { return apt{run, root} }},
		{"dnf", "dnf", func() Manager { return dnf{run, root} }},
		{"zypper", "zypper", func() Manager { return zypper{run, root} }},
		{"apk", "apk", func() Manager { return apk{run, root} }},
	}
	for _, k := range known {
		if (name == "" || name == k.name) && has(k.program) {
			return k.make(), nil
		}
	}
	if name == "" {
		return nil, fault.New(fault.Unsupported, "this host has none of apt, dnf, zypper, apk")
	}
	return nil, fault.New(fault.Unsupported, "this host has no %s", name)
}

func spell(format string, packages []Package) []string {
	var args []string
	for _, p := range packages {
		args = append(args, fmt.Sprintf(format, p.Name, p.Version))
	}
	return args
}
