package scan

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/inventory"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/tell"
	"staunch/see/verdict"
	"staunch/see/verdict/export"
	"staunch/tame"
)

// runFleetScan looks at all chosen hosts at once, judges each, and prints them as one.
func runFleetScan(ctx context.Context, env *desk.Env, f scanFlags) error {
	print, ok := fleetFormats()[f.format]
	switch {
	case !ok:
		return fault.New(fault.Usage, "--format %s is for one machine", f.format).Hinted("with --on: %s", strings.Join(scanFormatNames(), ", "))
	case len(f.question.PIDs) > 0:
		return fault.New(fault.Usage, "--pid is for one machine: the same number is another process on each host")
	case f.watch:
		return fault.New(fault.Usage, "--watch is for one machine").Hinted("the hub watches a fleet: staunch hub")
	case f.question.Root != "" || len(f.question.Files) > 0:
		return fault.New(fault.Usage, "--root and --files are for this machine, not for --on")
	}
	known, hosts, err := f.reach.Hosts(env, f.on)
	if err != nil {
		return err
	}
	s, err := scanFleet(ctx, env, f, known, hosts)
	if err != nil {
		return err
	}
	s.On, s.Known = f.on, len(known.Hosts)
	if err := print(env, f, s); err != nil {
		return err
	}
	if code := fleetExit(s, f); code != desk.ExitClean {
		return desk.Exit(code)
	}
	return nil
}

func scanFleet(ctx context.Context, env *desk.Env, f scanFlags, known *fleet.Fleet, hosts []fleet.Host) (*tell.Fleet, error) {
	q := f.question
	q.Anchors = desk.LoadRules(env).Anchors()
	covered := slices.DeleteFunc(slices.Clone(hosts), func(h fleet.Host) bool { return h.NotCovered() != "" })
	all := desk.Each(ctx, env, &f.reach, covered, func(ctx context.Context, h host.Host, p func(host.Progress)) (seen, error) {
		a, err := h.Look(ctx, host.Question{Scan: &q}, p)
		if err != nil {
			return seen{}, err
		}
		// here, where others are still waited for
		return seen{a.Scan, verdict.Wants(a.Scan)}, nil
	})
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Timeout, "the scan was stopped before its end").Caused(err)
	}
	var wants []advisory.Key
	for _, a := range all {
		wants = append(wants, a.Got.wants...)
	}
	catalogue, err := desk.LoadCatalogue(env, wants, f.advisory)
	if err != nil {
		return nil, err
	}
	if f.advisory != "" {
		if err := desk.MustKnow(catalogue, f.advisory); err != nil {
			return nil, err
		}
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	s := &tell.Fleet{Hosts: names, Docs: map[string]*verdict.Document{}}
	outside := known.Outside()
	docs := judgeAll(all, catalogue, f, outside)
	for i, a := range all {
		if docs[i] == nil {
			s.Mute = append(s.Mute, tell.Silent{Schema: scan.Schema, Host: a.Host.Name, Taken: time.Now().UTC().Truncate(time.Millisecond), Error: fault.From(a.Err, fault.Bug)})
			continue
		}
		s.Docs[a.Host.Name] = docs[i]
	}
	for _, h := range hosts {
		if h.NotCovered() != "" {
			s.Mute = append(s.Mute, fromOutside(ctx, known, h, catalogue, f.advisory))
		}
	}
	return s, nil
}

// seen is what one host answered, and what the advisories for it are about.
type seen struct {
	report *scan.Report
	wants  []advisory.Key
}

// judgeAll judges every host that answered, as many at once as there are processors; the others have no document.
func judgeAll(all []desk.Told[seen], catalogue *advisory.Catalogue, f scanFlags, outside map[string]fleet.Outside) []*verdict.Document {
	docs := make([]*verdict.Document, len(all))
	var wg sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(all); i = int(next.Add(1)) - 1 {
				if a := all[i]; a.Err == nil {
					a.Got.report.Host = a.Host.Name
					doc := verdict.Judge(a.Got.report, catalogue, verdict.Options{Advisory: f.advisory, Public: inventory.Reached(outside, a.Host.Name)})
					docs[i] = &doc
				}
			}
		})
	}
	wg.Wait()
	return docs
}

// fleetExit: what was found counts more than what was not seen; no host seen at all is no scan.
func fleetExit(s *tell.Fleet, f scanFlags) int {
	for _, m := range s.Mute {
		if slices.ContainsFunc(m.Outside, func(o tell.Outside) bool { return o.Vulnerable }) {
			return desk.ExitFound
		}
	}
	if len(s.Docs) == 0 {
		return desk.ExitCannot
	}
	code := desk.ExitClean
	if len(s.Mute) > 0 {
		code = desk.ExitIncomplete
	}
	for _, doc := range s.Docs {
		switch scanExit(doc, f) {
		case desk.ExitFound:
			return desk.ExitFound
		case desk.ExitIncomplete:
			code = desk.ExitIncomplete
		}
	}
	return code
}

func fleetFormats() map[string]func(*desk.Env, scanFlags, *tell.Fleet) error {
	return map[string]func(*desk.Env, scanFlags, *tell.Fleet) error{
		"table": func(env *desk.Env, f scanFlags, s *tell.Fleet) error {
			return newTable(env, f).PrintFleet(env.Stdout, s)
		},
		"json": func(env *desk.Env, _ scanFlags, s *tell.Fleet) error { return desk.JSON(env.Stdout, s.InOrder()) },
		"html": func(env *desk.Env, f scanFlags, s *tell.Fleet) error {
			return newTable(env, f).PrintFleetPage(env.Stdout, s)
		},
		"openvex": func(env *desk.Env, _ scanFlags, s *tell.Fleet) error {
			return ofSeen(env, s, export.FleetVEX)
		},
		"cyclonedx": func(env *desk.Env, _ scanFlags, s *tell.Fleet) error {
			return ofSeen(env, s, export.FleetCycloneDX)
		},
		"jsonl": func(env *desk.Env, _ scanFlags, s *tell.Fleet) error { return s.Lines(env.Stdout) },
	}
}

// ofSeen writes a format that has no words for a host that was not seen: those are named on stderr.
func ofSeen(env *desk.Env, s *tell.Fleet, write func(io.Writer, []*verdict.Document) error) error {
	var docs []*verdict.Document
	for _, h := range s.Hosts {
		if doc := s.Docs[h]; doc != nil {
			docs = append(docs, doc)
		}
	}
	for _, m := range s.Mute {
		fmt.Fprintf(env.Stderr, "note: %s is not in it: %s\n", tame.Line(m.Host), tame.Line(m.Error.What))
	}
	if len(docs) == 0 {
		return fault.New(fault.Unreachable, "no host was seen: there is nothing to write")
	}
	return write(env.Stdout, docs)
}
