package advisories

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// bundleReadme travels with every bundle.
const bundleReadme = `staunch, packed for a machine without a network.

    ./staunch scan                     which running processes are affected, and what to do
    ./staunch scan --format json       the same for other programs
    sha256sum -c SHA256SUMS            nothing was damaged on the way

The directory "advisories" beside the program is used as long as this user has fetched none of their own.
`

// NewBundle packs this program with the advisories that were fetched.
func NewBundle(env *desk.Env) *cobra.Command {
	var out, binary string
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Pack the program and the advisories into one archive, for hosts without a network",
		Long: `Packs this program (or another build of it, see --binary) together with the advisories that were fetched here.
On a host without a network: unpack, and run ./staunch scan. The advisories beside the program are found by themselves.`,
		Example: `  staunch advisories update && staunch bundle -o staunch.tar.gz
  staunch bundle --binary dist/staunch-linux-arm64 -o staunch-arm64.tar.gz`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runBundle(env, out, binary) },
	}
	cmd.Flags().StringVarP(&out, "output", "o", "staunch-bundle.tar.gz", "the archive to write; - for standard output")
	cmd.Flags().StringVar(&binary, "binary", "", "pack this build instead of the running one (another architecture)")
	return cmd
}

func runBundle(env *desk.Env, out, binary string) error {
	if binary == "" {
		self, err := os.Executable()
		if err != nil {
			return fault.New(fault.Unsupported, "where this program lies is not known: %v", err).Hinted("name it with --binary")
		}
		binary = self
	}
	arch, err := builtFor(binary)
	if err != nil {
		return err
	}
	if out == "-" {
		_, err := writeBundle(env.Stdout, env, binary)
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(out), ".staunch-bundle-*")
	if err != nil {
		return fault.New(fault.Denied, "%v", err)
	}
	defer os.Remove(f.Name())
	sets, err := writeBundle(f, env, binary)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), out)
	}
	if err != nil {
		return fault.From(err, fault.Full)
	}
	fmt.Fprintf(env.Stdout, "%s: staunch for linux/%s with %s\n", tame.Line(out), arch, ink.Count(sets, "advisory file", "advisory files"))
	if sets == 0 {
		fmt.Fprintln(env.Stdout, "note: only the built-in catalogue travels; fetch distribution data first: staunch advisories update")
	}
	return nil
}

// builtFor refuses what is no Linux program and names its architecture.
func builtFor(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", fault.New(fault.Usage, "%s is not a Linux program: %v", path, err)
	}
	defer f.Close()
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return runtime.GOARCH, fault.New(fault.Unsupported, "%s is built for %s", path, f.Machine)
}

// packer writes the archive's files and remembers their checksums.
type packer struct {
	*tar.Writer
	sums []string
}

func (p *packer) add(name string, mode int64, size int64, content io.Reader) error {
	head := &tar.Header{Name: "staunch-bundle/" + name, Mode: mode, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := p.WriteHeader(head); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(p, sum), content); err != nil {
		return err
	}
	p.sums = append(p.sums, hex.EncodeToString(sum.Sum(nil))+"  "+name)
	return nil
}

func (p *packer) file(name string, mode int64, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return p.add(name, mode, info.Size(), io.LimitReader(f, info.Size()))
}

func (p *packer) text(name, text string) error {
	return p.add(name, 0o644, int64(len(text)), strings.NewReader(text))
}

// writeBundle writes the archive: the same inputs give the same bytes.
func writeBundle(w io.Writer, env *desk.Env, binary string) (sets int, err error) {
	zipped := gzip.NewWriter(w)
	p := &packer{Writer: tar.NewWriter(zipped)}
	if err := p.file("staunch", 0o755, binary); err != nil {
		return 0, err
	}
	if sets, err = p.advisories(env); err != nil {
		return 0, err
	}
	if err := p.text("README.txt", bundleReadme); err != nil {
		return 0, err
	}
	slices.Sort(p.sums)
	if err := p.text("SHA256SUMS", strings.Join(p.sums, "\n")+"\n"); err != nil {
		return 0, err
	}
	if err := p.Close(); err != nil {
		return 0, err
	}
	return sets, zipped.Close()
}

// advisories packs what lies in the store: fetched sets and hand-added files. Unfinished downloads (their names begin with a dot) stay.
func (p *packer) advisories(env *desk.Env) (sets int, err error) {
	dir, err := desk.StoreDir(env)
	if err != nil {
		return 0, nil // no store: the built-in catalogue travels inside the program
	}
	if err := p.text("advisories/"+desk.BundleMark, ""); err != nil {
		return 0, err
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if ext := filepath.Ext(name); ext == ".set" || ext == ".json" {
			sets++
		}
		return p.file("advisories/"+filepath.ToSlash(name), 0o644, path)
	})
	return sets, err
}
