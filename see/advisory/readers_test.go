package advisory_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"staunch/fault"
	"staunch/see/advisory"
)

func osv(t *testing.T, text string) []advisory.Advisory {
	t.Helper()
	list, err := advisory.ReadOSV(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return list
}

func TestOSVRecordsBecomeFacts(t *testing.T) {
	list := osv(t, `{"id":"GHSA-jfh8-c2jp-5v3q","aliases":["CVE-2021-44228"],"details":"prose that nobody may copy","published":"2021-12-10T00:40:56Z",
		"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}],"database_specific":{"cwe_ids":["CWE-20"],"severity":"CRITICAL"},
		"affected":[{"package":{"ecosystem":"Maven","name":"org.apache.logging.log4j:log4j-core"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2.13.0"},{"fixed":"2.15.0"},{"introduced":"2.0-beta9"},{"last_affected":"2.3"}]}],"versions":["2.13.0"]},
		{"package":{"ecosystem":"Android","name":"x"},"versions":["1"]},
		{"package":{"ecosystem":"Maven","name":"git"},"ranges":[{"type":"GIT","events":[{"introduced":"0"},{"fixed":"abc"}]}]}]}`)
	if len(list) != 1 {
		t.Fatalf("%d advisories", len(list))
	}
	a := list[0]
	if a.ID != "CVE-2021-44228" || !reflect.DeepEqual(a.Aliases, []string{"GHSA-jfh8-c2jp-5v3q"}) || a.Severity != advisory.Critical || a.CWE[0] != "CWE-20" || a.Published.Year() != 2021 {
		t.Errorf("%+v", a)
	}
	want := []advisory.Affected{{Ecosystem: "Maven", Name: "org.apache.logging.log4j:log4j-core", Ranges: []advisory.Range{{Introduced: "2.13.0", Fixed: "2.15.0"}, {Introduced: "2.0-beta9", Last: "2.3"}}}}
	if !reflect.DeepEqual(a.Affects, want) {
		t.Errorf("%+v", a.Affects)
	}
}

func TestANoticeOfSeveralCVEsBecomesOneEach(t *testing.T) {
	list := osv(t, `{"id":"RHSA-2024:1","upstream":["CVE-2024-1","CVE-2024-2"],"affected":[{"package":{"ecosystem":"Red Hat:enterprise_linux:9::baseos","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:3.0.7-1.el9"}]}]}]}`)
	if len(list) != 2 || list[0].ID != "CVE-2024-1" || list[1].ID != "CVE-2024-2" || list[1].Affects[0].Ecosystem != "rhel:9" || list[1].Affects[0].Ranges[0].Introduced != "" {
		t.Errorf("%+v", list)
	}
}

// AlmaLinux's records name CVEs as related only, and binary packages; other records relate to what merely resembles them.
func TestAlmaLinuxNoticesSpeakOfWhatTheyRelateTo(t *testing.T) {
	const affected = `"related":["CVE-2026-1","CVE-2026-2","RHSA-2026:1"],"affected":[{"package":{"ecosystem":"AlmaLinux:9","name":"python3"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.9.18-3.el9"}]}]}]}`
	list := osv(t, `{"id":"ALSA-2026:1",`+affected)
	if len(list) != 2 || list[0].ID != "CVE-2026-1" || list[1].ID != "CVE-2026-2" || !slices.Contains(list[0].Aliases, "ALSA-2026:1") {
		t.Errorf("%+v", list)
	}
	if list := osv(t, `{"id":"GHSA-aaaa-bbbb-cccc",`+affected); len(list) != 1 || list[0].ID != "GHSA-aaaa-bbbb-cccc" || len(list[0].Aliases) != 0 {
		t.Errorf("another's related record: %+v", list)
	}
}

// Ubuntu's records say of one release that nothing fixes a package in its common pocket, and what fixes it in Pro's.
func TestAFixOfUbuntuProClosesTheOpenRange(t *testing.T) {
	list := osv(t, `{"id":"UBUNTU-CVE-2025-1","upstream":["CVE-2025-1"],"affected":[
		{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"vips"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"versions":["8.12.1-1"]},
		{"package":{"ecosystem":"Ubuntu:Pro:22.04:LTS","name":"vips"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"8.12.1-1ubuntu0.1~esm1"}]}]},
		{"package":{"ecosystem":"Ubuntu:25.10","name":"vips"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`)
	key := advisory.Key{Ecosystem: "ubuntu:22.04", Name: "vips"}
	for v, want := range map[string]advisory.Answer{"8.12.1-1": advisory.Yes, "8.12.1-1ubuntu0.1~esm1": advisory.No} {
		if got, _ := list[0].Covers(key, v); got != want {
			t.Errorf("%s: %v, want %v", v, got, want)
		}
	}
	if fix := list[0].FixFor(key, "8.12.1-1"); fix != "8.12.1-1ubuntu0.1~esm1" {
		t.Errorf("fix %q", fix)
	}
	if got, span := list[0].Covers(advisory.Key{Ecosystem: "ubuntu:25.10", Name: "vips"}, "8.16.1-1"); got != advisory.Yes || !span.Unfixed {
		t.Errorf("the release without a fix: %v %+v", got, span)
	}
}

// Streams of Red Hat's modules are numbered apart: a fix of one says nothing of another.
func TestStreamsOfModulesDoNotCompare(t *testing.T) {
	list := osv(t, `{"id":"RHSA-2026:1","upstream":["CVE-2026-1"],"affected":[{"package":{"ecosystem":"Red Hat:enterprise_linux:9::appstream","name":"nodejs"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:20.11.1-1.module+el9.3.0+21386+1234"}]}]}]}`)
	for v, want := range map[string]advisory.Answer{
		"1:20.10.0-1.module+el9.3.0+20000+1":    advisory.Unclear, // the same stream in truth, which its number does not tell
		"1:20.11.0-1.module+el9.3.0+20000+1":    advisory.Yes,
		"1:20.11.1-0.module+el9.3.0+20000+1":    advisory.Yes,
		"1:20.11.1-1.module+el9.3.0+21386+1234": advisory.No,
		"1:18.19.1-1.module+el9.3.0+21388+1":    advisory.Unclear,
		"1:16.20.2-4.el9_3":                     advisory.Unclear,
	} {
		if got, _ := list[0].Covers(advisory.Key{Ecosystem: "rhel:9", Name: "nodejs"}, v); got != want {
			t.Errorf("%s: %v, want %v", v, got, want)
		}
	}
}

func TestTheZeroTimeIsNoWithdrawal(t *testing.T) {
	for at, want := range map[string]bool{"": false, "0001-01-01T00:00:00Z": false, "2026-01-02T03:04:05Z": true} {
		if list := osv(t, `{"id":"DEBIAN-CVE-2014-1","upstream":["CVE-2014-1"],"published":"0001-01-01T00:00:00Z","withdrawn":"`+at+`"}`); list[0].Withdrawn != want {
			t.Errorf("%q: %v", at, list[0].Withdrawn)
		}
	}
}

func TestWhatDebianCallsUnimportantIsLeftOut(t *testing.T) {
	list := osv(t, `{"id":"DEBIAN-CVE-2010-1","upstream":["CVE-2010-1"],"affected":[{"package":{"ecosystem":"Debian:12","name":"glibc"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"urgency":"unimportant"}}]}`)
	if len(list) != 1 || len(list[0].Affects) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestEcosystemsAreSpeltOnce(t *testing.T) {
	for in, want := range map[string]string{
		"Debian:12": "debian:12", "Ubuntu:22.04:LTS": "ubuntu:22.04", "Ubuntu:Pro:14.04:LTS": "ubuntu:14.04", "Ubuntu:23.10": "ubuntu:23.10", "Alpine:v3.18": "alpine:3.18",
		"Rocky Linux:9": "rocky:9", "AlmaLinux:8": "almalinux:8", "Red Hat:enterprise_linux:9::appstream": "rhel:9", "Go": "Go", "crates.io": "crates.io",
		"Red Hat:rhel_eus:8.4::baseos": "", "Ubuntu:Pro:FIPS:20.04:LTS": "", "Debian": "", "GIT": "", "Windows": "",
	} {
		got, ok := advisory.Canonical(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q %v, want %q", in, got, ok, want)
		}
	}
	for in, want := range map[[2]string]string{
		{"debian", "12"}: "debian:12", {"debian", "12.9"}: "debian:12", {"ubuntu", "22.04"}: "ubuntu:22.04", {"alpine", "3.18.4"}: "alpine:3.18", {"rhel", "9.3"}: "rhel:9", {"centos", "7"}: "rhel:7", {"rocky", "9.1"}: "rocky:9", {"mint", "21"}: "mint:21",
	} {
		if got := advisory.OfPackage(in[0], in[1]); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
}

func TestBrokenRecordsAreRefused(t *testing.T) {
	for _, text := range []string{"", "null", "{", "[]", `{"id":""}`, `{"id":"a b"}`, `{"id":"` + strings.Repeat("x", 200) + `"}`, `{"id":"X","affected":"no"}`, "{" + strings.Repeat(" ", advisory.MaxRecord) + "}"} {
		if _, err := advisory.ReadOSV(strings.NewReader(text)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("OSV %.40q: %v", text, err)
		}
		if _, err := advisory.ReadCVE(strings.NewReader(text)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("CVE %.40q: %v", text, err)
		}
	}
}

// Scores from FIRST's examples (https://www.first.org/cvss/v3.1/examples), by severity.
func TestCVSS3(t *testing.T) {
	for vector, want := range map[string]advisory.Severity{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N": advisory.High,     // 7.5, Heartbleed
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": advisory.Critical, // 9.8
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": advisory.Critical, // 10.0
		"CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N": advisory.Moderate, // 6.4
		"CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N": advisory.Low,      // 3.1
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N": "",                // 0.0
		"CVSS:3.1/AV:N":  "",
		"nothing at all": "",
	} {
		if got := advisory.CVSS3(vector); got != want {
			t.Errorf("%s: %q, want %q", vector, got, want)
		}
	}
}

func FuzzReadOSV(f *testing.F) {
	f.Add(`{"id":"CVE-1-1","affected":[{"package":{"ecosystem":"Debian:12","name":"a"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1"}]}]}]}`)
	f.Add(`{"id":"GHSA-1","aliases":["CVE-1-2","CVE-1-3"],"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := advisory.ReadOSV(strings.NewReader(text))
		if err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatalf("not a fault: %v", err)
		}
		judgeAll(t, list)
	})
}

func FuzzReadCVE(f *testing.F) {
	f.Add(`{"dataType":"CVE_RECORD","cveMetadata":{"cveId":"CVE-1-1","state":"PUBLISHED"},"containers":{"cna":{"affected":[{"product":"OpenSSL","versions":[{"version":"1.0.1","lessThan":"1.0.1g","status":"affected"}]}]}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := advisory.ReadCVE(strings.NewReader(text))
		if err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatalf("not a fault: %v", err)
		}
		if err == nil {
			judgeAll(t, []advisory.Advisory{a})
		}
	})
}

// judgeAll asks everything of what was read: no panic, and every id is safe to print.
func judgeAll(t *testing.T, list []advisory.Advisory) {
	c := advisory.NewCatalogue(advisory.Set{Advisories: list})
	for _, a := range c.All() {
		if !advisory.SoundID(a.ID) {
			t.Fatalf("id %q", a.ID)
		}
		for _, aff := range a.Affects {
			key := advisory.Key{Ecosystem: aff.Ecosystem, Name: aff.Name}
			for _, v := range []string{"", "1", "1.0.1e", "strange"} {
				a.Covers(key, v)
				a.FixFor(key, v)
			}
		}
	}
}
