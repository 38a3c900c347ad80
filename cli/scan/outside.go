package scan

import (
	"context"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/see/advisory"
	"staunch/see/probe"
	"staunch/see/scan"
	"staunch/see/tell"
)

// fromOutside is all that can be told of a host that is not covered: what a stranger meets at the addresses that staunch.yaml names for it.
func fromOutside(ctx context.Context, known *fleet.Fleet, h fleet.Host, catalogue *advisory.Catalogue, asked string) tell.Silent {
	why := fault.New(fault.Unsupported, "%s: %s; %s", h.Name, h.NotCovered(), h.RestartedBy())
	s := tell.Silent{Schema: scan.Schema, Host: h.Name, Taken: time.Now().UTC().Truncate(time.Millisecond), Restart: h.RestartedBy()}
	endpoints := known.EndpointsOf(h)
	if a, found := catalogue.Find(asked); asked != "" && (!found || a.Rule == nil || a.Rule.Probe != probe.Live) {
		s.Error = why.Hinted("no probe from outside can see %s: ask whoever owns it", asked)
		return s
	}
	if len(endpoints) == 0 {
		s.Error = why.Hinted("name its address under endpoints in staunch.yaml, so that it is probed from outside")
		return s
	}
	for _, e := range endpoints {
		s.Outside = append(s.Outside, meet(ctx, e)...)
	}
	s.Error = why
	return s
}

// meet asks every address of an endpoint.
func meet(ctx context.Context, e fleet.Endpoint) []tell.Outside {
	q := probe.Question{Targets: e.Addresses, Mode: probe.ModeHeartbleed, StartTLS: e.StartTLS, Domain: e.XMPPDomain, SNI: e.SNI, Offline: true}
	results, err := probe.Probe(ctx, q, nil)
	if err != nil {
		return []tell.Outside{{Endpoint: e.Name, Says: err.Error()}}
	}
	var met []tell.Outside
	for _, r := range results {
		o := tell.Outside{Endpoint: e.Name, Address: r.Address, Port: r.Port, Says: "not seen: " + r.Error}
		if r.Error == "" {
			o.Vulnerable = r.Heartbleed.Verdict == probe.Vulnerable
			o.Says = "Heartbleed: " + string(r.Heartbleed.Verdict) + ", " + r.Heartbleed.Reason
		}
		met = append(met, o)
	}
	return met
}
