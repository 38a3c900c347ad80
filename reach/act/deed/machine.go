package deed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bounds"
	"staunch/reach/act/files"
	"staunch/reach/act/systemd"
	"staunch/tame"

	"golang.org/x/sys/unix"
)

// reboot ends one boot of the machine.
type reboot struct{ with *act.RebootWith }

func (r reboot) Check(_ context.Context, _ *Bench) (act.Preview, error) {
	now, err := systemd.ThisBoot()
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Says: []string{"reboot the machine"}, Warns: []string{"everything on it is away until it is back"}, Undo: "cannot be undone: a reboot leaves nothing to go back to", Finds: Encode(now)}
	if now.BootID != r.with.BootID {
		p.Already, p.Says = true, []string{"the machine has booted since"}
	}
	return p, nil
}

func (r reboot) Do(ctx context.Context, b *Bench) error {
	m, err := b.Units(ctx)
	if err != nil {
		return nothingDone(err)
	}
	b.Tell("reboot")
	return m.Reboot(ctx)
}

func (r reboot) Verify(_ context.Context, b *Bench) (any, error) {
	var before systemd.Boot
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	now, err := systemd.ThisBoot()
	if err != nil {
		return nil, err
	}
	if now == before {
		return now, fault.New(fault.Unsure, "the machine is going down, or not yet: order it again to hear that it came back")
	}
	return now, nil
}

func (r reboot) Undo(context.Context, *Bench) (any, error) {
	return nil, denied("a reboot cannot be undone")
}

// signal sends one signal to exactly one process.
type signal struct{ with *act.SignalWith }

type signalSeen struct {
	Running bool   `json:"running"`
	Name    string `json:"name,omitempty"`
	Unit    string `json:"unit,omitempty"`
	Ticks   uint64 `json:"ticks,omitempty"`
}

func (s signal) look() (signalSeen, error) {
	ticks, err := systemd.StartTicks(s.with.PID)
	if err != nil {
		return signalSeen{}, nil // no such process
	}
	start, err := systemd.StartTime(ticks)
	if err != nil {
		return signalSeen{}, err
	}
	if gap := start.Sub(s.with.Start); gap > 1500*time.Millisecond || gap < -1500*time.Millisecond {
		return signalSeen{}, nil // another process with that pid
	}
	seen := signalSeen{Running: (systemd.Process{PID: s.with.PID, Ticks: ticks}).Alive(), Ticks: ticks}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.with.PID)); err == nil {
		seen.Name = tame.Short(strings.TrimSpace(string(name)), 1000)
	}
	seen.Unit = systemd.UnitOf(s.with.PID)
	return seen, nil
}

func (s signal) Check(_ context.Context, b *Bench) (act.Preview, error) {
	seen, err := s.look()
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Finds: Encode(seen), Undo: "cannot be undone: a signal is not taken back"}
	if !seen.Running {
		p.Already, p.Says = s.with.Gone, []string{fmt.Sprintf("process %d of %s does not run any more", s.with.PID, s.with.Start.Format(time.RFC3339))}
		if !p.Already {
			return p, fault.New(fault.NotFound, "%s", p.Says[0])
		}
		return p, nil
	}
	if s.with.PID == os.Getpid() || strings.HasPrefix(seen.Name, "staunch") || strings.HasPrefix(seen.Unit, "staunch") {
		return p, denied("process %d is our own", s.with.PID)
	}
	if seen.Unit == "" && b.Policy.Units != nil {
		return p, denied("process %d is in no unit, and the host's policy names units", s.with.PID)
	}
	if seen.Unit != "" {
		if err := b.Policy.Unit(seen.Unit); err != nil {
			return p, err
		}
		if err := b.Policy.Word(bounds.WordOfUnit(seen.Unit), "unit "+seen.Unit); err != nil {
			return p, err
		}
	}
	p.Says = []string{fmt.Sprintf("send SIG%s to %s (process %d, unit %s)", s.with.Signal, seen.Name, s.with.PID, seen.Unit)}
	if s.with.Signal == "STOP" {
		p.Undo = "sends SIGCONT"
	}
	return p, nil
}

func (s signal) Do(_ context.Context, b *Bench) error {
	b.Tell("SIG" + s.with.Signal + " to process " + fmt.Sprint(s.with.PID))
	return s.send(b, act.Signals()[s.with.Signal])
}

// send holds the process by a pidfd before it looks again who it is, so that the pid cannot change hands in between.
func (s signal) send(b *Bench, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(s.with.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nothingDone(fault.New(fault.NotFound, "process %d is gone", s.with.PID))
	}
	if err != nil {
		return nothingDone(denied("process %d: %v", s.with.PID, err))
	}
	defer unix.Close(fd)
	var before signalSeen
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if ticks, err := systemd.StartTicks(s.with.PID); err != nil || ticks != before.Ticks {
		return nothingDone(fault.New(fault.NotFound, "process %d is another one now", s.with.PID))
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return nothingDone(denied("process %d: %v", s.with.PID, err))
	}
	return nil
}

func (s signal) Verify(ctx context.Context, b *Bench) (any, error) {
	var before signalSeen
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	process := systemd.Process{PID: s.with.PID, Ticks: before.Ticks}
	if s.with.Gone {
		if left := systemd.Left(ctx, []systemd.Process{process}); len(left) > 0 {
			return signalSeen{Running: true}, fault.New(fault.Conflict, "process %d still runs", s.with.PID)
		}
		return signalSeen{}, nil
	}
	if !b.Did {
		return nil, fault.New(fault.Conflict, "whether process %d got the signal cannot be seen", s.with.PID)
	}
	return signalSeen{Running: process.Alive(), Ticks: before.Ticks}, nil
}

func (s signal) Undo(_ context.Context, b *Bench) (any, error) {
	if s.with.Signal != "STOP" {
		return nil, denied("a signal is not taken back")
	}
	return nil, s.send(b, syscall.SIGCONT)
}

// installLib puts a library built elsewhere, its links, and tells the loader.
type installLib struct{ with *act.InstallLibWith }

// files lists the library first, then its links, as placed files.
func (l installLib) look(b *Bench) (files.Bundle, error) {
	var seen files.Bundle
	for i, name := range append([]string{path.Base(l.with.Path)}, l.with.Links...) {
		at := path.Join(path.Dir(l.with.Path), name)
		real, err := b.Places.Guard(b.Policy, at, true)
		if err != nil {
			return seen, err
		}
		if !libraryPlace(at) {
			return seen, denied("%s is no place for libraries", at).Hinted("one of %s", strings.Join(bounds.LibraryDirs(), ", "))
		}
		one := files.Placed{Path: at, Real: real, Will: files.Facts{Exists: true, Link: path.Base(l.with.Path), Mode: 0o777}}
		if i == 0 {
			one.Will = files.Facts{Exists: true, Mode: 0o644, SHA256: l.with.SHA256}
		}
		dir, err := one.Dir()
		if err != nil {
			return seen, err
		}
		one.Was, err = dir.Look(one.Name())
		if err = errors.Join(err, dir.Close()); err != nil {
			return seen, fault.From(err, fault.Denied)
		}
		if i > 0 && one.Was.Exists && one.Was.Link == "" {
			return seen, fault.New(fault.Conflict, "%s is a file, not a link: it would be lost", at)
		}
		seen.Files = append(seen.Files, one)
	}
	return seen, nil
}

func libraryPlace(at string) bool {
	for _, dir := range bounds.LibraryDirs() {
		if files.Inside(at, dir) && at != dir {
			return true
		}
	}
	return false
}

func (l installLib) Check(_ context.Context, b *Bench) (act.Preview, error) {
	seen, err := l.look(b)
	if err != nil {
		return act.Preview{}, err
	}
	f, err := b.payload(l.with.SHA256)
	if err != nil {
		return act.Preview{}, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || string(magic[:]) != "\x7fELF" {
		return act.Preview{}, denied("payload %.12s is not a library (ELF)", l.with.SHA256)
	}
	info, err := f.Stat()
	if err != nil {
		return act.Preview{}, fault.New(fault.Corrupt, "payload: %v", err)
	}
	seen.Files[0].Will.Size = info.Size()
	p := act.Preview{Already: true, Undo: "puts the old library and links back", Finds: Encode(seen)}
	for _, one := range seen.Files {
		p.Already = p.Already && one.Was == one.Will
	}
	p.Says = []string{fmt.Sprintf("install the library %s (%d bytes, sha256 %.12s...)", l.with.Path, info.Size(), l.with.SHA256)}
	for _, link := range l.with.Links {
		p.Says = append(p.Says, "let "+link+" point to it")
	}
	p.Warns = []string{"the package manager does not know this file: its next upgrade may replace the links", "running processes keep the old library until they are restarted"}
	if was := seen.Files[0].Was; was.Exists && was.Link == "" {
		p.Warns = append(p.Warns, l.with.Path+" exists: it is replaced")
	}
	return p, nil
}

func (l installLib) Do(ctx context.Context, b *Bench) error {
	var seen files.Bundle
	if err := json.Unmarshal(b.Before, &seen); err != nil {
		return fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if err := seen.Keep(b.Saved()); err != nil {
		return nothingDone(err)
	}
	b.Tell("installing " + l.with.Path)
	err := l.put(b, seen)
	if err == nil {
		err = l.ldconfig(ctx, b)
	}
	if err != nil {
		if back := errors.Join(seen.Restore(b.Saved()), l.ldconfig(context.WithoutCancel(ctx), b)); back != nil {
			return fault.New(fault.Unsure, "%v; and putting the old library back failed: %v", err, back)
		}
		return fault.New(fault.KindOf(err), "%v; the old library is back", err)
	}
	return nil
}

func (l installLib) put(b *Bench, seen files.Bundle) error {
	payload, err := b.payload(l.with.SHA256)
	if err != nil {
		return err
	}
	defer payload.Close()
	one := seen.Files[0]
	dir, err := files.OpenDir(filepath.Dir(one.Real))
	if err != nil {
		return err
	}
	defer dir.Close()
	staged, err := dir.Stage(payload, one.Will.Mode, 0, 0)
	if err != nil {
		return err
	}
	if err := dir.Swap(staged, one.Name()); err != nil {
		return errors.Join(err, dir.Drop(staged))
	}
	for _, link := range seen.Files[1:] {
		if link.Was == link.Will {
			continue
		}
		if err := dir.Link(link.Will.Link, link.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (l installLib) ldconfig(ctx context.Context, b *Bench) error {
	if !l.with.Ldconfig {
		return nil
	}
	_, err := b.run(ctx, command{argv: []string{"ldconfig"}})
	return err
}

func (l installLib) Verify(ctx context.Context, b *Bench) (any, error) {
	if l.with.Ldconfig && !b.Did {
		return nil, fault.New(fault.Conflict, "whether the loader was told of the library cannot be seen")
	}
	return place{&act.PlaceWith{}}.Verify(ctx, b)
}

func (l installLib) Undo(ctx context.Context, b *Bench) (any, error) {
	var before files.Bundle
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if err := before.Restore(b.Saved()); err != nil {
		return nil, err
	}
	return before, l.ldconfig(ctx, b)
}
