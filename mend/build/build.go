package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/see/scan/elf"
	"staunch/tame"
)

// Job is one build on this machine.
type Job struct {
	Recipe Recipe
	Text   []byte // the recipe as it was read: its checksum is kept with the library
	From   string // folder of the recipe
	Into   string // where the library and its description go
	Path   string // PATH for the commands
	Host   string // this machine's name
	Now    func() time.Time
	Log    io.Writer // what the commands print
}

// maxLibrary bounds what a build may give: it has to fit beside the ledger.
const maxLibrary = 64 << 20

// Run checks the source against its checksum, unpacks it into a folder of its own, runs the commands there, and keeps the library with its description.
func (j Job) Run(ctx context.Context) (Made, error) {
	source, err := readBounded(filepath.Join(j.From, j.Recipe.Source), maxSource)
	if err != nil {
		return Made{}, err
	}
	if got := sumOf(source); got != j.Recipe.SHA256 {
		return Made{}, fault.New(fault.Corrupt, "the source %s has the sha256 %s, the recipe pins %s", j.Recipe.Source, got, j.Recipe.SHA256).Hinted("it is another source than the one that was meant: nothing was built")
	}
	dir, err := os.MkdirTemp("", "staunch-build-")
	if err != nil {
		return Made{}, fault.New(fault.Denied, "%v", err)
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "source")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return Made{}, fault.New(fault.Denied, "%v", err)
	}
	if err := unpack(source, tree); err != nil {
		return Made{}, err
	}
	at, err := top(tree)
	if err != nil {
		return Made{}, err
	}
	if err := j.commands(ctx, dir, at); err != nil {
		return Made{}, err
	}
	library, err := readBounded(filepath.Join(at, j.Recipe.Output), maxLibrary)
	if err != nil {
		return Made{}, err
	}
	return j.keep(ctx, library)
}

// commands runs the recipe's programs one after the other, with little around them: no environment of ours, a home of their own.
func (j Job) commands(ctx context.Context, dir, at string) error {
	limit := usualTime
	if j.Recipe.LimitS > 0 {
		limit = time.Duration(j.Recipe.LimitS) * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, argv := range j.Recipe.Commands {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		if !strings.Contains(argv[0], "/") {
			cmd.Path = lookIn(j.Path, argv[0])
			cmd.Err = nil
		}
		cmd.Dir, cmd.Stdout, cmd.Stderr = at, j.Log, j.Log
		cmd.Env = []string{"PATH=" + j.Path, "HOME=" + dir, "TMPDIR=" + dir, "LANG=C", "TZ=UTC", "SOURCE_DATE_EPOCH=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = 5 * time.Second
		fmt.Fprintf(j.Log, "+ %s\n", tame.Line(strings.Join(argv, " ")))
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return fault.New(fault.Timeout, "the build took longer than %s", limit)
			}
			return fault.New(fault.Unsupported, "%s failed: %v", argv[0], err).Hinted("its output says why")
		}
	}
	return nil
}

// lookIn finds a program the way execvp does, in the path that the commands get rather than in ours.
func lookIn(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		at := filepath.Join(dir, name)
		if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return at
		}
	}
	return name
}

// keep writes the library and its description.
func (j Job) keep(ctx context.Context, library []byte) (Made, error) {
	r := j.Recipe
	object, err := Look(ctx, library)
	if err != nil {
		return Made{}, err
	}
	m := Made{
		Schema: Schema, Package: r.Package, Says: r.Says, Source: r.SHA256, Recipe: sumOf(j.Text), File: filepath.Base(r.Path), SHA256: sumOf(library),
		Object: object.ID, Soname: object.Soname, Arch: archOf(object.Machine), Path: r.Path, Links: r.Links, Host: j.Host, Built: j.Now().UTC().Truncate(time.Millisecond),
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Made{}, fault.New(fault.Bug, "%v", err)
	}
	err = errors.Join(os.MkdirAll(j.Into, 0o755), os.WriteFile(filepath.Join(j.Into, m.File), library, 0o644), os.WriteFile(filepath.Join(j.Into, "built.json"), append(text, '\n'), 0o644))
	if err != nil {
		return Made{}, fault.New(fault.Denied, "%v", err)
	}
	return m, nil
}

// Look analyses a library the way a scan does: its object id is what hosts will show once they map it.
func Look(ctx context.Context, library []byte) (elf.Object, error) {
	if !bytes.HasPrefix(library, []byte("\x7fELF")) {
		return elf.Object{}, fault.New(fault.Unsupported, "what was built is no library (ELF)")
	}
	a, err := elf.New(nil, elf.Options{})
	if err != nil {
		return elf.Object{}, err
	}
	object, err := a.Analyse(ctx, bytes.NewReader(library), int64(len(library)))
	if err != nil {
		return object, fault.New(fault.Unsupported, "what was built is no library: %v", err)
	}
	if object.Soname == "" {
		return object, fault.New(fault.Unsupported, "what was built has no soname, so that no program asks for it").Hinted("link it with -Wl,-soname,NAME")
	}
	return object, nil
}

// Library reads a built library and holds it to its description.
func Library(m Made, dir string) ([]byte, error) {
	b, err := readBounded(filepath.Join(dir, m.File), maxLibrary)
	if err != nil {
		return nil, err
	}
	if got := sumOf(b); got != m.SHA256 {
		return nil, fault.New(fault.Corrupt, "%s has the sha256 %s, its description says %s", m.File, got, m.SHA256)
	}
	return b, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%v", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fault.New(fault.Denied, "%v", err)
	}
	if int64(len(b)) > most {
		return nil, fault.New(fault.Full, "%s is over %d bytes", path, most)
	}
	return b, nil
}

// archOf is a machine as uname -m calls it.
func archOf(machine string) string {
	return strings.ReplaceAll(machine, "x86-64", "x86_64")
}
