package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
	"staunch/see/verdict"
)

var update = flag.Bool("update", false, "write the golden files anew")

// webServer is one machine of that night: a public web server with a packaged libssl, an agent with a copy of its own, a fixed service that
// was not restarted, a process with a hostile name, and one that could not be read.
func webServer() *scan.Report {
	deb := func(name, source, version, release string) *owner.Package {
		return &owner.Package{Type: "deb", Name: name, Version: version, Source: source, Distro: "debian", Release: release, Intact: "yes"}
	}
	object := func(id, soname, version string, linkage elf.Linkage, pkg *owner.Package, present, fixed elf.Tri) scan.Object {
		return scan.Object{Package: pkg, Object: elf.Object{
			ID: id, Soname: soname, Components: []elf.Component{{Name: "openssl", Version: version, Linkage: linkage}},
			Answers: []elf.Answer{{Anchor: "CVE-2014-0160/present", Says: present, Kind: "symbol", Detail: "tls1_process_heartbeat at 0x1"}, {Anchor: "CVE-2014-0160/fixed", Says: fixed, Kind: "code"}},
		}}
	}
	listen := []scan.Listen{{Proto: "tcp", Addr: "203.0.113.5", Port: 443, Public: true, Reach: "public"}}
	return &scan.Report{
		Schema: 1, Host: "web-1", Taken: time.Date(2014, 4, 8, 1, 0, 0, 0, time.UTC),
		Sight: scan.Sight{ProcessesSeen: 6, ProcessesKnown: 7}, Unseen: []scan.Unseen{{PID: 99, Name: "x", Reason: "permission denied"}},
		Objects: []scan.Object{
			object("deb", "libssl.so.1.0.0", "1.0.1e", elf.Dynamic, deb("libssl1.0.0", "openssl", "1.0.1e-2+deb7u4", "7"), elf.Yes, elf.No),
			object("agent", "", "1.0.1e", elf.Static, nil, elf.Yes, elf.No),
			object("quiet", "", "1.0.1e", elf.Static, nil, elf.No, elf.Unknown),
			object("old", "libssl.so.1.0.0", "1.0.1e", elf.Dynamic, nil, elf.Yes, elf.No),
			object("new", "libssl.so.1.0.0", "1.0.1g", elf.Dynamic, nil, elf.Yes, elf.Yes),
			object("mint", "libssl.so.1.0.0", "1.0.1e", elf.Dynamic, &owner.Package{Type: "deb", Name: "libssl1.0.0", Version: "1.0.1e-9", Source: "openssl", Distro: "mint", Release: "17"}, elf.Unknown, elf.Unknown),
		},
		Processes: []scan.Process{
			{PID: 100, Name: "nginx", Unit: "nginx.service", Exe: "/usr/sbin/nginx", Listens: listen, Objects: []scan.Mapped{{ID: "deb", Path: "/usr/lib/x86_64-linux-gnu/libssl.so.1.0.0", State: scan.Same}}},
			{PID: 101, Name: "nginx", Unit: "nginx.service", Exe: "/usr/sbin/nginx", Listens: listen, Objects: []scan.Mapped{{ID: "deb", Path: "/usr/lib/x86_64-linux-gnu/libssl.so.1.0.0", State: scan.Same}}},
			{PID: 200, Name: "agent", Unit: "agent.service", Exe: "/opt/agent/bin/agent", Outbound: []scan.Outbound{{Reach: "internet"}}, Objects: []scan.Mapped{{ID: "agent", Path: "/opt/agent/bin/agent", State: scan.Same}}},
			{PID: 300, Name: "worker\x1b[2J", Exe: "/srv/worker", Objects: []scan.Mapped{{ID: "quiet", Path: "/srv/worker\n\x1b]0;owned\x07", State: scan.Same}}},
			{PID: 400, Name: "mail", Unit: "mail.service", Exe: "/opt/mail/mail", Objects: []scan.Mapped{{ID: "old", Path: "/opt/mail/lib/libssl.so.1.0.0", State: scan.Replaced, OnDisk: "new"}}},
			{PID: 500, Name: "desk", Exe: "/usr/bin/desk", Objects: []scan.Mapped{{ID: "mint", Path: "/usr/lib/libssl.so.1.0.0", State: scan.Same}}},
		},
		Dormant: []scan.Dormant{{Path: "/usr/local/bin/report", ID: "agent", Start: "timer", Unit: "report.timer"}},
	}
}

func judged(t *testing.T, id string) *verdict.Document {
	t.Helper()
	set, err := advisory.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	doc := verdict.Judge(webServer(), advisory.NewCatalogue(set), verdict.Options{Advisory: id})
	return &doc
}

// The table is read by tired people: every change of it is looked at (go test ./cli -run Golden -update).
func TestGoldenTables(t *testing.T) {
	for name, f := range map[string]scanFlags{
		"scan":             {format: "table"},
		"scan-advisory":    {format: "table", advisory: "heartbleed"},
		"scan-advisory-v":  {format: "table", advisory: "heartbleed", verbose: true},
		"scan-narrow":      {format: "table", advisory: "heartbleed"},
		"scan-clean-other": {format: "table", advisory: "CVE-2024-3094"},
	} {
		t.Run(name, func(t *testing.T) {
			table := &table{flags: f, width: 100}
			if name == "scan-narrow" {
				table.width = 60
			}
			var b bytes.Buffer
			if err := table.print(&b, judged(t, f.advisory)); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(b.String(), "\x1b\x07") {
				t.Error("a terminal escape came through")
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("the table changed:\n%s\nit was:\n%s", b.String(), want)
			}
		})
	}
}

func TestColoursOnlyForTerminals(t *testing.T) {
	var b bytes.Buffer
	env := &Env{Stdout: &b, Getenv: func(string) string { return "" }}
	if err := newTable(env, scanFlags{}).print(&b, judged(t, "")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("colour without a terminal")
	}
	b.Reset()
	if err := (&table{width: 100, paint: true}).print(&b, judged(t, "")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[1;31m") {
		t.Error("no colour on a terminal")
	}
}

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
		"clean":                       {verdict.Document{Coverage: whole}, scanFlags{}, ExitClean},
		"high":                        {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.High, false)}}, scanFlags{}, ExitFound},
		"moderate is below":           {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Moderate, false)}}, scanFlags{}, ExitClean},
		"moderate, but exploited":     {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Moderate, true)}}, scanFlags{}, ExitFound},
		"not rated counts as high":    {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad("", false)}}, scanFlags{}, ExitFound},
		"moderate when asked about":   {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Low, false)}}, scanFlags{advisory: "X"}, ExitFound},
		"high is below critical":      {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.High, false)}}, scanFlags{failOn: "critical"}, ExitClean},
		"never":                       {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Critical, true)}}, scanFlags{failOn: "never"}, ExitClean},
		"only exploited":              {verdict.Document{Coverage: whole, Findings: []verdict.Finding{bad(advisory.Critical, false)}}, scanFlags{failOn: "exploited"}, ExitClean},
		"stale counts":                {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Stale, Severity: advisory.High}}}, scanFlags{}, ExitFound},
		"unknown is incomplete":       {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Unknown}}}, scanFlags{}, ExitIncomplete},
		"unseen is incomplete":        {verdict.Document{Coverage: verdict.Coverage{ProcessesSeen: 1, ProcessesKnown: 2}}, scanFlags{}, ExitIncomplete},
		"no data is incomplete":       {verdict.Document{Coverage: verdict.Coverage{ComponentsWithoutData: 1}}, scanFlags{}, ExitIncomplete},
		"found wins over incomplete":  {verdict.Document{Findings: []verdict.Finding{{State: verdict.Unknown}, bad(advisory.High, false)}}, scanFlags{}, ExitFound},
		"dormant alone does not fail": {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Dormant, Severity: advisory.Critical}}}, scanFlags{}, ExitClean},
		"dormant in an image does":    {verdict.Document{Coverage: whole, Findings: []verdict.Finding{{State: verdict.Dormant, Severity: advisory.Critical}}}, scanFlags{question: scan.Question{Root: "/image"}}, ExitFound},
	} {
		if got := scanExit(&test.doc, test.flags); got != test.want {
			t.Errorf("%s: exit %d, want %d", name, got, test.want)
		}
	}
}

func TestJSONLinesAreOneFindingALine(t *testing.T) {
	var b bytes.Buffer
	doc := judged(t, "heartbleed")
	if err := jsonLines(&b, doc); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != len(doc.Findings)+1 {
		t.Fatalf("%d lines for %d findings", len(lines), len(doc.Findings))
	}
	for i, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{true: "coverage", false: "finding"}[i == len(lines)-1]; m["kind"] != want {
			t.Errorf("line %d is a %v", i, m["kind"])
		}
	}
}

func TestWatchPrintsOnlyChanges(t *testing.T) {
	var b bytes.Buffer
	env := &Env{Stdout: &b, Getenv: func(string) string { return "" }}
	doc := judged(t, "heartbleed")
	f := scanFlags{format: "table", advisory: "heartbleed"}
	if err := printChanges(env, f, nil, doc, true); err != nil {
		t.Fatal(err)
	}
	first := b.String()
	b.Reset()
	if err := printChanges(env, f, changeSet(doc), doc, false); err != nil || b.Len() != 0 {
		t.Errorf("nothing changed, printed %q (%v)", b.String(), err)
	}
	fewer := *doc
	fewer.Findings = doc.Findings[1:]
	if err := printChanges(env, f, changeSet(doc), &fewer, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(first, "watching:") || strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), " - affected") {
		t.Errorf("first %q, then %q", first, b.String())
	}
}
