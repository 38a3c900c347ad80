package deed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/bounds"
	"staunch/reach/act/systemd"
	"staunch/tame"

	"golang.org/x/sys/unix"
)

// Reboot ends one boot of the machine.
type Reboot struct{ With *act.RebootWith }

// Check tells whether the machine has booted since it was asked for.
func (r Reboot) Check(_ context.Context, _ *bench.Bench) (act.Preview, error) {
	now, err := systemd.ThisBoot()
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Says: []string{"reboot the machine"}, Warns: []string{"everything on it is away until it is back"}, Undo: "cannot be undone: a reboot leaves nothing to go back to", Finds: bench.Encode(now)}
	if now.BootID != r.With.BootID {
		p.Already, p.Says = true, []string{"the machine has booted since"}
	}
	return p, nil
}

// Do asks systemd to reboot.
func (r Reboot) Do(ctx context.Context, b *bench.Bench) error {
	m, err := b.Units(ctx)
	if err != nil {
		return bench.Untouched(err)
	}
	b.Tell("reboot")
	return m.Reboot(ctx)
}

// Verify proves by the boot id that this is another boot.
func (r Reboot) Verify(_ context.Context, b *bench.Bench) (any, error) {
	var before systemd.Boot
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	now, err := systemd.ThisBoot()
	if err != nil {
		return nil, err
	}
	if now == before {
		return now, fault.New(fault.Unsure, "the machine is going down, or not yet: the same order again hears that it came back")
	}
	return now, nil
}

// Undo refuses: a reboot has no way back.
func (r Reboot) Undo(context.Context, *bench.Bench) (any, error) {
	return nil, bench.Denied("a reboot cannot be undone")
}

// Signal sends one signal to exactly one process.
type Signal struct{ With *act.SignalWith }

type signalSeen struct {
	Running bool   `json:"running"`
	Name    string `json:"name,omitempty"`
	Unit    string `json:"unit,omitempty"`
	Ticks   uint64 `json:"ticks,omitempty"`
}

func (s Signal) look() (signalSeen, error) {
	ticks, err := systemd.StartTicks(s.With.PID)
	if err != nil {
		return signalSeen{}, nil // no such process
	}
	start, err := systemd.StartTime(ticks)
	if err != nil {
		return signalSeen{}, err
	}
	if gap := start.Sub(s.With.Start); gap > 1500*time.Millisecond || gap < -1500*time.Millisecond {
		return signalSeen{}, nil // another process with that pid
	}
	seen := signalSeen{Running: (systemd.Process{PID: s.With.PID, Ticks: ticks}).Alive(), Ticks: ticks}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.With.PID)); err == nil {
		seen.Name = tame.Short(strings.TrimSpace(string(name)), 1000)
	}
	seen.Unit = systemd.UnitOf(s.With.PID)
	return seen, nil
}

// Check tells whether the process that was meant still runs.
func (s Signal) Check(_ context.Context, b *bench.Bench) (act.Preview, error) {
	seen, err := s.look()
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Finds: bench.Encode(seen), Undo: "cannot be undone: a signal is not taken back"}
	if !seen.Running {
		p.Already, p.Says = s.With.Gone, []string{fmt.Sprintf("process %d of %s does not run any more", s.With.PID, s.With.Start.Format(time.RFC3339))}
		if !p.Already {
			return p, fault.New(fault.NotFound, "%s", p.Says[0])
		}
		return p, nil
	}
	if s.With.PID == os.Getpid() || strings.HasPrefix(seen.Name, "staunch") || strings.HasPrefix(seen.Unit, "staunch") {
		return p, bench.Denied("process %d is our own", s.With.PID)
	}
	if seen.Unit == "" && b.Policy.Units != nil {
		return p, bench.Denied("process %d is in no unit, and the host's policy names units", s.With.PID)
	}
	if seen.Unit != "" {
		if err := b.Policy.Unit(seen.Unit); err != nil {
			return p, err
		}
		if err := b.Policy.Word(bounds.WordOfUnit(seen.Unit), "unit "+seen.Unit); err != nil {
			return p, err
		}
	}
	p.Says = []string{fmt.Sprintf("send SIG%s to %s (process %d, unit %s)", s.With.Signal, seen.Name, s.With.PID, seen.Unit)}
	if s.With.Signal == "STOP" {
		p.Undo = "sends SIGCONT"
	}
	return p, nil
}

// Do signals exactly that process, held by a pidfd.
func (s Signal) Do(_ context.Context, b *bench.Bench) error {
	b.Tell("SIG" + s.With.Signal + " to process " + fmt.Sprint(s.With.PID))
	return s.send(b, act.Signals()[s.With.Signal])
}

// send holds the process by a pidfd before it looks again who it is, so that the pid cannot change hands in between.
func (s Signal) send(b *bench.Bench, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(s.With.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return bench.Untouched(fault.New(fault.NotFound, "process %d is gone", s.With.PID))
	}
	if err != nil {
		return bench.Untouched(bench.Denied("process %d: %v", s.With.PID, err))
	}
	defer unix.Close(fd)
	var before signalSeen
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if ticks, err := systemd.StartTicks(s.With.PID); err != nil || ticks != before.Ticks {
		return bench.Untouched(fault.New(fault.NotFound, "process %d is another one now", s.With.PID))
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return bench.Untouched(bench.Denied("process %d: %v", s.With.PID, err))
	}
	return nil
}

// Verify proves what the signal was to bring about.
func (s Signal) Verify(ctx context.Context, b *bench.Bench) (any, error) {
	var before signalSeen
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	process := systemd.Process{PID: s.With.PID, Ticks: before.Ticks}
	if s.With.Gone {
		if left := systemd.Left(ctx, []systemd.Process{process}); len(left) > 0 {
			return signalSeen{Running: true}, fault.New(fault.Conflict, "process %d still runs", s.With.PID)
		}
		return signalSeen{}, nil
	}
	if !b.Did {
		return nil, fault.New(fault.Conflict, "whether process %d got the signal cannot be seen", s.With.PID)
	}
	return signalSeen{Running: process.Alive(), Ticks: before.Ticks}, nil
}

// Undo lets a stopped process go on; other signals have no way back.
func (s Signal) Undo(_ context.Context, b *bench.Bench) (any, error) {
	if s.With.Signal != "STOP" {
		return nil, bench.Denied("a signal is not taken back")
	}
	return nil, s.send(b, syscall.SIGCONT)
}
