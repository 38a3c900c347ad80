package files

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"staunch/see/scan/elf"
	"staunch/see/scan/ident"
	"staunch/see/scan/jail"
	"staunch/see/scan/proc"
	"staunch/testbed/real"
)

// forgetful is a memory without contents, as on the first look.
type forgetful struct{}

func (forgetful) Content(ident.Key, ident.Sum) (ident.Entry, bool) { return ident.Entry{}, false }

// looking is a table with its catalogue at work and our own root.
func looking(t *testing.T) (*Table, *Catalogue, *Root) {
	t.Helper()
	analyser, err := elf.New(nil, elf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	top, err := jail.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	roots := NewRoots(top, "/proc")
	c := NewCatalogue(context.Background(), analyser, forgetful{}, 30*time.Second)
	t.Cleanup(func() { c.Finish(); roots.Close() })
	own, err := roots.Own()
	if err != nil {
		t.Fatal(err)
	}
	return NewTable(c, 30*time.Second), c, own
}

// running starts a copy of sleep of its own and returns its path and directory in procfs once it runs.
func running(t *testing.T) (string, *proc.Dir) {
	t.Helper()
	b, err := os.ReadFile(real.Program(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()         // killed
	})
	dir, err := proc.Open("/proc", cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.Close)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		mapped := false // the kernel sets the link before it maps the program
		_, err := dir.EachExecutable(&proc.Scratch{}, func(m proc.Mapping) { mapped = mapped || string(m.Path) == name })
		if err == nil && mapped {
			return name, dir
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not start", name)
		}
	}
}

func replace(name string) error {
	if err := os.WriteFile(name+".new", []byte("#!/bin/sh\n"), 0o755); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// TestAMappedFileIsComparedWithItsName asks about a running program whose file was left alone, deleted, or replaced; what is in memory is known always.
func TestAMappedFileIsComparedWithItsName(t *testing.T) {
	for want, change := range map[State]func(string) error{
		Same: func(string) error { return nil }, Deleted: os.Remove, Replaced: replace,
	} {
		t.Run(string(want), func(t *testing.T) {
			table, catalogue, root := looking(t)
			catalogue.Start(1)
			name, dir := running(t)
			if err := change(name); err != nil {
				t.Fatal(err)
			}
			s := &proc.Scratch{}
			exe, err := dir.Link(s, "exe")
			if err != nil {
				t.Fatal(err)
			}
			var program *File
			if _, err := dir.EachExecutable(s, func(m proc.Mapping) {
				f, fresh := table.Intern(root, m, Candidate{PID: dir.PID, Begin: m.Start, End: m.End})
				if f.IsExe(exe) && fresh {
					program = f
					table.Resolve(dir, exe, Use{File: f, Begin: m.Start, End: m.End})
				}
			}); err != nil {
				t.Fatal(err)
			}
			catalogue.Wait()
			if program == nil || program.Shown() != name || program.State != want || program.Unread != "" || program.Memory == nil || program.Memory.ID == "" {
				t.Fatalf("%+v", program)
			}
			if (program.Disk != nil) != (want == Replaced) {
				t.Errorf("what lies there now: %+v", program.Disk)
			}
		})
	}
}

// TestAFileWrittenAfterTheStartIsOverwritten: its code in memory may be either.
func TestAFileWrittenAfterTheStartIsOverwritten(t *testing.T) {
	start := time.Now()
	f := &File{resolution: resolution{State: Same, mtime: start.Add(time.Second), ctime: start.Add(time.Second), btime: start.Add(-time.Hour)}}
	if state, _ := f.StateFor(start); state != Overwritten {
		t.Error(state)
	}
	if state, doubt := f.StateFor(start.Add(time.Minute)); state != Same || doubt != "" {
		t.Error(state, doubt)
	}
	f.btime = start.Add(time.Second - time.Millisecond) // unpacked by the program itself
	if state, doubt := f.StateFor(start); state != Same || doubt != "" {
		t.Error(state, doubt)
	}
}

// TestAContentIsReadOnceAndWithinTheBudget gives one file under two names, and then a second file when the bytes are used up.
func TestAContentIsReadOnceAndWithinTheBudget(t *testing.T) {
	_, catalogue, _ := looking(t)
	b, err := os.ReadFile(real.Program(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	catalogue.Bound(int64(len(b)) * 3 / 2) // headers are read twice
	catalogue.Start(1)
	dir := t.TempDir()
	take := func(name string) *Content {
		st, err := jail.StatFD(-1, name)
		if err != nil {
			t.Fatal(err)
		}
		c := catalogue.Get(&st, ident.Sum{Kind: "sha256"}, func() (int, error) {
			f, err := jail.Open("/")
			if err != nil {
				return -1, err
			}
			defer f.Close()
			return f.OpenRead(name)
		})
		catalogue.Queue(c)
		return c
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	first, again := take(filepath.Join(dir, "a")), take(filepath.Join(dir, "again"))
	if first != again {
		t.Error("one file is two contents")
	}
	catalogue.Wait()
	second := take(filepath.Join(dir, "b"))
	catalogue.Wait()
	if first.ID == "" || len(first.Sum) != 64 {
		t.Errorf("the first: %q, %q", first.ID, first.Why)
	}
	if second.ID != "" || second.Why != errBudget.Error() {
		t.Errorf("the second: %q, %q", second.ID, second.Why)
	}
	if n, bytes := catalogue.Read(); n != 1 || bytes == 0 {
		t.Errorf("%d contents, %d bytes", n, bytes)
	}
}
