// Package advisory holds what is known to be bad: which versions of what, under which conditions, from which source and date.
package advisory

import (
	"time"

	"staunch/see/scan/elf"
)

// Advisory is one published problem. It holds facts only (ids, ranges, dates, severity), never prose.
type Advisory struct {
	ID             string     `json:"id"` // CVE where there is one, else the source's own id
	Aliases        []string   `json:"aliases,omitempty"`
	Names          []string   `json:"names,omitempty"` // what people call it: "Heartbleed"
	Published      time.Time  `json:"published,omitzero"`
	Modified       time.Time  `json:"modified,omitzero"`
	Severity       Severity   `json:"severity,omitempty"`
	CVSS           string     `json:"cvss,omitempty"` // vector, version 3 or 4, of whoever rated it first
	CWE            []string   `json:"cwe,omitempty"`
	KnownExploited bool       `json:"known_exploited,omitempty"` // listed by CISA
	EPSS           float64    `json:"epss,omitempty"`            // probability 0..1 of exploitation within 30 days
	Affects        []Affected `json:"affects,omitempty"`
	Rule           *Rule      `json:"rule,omitempty"`
	Source         string     `json:"source,omitempty"` // "openssl", "osv:Debian", "staunch", a file's name
	Withdrawn      bool       `json:"withdrawn,omitempty"`
}

// Severity is a word, comparable with Rank.
type Severity string

// The severities, worst first; "" is not known.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Moderate Severity = "moderate"
	Low      Severity = "low"
)

// Affected says which versions of one package (or upstream component) are bad.
type Affected struct {
	// Ecosystem is canonical: "" for upstream's own release numbers, "debian:12", "ubuntu:22.04", "alpine:3.18", "rhel:9",
	// "rocky:9", "almalinux:9", "fedora:40", or "Go", "npm", "PyPI", "Maven", "RubyGems", "crates.io".
	Ecosystem string   `json:"ecosystem,omitempty"`
	Name      string   `json:"name"`               // source package, module or component
	Ranges    []Range  `json:"ranges,omitempty"`   // any of these
	Versions  []string `json:"versions,omitempty"` // exactly these as well
	Says      string   `json:"says,omitempty"`     // who said so, where it is not the advisory's source: "advisory of 2014-04-07"
	// Unfixed: the ranges are open because the source knows of no fix yet.
	Unfixed bool `json:"unfixed,omitempty"`
}

// Range is introduced <= v < fixed, or introduced <= v <= last. An empty Introduced (or "0") starts at the beginning; empty ends are open.
type Range struct {
	Introduced string `json:"introduced,omitempty"`
	Fixed      string `json:"fixed,omitempty"`
	Last       string `json:"last,omitempty"`
}

// Rule is what decides beyond ranges, as data.
type Rule struct {
	Component string `json:"component"`
	// Sonames restricts the rule to libraries whose soname begins with one of these, where the component is dynamic
	// (Heartbleed's code is in libssl, never in libcrypto). Objects that are the component but not this part are not affected.
	Sonames  []string     `json:"sonames,omitempty"`
	Presence []elf.Anchor `json:"presence,omitempty"` // is the vulnerable feature's code there at all?
	Fix      []elf.Anchor `json:"fix,omitempty"`      // is the fix there, whatever the version says?
	Flags    []elf.Anchor `json:"flags,omitempty"`    // build flags that take the code out: "yes" clears
	Builds   []Build      `json:"builds,omitempty"`   // builds known by content
	// PresenceProves: finding the presence anchors alone condemns (a backdoor has no harmless form).
	PresenceProves bool     `json:"presence_proves,omitempty"`
	Probe          string   `json:"probe,omitempty"`    // live probe that can prove it: "heartbleed"
	Disputes       []string `json:"disputes,omitempty"` // where sources disagree, one sentence each
	Needs          []string `json:"needs,omitempty"`    // conditions that we cannot see, one sentence each: "only TLS clients that ..."
}

// Build is one known content: an object id, a file's SHA-256 or a build-id.
type Build struct {
	ObjectID string `json:"object_id,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // known only of files below an rpm database: prefer ObjectID
	BuildID  string `json:"build_id,omitempty"`
	Affected bool   `json:"affected"`
	Says     string `json:"says"`
}

// Key names one thing that advisories speak about.
type Key struct {
	Ecosystem string
	Name      string
}

// Rank orders severities: 4 critical to 1 low, 0 not known.
func (s Severity) Rank() int {
	switch s {
	case Critical:
		return 4
	case High:
		return 3
	case Moderate:
		return 2
	case Low:
		return 1
	}
	return 0
}
