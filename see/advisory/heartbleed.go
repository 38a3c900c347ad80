package advisory

import (
	"slices"
	"time"

	"staunch/see/scan/elf"
)

// heartbleed is CVE-2014-0160: a heartbeat message's claimed length was believed. What is known of it beyond the project's record:
// the pre-release that the advisory of 2014-04-07 names, the distributions' fixed packages, and how its code looks.
func heartbleed() Advisory {
	return Advisory{
		ID: "CVE-2014-0160", Names: []string{"Heartbleed"}, Published: time.Date(2014, 4, 7, 0, 0, 0, 0, time.UTC),
		Severity: High, CVSS: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", CWE: []string{"CWE-125"}, KnownExploited: true, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{{Name: "openssl", Ranges: []Range{{Introduced: "1.0.2-beta1", Fixed: "1.0.2-beta2"}}, Says: "the OpenSSL advisory of 2014-04-07"}},
			[]Affected{
				fixedIn("debian:7", "openssl", "1.0.1~", "1.0.1e-2+deb7u5"),
				fixedIn("ubuntu:12.04", "openssl", "1.0.1~", "1.0.1-4ubuntu5.12"),
				fixedIn("ubuntu:12.10", "openssl", "1.0.1~", "1.0.1c-3ubuntu2.7"),
				fixedIn("ubuntu:13.10", "openssl", "1.0.1~", "1.0.1e-3ubuntu1.2"),
				fixedIn("ubuntu:14.04", "openssl", "1.0.1~", "1.0.1f-1ubuntu2"),
				fixedIn("rhel:6", "openssl", "1.0.1", "1.0.1e-16.el6_5.7"),
				fixedIn("fedora:19", "openssl", "1.0.1", "1:1.0.1e-37.fc19.1"),
			},
			since("openssl", "1.0.1~", "1.0.1g-1", "debian:8", "debian:9", "debian:10", "debian:11", "debian:12", "debian:13", "debian:14"),
			since("openssl", "1.0.1~", "1.0.1f-1ubuntu2", "ubuntu:16.04", "ubuntu:18.04", "ubuntu:20.04", "ubuntu:22.04", "ubuntu:24.04", "ubuntu:26.04"),
		),
		Rule: heartbleedRule(),
	}
}

func heartbleedRule() *Rule {
	return &Rule{
		Component: "openssl",
		Sonames:   []string{"libssl."},
		Presence:  []elf.Anchor{heartbeatCode()},
		Fix:       []elf.Anchor{heartbeatCheck()},
		Flags: []elf.Anchor{{
			ID: "CVE-2014-0160/flag", Component: "openssl", Strings: []string{"-DOPENSSL_NO_HEARTBEATS", "-D OPENSSL_NO_HEARTBEATS"},
		}},
		Probe: "heartbleed",
		Disputes: []string{
			"the project's record ends at 1.0.1g and leaves out 1.0.2-beta1, which the advisory of 2014-04-07 names (fixed in 1.0.2-beta2)",
			"the record knows no build flag: a build with -DOPENSSL_NO_HEARTBEATS carries an affected version number without the code",
		},
	}
}

// heartbeatCode finds the two functions that answer heartbeats, by name where names are left, by the numbers in their code where not:
// message type 24, 16 bytes of padding, the sequence length 18; and the error that only they raise (library 20, function 315).
func heartbeatCode() elf.Anchor {
	return elf.Anchor{
		ID: "CVE-2014-0160/present", Component: "openssl",
		Symbols: []string{"tls1_process_heartbeat", "dtls1_process_heartbeat"},
		Code: []elf.Code{
			{Machine: "x86-64", Bytes: "be3b010000", Near: []elf.Near{
				{Any: []string{"bf14000000"}, Before: 30, After: 35},
				{Any: []string{"ba6e010000", "ba6d010000", "baf4000000"}, Before: 30, After: 35},
			}},
			{Machine: "aarch64", Bytes: "61278052", Near: []elf.Near{{Any: []string{"80028052"}, Before: 32, After: 36}}},
		},
		Functions: []elf.Shape{
			{Machine: "x86-64", MaxSize: 4096, Has: []elf.Instr{
				{Imm: []int64{0x18}, AtLeast: 2},
				{Op: []string{"mov"}, Imm: []int64{0x10}}, // into esi, or at -O0 into memory
				{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"je", "jne"}},
				{Op: []string{"movb"}, Imm: []int64{2}},
				{Op: []string{"call"}, AtLeast: 5}, // allocate, copy, random bytes, write, free
			}, HasNot: []elf.Instr{{Op: []string{"movb"}, Imm: []int64{7, 9, 11, 13}}}}, // a list of all numbers is no handler
			{Machine: "aarch64", MaxSize: 4096, Has: []elf.Instr{
				{Op: []string{"mov"}, Imm: []int64{0x18}, AtLeast: 2},
				{Op: []string{"mov"}, Imm: []int64{0x10}},
				{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"b.eq", "b.ne"}},
				{Op: []string{"mov"}, Imm: []int64{2}},
				{Op: []string{"strb"}},
				{Op: []string{"bl"}, AtLeast: 4}, // allocate, copy, random bytes, write, free
				{Op: []string{"blr"}},            // and whoever watches messages
			}},
		},
		Decisive: []string{"functions"},
	}
}

// heartbeatCheck finds the bounds check of the fix inside those functions: the length is compared with 18 (or 19) for order, not only for equality.
func heartbeatCheck() elf.Anchor {
	return elf.Anchor{
		ID: "CVE-2014-0160/fixed", Component: "openssl", Within: "CVE-2014-0160/present",
		Functions: []elf.Shape{
			{Machine: "x86-64", Has: []elf.Instr{{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"jbe", "ja"}}}},
			{Machine: "x86-64", Has: []elf.Instr{{Op: []string{"cmp"}, Imm: []int64{0x13}, Then: []string{"jb", "jae"}}}},
			{Machine: "aarch64", Has: []elf.Instr{{Op: []string{"cmp"}, Imm: []int64{0x12, 0x13}, Then: []string{"b.ls", "b.hi", "b.cs", "b.cc"}}}},
		},
		Decisive: []string{"functions"},
	}
}
