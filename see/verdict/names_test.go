package verdict

import (
	"strings"
	"testing"
	"time"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// TestAnAdvisoryThatNamesTheBinaryPackageOnly: AlmaLinux's records say python3, the source package is python3.9.
func TestAnAdvisoryThatNamesTheBinaryPackageOnly(t *testing.T) {
	list, err := advisory.ReadOSV(strings.NewReader(`{"id":"ALSA-2026:1","related":["CVE-2026-1"],"affected":[
		{"package":{"ecosystem":"AlmaLinux:9","name":"python3"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.9.18-3.el9_4"}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	set := advisory.Set{Advisories: list, Date: time.Now(), Ecosystems: map[string]time.Time{"almalinux:9": time.Now()}}
	for version, want := range map[string]State{"3.9.18-1.el9": Affected, "3.9.18-3.el9_4": ""} {
		python := scan.Object{
			Object:  elf.Object{ID: "python", Components: []elf.Component{{Name: "python", Version: "3.9.18", Linkage: elf.Dynamic}}},
			Package: &owner.Package{Type: "rpm", Name: "python3", Version: version, Source: "python3.9", Distro: "almalinux", Release: "9.4", Intact: "yes"},
		}
		r := machine(python, scan.Mapped{Path: "/usr/bin/python3.9"})
		doc := Judge(r, builtin(t, set), Options{})
		found := State("")
		for _, f := range doc.Findings {
			if f.Advisory == "CVE-2026-1" {
				found = f.State
				if f.Fix.Package != "python3" || f.Fix.Version != "3.9.18-3.el9_4" {
					t.Errorf("%s: do %+v", version, f.Fix)
				}
			}
		}
		if found != want {
			t.Errorf("%s: %q, want %q; %+v", version, found, want, doc.Findings)
		}
		wanted := Wants(r)
		for _, name := range []string{"python3", "python3.9"} {
			key := advisory.Key{Ecosystem: "almalinux:9", Name: name}
			ok := false
			for _, w := range wanted {
				ok = ok || w == key
			}
			if !ok {
				t.Errorf("%v is not asked for: %v", key, wanted)
			}
		}
	}
}
