// Package deed is the acts that are about neither units nor hooks nor files: packages, the machine, one process, keys.
package deed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/packages"
)

// Upgrade brings packages to exact versions.
type Upgrade struct{ With *act.UpgradeWith }

// upgradeSeen is the record: what was (or is) installed.
type upgradeSeen struct {
	Packages []packages.Installed `json:"packages"`
	Changes  []packages.Change    `json:"changes,omitempty"` // what the manager said it would do
	Unsaved  []string             `json:"unsaved,omitempty"` // why an old package file cannot be had
}

func (u Upgrade) manager(b *bench.Bench) (packages.Manager, error) {
	run := func(ctx context.Context, stdin []byte, env []string, argv ...string) ([]string, error) {
		return b.Run(ctx, bench.Command{Argv: argv, Env: env, Stdin: stdin, Root: b.Chroot, Output: 4 << 20})
	}
	has := func(program string) bool { _, err := bench.LookPath(b.Chroot, program); return err == nil }
	return packages.Pick(u.With.Manager, run, has, b.Chroot)
}

func wanted(list []act.Package) []packages.Package {
	var found []packages.Package
	for _, p := range list {
		found = append(found, packages.Package{Name: p.Name, Version: p.Version, Arch: p.Arch})
	}
	return found
}

// names are those that are asked about: with the architecture only where the order gives one.
func names(list []packages.Package) []string {
	var found []string
	for _, p := range list {
		found = append(found, p.Name)
	}
	return found
}

// Check tells exactly what the package manager would do, and refuses what was not asked for.
func (u Upgrade) Check(ctx context.Context, b *bench.Bench) (act.Preview, error) {
	for _, p := range slices.Concat(u.With.Packages, u.With.Also) {
		if err := b.Policy.Package(p.Name); err != nil {
			return act.Preview{}, err
		}
	}
	m, err := u.manager(b)
	if err != nil {
		return act.Preview{}, err
	}
	want, also := wanted(u.With.Packages), wanted(u.With.Also)
	seen := upgradeSeen{}
	if seen.Packages, err = m.Installed(ctx, names(slices.Concat(want, also))); err != nil {
		return act.Preview{}, err
	}
	seen.Packages = slices.DeleteFunc(seen.Packages, func(p packages.Installed) bool { return !meant(p, slices.Concat(want, also)) })
	p := act.Preview{}
	if u.reached(seen.Packages) == nil {
		p.Already, p.Says, p.Undo, p.Finds = true, []string{"every package is installed in the wanted version"}, "cannot be undone: nothing is done", bench.Encode(seen)
		return p, nil
	}
	if err := u.fit(seen.Packages); err != nil {
		return p, err
	}
	broken := brokenOf(seen.Packages)
	var unknown error
	if len(broken) == 0 {
		seen.Changes, err = m.Simulate(ctx, slices.Concat(want, also), u.With.Downgrade)
		if err == nil {
			err = packages.Allowed(seen.Changes, want, also, seen.Packages)
		}
		if err != nil && !u.With.Refresh {
			return p, fault.From(err, fault.Conflict).Hinted("%s", cmp.Or(fault.HintOf(err), wayOut(err)))
		}
		unknown = err
	}
	seen.Unsaved = m.CanSave(ctx, u.changing(seen))
	p = u.tell(b, seen, broken)
	if doubt := packages.Doubt(m); doubt != "" {
		p.Warns = append(p.Warns, doubt)
	}
	if err := u.offers(ctx, m, &p); err != nil {
		p.Warns = append(p.Warns, "which versions the package sources have cannot be told: "+err.Error())
	}
	if unknown != nil {
		p.Warns = append(p.Warns, "as the package sources stand now this cannot be done: "+unknown.Error()+"; they are read again first, and it is refused if that stays so")
	}
	return p, nil
}

func wayOut(err error) string {
	if strings.Contains(strings.ToLower(err.Error()), "downgrade") {
		return "a wanted version is older than the installed one: --downgrade says that it is meant"
	}
	return "are the package sources up to date? refresh reads them again first"
}

// offers notes which versions could be had, so that a plan may name one that exists.
func (u Upgrade) offers(ctx context.Context, m packages.Manager, p *act.Preview) error {
	from, can := m.(packages.Offerer)
	if !can {
		return nil
	}
	found, err := from.Offers(ctx, names(wanted(u.With.Packages)))
	for _, f := range found {
		p.Offers = append(p.Offers, act.Package{Name: f.Name, Version: f.Version})
	}
	return err
}

// meant keeps other architectures of the same name out.
func meant(p packages.Installed, want []packages.Package) bool {
	return slices.ContainsFunc(want, func(w packages.Package) bool {
		return w.Name == p.Name && (w.Arch == "" || w.Arch == p.Arch)
	})
}

// fit refuses what an upgrade is not: packages that are not installed, and held ones.
func (u Upgrade) fit(installed []packages.Installed) error {
	for _, w := range u.With.Packages {
		at := slices.IndexFunc(installed, func(p packages.Installed) bool { return p.Name == w.Name })
		if at < 0 {
			return fault.New(fault.NotFound, "package %s is not installed: an upgrade installs nothing new", w.Name)
		}
		if installed[at].Held && installed[at].Version != w.Version {
			return bench.Denied("package %s is held at %s on this host", w.Name, installed[at].Version).Hinted("whoever holds it must let it go (apt-mark unhold)")
		}
	}
	return nil
}

func (u Upgrade) reached(installed []packages.Installed) error {
	for _, w := range slices.Concat(u.With.Packages, u.With.Also) {
		found := false
		for _, p := range installed {
			if p.Name != w.Name || w.Arch != "" && p.Arch != w.Arch {
				continue
			}
			found = true
			if p.Version != w.Version || p.Broken != "" {
				return fault.New(fault.Conflict, "%s is installed in %s%s, not in %s", p.Name, p.Version, brokenSays(p), w.Version)
			}
		}
		if !found {
			return fault.New(fault.Conflict, "%s is not installed", w.Name)
		}
	}
	return nil
}

func brokenSays(p packages.Installed) string {
	if p.Broken == "" {
		return ""
	}
	return " (" + p.Broken + ")"
}

func brokenOf(installed []packages.Installed) []string {
	var found []string
	for _, p := range installed {
		if p.Broken != "" {
			found = append(found, p.Name)
		}
	}
	return found
}

// changing lists the installed packages that will be replaced: those that are not in the wanted version.
func (u Upgrade) changing(seen upgradeSeen) []packages.Package {
	var found []packages.Package
	for _, p := range seen.Packages {
		if slices.ContainsFunc(slices.Concat(u.With.Packages, u.With.Also), func(w act.Package) bool { return w.Name == p.Name && w.Version != p.Version }) {
			found = append(found, p.Package)
		}
	}
	return found
}

func (u Upgrade) tell(b *bench.Bench, seen upgradeSeen, broken []string) act.Preview {
	p := act.Preview{Finds: bench.Encode(seen), Undo: "installs the saved package files of the old versions again"}
	for _, c := range seen.Changes {
		p.Says = append(p.Says, "upgrade "+c.String())
	}
	if u.With.Refresh {
		p.Says = append(p.Says, "read the package sources again first")
	}
	p.Says = append(p.Says, "old configuration files are kept; no service is restarted by it")
	if u.With.Downgrade {
		p.Warns = append(p.Warns, "this goes back to older versions: what they had is vulnerable again")
	}
	if len(broken) > 0 {
		p.Says = append(p.Says, "finish what was interrupted before: "+strings.Join(broken, ", "))
		p.Warns = append(p.Warns, "a package change was interrupted on this host: what apt would do cannot be simulated until that is finished")
		p.Undo = "cannot be undone: the packages are half changed already"
	}
	switch {
	case len(seen.Unsaved) > 0 && u.With.Refresh:
		p.Undo = "installs the old versions again, if the package sources have them once they are read again: now " + strings.Join(seen.Unsaved, "; ")
	case len(seen.Unsaved) > 0:
		p.Undo = "cannot be undone: " + strings.Join(seen.Unsaved, "; ")
	}
	if slices.ContainsFunc(seen.Changes, func(c packages.Change) bool { return c.From == "" }) {
		p.Warns = append(p.Warns, "packages that are newly installed stay when this is undone")
	}
	if holder := packages.LockHolder(b.Chroot); holder != "" {
		p.Warns = append(p.Warns, "the package database is in use by "+holder+" now")
	}
	return p
}

// Do brings the packages to their exact versions.
func (u Upgrade) Do(ctx context.Context, b *bench.Bench) error {
	var seen upgradeSeen
	if err := json.Unmarshal(b.Before, &seen); err != nil {
		return fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	m, err := u.manager(b)
	if err != nil {
		return bench.Untouched(err)
	}
	release, err := u.alone(ctx, b)
	if err != nil {
		return bench.Untouched(err)
	}
	err = u.apply(ctx, b, m, seen)
	return errors.Join(err, release())
}

func (u Upgrade) apply(ctx context.Context, b *bench.Bench, m packages.Manager, seen upgradeSeen) error {
	want, also := wanted(u.With.Packages), wanted(u.With.Also)
	if broken := brokenOf(seen.Packages); len(broken) > 0 {
		if err := mend(ctx, b, m, broken); err != nil {
			return err
		}
	} else if len(seen.Unsaved) == 0 { // before the sources are read again: they may have the old version no longer
		if err := u.save(ctx, b, m, seen); err != nil {
			return bench.Untouched(err)
		}
	}
	if u.With.Refresh {
		b.Tell("reading the package sources again")
		if err := m.Refresh(ctx); err != nil {
			return bench.Untouched(err)
		}
		if len(seen.Unsaved) > 0 {
			if err := u.save(ctx, b, m, seen); err != nil {
				b.NoUndo = "the old package files could not be saved: " + err.Error()
			}
		}
	}
	// between the look and now, somebody else may have changed something: what was agreed on is what happens
	changes, err := m.Simulate(ctx, slices.Concat(want, also), u.With.Downgrade)
	if err == nil {
		now, lookErr := m.Installed(ctx, names(slices.Concat(want, also)))
		err = errors.Join(lookErr, packages.Allowed(changes, want, also, now))
	}
	switch {
	case err != nil && len(brokenOf(seen.Packages)) > 0:
		return err // something was finished before
	case err != nil:
		return bench.Untouched(err)
	}
	b.Tell("installing")
	if err := m.Apply(ctx, slices.Concat(want, also), u.With.Downgrade); err != nil {
		b.SayHeard()
		return err
	}
	return nil
}

func (u Upgrade) save(ctx context.Context, b *bench.Bench, m packages.Manager, seen upgradeSeen) error {
	b.Tell("saving the old packages")
	if err := b.MkdirSaved(); err != nil {
		return err
	}
	return m.Save(ctx, u.changing(seen), b.SavedInside())
}

// mend finishes an interrupted change where the manager can.
func mend(ctx context.Context, b *bench.Bench, m packages.Manager, broken []string) error {
	mender, can := m.(interface {
		Mend(context.Context, []string) error
	})
	if !can {
		return fault.New(fault.Conflict, "packages are half installed: %s", strings.Join(broken, ", "))
	}
	b.Tell("finishing what was interrupted")
	err := mender.Mend(ctx, broken)
	if err != nil {
		b.Say("finishing what was interrupted: " + err.Error())
	}
	return nil // a package that cannot be configured may still be replaced by a better one: verify decides
}

// Verify proves the versions that are installed.
func (u Upgrade) Verify(ctx context.Context, b *bench.Bench) (any, error) {
	m, err := u.manager(b)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(wanted(u.With.Packages), wanted(u.With.Also))
	now, err := m.Installed(ctx, names(all))
	if err != nil {
		return nil, err
	}
	now = slices.DeleteFunc(now, func(p packages.Installed) bool { return !meant(p, all) })
	return upgradeSeen{Packages: now}, u.reached(now)
}

// Undo brings the saved package files back.
func (u Upgrade) Undo(ctx context.Context, b *bench.Bench) (any, error) {
	var before upgradeSeen
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if _, err := os.Stat(b.Saved()); err != nil {
		return nil, fault.New(fault.NotFound, "the old package files were not saved: the change had not begun")
	}
	m, err := u.manager(b)
	if err != nil {
		return nil, err
	}
	release, err := u.alone(ctx, b)
	if err != nil {
		return nil, err
	}
	restored := m.Restore(ctx, b.SavedInside())
	if restored != nil {
		b.SayHeard()
	}
	if err := errors.Join(restored, release()); err != nil {
		return nil, err
	}
	old := u.changing(before)
	now, err := m.Installed(ctx, names(old))
	if err != nil {
		return nil, err
	}
	for _, was := range old {
		if !slices.ContainsFunc(now, func(p packages.Installed) bool { return p.Package == was && p.Broken == "" }) {
			return now, fault.New(fault.Conflict, "%s is not back", was)
		}
	}
	return upgradeSeen{Packages: now}, nil
}

// alone keeps others away from the package database while we work.
func (u Upgrade) alone(ctx context.Context, b *bench.Bench) (release func() error, err error) {
	patience := time.Duration(u.With.LockForMS) * time.Millisecond
	if patience == 0 {
		patience = time.Minute
	}
	return packages.Alone(ctx, b.Chroot, b.Places.State, patience, b.Tell)
}
