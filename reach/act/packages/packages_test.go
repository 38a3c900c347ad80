package packages

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"staunch/fault"
)

// The transcripts of apt are from a Debian 12 host; those of apk are written after Alpine's documentation and issue threads: no Alpine host was to be had.
const (
	aptTranscript = `NOTE: This is only a simulation!
Reading package lists...
The following packages will be upgraded:
  libssl3
Remv old-thing [1.0-1] [shop:amd64 ]
Inst libssl3 [3.0.11-1~deb12u1] (3.0.11-1~deb12u2 Debian-Security:12/stable-security [amd64]) []
Inst openssl [3.0.11-1~deb12u1] (3.0.11-1~deb12u2 Debian-Security:12/stable-security [amd64])
Inst new-thing (1:2.0-1 Debian:12.4/stable, Debian-Security:12/stable-security [all])
Conf libssl3 (3.0.11-1~deb12u2 Debian-Security:12/stable-security [amd64])`
	apkTranscript = `fetch https://dl-cdn.alpinelinux.org/alpine/v3.18/main/x86_64/APKINDEX.tar.gz
(1/4) Upgrading libcrypto3 (3.1.2-r0 -> 3.1.4-r0)
(2/4) Installing libextra (1.0-r1)
(3/4) Purging old-thing (0.9-r2)
(4/4) Replacing same-thing (1.0-r0 -> 1.0-r0)
Executing busybox-1.36.1-r2.trigger
OK: 12 MiB in 20 packages`
	dnfTranscript = `Last metadata expiration check: 0:00:01 ago on Sat Apr  5 10:00:00 2014.
Dependencies resolved.
================================================================================
 Package            Architecture
                               Version              Repository              Size
================================================================================
Upgrading:
 a-package-with-a-very-long-name-indeed
                    x86_64     1:1.1-1              local                  6.3 k
 tally              noarch     1.1-1                local                   10 M
Installing dependencies:
 extra              x86_64     2.0-1                local                  6.0 k
Removing dependent packages:
 old                x86_64     0:0.1-1              @local                    0

Transaction Summary
================================================================================
Upgrade  2 Packages`
	zypperTranscript = `<?xml version='1.0'?>
<stream>
<message type="info">Loading repository data...</message>
<install-summary download-size="1" space-usage-diff="0" packages-to-change="2">
<to-upgrade><solvable type="package" name="tally" edition="1.1-1" arch="x86_64" edition-old="1.0-1" summary="x"/></to-upgrade>
<to-remove><solvable type="package" name="old" edition="0.1-1" arch="x86_64"/></to-remove>
<to-install><solvable type="patch" name="not-a-package" edition="1" arch="noarch"/></to-install>
</install-summary>
<message type="info">Nothing else.</message>
</stream>`
)

func shown(changes []Change) string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "; ")
}

func TestWhatManagersSayTheyWouldDoIsUnderstood(t *testing.T) {
	lines := func(s string) []string { return strings.Split(s, "\n") }
	zypper, err := parseZypper(lines(zypperTranscript))
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		shown(parseApt(lines(aptTranscript))): "remove old-thing 1.0-1; libssl3 3.0.11-1~deb12u1 -> 3.0.11-1~deb12u2; openssl 3.0.11-1~deb12u1 -> 3.0.11-1~deb12u2; install new-thing 1:2.0-1",
		shown(parseApk(lines(apkTranscript))): "libcrypto3 3.1.2-r0 -> 3.1.4-r0; install libextra 1.0-r1; remove old-thing 0.9-r2; same-thing 1.0-r0 -> 1.0-r0",
		shown(zypper):                         "tally 1.0-1 -> 1.1-1; remove old 0.1-1",
	} {
		if got != want {
			t.Errorf("understood: %s\nwant:       %s", got, want)
		}
	}
	dnf := shown(parseDnf(lines(dnfTranscript)))
	for _, want := range []string{"install a-package-with-a-very-long-name-indeed 1:1.1-1", "install tally 1.1-1", "install extra 2.0-1", "remove old 0.1-1"} {
		if !strings.Contains(dnf, want) {
			t.Errorf("dnf: %q lacks %q", dnf, want)
		}
	}
}

func TestWhyAptFailedIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"Reading...\nE: Version '9' for 'a' was not found": "apt: Version '9' for 'a' was not found",
		"dpkg: unrecoverable fatal error, aborting:\n unable to flush x: No space left on device\nE: Sub-process /usr/bin/dpkg returned an error code (2)":           "apt: dpkg: unrecoverable fatal error, aborting: unable to flush x: No space left on device",
		"dpkg: error processing package a (--configure):\n installed a package post-installation script failed\nE: Sub-process /usr/bin/dpkg returned an error code": "apt: dpkg: error processing package a (--configure): installed a package post-installation script failed",
		"E: Sub-process /usr/bin/dpkg returned an error code (1)": "apt: Sub-process /usr/bin/dpkg returned an error code (1)",
		"dpkg: error:": "it ended badly",
	} {
		if got := aptSays(strings.Split(text, "\n"), fault.New(fault.Conflict, "it ended badly")); got.Error() != want {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

func TestATransactionIsExactlyWhatWasAskedFor(t *testing.T) {
	want := []Package{{Name: "libssl3", Version: "2"}}
	have := []Installed{{Package: Package{Name: "libssl3", Version: "1"}}}
	for name, c := range map[string]struct {
		changes []Change
		also    []Package
		kind    fault.Kind
	}{
		"exact":              {[]Change{{Name: "libssl3", From: "1", To: "2"}}, nil, ""},
		"named companion":    {[]Change{{Name: "libssl3", From: "1", To: "2"}, {Name: "openssl", From: "1", To: "2"}}, []Package{{Name: "openssl", Version: "2"}}, ""},
		"unasked companion":  {[]Change{{Name: "libssl3", From: "1", To: "2"}, {Name: "openssl", From: "1", To: "2"}}, nil, fault.Denied},
		"removal":            {[]Change{{Name: "libssl3", From: "1", To: "2"}, {Name: "shop", From: "1"}}, nil, fault.Denied},
		"removal of a named": {[]Change{{Name: "libssl3", From: "1"}}, nil, fault.Denied},
		"another version":    {[]Change{{Name: "libssl3", From: "1", To: "3"}}, nil, fault.Conflict},
		"nothing at all":     {nil, nil, fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Allowed(c.changes, want, c.also, have); fault.KindOf(err) != c.kind {
				t.Errorf("%v, want kind %q", err, c.kind)
			}
		})
	}
}

func TestApkFromTranscripts(t *testing.T) {
	said := map[string]string{
		"apk list --installed": "WARNING: opening from cache\nlibcrypto3-3.1.2-r0 x86_64 {openssl} (Apache-2.0) [installed]\nlibcrypto3-dev-3.1.2-r0 x86_64 {openssl} (Apache-2.0) [installed]",
		"apk add --simulate --no-interactive libcrypto3=3.1.4-r0": apkTranscript,
		"apk add --simulate --no-interactive libcrypto3=9":        "ERROR: unable to select packages:\n  libcrypto3-3.1.4-r0:\n    breaks: world[libcrypto3=9]",
	}
	run := func(_ context.Context, _ []byte, _ []string, argv ...string) ([]string, error) {
		text, known := said[strings.Join(argv, " ")]
		if !known {
			return nil, fmt.Errorf("no transcript of %q", argv)
		}
		var err error
		if strings.HasPrefix(text, "ERROR") {
			err = fault.New(fault.Conflict, "exit status 1")
		}
		return strings.Split(text, "\n"), err
	}
	m, err := Pick("", run, func(p string) bool { return p == "apk" }, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if have, err := m.Installed(ctx, []string{"libcrypto3"}); err != nil || len(have) != 1 || have[0].Version != "3.1.2-r0" {
		t.Errorf("%+v, %v", have, err)
	}
	if changes, err := m.Simulate(ctx, []Package{{Name: "libcrypto3", Version: "3.1.4-r0"}}, false); err != nil || len(changes) != 4 {
		t.Errorf("%v, %v", changes, err)
	}
	if _, err := m.Simulate(ctx, []Package{{Name: "libcrypto3", Version: "9"}}, false); err == nil || !strings.Contains(err.Error(), "unable to select") {
		t.Errorf("%v", err)
	}
}

func FuzzTranscripts(f *testing.F) {
	for _, s := range []string{aptTranscript, apkTranscript, dnfTranscript, zypperTranscript, "Remov:\n0 x86_64 0: 0 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		for _, c := range append(append(parseApt(lines), parseApk(lines)...), parseDnf(lines)...) {
			if c.Name == "" || strings.ContainsAny(c.Name, " \t") || c.From == "" && c.To == "" {
				t.Fatalf("half a change: %+v", c)
			}
		}
		if changes, err := parseZypper(lines); err != nil && changes != nil {
			t.Fatalf("changes beside an error: %v", err)
		}
	})
}

func TestOnlyAManagerThatNeverRanIsDoubted(t *testing.T) {
	has := func(want string) func(string) bool { return func(program string) bool { return program == want } }
	for program, doubted := range map[string]bool{"apt-get": false, "dnf": false, "zypper": false, "apk": true} {
		m, err := Pick("", nil, has(program), "")
		if err != nil || (Doubt(m) != "") != doubted {
			t.Errorf("%s: %q, %v", program, Doubt(m), err)
		}
	}
}
