package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/see/scan"
)

// machine is a Machine that runs.
type machine struct {
	Machine
	boot      int
	booted    time.Time
	processes []process
	nextPID   int
	masked    map[string]bool
	drained   map[string]bool
	journal   map[string]act.Outcome
	before    map[string]snapshot // by order id
}

// process is one running program: what it maps is fixed when it starts.
type process struct {
	pid    int
	start  time.Time
	unit   string
	exe    string
	user   string
	main   bool
	mapped map[string]Build // by path
}

// snapshot is what an undo goes back to.
type snapshot struct {
	versions, files map[string]string
	running         map[string]bool
	masked, drained map[string]bool
}

func (l *Lab) boot(m Machine) (*machine, error) {
	m.Versions, m.Files = cloned(m.Versions), cloned(m.Files)
	m.Units = slices.Clone(m.Units)
	made := &machine{
		Machine: m, nextPID: 300, masked: map[string]bool{}, drained: map[string]bool{},
		journal: map[string]act.Outcome{}, before: map[string]snapshot{},
	}
	made.booted = l.now().Add(-24 * time.Hour)
	for _, u := range made.Units {
		for _, path := range append([]string{u.Exe}, u.Maps...) {
			if _, err := l.onDisk(made, path); err != nil {
				return nil, err
			}
		}
		if !u.Stopped {
			l.start(made, u, made.booted)
		}
	}
	return made, nil
}

func cloned(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

// bootID changes with every boot.
func (m *machine) bootID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", m.Name, m.boot))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// onDisk finds the build that lies at a path now: by its package's version, or the file's own.
func (l *Lab) onDisk(m *machine, path string) (Build, error) {
	for _, b := range l.builds[path] {
		if b.Version == m.Versions[b.key()] {
			return b, nil
		}
	}
	return Build{}, fault.New(fault.NotFound, "machine %s: no build for %s fits its versions %v", m.Name, path, m.Versions)
}

// key is where Machine.Versions keeps the build's version.
func (b Build) key() string {
	if b.Package != "" {
		return b.Package
	}
	return b.Path
}

// id is the object's identity.
func (b Build) id() string {
	if b.Object != "" {
		return b.Object
	}
	sum := sha256.Sum256([]byte("lab object\x00" + b.Path + "\x00" + b.Package + "\x00" + b.Version))
	return hex.EncodeToString(sum[:])
}

// start makes the unit's processes from what lies on disk now.
func (l *Lab) start(m *machine, u Unit, at time.Time) {
	mapped := map[string]Build{}
	for _, path := range append([]string{u.Exe}, u.Maps...) {
		if b, err := l.onDisk(m, path); err == nil {
			mapped[path] = b
		}
	}
	for i := range 1 + u.Workers {
		m.nextPID += 7
		m.processes = append(m.processes, process{
			pid: m.nextPID, start: at.UTC().Truncate(time.Second), unit: u.Name, exe: u.Exe, user: orElse(u.User, "root"), main: i == 0, mapped: mapped,
		})
	}
}

// end removes the unit's processes that gone says yes to.
func (m *machine) end(gone func(process) bool) {
	m.processes = slices.DeleteFunc(m.processes, gone)
}

func (m *machine) runs(unit string) bool {
	return slices.ContainsFunc(m.processes, func(p process) bool { return p.unit == unit && p.main })
}

func (m *machine) unit(name string) (Unit, bool) {
	for _, u := range m.Units {
		if u.Name == name {
			return u, true
		}
	}
	return Unit{}, false
}

// down lists the units that do not run, in their order.
func (m *machine) down() []string {
	var down []string
	for _, u := range m.Units {
		if !m.runs(u.Name) {
			down = append(down, u.Name)
		}
	}
	return down
}

func (m *machine) snapshot() snapshot {
	running := map[string]bool{}
	for _, u := range m.Units {
		running[u.Name] = m.runs(u.Name)
	}
	return snapshot{versions: maps.Clone(m.Versions), files: maps.Clone(m.Files), running: running, masked: maps.Clone(m.masked), drained: maps.Clone(m.drained)}
}

// state compares what a process maps with what lies on disk.
func (l *Lab) state(m *machine, path string, mapped Build) scan.Mapped {
	out := scan.Mapped{ID: mapped.id(), Path: path, State: scan.Same}
	disk, err := l.onDisk(m, path)
	switch {
	case err != nil:
		out.State = scan.Deleted
	case disk.id() != mapped.id():
		out.State, out.OnDisk = scan.Replaced, disk.id()
	}
	return out
}
