package lab

import (
	"slices"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
)

func (l *Lab) upgrade(m *machine, with *act.UpgradeWith, half bool) (act.Status, string, error) {
	packages := append(slices.Clone(with.Packages), with.Also...)
	changes := 0
	for _, p := range packages {
		have, installed := m.Versions[p.Name]
		switch {
		case !installed:
			return act.Refused, "", fault.New(fault.NotFound, "package %s is not installed on %s", p.Name, m.Name)
		case !l.offers(m, p.Name, p.Version):
			return act.Refused, "", fault.New(fault.NotFound, "the repository of %s has no %s in version %s", m.Name, p.Name, p.Version)
		case have != p.Version:
			changes++
		}
	}
	if changes == 0 {
		return act.Already, "all packages are installed in these versions", nil
	}
	if half {
		packages = packages[:len(packages)/2]
	}
	for _, p := range packages {
		m.Versions[p.Name] = p.Version
	}
	return act.Done, "installed", nil
}

// offers tells whether the machine's repository has the package in this version.
func (l *Lab) offers(m *machine, name, version string) bool {
	if versions, limited := m.Mirror[name]; limited {
		return slices.Contains(versions, version)
	}
	for _, builds := range l.builds {
		if slices.ContainsFunc(builds, func(b Build) bool { return b.Package == name && b.Version == version }) {
			return true
		}
	}
	return false
}

func (l *Lab) units(m *machine, kind act.Kind, with *act.UnitsWith, half bool) (act.Status, string, error) {
	for _, name := range with.Units {
		if _, known := m.unit(name); !known {
			return act.Refused, "", fault.New(fault.NotFound, "unit %s does not exist on %s", name, m.Name)
		}
	}
	if l.asWanted(m, kind, with.Units) {
		return act.Already, "already so", nil
	}
	names := with.Units
	if half {
		names = names[:len(names)/2]
	}
	for _, name := range names {
		if err := l.unitAct(m, kind, name); err != nil {
			return act.Failed, "", err
		}
	}
	for _, p := range m.processes {
		for _, b := range p.mapped {
			if slices.Contains(with.Units, p.unit) && slices.Contains(with.Gone, b.id()) {
				return act.Failed, "", fault.New(fault.Conflict, "process %d of %s still maps the old %s", p.pid, p.unit, b.Path)
			}
		}
	}
	return act.Done, string(kind) + " of " + strings.Join(with.Units, ", "), nil
}

// asWanted tells for acts that lead to a state whether the state is there.
func (l *Lab) asWanted(m *machine, kind act.Kind, units []string) bool {
	all := func(is func(string) bool) bool {
		return !slices.ContainsFunc(units, func(u string) bool { return !is(u) })
	}
	switch kind {
	case act.Start:
		return all(m.runs)
	case act.Stop:
		return all(func(u string) bool { return !m.runs(u) })
	case act.Mask:
		return all(func(u string) bool { return m.masked[u] })
	case act.Unmask:
		return all(func(u string) bool { return !m.masked[u] })
	}
	return false
}

func (l *Lab) unitAct(m *machine, kind act.Kind, name string) error {
	u, _ := m.unit(name)
	switch kind {
	case act.Mask, act.Unmask:
		m.masked[name] = kind == act.Mask
	case act.Stop:
		m.end(func(p process) bool { return p.unit == name })
		l.happened(m, "down "+name, "")
	case act.Reload:
		return l.reload(m, u)
	default:
		return l.startUnit(m, u, kind == act.Restart)
	}
	return nil
}

// startUnit starts a unit, or restarts it: then it is down for a moment, which observers see.
func (l *Lab) startUnit(m *machine, u Unit, restart bool) error {
	if m.masked[u.Name] {
		return fault.New(fault.Conflict, "unit %s is masked", u.Name)
	}
	if m.runs(u.Name) {
		if !restart {
			return nil
		}
		m.end(func(p process) bool { return p.unit == u.Name })
		l.happened(m, "down "+u.Name, "")
	}
	for _, path := range append([]string{u.Exe}, u.Maps...) {
		if b, err := l.onDisk(m, path); err == nil && u.BrokenWith != "" && b.Version == u.BrokenWith {
			return fault.New(fault.Conflict, "unit %s does not start with %s %s: exit code 1", u.Name, base(path), b.Version)
		}
	}
	l.start(m, u, l.now())
	l.happened(m, "up "+u.Name, "")
	return nil
}

// reload replaces workers, and the main process unless the program keeps it; some old workers may stay to finish their work.
func (l *Lab) reload(m *machine, u Unit) error {
	if !m.runs(u.Name) {
		return fault.New(fault.Conflict, "unit %s does not run", u.Name)
	}
	if u.NoReload {
		return nil
	}
	kept := 0
	m.end(func(p process) bool {
		if p.unit == u.Name && !p.main && kept < u.KeepsOld {
			kept++
			return false
		}
		return p.unit == u.Name
	})
	l.start(m, u, l.now())
	return nil
}

func (l *Lab) place(m *machine, with *act.PlaceWith) (act.Status, string, error) {
	for _, f := range with.Files {
		for _, piece := range f.Pieces {
			if piece.SHA256 != "" && !l.payloads[piece.SHA256] {
				return act.Refused, "", fault.New(fault.NotFound, "payload %s was not put on %s", piece.SHA256, m.Name)
			}
		}
	}
	for _, f := range with.Files {
		if f.Remove {
			delete(m.Files, f.Path)
			continue
		}
		var text strings.Builder
		for _, piece := range f.Pieces {
			text.WriteString(orElse(piece.Text, piece.SHA256+piece.Key))
			l.replace(m, f.Path, piece.SHA256)
		}
		m.Files[f.Path] = text.String()
	}
	return act.Done, "placed", nil
}

// replace makes the payload's build the file on disk, where it is one.
func (l *Lab) replace(m *machine, path, sum string) bool {
	for _, b := range l.builds[path] {
		if sum != "" && b.SHA256 == sum {
			m.Versions[b.key()] = b.Version
			return true
		}
	}
	return false
}

func (l *Lab) installLib(m *machine, with *act.InstallLibWith) (act.Status, string, error) {
	if !l.payloads[with.SHA256] {
		return act.Refused, "", fault.New(fault.NotFound, "payload %s was not put on %s", with.SHA256, m.Name)
	}
	if !l.replace(m, with.Path, with.SHA256) {
		return act.Failed, "", fault.New(fault.NotFound, "the lab has no build of %s with this payload", with.Path)
	}
	return act.Done, "installed " + with.Path, nil
}

// preview tells what an order would do, on a copy of what it would change.
func (l *Lab) preview(m *machine, o act.Order) act.Preview {
	p := act.Preview{Says: []string{string(o.Act.Kind) + " on " + m.Name}, Warns: []string{}, Undo: "cannot be undone: " + string(o.Act.Kind), Finds: m.record()}
	if undoable(o.Act.Kind) {
		p.Undo = "by the order's undo"
	}
	params, err := o.Act.Params()
	switch {
	case err != nil:
		p.Refused = err.Error()
	case m.Readonly:
		p.Refused = "the host's policy is read-only"
	default:
		p.Already = l.already(m, o.Act.Kind, params)
		if with, is := params.(*act.UpgradeWith); is {
			p.Offers = m.offers(with)
		}
	}
	return p
}

// offers is what a machine's mirror has, where it says so.
func (m *machine) offers(with *act.UpgradeWith) (found []act.Package) {
	for _, p := range with.Packages {
		for _, v := range m.Mirror[p.Name] {
			found = append(found, act.Package{Name: p.Name, Version: v})
		}
	}
	return found
}

func (l *Lab) already(m *machine, kind act.Kind, params act.Params) bool {
	switch with := params.(type) {
	case *act.UpgradeWith:
		return !slices.ContainsFunc(with.Packages, func(p act.Package) bool { return m.Versions[p.Name] != p.Version })
	case *act.UnitsWith:
		return l.asWanted(m, kind, with.Units)
	case *act.RebootWith:
		return with.BootID != m.bootID()
	case *act.InstallLibWith:
		b, err := l.onDisk(m, with.Path)
		return err == nil && b.SHA256 == with.SHA256
	case *act.SignalWith:
		return !slices.ContainsFunc(m.processes, func(p process) bool { return p.pid == with.PID })
	}
	return false
}
