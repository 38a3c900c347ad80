package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
)

// Where unit files of ours lie: the first outlives a reboot, the second is for machines whose /etc cannot be written.
const (
	lasting = "/etc/systemd/system"
	passing = "/run/systemd/system"
	stamps  = "/var/lib/systemd/timers"
)

// Later runs a command once at a time, from a timer and a service of its own that outlive us, our connection, and a reboot: a machine
// that was down at that time runs it when it is up again, at the latest so long after its start as there was time at first, even if
// its clock is wrong then. A command that fails is tried again. lasts is false where a reboot would forget it (/etc cannot be written).
func (m *Manager) Later(ctx context.Context, name string, at time.Time, after time.Duration, command []string) (lasts bool, err error) {
	service, timer := laterUnits(at, after, command)
	dir := lasting
	if err := placeUnits(dir, name, service, timer); errors.Is(err, fs.ErrNotExist) || isReadOnly(err) {
		dir = passing
		err = placeUnits(dir, name, service, timer)
		if err != nil {
			return false, fault.New(fault.Denied, "the timer that undoes the change: %v", err)
		}
	} else if err != nil {
		return false, errors.Join(fault.New(fault.Denied, "the timer that undoes the change: %v", err), dropUnits(dir, name))
	}
	if err := m.reload(ctx); err != nil {
		return false, errors.Join(err, dropUnits(dir, name))
	}
	if dir == lasting {
		if _, _, err := m.conn.EnableUnitFilesContext(ctx, []string{name + ".timer"}, false, true); err != nil {
			return false, errors.Join(fault.New(fault.Denied, "systemd did not take the timer that undoes the change: %v", err), dropUnits(dir, name))
		}
	}
	if err := m.Job(ctx, Start, name+".timer"); err != nil {
		return false, errors.Join(err, m.NotLater(ctx, name))
	}
	return dir == lasting, nil
}

// laterUnits writes the two units. The command's words stand in quotes, because a unit file gives some characters a meaning.
func laterUnits(at time.Time, after time.Duration, command []string) (service, timer string) {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = quoted(word)
	}
	const what = "# made by staunch, and taken away by it when the change was confirmed or undone\n[Unit]\nDescription=staunch: undo unless confirmed\n"
	service = what + "RequiresMountsFor=" + quoted(filepath.Dir(command[0])) + "\nStartLimitIntervalSec=3600\nStartLimitBurst=20\n" +
		"[Service]\nType=simple\nExecStart=" + strings.Join(words, " ") + "\nRestart=on-failure\nRestartSec=15\n"
	// a calendar time has whole seconds: the next one
	moment := at.UTC().Add(time.Second - time.Nanosecond).Format("2006-01-02 15:04:05 UTC")
	timer = what + fmt.Sprintf("[Timer]\nOnCalendar=%s\nOnActiveSec=%dms\nPersistent=true\nAccuracySec=100ms\n[Install]\nWantedBy=timers.target\n", moment, after.Milliseconds())
	return service, timer
}

func quoted(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`, "\n", " ").Replace(word) + `"`
}

func placeUnits(dir, name, service, timer string) error {
	if dir == passing {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{name + ".service": service, name + ".timer": timer} {
		if err := writeDurably(filepath.Join(dir, file), text); err != nil {
			return err
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func writeDurably(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644) //nolint:gosec // unit files are public
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// isReadOnly tells a file system that is not for writing: an image, or a distribution that keeps /etc to itself.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

func dropUnits(dir, name string) error {
	var errs []error
	for _, path := range []string{
		filepath.Join(dir, name+".service"), filepath.Join(dir, name+".timer"), filepath.Join(dir, "timers.target.wants", name+".timer"),
		filepath.Join(stamps, "stamp-"+name+".timer"),
	} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !isReadOnly(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// NotLater takes back what Later arranged, also from within the command that it runs. Where nothing is arranged it does nothing.
func (m *Manager) NotLater(ctx context.Context, name string) error {
	s, err := m.State(ctx, name+".timer")
	if err != nil {
		return err
	}
	if s.Load == "not-found" {
		return nil
	}
	var stopped error
	if s.Active != "inactive" {
		stopped = m.Job(ctx, Stop, name+".timer")
	}
	return errors.Join(stopped, dropUnits(lasting, name), dropUnits(passing, name), m.reload(ctx))
}
