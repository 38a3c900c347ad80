package verdict

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

const bleed = "CVE-2014-0160"

func builtin(t testing.TB, more ...advisory.Set) *advisory.Catalogue {
	t.Helper()
	set, err := advisory.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return advisory.NewCatalogue(append([]advisory.Set{set}, more...)...)
}

func debian(release, name, version string) *owner.Package {
	return &owner.Package{Type: "deb", Name: name, Version: version, Source: "openssl", Distro: "debian", Release: release, Intact: "yes"}
}

func answers(list ...string) []elf.Answer {
	var out []elf.Answer
	for _, s := range list {
		id, says, _ := strings.Cut(s, "=")
		kind := "code"
		if strings.HasSuffix(id, "flag") {
			kind = "build_flag"
		}
		out = append(out, elf.Answer{Anchor: bleed + "/" + id, Says: elf.Tri(says), Kind: kind, Detail: "0x1234"})
	}
	return out
}

// machine is one process "web" of unit web.service that maps one object.
func machine(o scan.Object, m scan.Mapped, more ...scan.Object) *scan.Report {
	m.ID = o.ID
	if m.State == "" {
		m.State = scan.Same
	}
	if m.Path == "" {
		m.Path = "/usr/lib/x86_64-linux-gnu/libssl.so.1.0.0"
	}
	return &scan.Report{
		Schema: 1, Sight: scan.Sight{ProcessesSeen: 1, ProcessesKnown: 1},
		Processes: []scan.Process{{
			PID: 42, Name: "web", Unit: "web.service", Listens: []scan.Listen{{Proto: "tcp", Addr: "0.0.0.0", Port: 443, Public: true, Reach: "public"}},
			Objects: []scan.Mapped{m},
		}},
		Objects: append([]scan.Object{o}, more...),
	}
}

func libssl(version string, pkg *owner.Package, says ...string) scan.Object {
	return scan.Object{Package: pkg, Object: elf.Object{
		ID: "obj-" + version, Soname: "libssl.so.1.0.0", Machine: "x86-64", Answers: answers(says...),
		Components: []elf.Component{{Name: "openssl", Version: version, Linkage: elf.Dynamic}},
	}}
}

func static(version string, says ...string) scan.Object {
	o := libssl(version, nil, says...)
	o.Soname, o.Components[0].Linkage = "", elf.Static
	return o
}

// The lattice: what each kind of evidence says alone, and which one wins.
func TestLattice(t *testing.T) {
	deb7 := func(version string) *owner.Package { return debian("7", "libssl1.0.0", version) }
	altered := deb7("1.0.1e-2+deb7u5")
	altered.Intact = "no"
	for _, test := range []struct {
		name   string
		object scan.Object
		mapped scan.Mapped
		probes []Probe
		state  State
		just   Justification
		fix    FixKind
		says   string // some evidence says this
	}{
		{"static, version only, affected", static("1.0.1e"), scan.Mapped{Path: "/opt/a"}, nil, Affected, "", FixReplace, "lies in the affected range"},
		{"static, version only, fixed", static("1.0.1g"), scan.Mapped{Path: "/opt/a"}, nil, Fixed, "", FixNone, "has the fix of 1.0.1g"},
		{"static, branch never had it", static("1.0.0m"), scan.Mapped{Path: "/opt/a"}, nil, NotAffected, CodeNotPresent, FixNone, "none of the affected ranges"},
		{"the pre-release that the record forgot", static("1.0.2-beta1"), scan.Mapped{Path: "/opt/a"}, nil, Affected, "", FixReplace, "advisory of 2014-04-07"},
		{"static, no version", static(""), scan.Mapped{Path: "/opt/a"}, nil, Unknown, "", FixLook, "version of this copy is not written"},
		{"code absent beats version", static("1.0.1e", "present=no"), scan.Mapped{Path: "/opt/a"}, nil, NotAffected, CodeNotPresent, FixNone, "version number alone would say \"affected\""},
		{"code present and unfixed", static("1.0.1e", "present=yes", "fixed=no"), scan.Mapped{Path: "/opt/a"}, nil, Affected, "", FixReplace, "check that the fix added is missing"},
		{"backported: fix in the code, old version", static("1.0.1e", "present=yes", "fixed=yes"), scan.Mapped{Path: "/opt/a"}, nil, Fixed, "", FixNone, "whatever the version says"},
		{"a liar's version: new number, old code", static("1.0.1g", "present=yes", "fixed=no"), scan.Mapped{Path: "/opt/a"}, nil, Affected, "", FixReplace, "version number alone would say \"fixed\""},
		{"code there, fix not told: the version decides", static("1.0.1e", "present=yes", "fixed=unknown"), scan.Mapped{Path: "/opt/a"}, nil, Affected, "", FixReplace, "could not be told"},
		{"build flag beats version", static("1.0.1e", "present=unknown", "flag=yes"), scan.Mapped{Path: "/opt/a"}, nil, NotAffected, CodeNotPresent, FixNone, "built with a flag"},
		{"code beats build flag", static("1.0.1e", "present=yes", "fixed=no", "flag=yes"), scan.Mapped{Path: "/opt/a"}, nil, Affected, "", FixReplace, "build flag alone would say"},
		{"packaged, record says affected", libssl("1.0.1e", deb7("1.0.1e-2+deb7u4")), scan.Mapped{}, nil, Affected, "", FixUpgrade, "Debian 7's data says"},
		{"packaged, record says fixed, same upstream number", libssl("1.0.1e", deb7("1.0.1e-2+deb7u5")), scan.Mapped{}, nil, Fixed, "", FixNone, "fixed since 1.0.1e-2+deb7u5"},
		{"packaged, the record outweighs, code confirms", libssl("1.0.1e", deb7("1.0.1e-2+deb7u5"), "present=yes", "fixed=yes"), scan.Mapped{}, nil, Fixed, "", FixNone, "whatever the version says"},
		{"packaged, but not the packaged file: code decides", libssl("1.0.1e", altered, "present=yes", "fixed=no"), scan.Mapped{}, nil, Affected, "", FixReplace, "not the packaged one any more"},
		{"packaged, distribution not loaded", libssl("1.0.1e", &owner.Package{Type: "deb", Name: "libssl1.0.0", Version: "1.0.1e-9", Source: "openssl", Distro: "mint", Release: "17", Intact: "yes"}), scan.Mapped{}, nil, Unknown, "", FixLoad, "patch level not loaded"},
		{"packaged, not loaded, upstream clears: still unknown", libssl("3.0.17", &owner.Package{Type: "deb", Name: "libssl3", Version: "3.0.17-1", Source: "openssl", Distro: "mint", Release: "21", Intact: "yes"}), scan.Mapped{}, nil, Unknown, "", FixLoad, "patch level not loaded"},
		{"overwritten in place", libssl("1.0.1g", nil), scan.Mapped{Path: "/opt/lib/libssl.so.1.0.0", State: scan.Overwritten}, nil, Unknown, "", FixRestart, "written in place"},
		{"positive probe beats everything", static("1.0.1g", "present=no"), scan.Mapped{Path: "/opt/a"}, []Probe{{bleed, 42, true, "64 foreign bytes"}}, Affected, "", FixReplace, "live probe proved"},
		{"negative probe clears nothing", static("1.0.1e", "present=yes", "fixed=no"), scan.Mapped{Path: "/opt/a"}, []Probe{{bleed, 42, false, "no answer"}}, Affected, "", FixReplace, "proves nothing of the code"},
	} {
		t.Run(test.name, func(t *testing.T) {
			doc := Judge(machine(test.object, test.mapped), builtin(t), Options{Advisory: bleed, Probes: test.probes})
			if len(doc.Findings) != 1 {
				t.Fatalf("%d findings: %+v", len(doc.Findings), doc.Findings)
			}
			f := doc.Findings[0]
			if f.State != test.state || f.Justification != test.just {
				t.Errorf("%s (%s), want %s (%s): %+v", f.State, f.Justification, test.state, test.just, f.Evidence)
			}
			if f.Fix.Kind != test.fix {
				t.Errorf("fix %+v, want %s", f.Fix, test.fix)
			}
			if f.Fix.What == "" {
				t.Error("no word on what to do")
			}
			if !strings.Contains(evidence(f), test.says) {
				t.Errorf("no evidence says %q:\n%s", test.says, evidence(f))
			}
			if f.Exposure.In != "public" {
				t.Errorf("exposure %+v", f.Exposure)
			}
		})
	}
}

func evidence(f Finding) string {
	var b strings.Builder
	for _, e := range f.Evidence {
		b.WriteString(e.Kind + ": " + e.Says + "\n")
	}
	return b.String()
}

func one(t *testing.T, doc Document) Finding {
	t.Helper()
	if len(doc.Findings) != 1 {
		t.Fatalf("%d findings, want one: %+v", len(doc.Findings), doc.Findings)
	}
	return doc.Findings[0]
}

func TestAPositiveProbeIsAFindingAlsoWithoutAsking(t *testing.T) {
	report := machine(static("3.5.9", "present=no"), scan.Mapped{Path: "/opt/a"})
	found := false
	for _, f := range Judge(report, builtin(t), Options{Probes: []Probe{{bleed, 42, true, "64 foreign bytes"}}}).Findings {
		found = found || f.Advisory == bleed && f.State == Affected && f.Fix.Kind == FixReplace
		if good(f.State) {
			t.Errorf("%s is %s and listed", f.Advisory, f.State)
		}
	}
	if !found {
		t.Error("what a probe proved is not listed")
	}
}

func TestStaleIsAffectedInMemoryAndFixedOnDisk(t *testing.T) {
	old, fresh := libssl("1.0.1e", nil), libssl("1.0.1g", nil)
	report := machine(old, scan.Mapped{Path: "/opt/lib/libssl.so.1.0.0", State: scan.Replaced, OnDisk: fresh.ID}, fresh)
	f := one(t, Judge(report, builtin(t), Options{Advisory: bleed}))
	if f.State != Stale || !f.Bad() || f.Fix.Kind != FixRestart || f.Fix.Unit != "web.service" {
		t.Errorf("%s, fix %+v", f.State, f.Fix)
	}
}

func TestAnUpgradedPackageInMemoryIsToldByItsUpstreamNumberOrNotAtAll(t *testing.T) {
	for _, test := range []struct {
		memory, installed string
		want              State
	}{
		{"1.0.1c", "1.0.1e-2+deb7u5", Stale},   // older upstream than any fixed package
		{"1.0.1e", "1.0.1e-2+deb7u5", Unknown}, // the same number: before or after the fix cannot be told
	} {
		fresh := libssl("1.0.1e", debian("7", "libssl1.0.0", test.installed))
		fresh.ID = "fresh"
		old := libssl(test.memory, debian("7", "libssl1.0.0", test.installed))
		report := machine(old, scan.Mapped{State: scan.Replaced, OnDisk: fresh.ID}, fresh)
		f := one(t, Judge(report, builtin(t), Options{Advisory: bleed}))
		if f.State != test.want || f.Fix.Kind != FixRestart {
			t.Errorf("%s in memory, %s installed: %s, %+v\n%s", test.memory, test.installed, f.State, f.Fix, evidence(f))
		}
	}
}

func TestLibsslTakesItsVersionAndFlagsFromItsLibcrypto(t *testing.T) {
	ssl := libssl("", nil)
	crypto := libssl("1.0.1e", nil, "flag=yes")
	crypto.ID, crypto.Soname = "crypto", "libcrypto.so.1.0.0"
	report := machine(ssl, scan.Mapped{Path: "/opt/x/lib/libssl.so.1.0.0"}, crypto)
	report.Processes[0].Objects = append(report.Processes[0].Objects, scan.Mapped{ID: "crypto", Path: "/opt/x/lib/libcrypto.so.1.0.0", State: scan.Same})
	f := one(t, Judge(report, builtin(t), Options{Advisory: bleed}))
	if f.State != NotAffected || f.Version != "1.0.1e" || !strings.Contains(evidence(f), "built with a flag") {
		t.Errorf("%s %s\n%s", f.Version, f.State, evidence(f))
	}
	report.Objects[1].Answers = nil
	if f = one(t, Judge(report, builtin(t), Options{Advisory: bleed})); f.State != Affected {
		t.Errorf("without the flag %s\n%s", f.State, evidence(f))
	}
}

func TestLibcryptoAloneIsNotHeartbleed(t *testing.T) {
	o := libssl("1.0.1e", nil)
	o.Soname = "libcrypto.so.1.0.0"
	if f := one(t, Judge(machine(o, scan.Mapped{Path: "/opt/libcrypto.so.1.0.0"}), builtin(t), Options{Advisory: bleed})); f.State != NotAffected {
		t.Errorf("%s\n%s", f.State, evidence(f))
	}
}

func TestWithoutAnAdvisoryOnlyWhatIsNotCleanIsListed(t *testing.T) {
	doc := Judge(machine(static("3.0.7"), scan.Mapped{Path: "/opt/a"}), builtin(t), Options{})
	for _, f := range doc.Findings {
		if f.State == Fixed || f.State == NotAffected {
			t.Errorf("%s is %s and listed", f.Advisory, f.State)
		}
	}
	if len(doc.Findings) == 0 {
		t.Error("3.0.7 has known problems")
	}
}

func TestOnePackageWithoutDataIsOneGroupedUnknown(t *testing.T) {
	pkg := &owner.Package{Type: "deb", Name: "libssl3", Version: "3.0.17-1~deb12u2", Source: "openssl", Distro: "debian", Release: "12", Intact: "yes"}
	o := libssl("3.0.17", pkg)
	o.Soname = "libssl.so.3"
	report := machine(o, scan.Mapped{})
	second := report.Processes[0]
	second.PID = 43
	report.Processes = append(report.Processes, second)
	f := one(t, Judge(report, builtin(t), Options{}))
	if f.State != Unknown || f.Advisory != "" || len(f.PIDs) != 2 || f.Candidates == 0 || f.Fix.Kind != FixLoad {
		t.Errorf("%+v", f)
	}
	doc := Judge(report, builtin(t), Options{})
	if doc.Coverage.ComponentsWithoutData != 1 || doc.Coverage.Components != 1 {
		t.Errorf("coverage %+v", doc.Coverage)
	}
}

func TestLoadedDataThatIsSilentClearsOnlyTogetherWithUpstream(t *testing.T) {
	loaded := advisory.Set{Ecosystems: map[string]time.Time{"debian:12": time.Now()}}
	pkg := debian("12", "libssl3", "3.0.5-1")
	for _, test := range []struct {
		version string
		want    State
	}{{"3.0.9", NotAffected}, {"3.0.5", Unknown}} {
		o := libssl(test.version, pkg)
		o.Soname = "libssl.so.3"
		f := one(t, Judge(machine(o, scan.Mapped{}), builtin(t, loaded), Options{Advisory: "CVE-2022-3786"}))
		if good(f.State) != good(test.want) || f.State == Affected {
			t.Errorf("%s: %s\n%s", test.version, f.State, evidence(f))
		}
	}
}

func TestAVendorsCopyInAPackageIsJudgedByUpstream(t *testing.T) {
	pkg := &owner.Package{Type: "deb", Name: "agent", Version: "5.0", Source: "agent", Distro: "debian", Release: "12", Intact: "yes"}
	for path, want := range map[string]State{"/opt/agent/embedded/lib/libssl.so.1.0.0": Affected, "/usr/lib/agent/libssl.so.1.0.0": Unknown} {
		if f := one(t, Judge(machine(libssl("1.0.1e", pkg), scan.Mapped{Path: path}), builtin(t), Options{Advisory: bleed})); f.State != want {
			t.Errorf("%s: %s, want %s\n%s", path, f.State, want, evidence(f))
		}
	}
}

func TestLog4ShellByTheJarsContent(t *testing.T) {
	for _, test := range []struct {
		version string
		says    elf.Tri
		want    State
	}{
		{"2.14.1", elf.Yes, Affected}, {"2.14.1", elf.No, NotAffected}, {"2.17.1", elf.Yes, Fixed}, {"", elf.Yes, Unknown}, {"2.14.1", "", Affected},
	} {
		m := scan.Module{Path: "/opt/app/app.jar!/log4j-core.jar", Component: elf.Component{
			Name: "org.apache.logging.log4j:log4j-core", Kind: "Maven", Version: test.version, Linkage: elf.Bundled,
		}}
		if test.says != "" {
			m.Answers = []elf.Answer{{Anchor: "CVE-2021-44228/present", Says: test.says, Kind: "string"}}
		}
		report := &scan.Report{Processes: []scan.Process{{PID: 7, Name: "java", Unit: "app.service", Modules: []scan.Module{m}}}}
		if f := one(t, Judge(report, builtin(t), Options{Advisory: "log4shell"})); f.State != test.want {
			t.Errorf("%q, class %q: %s, want %s\n%s", test.version, test.says, f.State, test.want, evidence(f))
		}
	}
}

func TestWhatToDoFitsWhoRunsIt(t *testing.T) {
	deb7 := libssl("1.0.1e", debian("7", "libssl1.0.0", "1.0.1e-2+deb7u4"))
	for _, test := range []struct {
		change func(*scan.Process)
		kind   FixKind
		how    string
		says   string
	}{
		{func(*scan.Process) {}, FixUpgrade, "unit", "upgrade libssl1.0.0 to 1.0.1e-2+deb7u5 or later, then restart web.service"},
		{func(p *scan.Process) { p.Unit = "dbus.service" }, FixUpgrade, "reboot", "reboot, or a named person"},
		{func(p *scan.Process) { p.Unit = "docker.service" }, FixUpgrade, "reboot", "reboot, or a named person"},
		{func(p *scan.Process) { p.Unit = "session-3.scope" }, FixUpgrade, "process", "end web (pid 42) or its session"},
		{func(p *scan.Process) {
			p.Container = &scan.Container{Runtime: "docker", ID: "0123456789abcdef", Image: "shop:4"}
		}, FixImage, "workload", "rebuild the image shop:4 with libssl1.0.0 1.0.1e-2+deb7u5 or later"},
	} {
		report := machine(deb7, scan.Mapped{})
		test.change(&report.Processes[0])
		f := one(t, Judge(report, builtin(t), Options{Advisory: bleed}))
		if f.Fix.Kind != test.kind || f.Fix.Restart != test.how || !strings.Contains(f.Fix.What, test.says) {
			t.Errorf("%s: %+v", test.says, f.Fix)
		}
	}
}

func TestNoFixYetMeansSwitchOff(t *testing.T) {
	open := advisory.Set{Advisories: []advisory.Advisory{{ID: "CVE-2099-1", Affects: []advisory.Affected{
		{Ecosystem: "debian:12", Name: "openssl", Ranges: []advisory.Range{{}}, Unfixed: true},
	}}}, Ecosystems: map[string]time.Time{"debian:12": time.Now()}}
	f := one(t, Judge(machine(libssl("3.0.17", debian("12", "libssl3", "3.0.17-1")), scan.Mapped{}), builtin(t, open), Options{Advisory: "CVE-2099-1"}))
	if f.State != Affected || f.Fix.Kind != FixOff || !strings.Contains(f.Fix.What, "switch web.service off") {
		t.Errorf("%s %+v", f.State, f.Fix)
	}
}

func TestWhatADistributionLeftOpenLongAgoCanWait(t *testing.T) {
	taken := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		published time.Time
		severity  advisory.Severity
		exploited bool
		minor     bool
	}{
		{taken.AddDate(-1, 0, 0), "", false, true},
		{taken.AddDate(0, 0, -3), "", false, false},
		{taken.AddDate(-1, 0, 0), advisory.High, false, false},
		{taken.AddDate(0, 0, -3), advisory.Low, false, true},
		{taken.AddDate(-1, 0, 0), "", true, false},
		{time.Time{}, "", false, false},
	} {
		set := advisory.Set{Ecosystems: map[string]time.Time{"debian:12": taken}, Advisories: []advisory.Advisory{{
			ID: "CVE-2099-1", Published: test.published, Severity: test.severity, KnownExploited: test.exploited,
			Affects: []advisory.Affected{{Ecosystem: "debian:12", Name: "openssl", Ranges: []advisory.Range{{}}, Unfixed: true}},
		}}}
		report := machine(libssl("3.0.17", debian("12", "libssl3", "3.0.17-1")), scan.Mapped{})
		report.Taken = taken
		f := one(t, Judge(report, advisory.NewCatalogue(set), Options{}))
		if f.Minor(taken) != test.minor || strings.Contains(f.Fix.What, "can wait") != test.minor {
			t.Errorf("%+v: minor %v, %s", test, f.Minor(taken), f.Fix.What)
		}
	}
}

func TestAPackageWithoutAKnownComponentIsJudgedByItsSource(t *testing.T) {
	set := advisory.Set{Ecosystems: map[string]time.Time{"debian:12": time.Now()}, Advisories: []advisory.Advisory{{ID: "CVE-2099-2", Severity: advisory.High, Affects: []advisory.Affected{
		{Ecosystem: "debian:12", Name: "libxml2", Ranges: []advisory.Range{{Fixed: "2.9.14+dfsg-1.3~deb12u2"}}},
	}}}}
	pkg := &owner.Package{Type: "deb", Name: "libxml2", Version: "2.9.14+dfsg-1.3~deb12u1", Source: "libxml2", Distro: "debian", Release: "12", Intact: "yes"}
	o := scan.Object{Package: pkg, Object: elf.Object{ID: "xml", Soname: "libxml2.so.2"}}
	f := one(t, Judge(machine(o, scan.Mapped{Path: "/usr/lib/libxml2.so.2"}), advisory.NewCatalogue(set), Options{}))
	if f.State != Affected || f.Component != "libxml2" || f.Fix.Package != "libxml2" || f.Fix.Version != "2.9.14+dfsg-1.3~deb12u2" {
		t.Errorf("%+v", f)
	}
}

func TestDormantIsListedApart(t *testing.T) {
	o := static("1.0.1e", "present=yes", "fixed=no")
	report := &scan.Report{Objects: []scan.Object{o}, Dormant: []scan.Dormant{{Path: "/usr/local/bin/tool", ID: o.ID, Start: "timer", Unit: "tool.timer"}}}
	f := one(t, Judge(report, builtin(t), Options{Advisory: bleed}))
	if f.State != Dormant || f.PID != 0 || f.Process != "tool" || !strings.Contains(f.Fix.What, "before it is started") {
		t.Errorf("%+v", f)
	}
}

func TestPackedCodeIsUnknownToEveryAdvisory(t *testing.T) {
	o := scan.Object{Path: "/opt/tool", Object: elf.Object{ID: "packed", Unknown: "packed: UPX"}}
	for _, id := range []string{"", bleed} {
		doc := Judge(machine(o, scan.Mapped{Path: "/opt/tool"}), builtin(t), Options{Advisory: id})
		f := one(t, doc)
		if f.State != Unknown || f.Fix.Kind != FixLook || len(f.PIDs) != 1 || !strings.Contains(f.Fix.What, "packed: UPX") || (f.Advisory != "") != (id != "") {
			t.Errorf("%q: %+v", id, f)
		}
	}
}

func TestAnImagesUnknownsAreFindingsToo(t *testing.T) {
	pkg := &owner.Package{Type: "deb", Name: "libssl3", Version: "3.0.17-1", Source: "openssl", Distro: "debian", Release: "12", Intact: "yes"}
	lib := libssl("3.0.17", pkg)
	lib.Path = "/usr/lib/libssl.so.3"
	report := &scan.Report{Objects: []scan.Object{lib, {Object: elf.Object{ID: "exe"}}}, Dormant: []scan.Dormant{{Path: "/usr/bin/web", ID: "exe", Needs: []string{lib.ID}, Start: "image"}}}
	f := one(t, Judge(report, builtin(t), Options{}))
	if f.State != Unknown || f.Fix.Kind != FixLoad || len(f.PIDs) != 0 || f.Process != "/usr/bin/web" {
		t.Errorf("%+v", f)
	}
}

func TestExposedAndExploitedComeFirst(t *testing.T) {
	list := []Finding{
		{Advisory: "unknown", State: Unknown, Exposure: Exposure{"public", "none"}},
		{Advisory: "inside", State: Affected, Severity: advisory.Critical, Exposure: Exposure{"loopback", "none"}},
		{Advisory: "public", State: Affected, Severity: advisory.Low, Exposure: Exposure{"public", "none"}},
		{Advisory: "exploited", State: Stale, KnownExploited: true, Exposure: Exposure{"public", "none"}},
		{Advisory: "public exploited", State: Affected, Severity: advisory.Low, KnownExploited: true, Exposure: Exposure{"public", "none"}},
	}
	Sort(list)
	var order []string
	for _, f := range list {
		order = append(order, f.Advisory)
	}
	if got := strings.Join(order, ", "); got != "public exploited, public, inside, exploited, unknown" {
		t.Errorf("order: %s", got)
	}
}

func TestTheDocumentKeepsTheContract(t *testing.T) {
	doc := Judge(machine(static("1.0.1e"), scan.Mapped{Path: "/opt/a"}), builtin(t), Options{Advisory: bleed})
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"schema", "host", "taken", "took_ms", "scanner", "catalogue_date", "coverage", "processes", "objects", "findings", "unseen"} {
		if _, ok := m[key]; !ok {
			t.Errorf("the document has no %q", key)
		}
	}
	f := m["findings"].([]any)[0].(map[string]any)
	for _, key := range []string{"advisory", "aliases", "state", "component", "version", "pid", "process", "unit", "object", "linkage", "evidence", "exposure", "severity", "known_exploited", "fix"} {
		if _, ok := f[key]; !ok {
			t.Errorf("a finding has no %q", key)
		}
	}
}

func TestTogetherTakesTheHighestFix(t *testing.T) {
	list := []Finding{
		{Component: "openssl", Fix: Fix{Kind: FixReplace, Version: "1.0.1g"}},
		{Component: "openssl", Fix: Fix{Kind: FixReplace, Version: "1.0.1u"}},
		{Component: "openssl", Fix: Fix{Kind: FixReplace}},
		{Component: "openssl", Fix: Fix{Kind: FixReplace, Version: "1.0.1h"}},
	}
	if got := Together(list).Version; got != "1.0.1u" {
		t.Errorf("together %s", got)
	}
}

// BenchmarkJudge judges a busy machine against everything built in: 300 processes that map 400 objects, 20 of which hold OpenSSL of four ages.
// The design wants 50 ms.
func BenchmarkJudge(b *testing.B) { judgeMany(b, 300, 400, 20) }

// BenchmarkJudgeTheWorst judges the same where every object holds an old OpenSSL: 45,000 findings.
func BenchmarkJudgeTheWorst(b *testing.B) { judgeMany(b, 300, 400, 400) }

func judgeMany(b *testing.B, processes, objects, bad int) {
	catalogue := builtin(b)
	report := &scan.Report{}
	for i := range objects {
		o := static([]string{"1.0.1e", "3.0.17", "1.1.1k", "0.9.8y"}[i%4])
		if i >= bad {
			o.Components[0] = elf.Component{Name: "zlib", Version: "1.2.13", Linkage: elf.Dynamic}
		}
		o.ID = "object-" + strconv.Itoa(i)
		report.Objects = append(report.Objects, o)
	}
	for i := range processes {
		p := scan.Process{PID: i, Name: "p"}
		for k := range 30 {
			p.Objects = append(p.Objects, scan.Mapped{ID: "object-" + strconv.Itoa((i*7+k*13)%objects), Path: "/opt/x", State: scan.Same})
		}
		report.Processes = append(report.Processes, p)
	}
	for b.Loop() {
		Judge(report, catalogue, Options{})
	}
}

// TestACopyThatNoPackageOwnsIsNeverClearedByADistributionsWord asks about an advisory that only a distribution published: a copy linked into
// a program of our own is unknown, not clean.
func TestACopyThatNoPackageOwnsIsNeverClearedByADistributionsWord(t *testing.T) {
	only := advisory.Advisory{ID: "CVE-2026-0001", Severity: advisory.High, Affects: []advisory.Affected{{
		Ecosystem: "debian:12", Name: "openssl", Ranges: []advisory.Range{{Fixed: "3.0.99-1"}},
	}}}
	catalogue := advisory.NewCatalogue(advisory.Set{Advisories: []advisory.Advisory{only}})
	f := one(t, Judge(machine(static("3.0.5", ""), scan.Mapped{Path: "/opt/a"}), catalogue, Options{Advisory: only.ID}))
	if f.State != Unknown || len(f.Evidence) == 0 {
		t.Errorf("%s: %+v", f.State, f.Evidence)
	}
}
