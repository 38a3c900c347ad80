package outside

import (
	"context"
	"encoding/json"
	"fmt"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/reach/host"
	"staunch/see/probe"
	"staunch/see/probe/tell"
	"staunch/tame"
)

// runFrom probes the targets from hosts of the fleet: what is met inside the network. Names are resolved there.
func (p *probing) runFrom(ctx context.Context, args []string) error {
	if p.state != "" || p.fromScan || p.format == "html" {
		return fault.New(fault.Usage, "--state, --from-scan and --format html do not go with --from")
	}
	if err := p.prepare(ctx, args); err != nil {
		return err
	}
	if len(p.q.Targets) == 0 {
		return fault.New(fault.Usage, "no target").Hinted("as in: staunch probe --from web shop.example.org")
	}
	_, hosts, err := p.reach.Hosts(p.env, p.from)
	if err != nil {
		return err
	}
	question, err := json.Marshal(p.q)
	if err != nil {
		return fault.New(fault.Bug, "the question cannot be encoded: %v", err)
	}
	all := desk.Each(ctx, p.env, &p.reach, hosts, func(ctx context.Context, h host.Host, progress func(host.Progress)) ([]probe.Result, error) {
		a, err := h.Look(ctx, host.Question{Probe: question}, progress)
		if err != nil {
			return nil, err
		}
		var results []probe.Result
		if err := json.Unmarshal(a.Probe, &results); err != nil {
			return nil, fault.New(fault.Corrupt, "%s: its answer cannot be read", h.Name())
		}
		return results, nil
	})
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Timeout, "the probe was stopped before its end").Caused(err)
	}
	if err := p.printFrom(all); err != nil {
		return err
	}
	if code := fromExit(all, p.min); code != desk.ExitClean {
		return desk.Exit(code)
	}
	return nil
}

// fromResult is a result with the host that it was seen from.
type fromResult struct {
	From string `json:"from"`
	probe.Result
}

func (p *probing) printFrom(all []desk.Told[[]probe.Result]) error {
	list := []fromResult{}
	for _, a := range all {
		for _, r := range a.Got {
			list = append(list, fromResult{a.Host.Name, r})
		}
		if a.Err != nil {
			list = append(list, fromResult{a.Host.Name, probe.Result{Error: a.Err.Error(), NotTested: []string{}}})
		}
	}
	switch p.format {
	case "json":
		return desk.JSON(p.env.Stdout, list)
	case "jsonl":
		out := json.NewEncoder(p.env.Stdout)
		for _, r := range list {
			if err := out.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	return p.tableFrom(all)
}

// tableFrom prints one block a host.
func (p *probing) tableFrom(all []desk.Told[[]probe.Result]) error {
	w := &ink.Lines{W: p.env.Stdout}
	seen := 0
	for _, a := range all {
		if a.Err != nil {
			w.Say("from %s: not seen: %s", a.Host.Name, tame.Line(a.Err.Error()))
			if hint := fault.HintOf(a.Err); hint != "" {
				w.Say("  do: %s", tame.Line(hint))
			}
			w.Say("")
			continue
		}
		seen++
		w.Say("from %s:", a.Host.Name)
		tell.Table(w, a.Got)
		if p.verbose {
			for _, r := range a.Got {
				tell.Details(w, r)
			}
		} else {
			tell.Reasons(w, a.Got)
		}
		w.Say("")
	}
	fmt.Fprintf(w, "seen from %d of %s\n", seen, ink.Count(len(all), "host", "hosts"))
	return w.Err
}

// fromExit: what was found counts more than what was not seen; seen from nowhere is no probe.
func fromExit(all []desk.Told[[]probe.Result], least string) int {
	code, seen := desk.ExitClean, 0
	for _, a := range all {
		if a.Err != nil {
			code = desk.ExitIncomplete
			continue
		}
		seen++
		switch probeExit(a.Got, least) {
		case desk.ExitFound:
			return desk.ExitFound
		case desk.ExitIncomplete:
			code = desk.ExitIncomplete
		}
	}
	if seen == 0 {
		return desk.ExitCannot
	}
	return code
}
