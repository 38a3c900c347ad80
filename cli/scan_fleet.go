package cli

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"staunch/fault"
	"staunch/inventory"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/verdict"
)

// fleetScan is what a scan of many hosts found: a document for each host that answered, a reason for each that did not.
type fleetScan struct {
	on      string
	known   int
	hosts   []fleet.Host
	docs    map[string]*verdict.Document
	mute    []silent
	outside map[string]fleet.Outside
}

// silent is a host that could not be looked at: in JSON it stands where its document would.
type silent struct {
	Schema int          `json:"schema"`
	Kind   string       `json:"kind,omitempty"` // "unreachable" in JSON lines
	Host   string       `json:"host"`
	Taken  time.Time    `json:"taken"`
	Error  *fault.Error `json:"error"`
}

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
	s.on, s.known = f.on, len(known.Hosts)
	if err := print(env, f, s); err != nil {
		return err
	}
	if code := s.exit(f); code != ExitClean {
		return exit(code)
	}
	return nil
}

func scanFleet(ctx context.Context, env *Env, f scanFlags, known *fleet.Fleet, hosts []fleet.Host) (*fleetScan, error) {
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
	s := &fleetScan{hosts: hosts, outside: known.Outside(), docs: map[string]*verdict.Document{}}
	for _, a := range all {
		s.judge(a, catalogue, f)
	}
	return s, nil
}

func (s *fleetScan) judge(a told[*scan.Report], catalogue *advisory.Catalogue, f scanFlags) {
	if a.Err != nil {
		s.mute = append(s.mute, silent{Schema: scan.Schema, Host: a.Host.Name, Taken: time.Now().UTC().Truncate(time.Millisecond), Error: fault.From(a.Err, fault.Bug)})
		return
	}
	a.Got.Host = a.Host.Name
	doc := verdict.Judge(a.Got, catalogue, verdict.Options{Advisory: f.advisory, Public: inventory.Reached(s.outside, a.Host.Name)})
	s.docs[a.Host.Name] = &doc
}

// exit: what was found counts more than what was not seen; no host seen at all is no scan.
func (s *fleetScan) exit(f scanFlags) int {
	if len(s.docs) == 0 {
		return ExitCannot
	}
	code := ExitClean
	if len(s.mute) > 0 {
		code = ExitIncomplete
	}
	for _, doc := range s.docs {
		switch scanExit(doc, f) {
		case ExitFound:
			return ExitFound
		case ExitIncomplete:
			code = ExitIncomplete
		}
	}
	return code
}

func fleetFormats() map[string]func(*Env, scanFlags, *fleetScan) error {
	return map[string]func(*Env, scanFlags, *fleetScan) error{
		"table": func(env *Env, f scanFlags, s *fleetScan) error { return printFleet(env, f, s) },
		"json":  func(env *Env, _ scanFlags, s *fleetScan) error { return indented(env.Stdout, s.inOrder()) },
		"jsonl": fleetLines,
	}
}

// inOrder is one entry a host, in the fleet's order.
func (s *fleetScan) inOrder() []any {
	list := []any{}
	for _, h := range s.hosts {
		if doc := s.docs[h.Name]; doc != nil {
			list = append(list, doc)
			continue
		}
		if i := slices.IndexFunc(s.mute, func(m silent) bool { return m.Host == h.Name }); i >= 0 {
			list = append(list, s.mute[i])
		}
	}
	return list
}

func fleetLines(env *Env, _ scanFlags, s *fleetScan) error {
	for _, h := range s.hosts {
		if doc := s.docs[h.Name]; doc != nil {
			if err := jsonLines(env.Stdout, doc); err != nil {
				return err
			}
		}
	}
	out := json.NewEncoder(env.Stdout)
	for _, m := range s.mute {
		m.Kind = "unreachable"
		if err := out.Encode(m); err != nil {
			return err
		}
	}
	return nil
}
