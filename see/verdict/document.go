// Package verdict judges what a scan saw against what is known to be bad, and holds the document that people and tools read.
package verdict

import (
	"time"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
)

// Document is what `staunch scan --format json` prints: the report with what was made of it.
type Document struct {
	scan.Report
	CatalogueDate time.Time `json:"catalogue_date"`
	Coverage      Coverage  `json:"coverage"`
	Findings      []Finding `json:"findings"`
}

// Coverage is what "clean" would be a fraction of.
type Coverage struct {
	ProcessesSeen         int `json:"processes_seen"`
	ProcessesKnown        int `json:"processes_known"`
	Components            int `json:"components"`              // distinct (component, version, package) that processes hold
	ComponentsWithoutData int `json:"components_without_data"` // of those: no advisory source that could judge them is loaded
}

// State is what a finding says.
type State string

// The states. Stale counts as affected everywhere; unknown is never clean.
const (
	Affected    State = "affected"
	Stale       State = "stale"        // the code in memory is affected, the file on disk is fixed: a restart cures it
	Unknown     State = "unknown"      // cannot be told; evidence says what would settle it
	Dormant     State = "dormant"      // affected, does not run now, can start
	Fixed       State = "fixed"        // was affected in this line of versions, the fix is in
	NotAffected State = "not_affected" // with a justification
)

// Justification is why something is not affected, in the words of VEX.
type Justification string

// VEX justifications that staunch can prove.
const (
	ComponentNotPresent Justification = "component_not_present"
	CodeNotPresent      Justification = "vulnerable_code_not_present"
)

// Finding is one process (or dormant file) against one advisory.
//
// A grouped finding has Advisory "" and PIDs: a package that cannot be judged at all because its distribution's data is not loaded.
type Finding struct {
	Advisory       string            `json:"advisory"`
	Aliases        []string          `json:"aliases"`
	Names          []string          `json:"names,omitempty"`
	State          State             `json:"state"`
	Justification  Justification     `json:"justification,omitempty"`
	Component      string            `json:"component"`
	Version        string            `json:"version"`
	PID            int               `json:"pid,omitempty"`
	PIDs           []int             `json:"pids,omitempty"` // of a grouped finding
	Process        string            `json:"process"`
	Unit           string            `json:"unit"`
	Container      *scan.Container   `json:"container,omitempty"`
	Object         string            `json:"object"` // object id; "" for a module outside of ELF
	Path           string            `json:"path,omitempty"`
	Linkage        elf.Linkage       `json:"linkage"`
	Package        string            `json:"package,omitempty"` // "deb libssl3 3.0.17-1~deb12u2"
	Evidence       []elf.Evidence    `json:"evidence"`          // strongest first
	Exposure       Exposure          `json:"exposure"`
	Severity       advisory.Severity `json:"severity"`
	KnownExploited bool              `json:"known_exploited"`
	EPSS           float64           `json:"epss,omitempty"`
	Published      time.Time         `json:"published,omitzero"`
	Fix            Fix               `json:"fix"`
	// Candidates counts the advisories that upstream's ranges name for a grouped finding.
	Candidates int `json:"candidates,omitempty"`
}

// Exposure says who can talk to the process and whom it talks to.
type Exposure struct {
	In  string `json:"in"`  // public, internal, loopback, none
	Out string `json:"out"` // internet, internal, none, unknown
}

// FixKind is what sort of act cures a finding.
type FixKind string

// The cures.
const (
	FixNone    FixKind = "none"    // nothing to do
	FixUpgrade FixKind = "upgrade" // install Package at Version or later, then restart Unit
	FixRestart FixKind = "restart" // the file on disk is good (or only a restart can tell): restart Unit
	FixReplace FixKind = "replace" // a program or bundle with the component inside: rebuild it or get a fixed one
	FixImage   FixKind = "image"   // rebuild the container's image and roll the workload out
	FixOff     FixKind = "off"     // no fix is known: switch off until the vendor ships
	FixLoad    FixKind = "load"    // get the data that would tell: staunch advisories update
	FixLook    FixKind = "look"    // look again with more rights, time or by a person
)

// Fix is what to do about a finding.
type Fix struct {
	Kind    FixKind `json:"kind"`
	What    string  `json:"what"`              // one or two plain sentences
	Package string  `json:"package,omitempty"` // binary package to upgrade: the library's, not the tool's
	Version string  `json:"version,omitempty"` // first good version, in the package's own numbering (or upstream's for replace)
	Unit    string  `json:"unit,omitempty"`    // to restart
	// Restart says how: "unit", "process" (nobody's unit), "workload" (container), or "reboot" (restarting it casually would hurt: reboot, or a named person).
	Restart string `json:"restart,omitempty"`
}

// settled is how old an advisory must be before "the distribution has no fix" means that it left it open on purpose.
const settled = 60 * 24 * time.Hour

// Minor reports whether an affected finding can wait: not known to be exploited, low or moderate; or not rated at all, while the distribution
// has left it open for two months. now is the document's Taken.
func (f Finding) Minor(now time.Time) bool {
	if f.KnownExploited {
		return false
	}
	switch f.Severity {
	case advisory.Low, advisory.Moderate:
		return true
	case "":
		return f.Fix.Kind == FixOff && !f.Published.IsZero() && now.Sub(f.Published) > settled
	}
	return false
}

// Bad reports whether a finding counts as affected.
func (f Finding) Bad() bool { return f.State == Affected || f.State == Stale }
