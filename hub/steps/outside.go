package steps

import (
	"context"
	"fmt"
	"strings"

	"staunch/hub"
	"staunch/ink"
	"staunch/see/probe"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// NotVulnerable looks at every address of an endpoint from here, with the probe that the advisory's rule names. What could not be seen, or
// gave no clear answer, proves nothing.
func NotVulnerable(ctx context.Context, h *hub.Hub, p plan.Predicate) run.Seen {
	unsure := func(format string, args ...any) run.Seen {
		return run.Seen{Truth: run.Unknown, Says: fmt.Sprintf(format, args...)}
	}
	if a, known := h.Catalogue.Find(p.Advisory); !known || a.Rule == nil || a.Rule.Probe != probe.Live {
		return unsure("no probe from outside can see %s", p.Advisory)
	}
	var results []probe.Result
	for _, e := range h.Fleet.Endpoints {
		if e.Name != p.Endpoint {
			continue
		}
		q := probe.Question{Targets: e.Addresses, Mode: probe.ModeHeartbleed, StartTLS: e.StartTLS, Domain: e.XMPPDomain, SNI: e.SNI, Offline: true}
		seen, err := probe.Probe(ctx, q, nil)
		if err != nil {
			return unsure("%s: %v", e.Name, err)
		}
		results = append(results, seen...)
	}
	return judgeOutside(p.Endpoint, results)
}

// judgeOutside needs a clear answer from every address.
func judgeOutside(endpoint string, results []probe.Result) run.Seen {
	if len(results) == 0 {
		return run.Seen{Truth: run.Unknown, Says: "no address of " + endpoint + " is known"}
	}
	var unclear []string
	for _, r := range results {
		where := fmt.Sprintf("%s:%d", r.Address, r.Port)
		switch {
		case r.Error == "" && r.Heartbleed.Verdict == probe.Vulnerable:
			return run.Seen{Truth: run.No, Says: where + " answers the probe as vulnerable code does"}
		case r.Error != "":
			unclear = append(unclear, where+": "+r.Error)
		case r.Heartbleed.Verdict != probe.Patched && r.Heartbleed.Verdict != probe.NoHeartbeat:
			unclear = append(unclear, where+": "+r.Heartbleed.Reason)
		}
	}
	if len(unclear) > 0 {
		return run.Seen{Truth: run.Unknown, Says: strings.Join(unclear, "; ")}
	}
	return run.Seen{Truth: run.Yes, Says: fmt.Sprintf("%s of %s show nothing from here", ink.Count(len(results), "address", "addresses"), endpoint)}
}
