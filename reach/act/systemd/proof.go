package systemd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"staunch/fault"
)

// poll is how often a state is looked at again.
const poll = 50 * time.Millisecond

// Up waits until a unit has come up and stays up for settle: active, past the exec of its main process, with the same
// main process and no automatic restarts in between. It returns the state that it believed.
func (m *Manager) Up(ctx context.Context, unit string, settle time.Duration) (State, error) {
	var first State
	var since time.Time
	for {
		s, err := m.State(ctx, unit)
		if err != nil {
			return s, err
		}
		switch {
		case s.Active == "failed" || s.Active == "inactive":
			if s.Active == "inactive" && s.Type == "oneshot" && s.Result == "success" {
				return s, nil
			}
			return s, fault.New(fault.Conflict, "%s is %s (%s) after the start: %s", unit, s.Active, s.Sub, s.Result)
		case s.Active != "active" || !executed(s.MainPID):
			since = time.Time{}
		case since.IsZero() || s.MainPID != first.MainPID || s.Invocation != first.Invocation || s.Restarts != first.Restarts:
			first, since = s, time.Now()
		}
		if !since.IsZero() && time.Since(since) >= settle {
			return s, nil
		}
		if err := pause(ctx); err != nil {
			return s, fault.New(fault.Timeout, "%s did not come up in time: it is %s (%s)", unit, s.Active, s.Sub)
		}
	}
}

// executed tells whether a main process has become its own program: Type=simple counts as started before that.
func executed(pid int) bool {
	if pid == 0 {
		return true
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return os.IsPermission(err)
	}
	return !strings.HasSuffix(exe, "/systemd") && !strings.HasSuffix(exe, "/systemd-executor")
}

// Down waits until a unit is not active and no process of it is left; spare allows processes to be left.
func (m *Manager) Down(ctx context.Context, unit string, spare bool) (State, error) {
	for {
		s, err := m.State(ctx, unit)
		if err != nil {
			return s, err
		}
		if (s.Active == "inactive" || s.Active == "failed") && (spare || len(s.Processes) == 0) {
			return s, nil
		}
		if err := pause(ctx); err != nil {
			return s, fault.New(fault.Timeout, "%s is %s with %d processes left", unit, s.Active, len(s.Processes))
		}
	}
}

// Left waits until none of the processes runs any more and returns those that still do when the time is over.
func Left(ctx context.Context, old []Process) []Process {
	for {
		var left []Process
		for _, p := range old {
			if p.Alive() {
				left = append(left, p)
			}
		}
		if len(left) == 0 || pause(ctx) != nil {
			return left
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(poll):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
