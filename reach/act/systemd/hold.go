package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"staunch/fault"
)

// holdName is the drop-in that keeps a unit from starting where systemd cannot mask it, because its own file lies where the mask would.
const holdName = "00-staunch-masked.conf"

// holdText fails a condition that can never hold: every start, by whomever, is skipped.
const holdText = "# made by staunch: this unit's file lies in /etc/systemd/system, so that systemd cannot mask it\n[Unit]\nConditionPathExists=!/\n"

// Unmaskable tells that systemd cannot mask a unit: its file lies in /etc/systemd/system itself.
func (s State) Unmaskable() bool {
	return s.Load != "masked" && filepath.Dir(s.Fragment) == lasting
}

// Masked tells that a unit cannot start: by systemd's own mask, or by our drop-in.
func (s State) Masked() bool { return s.Load == "masked" || s.Held }

func held(dropIns any) bool {
	paths, _ := dropIns.([]string)
	return slices.ContainsFunc(paths, func(p string) bool { return filepath.Base(p) == holdName })
}

func holdDir(unit string) string { return filepath.Join(lasting, filepath.Base(unit)+".d") }

// hold keeps a unit from starting by a drop-in.
func (m *Manager) hold(ctx context.Context, unit string) error {
	if strings.ContainsRune(unit, '/') {
		return fault.New(fault.Usage, "%q is not the name of a unit", unit)
	}
	if err := os.MkdirAll(holdDir(unit), 0o755); err != nil { //nolint:gosec // unit files are public
		return fault.New(fault.Denied, "mask of %s: %v", unit, err)
	}
	if err := writeDurably(filepath.Join(holdDir(unit), holdName), holdText); err != nil {
		return fault.New(fault.Denied, "mask of %s: %v", unit, err)
	}
	return m.reload(ctx)
}

// letGo takes the drop-in away; where there is none it does nothing.
func (m *Manager) letGo(unit string) error {
	err := os.Remove(filepath.Join(holdDir(unit), holdName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Denied, "unmask of %s: %v", unit, err)
	}
	_ = os.Remove(holdDir(unit)) // only where nothing else lies in it
	return nil
}
