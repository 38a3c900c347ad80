// Package scan holds the verbs that look at what runs: scan, on one machine or a fleet, and heard, before an advisory exists.
package scan

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/verdict"

	"github.com/spf13/cobra"
)

// scanFlags is what the command line says about one scan.
type scanFlags struct {
	question scan.Question
	format   string
	advisory string
	failOn   string
	dormant  string
	verbose  bool
	watch    bool
	every    time.Duration
	startup  time.Duration // for what can start but does not run
	megabyte int64         // of object content to read at most
	on       string
	reach    desk.Reaching
}

const scanHelp = `Looks at every process that you may look at, tells what code it really has in memory, and judges that code
against the advisories that are loaded: the built-in catalogue, and what "staunch advisories update" fetched.

A verdict weighs evidence: what a live probe proved, then the code itself, then build flags, then the distribution's record of
the packaged file, then upstream's version ranges. What cannot be told is "unknown", never "not affected".

Exit codes: 0 nothing affected and nothing unknown; 1 something affected at or above --fail-on; 2 could not look;
3 nothing affected, but the picture is incomplete (processes unseen, patch levels not loaded).`

const scanExamples = `  staunch scan                                  what is affected here, and what to do
  staunch scan --advisory heartbleed            every process that holds the component, with its verdict
  staunch scan --advisory CVE-2014-0160 -v      the same, each verdict explained step by step
  staunch scan --pid 4711 -v                    one process
  staunch scan --format html > tonight.html     one page to hand over, with a picture
  staunch scan --format openvex > vex.json      statements for other tools
  staunch scan --fail-on critical               exit code 1 only for critical or known-exploited ones
  staunch scan --root /mnt/image                a directory that does not run
  staunch scan --on 'ring=production & web'      hosts of the fleet over ssh, grouped by what they run
  staunch scan --watch                          look again when processes change, print only changes`

// New is the main job: which running processes are affected, proven.
func New(env *desk.Env) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:     "scan",
		Short:   "Which running processes are affected by which advisory, with evidence, and what to do",
		Long:    scanHelp,
		Example: scanExamples,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.on != "" {
				return runFleetScan(cmd.Context(), env, f)
			}
			if f.watch {
				return watchScan(cmd.Context(), env, f)
			}
			return runScan(cmd.Context(), env, f)
		},
	}
	f.define(cmd)
	return cmd
}

func (f *scanFlags) define(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.format, "format", "table", "how to print: "+strings.Join(scanFormatNames(), ", "))
	fl.StringVar(&f.advisory, "advisory", "", "judge only this one (CVE id, alias or name), and list every process that holds the component")
	fl.IntSliceVar(&f.question.PIDs, "pid", nil, "only these processes")
	fl.StringSliceVar(&f.question.Units, "unit", nil, "only processes of these systemd units")
	fl.StringVar(&f.failOn, "fail-on", "", "exit 1 from this severity on: low, moderate, high, critical, exploited or never (default high, or known exploited; with --advisory any)")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "explain every finding step by step")
	fl.BoolVar(&f.watch, "watch", false, "look again whenever processes change, and print only what changed")
	fl.DurationVar(&f.every, "every", 30*time.Second, "with --watch: look again at least this often")
	fl.StringVar(&f.question.Root, "root", "", "judge this directory (an unpacked image) instead of what runs")
	fl.StringSliceVar(&f.question.Files, "files", nil, "judge these files or directories instead of what runs")
	fl.StringVar(&f.dormant, "dormant", "on", "on or off: also judge what does not run but can start")
	fl.DurationVar(&f.startup, "dormant-time", 5*time.Second, "how long to look at what can start; what was not reached is counted")
	fl.Int64Var(&f.megabyte, "read-at-most", 0, "read at most so many MB of program files, so that a loaded host is spared (0: no limit); the rest is named as unseen")
	fl.BoolVar(&f.question.Args, "args", false, "include the processes' arguments (they may hold secrets)")
	fl.BoolVar(&f.question.NoCache, "no-cache", false, "analyse every object anew")
	fl.StringVar(&f.on, "on", "", "look at hosts of the fleet instead of this machine: a selector such as web, ring=canary, 'web & !db1', @file, or all")
	f.reach.Define(cmd)
	f.reach.DefineKeep(cmd)
	desk.Complete(cmd, "format", scanFormatNames())
	desk.Complete(cmd, "fail-on", failWords())
	desk.Complete(cmd, "dormant", []string{"on", "off"})
	desk.CompleteBuiltin(cmd)
}

func failWords() []string {
	return []string{"low", "moderate", "high", "critical", "exploited", "never"}
}

func (f *scanFlags) check() error {
	if !slices.Contains(scanFormatNames(), f.format) {
		return fault.New(fault.Usage, "unknown format %q", f.format).Hinted("known: %s", strings.Join(scanFormatNames(), ", "))
	}
	if f.failOn != "" && !slices.Contains(failWords(), f.failOn) {
		return fault.New(fault.Usage, "unknown severity %q", f.failOn).Hinted("known: %s", strings.Join(failWords(), ", "))
	}
	switch f.dormant {
	case "on":
	case "off":
		f.question.NoDormant = true
	default:
		return fault.New(fault.Usage, "--dormant is on or off, not %q", f.dormant)
	}
	if f.still() && len(f.question.PIDs)+len(f.question.Units) > 0 {
		return fault.New(fault.Usage, "--root and --files judge what does not run: --pid and --unit name what does")
	}
	if f.startup < 0 || f.megabyte < 0 {
		return fault.New(fault.Usage, "neither --dormant-time nor --read-at-most can be negative")
	}
	f.question.DormantBudget, f.question.ByteBudget = f.startup.Milliseconds(), f.megabyte<<20
	for i, dir := range f.question.Files {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return fault.New(fault.Usage, "%s: %v", dir, err)
		}
		f.question.Files[i] = abs
	}
	return nil
}

func runScan(ctx context.Context, env *desk.Env, f scanFlags) error {
	doc, err := scanOnce(ctx, env, f)
	if err != nil {
		return err
	}
	if err := scanFormats()[f.format](env, f, doc); err != nil {
		return err
	}
	if code := scanExit(doc, f); code != desk.ExitClean {
		return desk.Exit(code)
	}
	return nil
}

// scanOnce looks, loads what the components need, and judges.
func scanOnce(ctx context.Context, env *desk.Env, f scanFlags) (*verdict.Document, error) {
	q := f.question
	q.Anchors = desk.LoadRules(env).Anchors()
	if err := scan.BeIdle(); err != nil {
		fmt.Fprintf(env.Stderr, "note: reading from disks with the usual priority: %v\n", err)
	}
	bar := desk.NewProgress(env)
	report, err := scan.Look(ctx, q, scan.Env{Cache: desk.ScanCache(env), Version: env.Version}, bar.Scan)
	bar.Done()
	if err != nil {
		return nil, err
	}
	report.Unseen = append(report.Unseen, absent(report, q)...)
	catalogue, err := desk.LoadCatalogue(env, verdict.Wants(report), f.advisory)
	if err != nil {
		return nil, err
	}
	if f.advisory != "" {
		if err := desk.MustKnow(catalogue, f.advisory); err != nil {
			return nil, err
		}
	}
	doc := verdict.Judge(report, catalogue, verdict.Options{Advisory: f.advisory})
	return &doc, nil
}

// absent names what was asked about and does not run: an answer about nothing must not read like a clean one.
func absent(r *scan.Report, q scan.Question) (list []scan.Unseen) {
	for _, pid := range q.PIDs {
		if !slices.ContainsFunc(r.Processes, func(p scan.Process) bool { return p.PID == pid }) && !slices.ContainsFunc(r.Unseen, func(u scan.Unseen) bool { return u.PID == pid }) {
			list = append(list, scan.Unseen{PID: pid, Reason: fmt.Sprintf("there is no process %d with a program of its own", pid)})
		}
	}
	for _, unit := range q.Units {
		if !slices.ContainsFunc(r.Processes, func(p scan.Process) bool { return p.Unit == unit || strings.TrimSuffix(p.Unit, ".service") == unit }) {
			list = append(list, scan.Unseen{Name: unit, Reason: "no process of " + unit + " runs here"})
		}
	}
	return list
}

// scanExit turns a document into an exit code (docs/exit-codes.md).
func scanExit(doc *verdict.Document, f scanFlags) int {
	incomplete := len(doc.Unseen) > 0 || doc.Coverage.ProcessesSeen < doc.Coverage.ProcessesKnown || doc.Sight.DormantLeft > 0
	if f.advisory == "" {
		incomplete = incomplete || doc.Coverage.ComponentsWithoutData > 0
	}
	for i := range doc.Findings {
		finding := &doc.Findings[i]
		if (finding.Bad() || finding.State == verdict.Dormant && f.still()) && fails(finding, f, doc.Taken) {
			return desk.ExitFound
		}
		incomplete = incomplete || finding.State == verdict.Unknown
	}
	if incomplete {
		return desk.ExitIncomplete
	}
	return desk.ExitClean
}

// still tells whether the question is about files that do not run: then what could start is what was asked about.
func (f *scanFlags) still() bool { return f.question.Root != "" || len(f.question.Files) > 0 }

// fails tells whether an affected finding is at or above the threshold. A severity that nobody rated counts as high, for it may be anything,
// unless the distribution has left it open long enough to call it minor.
func fails(finding *verdict.Finding, f scanFlags, taken time.Time) bool {
	word := f.failOn
	if word == "" {
		word = "high"
		if f.advisory != "" {
			word = "low"
		}
	}
	switch {
	case word == "never":
		return false
	case finding.KnownExploited:
		return true
	case word == "exploited":
		return false
	}
	rank := finding.Severity.Rank()
	if rank == 0 {
		rank = advisory.High.Rank()
		if finding.Minor(taken) {
			rank = advisory.Moderate.Rank()
		}
	}
	return rank >= advisory.ReadSeverity(word).Rank()
}
