package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/see/scan/watch"
	"staunch/see/tell"
	"staunch/see/verdict"
)

// watchScan looks again whenever processes come, go, or take in other code (and every --every), and prints only what changed, until it
// is interrupted.
func watchScan(ctx context.Context, env *desk.Env, f scanFlags) error {
	if f.format != "table" && f.format != "jsonl" {
		return fault.New(fault.Usage, "--watch prints changes: with --format table or jsonl only")
	}
	f.question.NoDormant = true
	w := watch.New("")
	defer w.Close()
	known := map[string]verdict.Finding{}
	for first := true; ; first = false {
		if err := w.Mark(); err != nil {
			return fault.New(fault.Unsupported, "/proc could not be listed: %v", err).Hinted("staunch scan needs a mounted procfs")
		}
		doc, err := scanOnce(ctx, env, f)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := printChanges(env, f, known, doc); err != nil {
			return err
		}
		known = changeSet(doc)
		if first {
			if err := sayWatching(env, f, doc, len(known), w.How()); err != nil {
				return err
			}
		}
		if _, err := w.Wait(ctx, max(f.every, time.Second)); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// sayWatching ends what is printed of the first look: from here on it is changes.
func sayWatching(env *desk.Env, f scanFlags, doc *verdict.Document, findings int, how string) error {
	if f.format == "jsonl" {
		return json.NewEncoder(env.Stdout).Encode(struct {
			Kind     string    `json:"kind"`
			Taken    time.Time `json:"taken"`
			Findings int       `json:"findings"`
			How      string    `json:"how"`
		}{"watching", doc.Taken, findings, how})
	}
	_, err := fmt.Fprintf(env.Stdout, "watching: %s now; changes follow (%s)\n", ink.Count(findings, "finding", "findings"), how)
	return err
}

// changeSet indexes the findings that --watch follows.
func changeSet(doc *verdict.Document) map[string]verdict.Finding {
	set := map[string]verdict.Finding{}
	for _, f := range doc.Findings {
		what := f.Component
		if f.Advisory == "" { // a group of what is not known: its size is no change
			what = strings.Map(func(r rune) rune {
				if unicode.IsDigit(r) {
					return -1
				}
				return r
			}, what)
		}
		set[fmt.Sprintf("%s %d %s %s %s", f.Advisory, f.PID, what, f.Path, f.State)] = f
	}
	return set
}

func printChanges(env *desk.Env, f scanFlags, known map[string]verdict.Finding, doc *verdict.Document) error {
	now := changeSet(doc)
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, old := known[key]; !old {
			if err := change(env, f, doc, "+", now[key]); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if _, still := now[key]; !still {
			if err := change(env, f, doc, "-", known[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func change(env *desk.Env, f scanFlags, doc *verdict.Document, sign string, one verdict.Finding) error {
	if f.format == "jsonl" {
		out := json.NewEncoder(env.Stdout)
		out.SetEscapeHTML(false)
		return out.Encode(struct {
			Kind    string          `json:"kind"`
			Change  string          `json:"change"`
			Taken   time.Time       `json:"taken"`
			Finding verdict.Finding `json:"finding"`
		}{"change", map[string]string{"+": "appeared", "-": "gone"}[sign], doc.Taken, one})
	}
	_, err := fmt.Fprintf(env.Stdout, "%s %s %s\n", doc.Taken.Local().Format("15:04:05"), sign, tell.Finding(one))
	return err
}
