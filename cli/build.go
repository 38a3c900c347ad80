package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"staunch/fault"
	"staunch/ledger"
	"staunch/mend/build"
	"staunch/mend/patch"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// newBuild builds a library on this machine, for hosts whose distribution has no fixed one.
func newBuild(env *Env) *cobra.Command {
	var into string
	cmd := &cobra.Command{
		Use:   "build RECIPE",
		Short: "Build a library from pinned source on this machine, to be installed by a plan",
		Long: `Builds a library by a recipe (docs/build.md): the source is held to its checksum, unpacked into a folder of its own, and the recipe's commands run
there, by no shell and without our environment. What comes out is kept with its checksum and object id, so that people vote on exactly that content.
Run it on one build host that has the architecture and the C library of the hosts; then: staunch plan make 7 --built DIR.`,
		Example: "  staunch build tally.json -o built/\n  staunch plan make 7 --built built/",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return fault.New(fault.NotFound, "%v", err)
			}
			r, err := build.Read(text)
			if err != nil {
				return err
			}
			j := build.Job{
				Recipe: r, Text: text, From: filepath.Dir(args[0]), Into: into, Path: env.Getenv("PATH"), Host: machineName(), Now: time.Now, Log: env.Stderr,
			}
			m, err := j.Run(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "built %s (%s, %s)\nsha256 %s\nobject %s\nnext: staunch plan make INCIDENT --built %s\n",
				tame.Line(m.File), tame.Line(m.Soname), tame.Line(m.Arch), m.SHA256, m.Object, tame.Line(into))
			return err
		},
	}
	cmd.Flags().StringVarP(&into, "output", "o", "built", "folder for the library and its description")
	return cmd
}

// payloadDocument keeps what runs bring to hosts, by its checksum.
const payloadDocument = "payload"

// takeBuilt reads libraries that were built, and keeps them beside the ledger so that every runner can bring them to hosts.
func (d *desk) takeBuilt(ctx context.Context, dirs []string) (map[string]patch.Built, error) {
	out := map[string]patch.Built{}
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "built.json"))
		if err != nil {
			return nil, fault.New(fault.NotFound, "%v", err).Hinted("--built names the folder that `staunch build` wrote")
		}
		m, err := build.ReadMade(text)
		if err != nil {
			return nil, err
		}
		library, err := build.Library(m, dir)
		if err != nil {
			return nil, err
		}
		if _, twice := out[m.Package]; twice {
			return nil, fault.New(fault.Usage, "two libraries were built for package %s", m.Package)
		}
		if err := d.Store.Put(ctx, ledger.Document{Kind: payloadDocument, ID: m.SHA256, Body: library}, ledger.Any); err != nil {
			return nil, err
		}
		out[m.Package] = patch.Built{
			SHA256: m.SHA256, Object: m.Object, Path: m.Path, Links: m.Links, Arch: m.Arch,
			Recipe: fmt.Sprintf("%s; built on %s from source %.12s by recipe %.12s", m.Says, m.Host, m.Source, m.Recipe),
		}
	}
	return out, nil
}

// payload gives what was kept.
func (d *desk) payload(ctx context.Context, sum string) ([]byte, error) {
	doc, err := d.Store.Get(ctx, payloadDocument, sum)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "the library %.12s is not kept beside this ledger", sum).Hinted("staunch plan make --built keeps it; run the plan where it was made")
	}
	return doc.Body, err
}
