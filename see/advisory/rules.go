package advisory

import (
	"slices"
	"time"

	"staunch/see/scan/elf"
)

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

// ccsInjection is CVE-2014-0224; upstream's ranges come from the project's record. Fixed packages: DSA-2950-1, USN-2232-1 (14.04; what it says of
// 12.04 and 13.10 was not seen again and is left out), RHSA-2014:0625. Debian 8 and later came with 1.0.1h or newer, upstream's own fix.
func ccsInjection() Advisory {
	return Advisory{
		ID: "CVE-2014-0224", Names: []string{"CCS injection"}, Published: day(2014, 6, 5), Severity: High, CWE: []string{"CWE-326"}, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{
				fixedIn("debian:7", "openssl", "", "1.0.1e-2+deb7u10"),
				fixedIn("ubuntu:14.04", "openssl", "", "1.0.1f-1ubuntu2.2"),
				fixedIn("rhel:6", "openssl", "", "1.0.1e-16.el6_5.14"),
			},
			since("openssl", "", "1.0.1h", "debian:8", "debian:9", "debian:10", "debian:11", "debian:12", "debian:13", "debian:14"),
		),
		Rule: &Rule{Component: "openssl", Needs: []string{
			"a man in the middle between a client and a server; a server must run 1.0.1 or later, a client any affected version",
		}},
	}
}

// punycode is CVE-2022-3602; upstream's range comes from the project's record. Fixed packages: USN-5710-1, RHSA-2022:7288; Debian's releases came with
// 3.0.7 or newer, upstream's own fix, or with the branch 1.1.1, which never had it.
func punycode() Advisory {
	return Advisory{
		ID: "CVE-2022-3602", Published: day(2022, 11, 1), Severity: High, CWE: []string{"CWE-787"}, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{
				fixedIn("ubuntu:22.04", "openssl", "3.0.0", "3.0.2-0ubuntu1.7"),
				fixedIn("rhel:9", "openssl", "1:3.0.0", "1:3.0.1-43.el9_0"),
			},
			since("openssl", "3.0.0~", "3.0.7", "debian:10", "debian:11", "debian:12", "debian:13", "debian:14"),
		),
		Rule: &Rule{Component: "openssl", Needs: []string{
			"a malicious certificate whose chain verifies (or a client that goes on although it does not); servers only when they ask clients for certificates",
		}},
	}
}

// xz is CVE-2024-3094, the backdoor in the release archives of xz 5.6.0 and 5.6.1. The byte pattern is the start of a function of the
// planted object, published with the first report (oss-security, 2024-03-29). Not finding it proves nothing. Which packages carried it, up to
// 5.6.1-1, and which one replaced them: DSA-5649-1.
func xz() Advisory {
	return Advisory{
		ID: "CVE-2024-3094", Names: []string{"xz backdoor"}, Published: day(2024, 3, 29), Severity: Critical, CWE: []string{"CWE-506"}, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{{Name: "liblzma", Ranges: []Range{{Introduced: "5.6.0", Last: "5.6.1"}}}},
			since("xz-utils", "5.5.1alpha-0.1", "5.6.1+really5.4.5-1", "debian:10", "debian:11", "debian:12", "debian:13", "debian:14"),
		),
		Rule: &Rule{
			Component: "liblzma", PresenceProves: true,
			Presence: []elf.Anchor{{
				ID: "CVE-2024-3094/present", Component: "liblzma",
				Code: []elf.Code{{Machine: "x86-64", Bytes: "f30f1efa554889f54c89ce5389fb81e7000000804883ec28488954241848894c2410"}},
			}},
			Disputes: []string{"only builds from the release archives carry the backdoor: builds of these versions from the source repository do not"},
		},
	}
}

// webp is CVE-2023-4863: a Huffman table of libwebp's lossless decoder overflows. The table came with 0.5.0 (as the patches to find it say). Fixed
// packages: Debian's advisories for 11 (0.6.1-2.1+deb11u2) and 12 (1.2.4-0.2+deb12u1); Debian 13 came with upstream's own fix.
func webp() Advisory {
	return Advisory{
		ID: "CVE-2023-4863", Published: day(2023, 9, 12), Severity: High, CWE: []string{"CWE-787"}, KnownExploited: true, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{
				{Name: "libwebp", Ranges: []Range{{Introduced: "0.5.0", Fixed: "1.3.2"}}},
				fixedIn("debian:11", "libwebp", "", "0.6.1-2.1+deb11u2"),
				fixedIn("debian:12", "libwebp", "", "1.2.4-0.2+deb12u1"),
			},
			since("libwebp", "", "1.3.2", "debian:13", "debian:14"),
		),
		Rule: &Rule{Component: "libwebp", Sonames: []string{"libwebp.", "libwebpdecoder."}, Needs: []string{"the process must decode WebP images of strangers"}},
	}
}

// socks5 is CVE-2023-38545: a host name that is too long for SOCKS5 overflows a heap buffer of libcurl. Range: curl's own
// advisory. Fixed packages: Debian's tracker (11, 12, and 8.3.0-3 for what came later), Ubuntu's 7.81.0-1ubuntu1.14.
func socks5() Advisory {
	return Advisory{
		ID: "CVE-2023-38545", Published: day(2023, 10, 11), Severity: Critical, CWE: []string{"CWE-787"}, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{
				{Name: "libcurl", Ranges: []Range{{Introduced: "7.69.0", Fixed: "8.4.0"}}},
				fixedIn("debian:11", "curl", "7.69.0", "7.74.0-1.3+deb11u10"),
				fixedIn("debian:12", "curl", "7.69.0", "7.88.1-10+deb12u4"),
				fixedIn("ubuntu:22.04", "curl", "7.69.0", "7.81.0-1ubuntu1.14"),
			},
			since("curl", "7.69.0", "8.3.0-3", "debian:13", "debian:14"),
		),
		Rule: &Rule{Component: "libcurl", Needs: []string{"the process must use a SOCKS5 proxy that resolves host names (socks5h)"}},
	}
}

// log4shell is CVE-2021-44228: log4j-core looks names up over JNDI. The class that does it decides; its version tells whether it still does so on its own.
// Range: the project's record (2.15.0, and the lines 2.12.2 and 2.3.1 for older Java); Debian 11: its own advisory.
func log4shell() Advisory {
	const core = "org.apache.logging.log4j:log4j-core"
	return Advisory{
		ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}, Names: []string{"Log4Shell"}, Published: day(2021, 12, 10),
		Severity: Critical, CWE: []string{"CWE-502", "CWE-917"}, KnownExploited: true, Source: "staunch",
		Affects: []Affected{
			{Ecosystem: "Maven", Name: core, Ranges: []Range{
				{Introduced: "2.0-beta9", Fixed: "2.3.1"}, {Introduced: "2.4", Fixed: "2.12.2"}, {Introduced: "2.13.0", Fixed: "2.15.0"},
			}},
			fixedIn("debian:11", "apache-log4j2", "", "2.15.0-1~deb11u1"),
		},
		Rule: &Rule{
			Component: core,
			Presence: []elf.Anchor{{
				ID: "CVE-2021-44228/present", Component: core,
				Strings: []string{"org/apache/logging/log4j/core/lookup/JndiLookup.class"}, Decisive: []string{"strings"},
			}},
			Needs: []string{"the process must log text of strangers"},
		},
	}
}

// regresshion is CVE-2024-6387: sshd's timer handler calls functions that a signal handler must not call. The text is logged by that handler
// only; from 9.8 on it lives in sshd-session. Clients and tools of the same package do not hold it. Ranges: the finders' report and release 9.8's notes. Fixed
// packages: DSA-5724-1 and Debian's tracker (12; 1:9.7p1-7 later; 11 and older never had it), USN-6859-1, RHSA-2024:4312.
func regresshion() Advisory {
	return Advisory{
		ID: "CVE-2024-6387", Names: []string{"regreSSHion"}, Published: day(2024, 7, 1), Severity: High, CWE: []string{"CWE-364"}, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{
				{Name: "openssh", Ranges: []Range{{Introduced: "8.5p1", Fixed: "9.8p1"}}},
				{Name: "openssh", Ranges: []Range{{Fixed: "4.4p1"}}, Says: "the finders, unless CVE-2006-5051 and CVE-2008-4109 are patched"},
				fixedIn("debian:12", "openssh", "1:8.5p1", "1:9.2p1-2+deb12u3"),
				fixedIn("ubuntu:22.04", "openssh", "1:8.5p1", "1:8.9p1-3ubuntu0.10"),
				fixedIn("ubuntu:23.10", "openssh", "1:8.5p1", "1:9.3p1-1ubuntu3.6"),
				fixedIn("ubuntu:24.04", "openssh", "1:8.5p1", "1:9.6p1-3ubuntu13.3"),
				fixedIn("rhel:9", "openssh", "8.5p1", "8.7p1-38.el9_4.1"),
			},
			since("openssh", "1:8.5p1", "1:9.7p1-7", "debian:13", "debian:14"),
			since("openssh", "1:8.5p1", "1:9.7p1-7", "debian:10", "debian:11"),
		),
		Rule: &Rule{
			Component: "openssh",
			Presence: []elf.Anchor{{
				ID: "CVE-2024-6387/present", Component: "openssh",
				Strings: []string{"Timeout before authentication for"}, Decisive: []string{"strings"},
			}},
			Needs: []string{"glibc; on musl the handler's functions are safe", "a LoginGraceTime other than 0"},
		},
	}
}

// looneyTunables is CVE-2023-4911: the dynamic loader overflows on GLIBC_TUNABLES. Debian 11 carries the bug below upstream's range; since which
// of its revisions is not public, so every one below the fix counts. Fixed packages: DSA-5514-1 (11 and 12), Ubuntu's 2.35-0ubuntu3.4, RHSA-2023:5453; Debian 13 came with
// upstream's own fix, 2.39 or newer.
func looneyTunables() Advisory {
	return Advisory{
		ID: "CVE-2023-4911", Names: []string{"Looney Tunables"}, Published: day(2023, 10, 3), Severity: High, CWE: []string{"CWE-787"}, KnownExploited: true, Source: "staunch",
		Affects: slices.Concat(
			[]Affected{
				{Name: "glibc", Ranges: []Range{{Introduced: "2.34", Fixed: "2.39"}}},
				fixedIn("debian:11", "glibc", "", "2.31-13+deb11u7"),
				fixedIn("debian:12", "glibc", "2.34", "2.36-9+deb12u3"),
				fixedIn("ubuntu:22.04", "glibc", "2.34", "2.35-0ubuntu3.4"),
				fixedIn("rhel:9", "glibc", "2.34", "2.34-60.el9_2.7"),
			},
			since("glibc", "2.34", "2.39", "debian:13", "debian:14"),
		),
		Rule: &Rule{Component: "glibc", Needs: []string{"a local account and a set-user-id program: not reachable over the network by itself"}},
	}
}
