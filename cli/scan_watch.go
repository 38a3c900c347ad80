package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"staunch/fault"
	"staunch/ink"
	"staunch/see/tell"
	"staunch/see/verdict"
)

// watchPoll is how often the list of processes is compared; a look itself happens only when it changed.
const watchPoll = time.Second

// watchScan looks again whenever processes come or go (and every --every), and prints only what changed, until it is interrupted.
func watchScan(ctx context.Context, env *Env, f scanFlags) error {
	if f.format != "table" && f.format != "jsonl" {
		return fault.New(fault.Usage, "--watch prints changes: with --format table or jsonl only")
	}
	f.question.NoDormant = true
	known := map[string]verdict.Finding{}
	for first := true; ; first = false {
		before := pidsNow()
		doc, err := scanOnce(ctx, env, f)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := printChanges(env, f, known, doc, first); err != nil {
			return err
		}
		known = changeSet(doc)
		if !waitForChange(ctx, before, f.every) {
			return nil
		}
	}
}

// waitForChange returns when the processes are others than before, or after the longest wait; false when ctx ended.
func waitForChange(ctx context.Context, before []int, longest time.Duration) bool {
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	end := time.After(max(longest, watchPoll))
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end:
			return true
		case <-tick.C:
			if !slices.Equal(before, pidsNow()) {
				return true
			}
		}
	}
}

// pidsNow lists the processes of this machine, without ourselves and without what /proc does not tell.
func pidsNow() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// changeSet indexes the findings that --watch follows.
func changeSet(doc *verdict.Document) map[string]verdict.Finding {
	set := map[string]verdict.Finding{}
	for _, f := range doc.Findings {
		set[fmt.Sprintf("%s %d %s %s %s", f.Advisory, f.PID, f.Component, f.Path, f.State)] = f
	}
	return set
}

func printChanges(env *Env, f scanFlags, known map[string]verdict.Finding, doc *verdict.Document, first bool) error {
	now := changeSet(doc)
	if first {
		known = map[string]verdict.Finding{}
	}
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
	if first && f.format == "table" {
		fmt.Fprintf(env.Stdout, "watching: %s now; changes follow\n", ink.Count(len(now), "finding", "findings"))
	}
	return nil
}

func change(env *Env, f scanFlags, doc *verdict.Document, sign string, one verdict.Finding) error {
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
