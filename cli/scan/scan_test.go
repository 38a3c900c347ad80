package scan

import (
	"bytes"
	"strings"
	"testing"

	"staunch/cli/desk"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/verdict"
)

func TestExitCodes(t *testing.T) {
	bad := func(s advisory.Severity, exploited bool) verdict.Finding {
		return verdict.Finding{Advisory: "X", State: verdict.Affected, Severity: s, KnownExploited: exploited}
	}
	whole := verdict.Coverage{ProcessesSeen: 2, ProcessesKnown: 2}
	for name, test := range map[string]struct {
		doc   verdict.Document
		flags scanFlags
		want  int
	}{
		"clean":                       {verdict.Document{Coverage: whole}, scanFlags{}, desk.ExitClean},
		"high":                        {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.High, false)}}, scanFlags{}, desk.ExitFound},
		"moderate is below":           {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Moderate, false)}}, scanFlags{}, desk.ExitClean},
		"moderate, but exploited":     {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Moderate, true)}}, scanFlags{}, desk.ExitFound},
		"not rated counts as high":    {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad("", false)}}, scanFlags{}, desk.ExitFound},
		"moderate when asked about":   {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Low, false)}}, scanFlags{advisory: "X"}, desk.ExitFound},
		"high is below critical":      {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.High, false)}}, scanFlags{failOn: "critical"}, desk.ExitClean},
		"never":                       {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Critical, true)}}, scanFlags{failOn: "never"}, desk.ExitClean},
		"only exploited":              {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Critical, false)}}, scanFlags{failOn: "exploited"}, desk.ExitClean},
		"stale counts":                {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Stale, Severity: advisory.High}}}, scanFlags{}, desk.ExitFound},
		"unknown is incomplete":       {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Unknown}}}, scanFlags{}, desk.ExitIncomplete},
		"unseen is incomplete":        {verdict.Document{Coverage: verdict.Coverage{ProcessesSeen: 1, ProcessesKnown: 2}}, scanFlags{}, desk.ExitIncomplete},
		"no data is incomplete":       {verdict.Document{Coverage: verdict.Coverage{ComponentsWithoutData: 1}}, scanFlags{}, desk.ExitIncomplete},
		"found wins over incomplete":  {verdict.Document{Findings: []verdict.Finding{{State: verdict.Unknown}, bad(advisory.High, false)}}, scanFlags{}, desk.ExitFound},
		"dormant alone does not fail": {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Dormant, Severity: advisory.Critical}}}, scanFlags{}, desk.ExitClean},
		"dormant in an image does":    {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Dormant, Severity: advisory.Critical}}}, scanFlags{question: scan.Question{Root: "/image"}}, desk.ExitFound},
	} {
		if got := scanExit(&test.doc, test.flags); got != test.want {
			t.Errorf("%s: exit %d, want %d", name, got, test.want)
		}
	}
}

func TestWatchPrintsOnlyChanges(t *testing.T) {
	var b bytes.Buffer
	env := &desk.Env{Stdout: &b, Getenv: func(string) string { return "" }}
	doc := &verdict.Document{Findings: []verdict.Finding{
		{Advisory: "CVE-2014-0160", State: verdict.Affected, Component: "openssl", Version: "1.0.1e", PID: 100, Process: "nginx", Path: "/usr/lib/libssl.so.1.0.0"},
		{Advisory: "CVE-2014-0160", State: verdict.Unknown, Component: "openssl", Version: "1.0.1e", PID: 200, Process: "mail", Path: "/usr/lib/libssl.so.1.0.0"},
	}}
	f := scanFlags{format: "table", advisory: "heartbleed"}
	if err := printChanges(env, f, nil, doc); err != nil {
		t.Fatal(err)
	}
	first := b.String()
	b.Reset()
	if err := printChanges(env, f, changeSet(doc), doc); err != nil || b.Len() != 0 {
		t.Errorf("nothing changed, printed %q (%v)", b.String(), err)
	}
	fewer := *doc
	fewer.Findings = doc.Findings[1:]
	if err := printChanges(env, f, changeSet(doc), &fewer); err != nil {
		t.Fatal(err)
	}
	if strings.Count(first, " + ") != 2 || strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), " - affected") {
		t.Errorf("first %q, then %q", first, b.String())
	}
}

func TestColoursOnlyForTerminals(t *testing.T) {
	env := &desk.Env{Stdout: &bytes.Buffer{}, Getenv: func(string) string { return "" }}
	if newTable(env, scanFlags{}).Paint {
		t.Error("colour without a terminal")
	}
}

func TestWhatWasAskedAboutAndDoesNotRunIsSaid(t *testing.T) {
	r := &scan.Report{Processes: []scan.Process{{PID: 7, Unit: "nginx.service"}}, Unseen: []scan.Unseen{{PID: 8, Reason: "permission denied"}}}
	got := absent(r, scan.Question{PIDs: []int{7, 8, 9}, Units: []string{"nginx", "nginx.service", "ngnix.service"}})
	if len(got) != 2 || got[0].PID != 9 || got[1].Name != "ngnix.service" {
		t.Errorf("%+v", got)
	}
}
