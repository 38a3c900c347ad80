package files

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"staunch/fault"
)

// Bundle is files that change together, with what was there and what will be: the record that undo needs.
type Bundle struct {
	Files []Placed `json:"files"`
}

// Placed is one of them: its name as given, where it really lies, before and after.
type Placed struct {
	Path string `json:"path"`
	Real string `json:"real"`
	Was  Facts  `json:"was"`
	Will Facts  `json:"will"`
}

// Dir opens the directory that the file lies in.
func (p Placed) Dir() (*Dir, error) { return OpenDir(filepath.Dir(p.Real)) }

// Name is the file's name in its directory.
func (p Placed) Name() string { return filepath.Base(p.Real) }

// kept is where the old content of file i is saved.
func kept(dir string, i int) string { return filepath.Join(dir, strconv.Itoa(i)) }

// Kept is the saved content of file i, "" where there was none.
func (b Bundle) Kept(saved string, i int) string {
	if !b.Files[i].Was.Exists || b.Files[i].Was.Link != "" {
		return ""
	}
	return kept(saved, i)
}

// Keep saves the old contents in a directory of ours, before anything changes.
func (b Bundle) Keep(saved string) error {
	if err := os.MkdirAll(saved, 0o700); err != nil {
		return NoRoom(err, saved)
	}
	for i, f := range b.Files {
		if !f.Was.Exists || f.Was.Link != "" {
			continue
		}
		dir, err := f.Dir()
		if err != nil {
			return err
		}
		if err := errors.Join(dir.Keep(f.Name(), kept(saved, i)), dir.Close()); err != nil {
			return err
		}
	}
	if err := SyncDir(saved); err != nil {
		return NoRoom(err, saved)
	}
	return nil
}

// Sweep takes away what a killed act left staged in the directories of the bundle.
func (b Bundle) Sweep() error {
	swept := map[string]bool{}
	for _, f := range b.Files {
		if swept[filepath.Dir(f.Real)] {
			continue
		}
		swept[filepath.Dir(f.Real)] = true
		dir, err := f.Dir()
		if err != nil {
			return err
		}
		if err := errors.Join(dir.Sweep(), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Swap makes the change of one file; staged is "" where it is to go away.
func (p Placed) Swap(staged string) error {
	dir, err := p.Dir()
	if err != nil {
		return err
	}
	if staged == "" {
		err = dir.Drop(p.Name())
	} else {
		err = dir.Swap(staged, p.Name())
	}
	return errors.Join(err, dir.Close())
}

// Drop takes staged files away again.
func (b Bundle) Drop(staged []string) error {
	var errs []error
	for i, name := range staged {
		if name == "" {
			continue
		}
		dir, err := b.Files[i].Dir()
		if err == nil {
			err = errors.Join(dir.Drop(name), dir.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Restore brings every file back to what the record says, from the directory of Keep, and proves it.
func (b Bundle) Restore(saved string) error {
	errs := []error{b.Sweep()}
	for i, f := range b.Files {
		dir, err := f.Dir()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		now, err := dir.Look(f.Name())
		if err == nil && now != f.Was {
			if err = dir.Restore(f.Name(), f.Was, kept(saved, i)); err == nil {
				now, err = dir.Look(f.Name())
			}
			if err == nil && now != f.Was {
				err = fault.New(fault.Conflict, "%s is not as it was", f.Path)
			}
		}
		errs = append(errs, err, dir.Close())
	}
	return errors.Join(errs...)
}
