// Package ledger holds the verbs on the record of what happened: ledger keeps it, timeline reads it.
package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ledger"
	"staunch/ledger/sqlite"

	"github.com/spf13/cobra"
)

// New is `staunch ledger` with everything below it.
func New(env *desk.Env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Verify, back up, restore, export and import the log of everything that happened",
		Long: `The ledger is the one log that all state comes from. It lies in ledger.db in the state directory
(/var/lib/staunch for root, else $XDG_DATA_HOME/staunch), and is never changed, only added to.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&file, "ledger", "", "ledger file (default: ledger.db in the state directory)")
	cmd.AddCommand(
		newLedgerVerify(env, &file), newLedgerBackup(env, &file), newLedgerRestore(env, &file),
		newLedgerExport(env, &file), newLedgerImport(env, &file),
	)
	return cmd
}

func newLedgerVerify(env *desk.Env, file *string) *cobra.Command {
	var format, head string
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check that nothing in the past was changed, and say how far that can be told",
		Long: `Reads the whole ledger (or FILE: a backup, or an export ending in .jsonl): pages, indexes, numbering and seals.
Exit code 0: nothing was changed. 1: something was, its first place is named. 2: it cannot be read.
Somebody who can rewrite the whole file can also rewrite its seals: keep the head that is printed somewhere else
(reports and votes carry it) and compare it with --head.`,
		Example: "  staunch ledger verify\n  staunch ledger verify /mnt/backup/ledger.db --head 9f2c...",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := desk.LedgerPath(env, *file)
			if len(args) == 1 {
				path, err = args[0], nil
			}
			if err != nil {
				return err
			}
			v, err := verifyFile(cmd.Context(), path)
			if err != nil {
				return err
			}
			known := true
			if head != "" {
				if known, err = sealedBy(cmd.Context(), path, head); err != nil {
					return err
				}
			}
			return printVerified(env.Stdout, format, path, v, head, known)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	cmd.Flags().StringVar(&head, "head", "", "a head printed earlier: it must still be in the ledger")
	return cmd
}

func verifyFile(ctx context.Context, path string) (ledger.Verified, error) {
	if filepath.Ext(path) != ".jsonl" {
		return sqlite.Inspect(ctx, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return ledger.Verified{}, fault.New(fault.NotFound, "%v", err)
	}
	defer f.Close() // read only
	return ledger.Verify(ledger.Lines(f))
}

// sealedBy tells whether one of the file's seals has this hash.
func sealedBy(ctx context.Context, path, head string) (bool, error) {
	if filepath.Ext(path) == ".jsonl" {
		return false, fault.New(fault.Usage, "--head needs a ledger file, not an export")
	}
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path, Reader: true})
	if err != nil {
		return false, err
	}
	found := false
	for e, err := range s.Read(ctx, ledger.Query{Stream: ledger.SealStream}) {
		if err != nil {
			return false, errors.Join(err, s.Close())
		}
		var seal ledger.Seal
		if e.Kind == ledger.SealKind && e.Decode(&seal) == nil && seal.SHA256 == head {
			found = true
		}
	}
	return found, s.Close()
}

func printVerified(w io.Writer, format, path string, v ledger.Verified, head string, known bool) error {
	if format == "json" {
		answer := struct {
			Schema int    `json:"schema"`
			File   string `json:"file"`
			ledger.Verified
			Unsealed  int64 `json:"unsealed"`
			HeadKnown *bool `json:"head_known,omitempty"`
		}{1, path, v, v.Unsealed(), nil}
		if head != "" {
			answer.HeadKnown = &known
		}
		if err := writeJSON(w, answer); err != nil {
			return err
		}
	} else {
		sayVerified(w, path, v, head, known)
	}
	if v.Broken != nil || !known {
		return desk.Exit(desk.ExitFound)
	}
	return nil
}

func sayVerified(w io.Writer, path string, v ledger.Verified, head string, known bool) {
	switch {
	case v.Broken != nil:
		fmt.Fprintf(w, "%s WAS CHANGED at event %d: %s\n", path, v.Broken.Seq, v.Broken.Says)
		fmt.Fprintf(w, "everything before event %d is as it was sealed\n", max(v.Sealed+1, 1))
	case !known:
		fmt.Fprintf(w, "%s is consistent, but holds no seal %s: it is not the ledger that this head was printed for\n", path, head)
	default:
		fmt.Fprintf(w, "%s: %d events, unchanged up to event %d (%d seals)\n", path, v.Events, v.Sealed, v.Seals)
	}
	if n := v.Unsealed(); v.Broken == nil && n > 0 {
		fmt.Fprintf(w, "the last %d are not sealed yet: a change of them would not show\n", n)
	}
	if v.Head != "" && v.Broken == nil {
		fmt.Fprintf(w, "head %s\n", v.Head)
	}
}

func newLedgerBackup(env *desk.Env, file *string) *cobra.Command {
	return &cobra.Command{
		Use:     "backup FILE",
		Short:   "Write a checked copy, also while the ledger is in use",
		Example: "  staunch ledger backup /mnt/backup/ledger-$(date +%F).db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := desk.OpenLedger(cmd.Context(), env, *file, true)
			if err != nil {
				return err
			}
			v, err := s.Backup(cmd.Context(), args[0])
			if err := errors.Join(err, s.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: %d events, checked\nhead %s\n", args[0], v.Events, v.Head)
			return err
		},
	}
}

func newLedgerRestore(env *desk.Env, file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the ledger; the old one is kept beside it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := desk.LedgerPath(env, *file)
			if err != nil {
				return err
			}
			kept, v, err := sqlite.Restore(cmd.Context(), args[0], sqlite.Options{Path: path, Who: "staunch ledger restore"})
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Stdout, "%s: %d events from %s\n", path, v.Events, args[0])
			if kept != "" {
				fmt.Fprintf(env.Stdout, "what was there is kept as %s\n", kept)
			}
			return nil
		},
	}
}

func newLedgerExport(env *desk.Env, file *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write all events as JSON lines",
		Example: "  staunch ledger export | jq .kind\n  staunch ledger export -o all.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := desk.OpenLedger(cmd.Context(), env, *file, true)
			if err != nil {
				return err
			}
			return errors.Join(exportTo(cmd.Context(), env, s, out), s.Close())
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
	return cmd
}

func exportTo(ctx context.Context, env *desk.Env, s *sqlite.Store, out string) error {
	if out == "" {
		_, err := ledger.Export(s.Read(ctx, ledger.Query{}), env.Stdout)
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.New(fault.Conflict, "%v", err).Hinted("an export never replaces a file: name another")
	}
	n, err := ledger.Export(s.Read(ctx, ledger.Query{}), f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stderr, "%d events\n", n)
	return err
}

func newLedgerImport(env *desk.Env, file *string) *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Add the events of an export or of a host's local journal; repeating it adds nothing",
		Long: `Adds events with their ids and times to the end of this ledger. Events that are here already stay as they are,
so an interrupted import is simply repeated. FILE "-" is standard input.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := input(env, args[0])
			if err != nil {
				return err
			}
			defer in.Close() // read only
			s, err := desk.OpenLedger(cmd.Context(), env, *file, false)
			if err != nil {
				return err
			}
			done, err := ledger.Import(cmd.Context(), s, bufio.NewReader(in), source)
			sealer := ledger.Sealer{Ledger: s, Now: time.Now, By: "import"}
			err = errors.Join(err, sealer.Seal(cmd.Context()), s.Close())
			fmt.Fprintf(env.Stdout, "%d events added, %d were here already, %d seals left behind\n", done.Added, done.Known, done.Skipped)
			return err
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "machine that the events come from, where they do not say so themselves")
	return cmd
}

func input(env *desk.Env, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(env.Stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%v", err)
	}
	return f, nil
}

// writeJSON prints one value, indented, without HTML escapes.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
