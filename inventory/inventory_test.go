package inventory_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/inventory"
	"staunch/reach/fleet"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

var noon = time.Date(2014, 4, 8, 12, 0, 0, 0, time.UTC)

// object is a library or program of one component.
func object(id, name, version string, linkage elf.Linkage) scan.Object {
	return scan.Object{Path: "/lib/" + id, Object: elf.Object{
		ID: id, Machine: "x86-64", Size: 1000, Soname: id + ".so.1",
		Components: []elf.Component{{Name: name, Version: version, Linkage: linkage, Evidence: []elf.Evidence{{Kind: "version", Says: name + " " + version}}}},
	}}
}

// machine is a report of processes, each "unit object object ..."; a unit that ends in * listens publicly.
func machine(host string, taken time.Time, objects []scan.Object, processes ...string) *scan.Report {
	r := &scan.Report{
		Schema: 1, Host: host, Taken: taken, Scanner: "test", Machine: scan.Machine{Arch: "x86-64", Distro: "debian", Release: "12"},
		Objects: objects, Unseen: []scan.Unseen{}, Sight: scan.Sight{ProcessesSeen: len(processes), ProcessesKnown: len(processes)},
	}
	for i, words := range processes {
		fields := strings.Fields(words)
		unit, public := strings.CutSuffix(fields[0], "*")
		p := scan.Process{PID: 100 + i, PPID: 1, Start: taken.Add(-time.Hour), Exe: "/usr/bin/" + unit, Name: unit, User: "root", Unit: unit + ".service", Listens: []scan.Listen{}}
		if public {
			p.Listens = append(p.Listens, scan.Listen{Proto: "tcp", Addr: "0.0.0.0", Port: 443, Public: true, Reach: "public"})
		}
		for _, id := range fields[1:] {
			p.Objects = append(p.Objects, scan.Mapped{ID: id, Path: "/lib/" + id, State: scan.Same})
		}
		r.Processes = append(r.Processes, p)
	}
	return r
}

func libraries() []scan.Object {
	return []scan.Object{
		object("ssl-old", "openssl", "1.0.1c", elf.Static),
		object("ssl-new", "openssl", "1.0.1g", elf.Static),
		object("zlib", "zlib", "1.2.13", elf.Dynamic),
	}
}

// catalogue holds one advisory by ranges: a Heartbleed without its rule.
func catalogue() *advisory.Catalogue {
	return advisory.NewCatalogue(advisory.Set{Date: noon, Advisories: []advisory.Advisory{{
		ID: "CVE-2014-0160", Names: []string{"Heartbleed"}, Severity: advisory.High,
		Affects: []advisory.Affected{{Name: "openssl", Ranges: []advisory.Range{{Introduced: "1.0.1", Fixed: "1.0.1g"}}}},
	}}})
}

func hosts(names ...string) *fleet.Fleet {
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "production"}}}
	for _, n := range names {
		f.Hosts = append(f.Hosts, fleet.Host{Name: n, Ring: "production"})
	}
	return f
}

func tell(t *testing.T, inv *inventory.Inventory, r *scan.Report) {
	t.Helper()
	if err := inv.Tell(r.Host, r); err != nil {
		t.Fatal(err)
	}
}

func TestFleetAgainstOneAdvisory(t *testing.T) {
	inv := inventory.New()
	tell(t, inv, machine("web1", noon, libraries(), "nginx* ssl-old zlib", "cron zlib", "app ssl-new"))
	tell(t, inv, machine("web2", noon, libraries(), "nginx* ssl-new zlib"))
	tell(t, inv, machine("old", noon.Add(-48*time.Hour), libraries(), "nginx ssl-new"))
	blind := machine("blind", noon, libraries(), "app zlib")
	blind.Unseen = []scan.Unseen{{PID: 7, Reason: "not allowed"}}
	tell(t, inv, blind)
	sleeper := machine("sleeper", noon, libraries(), "cron zlib")
	sleeper.Dormant = []scan.Dormant{{Path: "/opt/tool", ID: "ssl-old", Start: "timer", Unit: "tool.timer"}}
	tell(t, inv, sleeper)
	inv.Unread("silent", "connection timed out")
	f := hosts("web1", "web2", "old", "blind", "sleeper", "silent", "new")
	f.Hosts = append(f.Hosts, fleet.Host{Name: "printer", System: "windows"})

	a, err := inv.Ask(inventory.Question{Advisory: "heartbleed", Catalogue: catalogue(), Fleet: f, Now: noon.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"web1": "affected", "web2": "clean", "old": "unknown quiet", "blind": "unknown 1 process could not", "sleeper": "dormant",
		"silent": "unknown connection timed out", "new": "unknown never looked at", "printer": "unknown not covered",
	}
	for _, h := range a.Hosts {
		if got := string(h.State) + " " + h.Why; !strings.HasPrefix(got, want[h.Host]) {
			t.Errorf("%s is %q, want %q", h.Host, got, want[h.Host])
		}
	}
	if h := a.Hosts[0]; h.Affected != 1 || h.Facing != 1 || h.Holding != 2 {
		t.Errorf("web1: %+v, want 1 affected of 2 that hold it, 1 facing strangers", h)
	}
	if a.Known != 8 || a.Seen != 4 || a.Says() == "" {
		t.Errorf("%d of %d hosts seen, want 4 of 8", a.Seen, a.Known)
	}
	if _, err := inv.Ask(inventory.Question{Advisory: "CVE-1999-9999", Catalogue: catalogue(), Fleet: f, Now: noon}); !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
		t.Errorf("an unknown advisory: %v", err)
	}
}

// Between an upgrade and its restarts the old library is still in memory, and its host's database tells of the new one only:
// what was known of the very same bytes before must not be forgotten, neither by the next look nor by the next command.
func TestAnUpgradedLibraryInMemoryStaysWhatItWas(t *testing.T) {
	old := &owner.Package{Type: "deb", Name: "libtally1", Version: "1.0-1", Source: "tally", Distro: "debian", Release: "12", Intact: "yes"}
	look := func(at time.Time, state scan.State, pkg *owner.Package) *scan.Report {
		r := machine("web1", at, []scan.Object{{Path: "/lib/x/libtally.so.1", Object: elf.Object{ID: "tally-old", Soname: "libtally.so.1"}, Package: pkg}}, "tallyd tally-old")
		r.Processes[0].Objects[0].State, r.Processes[0].Objects[0].Path = state, "/lib/x/libtally.so.1"
		return r
	}
	bad := advisory.NewCatalogue(advisory.Set{Date: noon, Ecosystems: map[string]time.Time{"debian:12": noon}, Advisories: []advisory.Advisory{{
		ID: "CVE-2026-0001", Affects: []advisory.Affected{{Ecosystem: "debian:12", Name: "tally", Ranges: []advisory.Range{{Fixed: "1.1-1"}}}},
	}}})
	state := func(inv *inventory.Inventory) string {
		a, err := inv.Ask(inventory.Question{Advisory: "CVE-2026-0001", Catalogue: bad, Fleet: hosts("web1"), Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		return string(a.Hosts[0].State) + " " + a.Hosts[0].Why
	}
	inv := inventory.New()
	tell(t, inv, look(noon.Add(-time.Hour), scan.Same, old))
	if got := state(inv); got != "affected " {
		t.Fatalf("before the upgrade: %s", got)
	}
	now := *old
	now.Version, now.Intact = "1.1-1", "no"
	for _, pkg := range []*owner.Package{nil, &now} {
		tell(t, inv, look(noon, scan.Deleted, pkg))
		if got := state(inv); got != "affected " {
			t.Errorf("after the upgrade, before the restart: %s", got)
		}
	}
	kept, err := inv.Report("web1")
	if err != nil {
		t.Fatal(err)
	}
	packed, err := inventory.Pack(kept)
	if err != nil {
		t.Fatal(err)
	}
	again, err := inventory.Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	next := inventory.New()
	tell(t, next, again)
	tell(t, next, look(noon, scan.Deleted, nil))
	if got := state(next); got != "affected " {
		t.Errorf("for the next command: %s", got)
	}
	blank := inventory.New()
	tell(t, blank, look(noon, scan.Deleted, &now))
	if got := state(blank); !strings.HasPrefix(got, "unknown") {
		t.Errorf("without anything known before: %s", got)
	}
}

// Behind a balancer no address of a web server is public; the fleet's description says that strangers reach it all the same.
func TestWhatTheFleetCallsPublicFacesStrangers(t *testing.T) {
	inv := inventory.New()
	tell(t, inv, machine("web1", noon, libraries(), "nginx ssl-old", "nginx ssl-old", "cron ssl-old", "app ssl-new"))
	tell(t, inv, machine("db1", noon, libraries(), "postgres ssl-old"))
	f := hosts("web1", "db1")
	f.Services = []fleet.Service{{Name: "shop", Hosts: []string{"web1"}, Units: []string{"nginx.service"}}, {Name: "orders", Hosts: []string{"db1"}, Units: []string{"postgres.service"}}}
	f.Endpoints = []fleet.Endpoint{{Name: "shop.example", Addresses: []string{"192.0.2.1:443"}, Service: "shop", Public: true}}
	a, err := inv.Ask(inventory.Question{Advisory: "heartbleed", Catalogue: catalogue(), Fleet: f, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	if web, db := a.Hosts[0], a.Hosts[1]; web.Affected != 3 || web.Facing != 2 || db.Affected != 1 || db.Facing != 0 {
		t.Errorf("web1: %+v, want 2 of 3 facing; db1: %+v, want none", web, db)
	}
	doc, err := inv.Document("web1", catalogue(), f.Outside(), "heartbleed")
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range doc.Findings {
		if want := map[string]string{"nginx.service": "public"}[finding.Unit]; finding.Exposure.In != max(want, "none") {
			t.Errorf("%s is exposed %q", finding.Unit, finding.Exposure.In)
		}
	}
	if first := doc.Findings[0]; first.Unit != "nginx.service" {
		t.Errorf("%s stands first, not what strangers reach", first.Unit)
	}
}

func TestReportComesBackWhole(t *testing.T) {
	inv := inventory.New()
	r := machine("web1", noon, libraries(), "nginx* ssl-old zlib", "cron zlib", "cron zlib")
	r.Processes[1].Container = &scan.Container{Runtime: "podman", ID: "abc", Image: "x:1"}
	r.Processes[1].Modules = []scan.Module{{Component: elf.Component{Name: "log4j-core", Version: "2.14.1", Kind: "Maven", Linkage: elf.Bundled}, Path: "/srv/a.jar"}}
	r.Processes[2].Objects[0].State, r.Processes[2].Objects[0].OnDisk = scan.Replaced, "ssl-new"
	tell(t, inv, r)
	again, err := inv.Report("web1")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, r) {
		t.Errorf("came back as\n%+v\nwas\n%+v", again, r)
	}
	packed, err := inventory.Pack(r)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := inventory.Unpack(packed); err != nil || !reflect.DeepEqual(unpacked, r) {
		t.Errorf("unpacked as\n%+v, %v\nwas\n%+v", unpacked, err, r)
	}
}

func TestOldAndBrokenReportsAreRefused(t *testing.T) {
	inv := inventory.New()
	tell(t, inv, machine("web1", noon, libraries(), "nginx zlib"))
	if err := inv.Tell("web1", machine("web1", noon.Add(-time.Hour), libraries())); !fault.Is(err, fault.Conflict) {
		t.Errorf("an older report: %v", err)
	}
	if err := inv.Tell("web1", machine("web1", noon, nil, "nginx zlib")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a report that maps what it does not describe: %v", err)
	}
	if _, err := inventory.Unpack([]byte("junk")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("junk: %v", err)
	}
}

// big is a host of 300 processes of about 70 programs out of 4,000 objects.
func big(n int) *scan.Report {
	var objects []scan.Object
	ids := map[string]bool{}
	var processes []string
	for i := range 300 {
		kind := (n*7 + i) % 1000
		words := fmt.Sprintf("unit%d", kind%70)
		for o := range 12 {
			id := fmt.Sprintf("%064x", (kind%70*53+o*31+n%8)%4000)
			if o == 0 && kind%10 == 0 {
				id = "ssl-old"
			}
			words += " " + id
			if !ids[id] {
				ids[id] = true
				name, version := "lib"+id[max(0, len(id)-6):], "1.0"
				if id == "ssl-old" {
					name, version = "openssl", "1.0.1c"
				}
				objects = append(objects, object(id, name, version, elf.Static))
			}
		}
		processes = append(processes, words)
	}
	return machine(fmt.Sprintf("host%d", n), noon, objects, processes...)
}

func TestCompactFormIsSmall(t *testing.T) {
	packed, err := inventory.Pack(big(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("300 processes take %d bytes", len(packed))
	if len(packed) > 100_000 {
		t.Errorf("300 processes take %d bytes, at most 100,000 may travel", len(packed))
	}
}

func FuzzUnpack(f *testing.F) {
	packed, err := inventory.Pack(machine("web1", noon, libraries(), "nginx* ssl-old zlib"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if r, err := inventory.Unpack(b); err == nil {
			_ = inventory.New().Tell("x", r)
		}
	})
}

// BenchmarkAsk judges a new advisory over 10,000 hosts of 300 processes.
func BenchmarkAsk(b *testing.B) {
	inv, f := inventory.New(), &fleet.Fleet{}
	shop := fleet.Service{Name: "shop", Units: []string{"unit0.service"}, Public: true}
	for n := range 10_000 {
		r := big(n)
		f.Hosts = append(f.Hosts, fleet.Host{Name: r.Host})
		shop.Hosts = append(shop.Hosts, r.Host)
		if err := inv.Tell(r.Host, r); err != nil {
			b.Fatal(err)
		}
	}
	f.Services = []fleet.Service{shop} // every host has something public
	c := catalogue()
	for b.Loop() {
		a, err := inv.Ask(inventory.Question{Advisory: "Heartbleed", Catalogue: c, Fleet: f, Now: noon})
		if err != nil || a.Count(inventory.Affected) == 0 {
			b.Fatal(a, err)
		}
	}
}

// On a host where the library was just upgraded, the mapped file is deleted and nobody owns it any more; that must not change
// what is known about hosts that still run it from its package.
func TestOneHostsDeletedFileChangesNoOtherHost(t *testing.T) {
	inv := inventory.New()
	report := func(name string, state scan.State, pkg *owner.Package) {
		r := &scan.Report{
			Schema: scan.Schema, Host: name, Taken: time.Now(), Machine: scan.Machine{Arch: "x86_64", Distro: "debian", Release: "12"},
			Objects:   []scan.Object{{Object: elf.Object{ID: "aa"}, Package: pkg}},
			Processes: []scan.Process{{PID: 7, Objects: []scan.Mapped{{ID: "aa", Path: "/lib/libtally.so.1", State: state}}}},
		}
		if err := inv.Tell(name, r); err != nil {
			t.Fatal(err)
		}
	}
	old := &owner.Package{Type: "deb", Name: "libtally1", Version: "1.0-1", Source: "tally"}
	again := &owner.Package{Type: "deb", Name: "libtally1", Version: "1.0-1+b1", Source: "tally"}
	report("web2", scan.Same, old)
	report("web1", scan.Deleted, nil)
	report("web3", scan.Same, again)
	got, err := inv.Report("web2")
	if err != nil || got.Objects[0].Package == nil || *got.Objects[0].Package != *old {
		t.Errorf("web2's library belongs to %+v (%v)", got.Objects[0].Package, err)
	}
	if got, err := inv.Report("web3"); err != nil || got.Processes[0].Objects[0].Package == nil || got.Processes[0].Objects[0].Package.Version != "1.0-1+b1" {
		t.Errorf("web3's own package is lost (%v)", err)
	}
}
