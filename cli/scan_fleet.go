package cli

import (
	"context"
	"time"

	"staunch/fault"
	"staunch/inventory"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/tell"
	"staunch/see/verdict"
)

// runFleetScan looks at all chosen hosts at once, judges each, and prints them as one.
func runFleetScan(ctx context.Context, env *Env, f scanFlags) error {
	print, ok := fleetFormats()[f.format]
	switch {
	case !ok:
		return fault.New(fault.Usage, "--format %s is for one machine", f.format).Hinted("with --on: table, json or jsonl; or scan one host at a time")
	case f.watch || f.question.Root != "" || len(f.question.Files) > 0 || len(f.question.PIDs) > 0:
		return fault.New(fault.Usage, "--watch, --root, --files and --pid are for one machine, not for --on")
	}
	known, hosts, err := f.reach.hosts(env, f.on)
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
	if code := fleetExit(s, f); code != ExitClean {
		return exit(code)
	}
	return nil
}

func scanFleet(ctx context.Context, env *Env, f scanFlags, known *fleet.Fleet, hosts []fleet.Host) (*tell.Fleet, error) {
	rules, err := loadRules(env)
	if err != nil {
		return nil, err
	}
	q := f.question
	q.Anchors = rules.Anchors()
	all := each(ctx, env, &f.reach, hosts, func(ctx context.Context, h host.Host, p func(host.Progress)) (*scan.Report, error) {
		a, err := h.Look(ctx, host.Question{Scan: &q}, p)
		return a.Scan, err
	})
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Timeout, "the scan was stopped before its end").Caused(err)
	}
	var wants []advisory.Key
	for _, a := range all {
		if a.Err == nil {
			wants = append(wants, verdict.Wants(a.Got)...)
		}
	}
	catalogue, err := loadCatalogue(env, wants, f.advisory)
	if err != nil {
		return nil, err
	}
	if f.advisory != "" {
		if err := mustKnow(catalogue, f.advisory); err != nil {
			return nil, err
		}
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	s := &tell.Fleet{Hosts: names, Docs: map[string]*verdict.Document{}}
	outside := known.Outside()
	for _, a := range all {
		judgeHost(s, a, catalogue, f, outside)
	}
	return s, nil
}

func judgeHost(s *tell.Fleet, a told[*scan.Report], catalogue *advisory.Catalogue, f scanFlags, outside map[string]fleet.Outside) {
	if a.Err != nil {
		s.Mute = append(s.Mute, tell.Silent{Schema: scan.Schema, Host: a.Host.Name, Taken: time.Now().UTC().Truncate(time.Millisecond), Error: fault.From(a.Err, fault.Bug)})
		return
	}
	a.Got.Host = a.Host.Name
	doc := verdict.Judge(a.Got, catalogue, verdict.Options{Advisory: f.advisory, Public: inventory.Reached(outside, a.Host.Name)})
	s.Docs[a.Host.Name] = &doc
}

// fleetExit: what was found counts more than what was not seen; no host seen at all is no scan.
func fleetExit(s *tell.Fleet, f scanFlags) int {
	if len(s.Docs) == 0 {
		return ExitCannot
	}
	code := ExitClean
	if len(s.Mute) > 0 {
		code = ExitIncomplete
	}
	for _, doc := range s.Docs {
		switch scanExit(doc, f) {
		case ExitFound:
			return ExitFound
		case ExitIncomplete:
			code = ExitIncomplete
		}
	}
	return code
}

func fleetFormats() map[string]func(*Env, scanFlags, *tell.Fleet) error {
	return map[string]func(*Env, scanFlags, *tell.Fleet) error{
		"table": func(env *Env, f scanFlags, s *tell.Fleet) error { return newTable(env, f).PrintFleet(env.Stdout, s) },
		"json":  func(env *Env, _ scanFlags, s *tell.Fleet) error { return indented(env.Stdout, s.InOrder()) },
		"jsonl": func(env *Env, _ scanFlags, s *tell.Fleet) error { return s.Lines(env.Stdout) },
	}
}
