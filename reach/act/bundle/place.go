// Package bundle puts files onto a machine, all of them or none: bundles that a validator accepts, and libraries built elsewhere.
package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/bounds"
	"staunch/reach/act/files"
	"staunch/reach/act/systemd"
	"staunch/reach/act/vault"
	"staunch/tame"
)

// Place puts a bundle of files: all of them or none.
type Place struct{ With *act.PlaceWith }

// Check tells which files of the bundle differ, and asks the validator.
func (p Place) Check(ctx context.Context, b *bench.Bench) (act.Preview, error) {
	var seen files.Bundle
	for _, f := range p.With.Files {
		one, err := p.look(b, f)
		if err != nil {
			return act.Preview{}, err
		}
		seen.Files = append(seen.Files, one)
	}
	if err := p.fits(b); err != nil {
		return act.Preview{}, err
	}
	if err := p.reloads(ctx, b); err != nil {
		return act.Preview{}, err
	}
	pre := act.Preview{Already: true, Undo: "puts the old files back", Finds: bench.Encode(seen)}
	for i, f := range seen.Files {
		if f.Was == f.Will {
			pre.Says = append(pre.Says, f.Path+" is as wanted already")
			continue
		}
		pre.Already = false
		pre.Says = append(pre.Says, p.tell(p.With.Files[i], f))
		if f.Was.Link != "" {
			pre.Warns = append(pre.Warns, f.Path+" is a link to "+tame.Short(f.Was.Link, 1000)+" now: the link is replaced, not what it points to")
		}
	}
	if p.With.Validator != "" {
		pre.Says = append(pre.Says, "checked by "+p.With.Validator+": if it refuses, the old files come back")
	}
	if len(p.With.Reload) > 0 {
		pre.Says = append(pre.Says, "then reload "+strings.Join(p.With.Reload, ", "))
	}
	return pre, nil
}

func (p Place) tell(f act.File, seen files.Placed) string {
	switch {
	case f.Remove:
		return "take away " + f.Path
	case !seen.Was.Exists:
		return fmt.Sprintf("place %s (new, %d bytes, mode %04o, user %d, group %d)", f.Path, seen.Will.Size, seen.Will.Mode, seen.Will.UID, seen.Will.GID)
	}
	return fmt.Sprintf("replace %s (%d bytes by %d, mode %04o, user %d, group %d)", f.Path, seen.Was.Size, seen.Will.Size, seen.Will.Mode, seen.Will.UID, seen.Will.GID)
}

func (p Place) look(b *bench.Bench, f act.File) (files.Placed, error) {
	real, err := b.Places.Guard(b.Policy, f.Path, false)
	if err != nil {
		return files.Placed{}, err
	}
	word := bounds.WordOfPath(real)
	if (word == bounds.WordSSH || word == bounds.WordNetwork) && p.With.ConfirmMS == 0 {
		return files.Placed{}, bench.Denied("%s can cut our own access: its change must undo itself unless confirmed", f.Path).Hinted("set confirm_ms, as in --confirm 2m")
	}
	one := files.Placed{Path: f.Path, Real: real}
	dir, err := one.Dir()
	if err != nil {
		return one, err
	}
	one.Was, err = dir.Look(one.Name())
	if err = errors.Join(err, dir.Close()); err != nil {
		return one, fault.From(err, fault.Denied)
	}
	one.Will, err = will(b, f, one.Was)
	return one, err
}

// will computes what the file will be, reading its pieces once to know their digest.
func will(b *bench.Bench, f act.File, was files.Facts) (files.Facts, error) {
	if f.Remove {
		return files.Facts{}, nil
	}
	will := files.Facts{Exists: true, Mode: 0o644}
	if was.Exists && was.Link == "" {
		will.Mode, will.UID, will.GID = was.Mode&0o777, was.UID, was.GID
	}
	for _, piece := range f.Pieces {
		if piece.Key != "" && f.Mode == "" && !was.Exists {
			will.Mode = 0o600
		}
	}
	if f.Mode != "" {
		mode, err := strconv.ParseUint(f.Mode, 8, 32)
		if err != nil {
			return will, fault.New(fault.Usage, "mode %.10q", f.Mode)
		}
		will.Mode = uint32(mode)
	}
	if err := owners(f, &will); err != nil {
		return will, err
	}
	for _, piece := range f.Pieces {
		if piece.Key != "" && will.Mode&0o027 != 0 {
			return will, bench.Denied("%s would hold a private key that others can read (mode %04o)", f.Path, will.Mode).Hinted("mode 0600, or 0640 with a group that needs it")
		}
	}
	content, err := content(b, f)
	if err != nil {
		return will, err
	}
	defer content.Close()
	head := &headOf{}
	if will.SHA256, will.Size, err = files.Sum(io.TeeReader(content, head)); err != nil {
		return will, err
	}
	return will, barred(b, f.Path, head.Bytes())
}

func owners(f act.File, will *files.Facts) error {
	if f.Owner != "" {
		u, err := user.Lookup(f.Owner)
		if err != nil {
			return fault.New(fault.NotFound, "there is no user %s on this host", f.Owner)
		}
		if will.UID, err = number("user", f.Owner, u.Uid); err != nil {
			return err
		}
	}
	if f.Group != "" {
		g, err := user.LookupGroup(f.Group)
		if err != nil {
			return fault.New(fault.NotFound, "there is no group %s on this host", f.Group)
		}
		if will.GID, err = number("group", f.Group, g.Gid); err != nil {
			return err
		}
	}
	return nil
}

// number is the id of a user or a group.
func number(what, name, id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0, fault.New(fault.Corrupt, "%s %s has the id %.20q", what, name, id)
	}
	return uint32(n), nil
}

// content strings a file's pieces together.
func content(b *bench.Bench, f act.File) (io.ReadCloser, error) {
	var readers []io.Reader
	all := &pieces{}
	for _, piece := range f.Pieces {
		switch {
		case piece.Text != "":
			readers = append(readers, strings.NewReader(piece.Text))
		case piece.Key != "":
			pem, _, err := vault.Vault{State: b.Places.State}.Read(piece.Key)
			if err != nil {
				return nil, errors.Join(err, all.Close())
			}
			readers = append(readers, strings.NewReader(string(pem)))
		default:
			payload, err := payload(b, piece.SHA256)
			if err != nil {
				return nil, errors.Join(err, all.Close())
			}
			all.open = append(all.open, payload)
			readers = append(readers, payload)
		}
	}
	all.Reader = io.MultiReader(readers...)
	return all, nil
}

type pieces struct {
	io.Reader
	open []*os.File
}

// Close closes every piece.
func (p *pieces) Close() error {
	var errs []error
	for _, f := range p.open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// payload opens what was put before, after proving that it is what its name says.
func payload(b *bench.Bench, sha256 string) (*os.File, error) {
	f, err := os.Open(filepath.Join(b.Places.Payloads, sha256))
	if err != nil {
		return nil, fault.New(fault.NotFound, "payload %.12s has not been put on this host", sha256)
	}
	got, _, err := files.Sum(f)
	if err == nil && got != sha256 {
		err = fault.New(fault.Corrupt, "payload %.12s holds something else", sha256)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reloads checks that the units may be reloaded, before anything is placed.
func (p Place) reloads(ctx context.Context, b *bench.Bench) error {
	if len(p.With.Reload) == 0 {
		return nil
	}
	return b.Reloadable(ctx, p.With.Reload)
}

// begin reads what was seen before, keeps it for an undo, and clears away what an earlier try left.
func begin(b *bench.Bench) (files.Bundle, error) {
	var seen files.Bundle
	if err := json.Unmarshal(b.Before, &seen); err != nil {
		return seen, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if err := seen.Keep(b.Saved()); err != nil {
		return seen, bench.Untouched(err)
	}
	if err := seen.Sweep(); err != nil {
		return seen, bench.Untouched(err)
	}
	return seen, nil
}

// Do places all files of the bundle or none, and reloads what was asked for.
func (p Place) Do(ctx context.Context, b *bench.Bench) error {
	seen, err := begin(b)
	if err != nil {
		return err
	}
	staged, err := p.stageAll(b, seen)
	if err != nil {
		return bench.Untouched(errors.Join(err, seen.Drop(staged)))
	}
	for i, f := range seen.Files {
		b.Tell("placing " + f.Path)
		if err := f.Swap(staged[i]); err != nil {
			return errors.Join(err, seen.Restore(b.Saved()), seen.Drop(staged))
		}
	}
	checked := p.validate(ctx, b)
	err = checked
	if checked == nil {
		err = p.reload(ctx, b)
	}
	if err != nil {
		back := seen.Restore(b.Saved())
		if back == nil && checked == nil && len(p.With.Reload) > 0 { // what the validator refused was never loaded
			back = p.resume(context.WithoutCancel(ctx), b)
		}
		if back != nil {
			return fault.New(fault.Unsure, "%v; and putting the old files back failed: %v", err, back)
		}
		return fault.New(fault.Conflict, "%v; the old files are back", err)
	}
	return nil
}

// stageAll writes every file beside its place; nothing is visible yet.
func (p Place) stageAll(b *bench.Bench, seen files.Bundle) ([]string, error) {
	staged := make([]string, len(seen.Files))
	for i, f := range seen.Files {
		if !f.Will.Exists {
			continue
		}
		content, err := content(b, p.With.Files[i])
		if err != nil {
			return staged, err
		}
		dir, err := f.Dir()
		if err != nil {
			return staged, errors.Join(err, content.Close())
		}
		staged[i], err = dir.Stage(content, f.Will.Mode, f.Will.UID, f.Will.GID)
		if err = errors.Join(err, content.Close(), dir.Close()); err != nil {
			return staged, fault.From(err, fault.Denied)
		}
	}
	return staged, nil
}

// reload tells the units to take the files and waits until they have proven that they stay up: some programs take a reload and die of
// what they then read.
func (p Place) reload(ctx context.Context, b *bench.Bench) error {
	if len(p.With.Reload) == 0 {
		return nil
	}
	m, err := b.Units(ctx)
	if err != nil {
		return err
	}
	for _, unit := range p.With.Reload {
		b.Tell("reload " + unit)
		if err := m.Job(ctx, systemd.Reload, unit); err != nil {
			return err
		}
		if _, err := m.Up(ctx, unit, time.Second); err != nil {
			return fault.New(fault.Conflict, "after the reload: %v", err)
		}
	}
	return nil
}

// resume lets the units take the old files again; one that died of the new ones is started.
func (p Place) resume(ctx context.Context, b *bench.Bench) error {
	if len(p.With.Reload) == 0 {
		return nil
	}
	m, err := b.Units(ctx)
	if err != nil {
		return err
	}
	for _, unit := range p.With.Reload {
		s, err := m.State(ctx, unit)
		if err != nil {
			return err
		}
		verb := systemd.Reload
		if s.Active != "active" {
			verb = systemd.Start
		}
		b.Tell(string(verb) + " " + unit)
		if err := m.Job(ctx, verb, unit); err != nil {
			return err
		}
		if _, err := m.Up(ctx, unit, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// Verify proves that every file on disk is the bundle's.
func (p Place) Verify(_ context.Context, b *bench.Bench) (any, error) {
	var before files.Bundle
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	var seen files.Bundle
	for _, f := range before.Files {
		dir, err := f.Dir()
		if err != nil {
			return nil, err
		}
		now, err := dir.Look(f.Name())
		if err = errors.Join(err, dir.Close()); err != nil {
			return nil, err
		}
		seen.Files = append(seen.Files, files.Placed{Path: f.Path, Real: f.Real, Was: now, Will: f.Will})
		if now != f.Will {
			return seen, fault.New(fault.Conflict, "%s is not as wanted", f.Path)
		}
	}
	if !b.Did && len(p.With.Reload) > 0 {
		return seen, fault.New(fault.Conflict, "the files are there, but whether %s took them is not known", strings.Join(p.With.Reload, ", "))
	}
	return seen, nil
}

// Undo puts back the files that were there before.
func (p Place) Undo(ctx context.Context, b *bench.Bench) (any, error) {
	var before files.Bundle
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if err := p.mayComeBack(b, before); err != nil {
		return nil, err
	}
	if err := before.Restore(b.Saved()); err != nil {
		return nil, err
	}
	return before, p.resume(ctx, b)
}
