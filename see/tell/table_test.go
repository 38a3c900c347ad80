package tell

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

// everyKindOfUnit runs Debian 7's libssl, before its fix, in everything that is restarted in a way of its own; and what no package upgrade cures.
func everyKindOfUnit() *scan.Report {
	r := webServer()
	vendor := r.Objects[1]
	vendor.ID, vendor.Package = "vendor", &owner.Package{Type: "deb", Name: "acme-agent", Version: "4.2", Source: "acme-agent", Distro: "debian", Release: "7", Intact: "yes"}
	r.Objects = append(r.Objects, vendor)
	r.Processes, r.Dormant, r.Unseen = nil, nil, nil
	add := func(name, unit, object, path string, state scan.State, disk string) *scan.Process {
		r.Processes = append(r.Processes, scan.Process{PID: 100 + len(r.Processes), Name: name, Unit: unit, Exe: path, Objects: []scan.Mapped{{ID: object, Path: path, State: state, OnDisk: disk}}})
		return &r.Processes[len(r.Processes)-1]
	}
	lib := "/usr/lib/x86_64-linux-gnu/libssl.so.1.0.0"
	for _, unit := range []string{"nginx.service", "dbus.service", "systemd-logind.service", "networking.service", "docker.service", "containerd.service"} {
		add(unit[:len(unit)-len(".service")], unit, "deb", lib, scan.Same, "")
	}
	add("systemd", "init.scope", "deb", lib, scan.Same, "").PID = 1
	add("irssi", "session-3.scope", "deb", lib, scan.Same, "")
	add("worker", "", "deb", lib, scan.Same, "")
	add("agent", "agent.service", "agent", "/opt/agent/bin/agent", scan.Same, "")
	add("acme", "acme.service", "vendor", "/opt/acme/bin/acme", scan.Same, "")
	add("mail", "mail.service", "old", "/opt/mail/lib/libssl.so.1.0.0", scan.Same, "")
	add("cache", "cache.service", "old", "/opt/cache/lib/libssl.so.1.0.0", scan.Replaced, "new")
	add("shop", "docker-0123456789abcdef.scope", "deb", lib, scan.Same, "").Container = &scan.Container{Runtime: "docker", ID: "0123456789abcdef", Image: "shop:4"}
	add("pay", "docker-fedcba9876543210.scope", "agent", "/app/pay", scan.Same, "").Container = &scan.Container{Runtime: "containerd", ID: "fedcba9876543210", Image: "pay:7"}
	r.Sight = scan.Sight{ProcessesSeen: len(r.Processes), ProcessesKnown: len(r.Processes)}
	return r
}

// What to do is read at night and done: each sentence is looked at here as it is printed.
func TestWhatToDoIsSaidForEveryKindOfUnit(t *testing.T) {
	set, err := advisory.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	open := advisory.Set{Advisories: []advisory.Advisory{{ID: "CVE-2014-0160", Affects: []advisory.Affected{{Ecosystem: "debian:7", Name: "openssl", Ranges: []advisory.Range{{}}, Unfixed: true}}}}, Ecosystems: map[string]time.Time{"debian:7": webServer().Taken}}
	for name, catalogue := range map[string]*advisory.Catalogue{"remedies": advisory.NewCatalogue(set), "remedies-unfixed": advisory.NewCatalogue(open)} {
		t.Run(name, func(t *testing.T) {
			doc := verdict.Judge(everyKindOfUnit(), catalogue, verdict.Options{Advisory: "CVE-2014-0160"})
			var b bytes.Buffer
			if err := (Table{Width: 120, Advisory: "CVE-2014-0160"}).Print(&b, &doc); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

// golden compares with a file that a person has looked at.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("it changed:\n%s\nit was:\n%s", got, want)
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

// The table is read by tired people: every change of it is looked at (go test ./see/tell -run Golden -update).
func TestGoldenTables(t *testing.T) {
	for name, table := range map[string]Table{
		"scan":             {},
		"scan-advisory":    {Advisory: "heartbleed"},
		"scan-advisory-v":  {Advisory: "heartbleed", Verbose: true},
		"scan-narrow":      {Advisory: "heartbleed", Width: 60},
		"scan-clean-other": {Advisory: "CVE-2024-3094"},
		"scan-80":          {Width: 80},
		"scan-200":         {Width: 200},
	} {
		t.Run(name, func(t *testing.T) {
			if table.Width == 0 {
				table.Width = 100
			}
			var b bytes.Buffer
			if err := table.Print(&b, judged(t, table.Advisory)); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(b.String(), "\x1b\x07") {
				t.Error("a terminal escape came through")
			}
			golden(t, name, b.Bytes())
		})
	}
}

func TestColoursOnlyWhenAskedFor(t *testing.T) {
	var b bytes.Buffer
	if err := (Table{Width: 100}).Print(&b, judged(t, "")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("colour without a terminal")
	}
	b.Reset()
	if err := (Table{Width: 100, Paint: true}).Print(&b, judged(t, "")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[1;31m") {
		t.Error("no colour on a terminal")
	}
}

func TestJSONLinesAreOneFindingALine(t *testing.T) {
	var b bytes.Buffer
	doc := judged(t, "heartbleed")
	if err := Lines(&b, doc); err != nil {
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
