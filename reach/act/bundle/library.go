package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/bounds"
	"staunch/reach/act/files"
)

// Library puts a library built elsewhere, its links, and tells the loader.
type Library struct{ With *act.InstallLibWith }

// files lists the library first, then its links, as placed files.
func (l Library) look(b *bench.Bench) (files.Bundle, error) {
	var seen files.Bundle
	for i, name := range append([]string{path.Base(l.With.Path)}, l.With.Links...) {
		at := path.Join(path.Dir(l.With.Path), name)
		real, err := b.Places.Guard(b.Policy, at, true)
		if err != nil {
			return seen, err
		}
		if !libraryPlace(at) {
			return seen, bench.Denied("%s is no place for libraries", at).Hinted("one of %s", strings.Join(bounds.LibraryDirs(), ", "))
		}
		one := files.Placed{Path: at, Real: real, Will: files.Facts{Exists: true, Link: path.Base(l.With.Path), Mode: 0o777}}
		if i == 0 {
			one.Will = files.Facts{Exists: true, Mode: 0o644, SHA256: l.With.SHA256}
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

// Check tells what placing the library and its links would change.
func (l Library) Check(_ context.Context, b *bench.Bench) (act.Preview, error) {
	seen, err := l.look(b)
	if err != nil {
		return act.Preview{}, err
	}
	f, err := payload(b, l.With.SHA256)
	if err != nil {
		return act.Preview{}, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || string(magic[:]) != "\x7fELF" {
		return act.Preview{}, bench.Denied("payload %.12s is not a library (ELF)", l.With.SHA256)
	}
	info, err := f.Stat()
	if err != nil {
		return act.Preview{}, fault.New(fault.Corrupt, "payload: %v", err)
	}
	seen.Files[0].Will.Size = info.Size()
	p := act.Preview{Already: true, Undo: "puts the old library and links back", Finds: bench.Encode(seen)}
	for _, one := range seen.Files {
		p.Already = p.Already && one.Was == one.Will
	}
	p.Says = []string{fmt.Sprintf("install the library %s (%d bytes, sha256 %.12s...)", l.With.Path, info.Size(), l.With.SHA256)}
	for _, link := range l.With.Links {
		p.Says = append(p.Says, "let "+link+" point to it")
	}
	p.Warns = []string{"the package manager does not know this file: its next upgrade may replace the links", "running processes keep the old library until they are restarted"}
	if was := seen.Files[0].Was; was.Exists && was.Link == "" {
		p.Warns = append(p.Warns, l.With.Path+" exists: it is replaced")
	}
	return p, nil
}

// Do places the library, its links, and asks ldconfig to note them.
func (l Library) Do(ctx context.Context, b *bench.Bench) error {
	seen, err := begin(b)
	if err != nil {
		return err
	}
	b.Tell("installing " + l.With.Path)
	err = l.put(b, seen)
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

func (l Library) put(b *bench.Bench, seen files.Bundle) error {
	payload, err := payload(b, l.With.SHA256)
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

func (l Library) ldconfig(ctx context.Context, b *bench.Bench) error {
	if !l.With.Ldconfig {
		return nil
	}
	_, err := b.Run(ctx, bench.Command{Argv: []string{"ldconfig"}})
	return err
}

// Verify proves that file and links are the wanted ones; that the loader was told of them shows only to the run that did it.
func (l Library) Verify(ctx context.Context, b *bench.Bench) (any, error) {
	if l.With.Ldconfig && !b.Did {
		return nil, fault.New(fault.Conflict, "whether the loader was told of the library cannot be seen")
	}
	return Place{&act.PlaceWith{}}.Verify(ctx, b)
}

// Undo puts back the file and the links that were there before.
func (l Library) Undo(ctx context.Context, b *bench.Bench) (any, error) {
	var before files.Bundle
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	if err := before.Restore(b.Saved()); err != nil {
		return nil, err
	}
	return before, l.ldconfig(ctx, b)
}
