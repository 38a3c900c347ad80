// Package systemd tells units what to do over D-Bus and sees what really became of them.
package systemd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"staunch/fault"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Manager is an open connection to the system's systemd. It does not survive a daemon-reexec; open one for each order.
type Manager struct {
	conn *sd.Conn
	raw  *dbus.Conn
}

// private is the manager's own socket: as root it works even while the message bus restarts.
const private = "/run/systemd/private"

// Open connects: over systemd's own socket as root, over the system bus otherwise.
func Open(ctx context.Context) (*Manager, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil, fault.New(fault.Unsupported, "this machine does not run systemd").Hinted("units cannot be changed here; use a named hook")
	}
	m := new(Manager)
	conn, err := sd.NewConnection(func() (*dbus.Conn, error) {
		raw, err := dial(ctx)
		if m.raw == nil {
			m.raw = raw
		}
		return raw, err
	})
	if err != nil {
		return nil, fault.New(fault.Unreachable, "systemd does not answer: %v", err)
	}
	m.conn = conn
	return m, nil
}

func dial(ctx context.Context) (*dbus.Conn, error) {
	address, own := "unix:path="+private, true
	if os.Geteuid() != 0 {
		address, own = "unix:path=/run/dbus/system_bus_socket", false
	}
	conn, err := dbus.Dial(address, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	err = conn.Auth([]dbus.Auth{dbus.AuthExternal(fmt.Sprint(os.Getuid()))})
	if err == nil && !own {
		err = conn.Hello()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Close ends the connection.
func (m *Manager) Close() { m.conn.Close() }

// State is what systemd and the kernel say of one unit at one moment.
type State struct {
	Unit       string    `json:"unit"`
	ID         string    `json:"id,omitempty"` // the unit's real name where Unit is an alias
	Load       string    `json:"load"`         // loaded, not-found, masked ...
	Active     string    `json:"active"`
	Sub        string    `json:"sub"`
	File       string    `json:"file,omitempty"` // enabled, disabled, static, masked ...
	Fragment   string    `json:"fragment,omitempty"`
	Type       string    `json:"type,omitempty"`       // of a service
	Invocation string    `json:"invocation,omitempty"` // new with every start
	Result     string    `json:"result,omitempty"`
	MainPID    int       `json:"main_pid,omitempty"` // 0: there is none; never signal it
	Restarts   int       `json:"restarts,omitempty"` // automatic ones
	Processes  []Process `json:"processes,omitempty"`
	CanReload  bool      `json:"can_reload,omitempty"`
	CanStart   bool      `json:"can_start,omitempty"`
	CanStop    bool      `json:"can_stop,omitempty"`
	Reloading  bool      `json:"needs_daemon_reload,omitempty"` // the unit file changed on disk
	Held       bool      `json:"held,omitempty"`                // our own drop-in keeps it from starting
}

// Process is one process of a unit, by pid and start time.
type Process struct {
	PID   int    `json:"pid"`
	Ticks uint64 `json:"ticks"` // start time in clock ticks since boot: with the pid it names one process for good
}

// State asks for a unit. A unit that does not exist has Load "not-found" and is no error.
func (m *Manager) State(ctx context.Context, unit string) (State, error) {
	props, err := m.conn.GetUnitPropertiesContext(ctx, unit)
	if err != nil {
		return State{}, fault.New(fault.Unreachable, "systemd does not tell about %s: %v", unit, err)
	}
	s := State{
		Unit: unit, ID: text(props["Id"]), Load: text(props["LoadState"]), Active: text(props["ActiveState"]), Sub: text(props["SubState"]),
		File: text(props["UnitFileState"]), Fragment: text(props["FragmentPath"]),
		CanReload: yes(props["CanReload"]), CanStart: yes(props["CanStart"]), CanStop: yes(props["CanStop"]), Reloading: yes(props["NeedDaemonReload"]), Held: held(props["DropInPaths"]),
	}
	if id, ok := props["InvocationID"].([]byte); ok {
		s.Invocation = hex.EncodeToString(id)
	}
	if strings.HasSuffix(unit, ".service") && s.Load != "not-found" {
		if err := m.service(ctx, &s); err != nil {
			return s, err
		}
	}
	s.Processes = m.processes(ctx, unit)
	return s, nil
}

func (m *Manager) service(ctx context.Context, s *State) error {
	props, err := m.conn.GetUnitTypePropertiesContext(ctx, s.Unit, "Service")
	if err != nil {
		return fault.New(fault.Unreachable, "systemd does not tell about %s: %v", s.Unit, err)
	}
	s.Type, s.Result = text(props["Type"]), text(props["Result"])
	if pid, ok := props["MainPID"].(uint32); ok {
		s.MainPID = int(pid)
	}
	if n, ok := props["NRestarts"].(uint32); ok {
		s.Restarts = int(n)
	}
	return nil
}

// processes lists what is in the unit's control group; a unit without one has none.
func (m *Manager) processes(ctx context.Context, unit string) []Process {
	var rows []struct {
		Group   string
		PID     uint32
		Command string
	}
	object := m.raw.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	if err := object.CallWithContext(ctx, "org.freedesktop.systemd1.Manager.GetUnitProcesses", 0, unit).Store(&rows); err != nil {
		return nil
	}
	var found []Process
	for _, row := range rows {
		if ticks, err := StartTicks(int(row.PID)); err == nil && row.PID != 0 {
			found = append(found, Process{PID: int(row.PID), Ticks: ticks})
		}
	}
	return found
}

func text(v any) string { s, _ := v.(string); return s }
func yes(v any) bool    { b, _ := v.(bool); return b }

// StartTicks reads a process's start time from /proc/PID/stat, in clock ticks since boot.
func StartTicks(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	end := strings.LastIndex(string(b), ") ") // the name before it may hold spaces and brackets
	if end < 0 {
		return 0, fault.New(fault.Corrupt, "/proc/%d/stat is not understood", pid)
	}
	fields := strings.Fields(string(b)[end+2:])
	if len(fields) < 20 {
		return 0, fault.New(fault.Corrupt, "/proc/%d/stat is not understood", pid)
	}
	var ticks uint64
	if _, err := fmt.Sscanf(fields[19], "%d", &ticks); err != nil {
		return 0, fault.New(fault.Corrupt, "/proc/%d/stat: %v", pid, err)
	}
	return ticks, nil
}

// Alive tells whether exactly this process still runs (a zombie does not).
func (p Process) Alive() bool {
	ticks, err := StartTicks(p.PID)
	if err != nil || ticks != p.Ticks {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	i := strings.LastIndex(string(b), ") ")
	return err == nil && i >= 0 && len(b) > i+2 && b[i+2] != 'Z' && b[i+2] != 'X'
}

// Verb is what a job does.
type Verb string

// The verbs.
const (
	Start   Verb = "start"
	Stop    Verb = "stop"
	Restart Verb = "restart"
	Reload  Verb = "reload"
)

// Job runs one job and waits for its end. Before a deliberate start or restart the start limit is reset, because systemd counts
// people's own restarts against it. The error says how the job ended when it did not end with "done".
func (m *Manager) Job(ctx context.Context, verb Verb, unit string) error {
	call := map[Verb]func(context.Context, string, string, chan<- string) (int, error){
		Start: m.conn.StartUnitContext, Stop: m.conn.StopUnitContext, Restart: m.conn.RestartUnitContext, Reload: m.conn.ReloadUnitContext,
	}[verb]
	if verb == Start || verb == Restart {
		if err := m.resetFailed(ctx, unit); err != nil {
			return err
		}
	}
	ended := make(chan string, 1)
	if _, err := call(ctx, unit, "replace", ended); err != nil {
		return fault.New(fault.Denied, "systemd refused to %s %s: %v", verb, unit, err)
	}
	select {
	case result := <-ended:
		if result != "done" {
			return fault.New(fault.Conflict, "%s of %s ended with %q", verb, unit, result)
		}
		return nil
	case <-ctx.Done():
		return fault.New(fault.Timeout, "%s of %s did not end in time; systemd goes on with it", verb, unit)
	}
}

// resetFailed forgets failures and the start counter. A unit that is not loaded has none.
func (m *Manager) resetFailed(ctx context.Context, unit string) error {
	err := m.conn.ResetFailedUnitContext(ctx, unit)
	var bus dbus.Error
	if err != nil && !(errors.As(err, &bus) && bus.Name == "org.freedesktop.systemd1.NoSuchUnit") {
		return fault.New(fault.Denied, "reset-failed of %s: %v", unit, err)
	}
	return nil
}

// Mask makes a unit unable to start, for good; it does not stop it. Where systemd cannot, a drop-in does it.
func (m *Manager) Mask(ctx context.Context, unit string) error {
	s, err := m.State(ctx, unit)
	if err != nil {
		return err
	}
	if s.Unmaskable() {
		return m.hold(ctx, unit)
	}
	if _, err := m.conn.MaskUnitFilesContext(ctx, []string{unit}, false, false); err != nil {
		return fault.New(fault.Conflict, "mask of %s: %v", unit, err)
	}
	return m.reload(ctx)
}

// Unmask takes Mask back.
func (m *Manager) Unmask(ctx context.Context, unit string) error {
	if err := m.letGo(unit); err != nil {
		return err
	}
	if _, err := m.conn.UnmaskUnitFilesContext(ctx, []string{unit}, false); err != nil {
		return fault.New(fault.Conflict, "unmask of %s: %v", unit, err)
	}
	return m.reload(ctx)
}

func (m *Manager) reload(ctx context.Context) error {
	if err := m.conn.ReloadContext(ctx); err != nil {
		return fault.New(fault.Conflict, "systemd did not read its unit files again: %v", err)
	}
	return nil
}

// Reboot asks for an orderly reboot and returns when systemd has taken the job.
func (m *Manager) Reboot(ctx context.Context) error {
	if _, err := m.conn.StartUnitContext(ctx, "reboot.target", "replace-irreversibly", nil); err != nil {
		return fault.New(fault.Denied, "systemd refused to reboot: %v", err)
	}
	return nil
}
