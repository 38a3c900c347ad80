package steps

import (
	"testing"

	"staunch/see/probe"
	"staunch/steer/run"
)

// TestOnlyAClearAnswerFromEveryAddressCounts: what could not be seen from outside proves nothing.
func TestOnlyAClearAnswerFromEveryAddressCounts(t *testing.T) {
	at := func(v probe.Verdict) probe.Result {
		return probe.Result{Address: "192.0.2.1", Port: 443, Heartbleed: probe.Heartbleed{Verdict: v}}
	}
	dark := probe.Result{Address: "192.0.2.2", Port: 443, Error: "no answer"}
	for _, c := range []struct {
		results []probe.Result
		want    run.Truth
	}{
		{nil, run.Unknown},
		{[]probe.Result{at(probe.Patched), at(probe.NoHeartbeat)}, run.Yes},
		{[]probe.Result{at(probe.Patched), at(probe.Vulnerable)}, run.No},
		{[]probe.Result{at(probe.Patched), dark}, run.Unknown},
		{[]probe.Result{dark, at(probe.Vulnerable)}, run.No},
		{[]probe.Result{at(probe.Inconclusive)}, run.Unknown},
	} {
		if got := judgeOutside("shop", c.results); got.Truth != c.want || got.Says == "" {
			t.Errorf("%+v: %+v, want %s", c.results, got, c.want)
		}
	}
}
