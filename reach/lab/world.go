package lab

import (
	"time"

	"staunch/see/scan"
	"staunch/see/scan/elf"
)

// World is a lab as data: it can be written in JSON.
type World struct {
	Builds   []Build   `json:"builds"`
	Machines []Machine `json:"machines"`
	Troubles []Trouble `json:"troubles,omitempty"`
}

// Build is the content of one file in one version. Two builds of a path with the same package and version are the same object.
type Build struct {
	Path       string          `json:"path"`
	Package    string          `json:"package,omitempty"` // Debian package that brings it; "": nobody's, kept under /opt or /usr/local
	Source     string          `json:"source,omitempty"`  // source package; "": the package's own name
	Version    string          `json:"version"`           // the package's version
	Soname     string          `json:"soname,omitempty"`
	Components []elf.Component `json:"components,omitempty"`
	Answers    []elf.Answer    `json:"answers,omitempty"`
	SHA256     string          `json:"sha256,omitempty"` // the payload that installs it (install_lib, place)
	Object     string          `json:"object,omitempty"` // its identity, where it stands for a real file; "": made up
}

// Machine is one pretend host as it stands when the lab begins.
type Machine struct {
	Name     string            `json:"name"`
	Distro   string            `json:"distro,omitempty"`   // "": debian
	Release  string            `json:"release,omitempty"`  // "": 12
	Versions map[string]string `json:"versions"`           // package (or path of a file that no package owns) to its version on disk
	Units    []Unit            `json:"units"`              //
	Files    map[string]string `json:"files,omitempty"`    // other files, path to content
	Readonly bool              `json:"readonly,omitempty"` // the host's policy refuses every act
	Hooks    []string          `json:"hooks,omitempty"`    // names of the host-side hooks that exist
	// Mirror limits what can be upgraded to: package to the versions that its repository has. An absent package has all that builds know.
	Mirror map[string][]string `json:"mirror,omitempty"`
}

// Unit is one service of a machine.
type Unit struct {
	Name     string          `json:"name"` // with its suffix
	Exe      string          `json:"exe"`  // path of a build
	Maps     []string        `json:"maps,omitempty"`
	User     string          `json:"user,omitempty"`    // "": root
	Workers  int             `json:"workers,omitempty"` // processes besides the main one
	Listens  []scan.Listen   `json:"listens,omitempty"`
	Outbound []scan.Outbound `json:"outbound,omitempty"`
	Stopped  bool            `json:"stopped,omitempty"` // it does not run when the lab begins
	// KeepsOld is how many old workers stay after a reload until they are signalled or the unit restarts.
	KeepsOld int `json:"keeps_old,omitempty"`
	// NoReload: a reload leaves the main process on the old code, as it does for most programs that re-read their configuration only.
	NoReload bool `json:"no_reload,omitempty"`
	// BrokenWith names a version of the exe's or a mapped file's package with which the unit does not start.
	BrokenWith string `json:"broken_with,omitempty"`
}

// Way is how a machine misbehaves.
type Way string

// The ways to misbehave.
const (
	Silent    Way = "silent"     // never answers; the caller's patience ends it
	Slow      Way = "slow"       // answers after Delay
	Refuses   Way = "refuses"    // nobody listens: nothing was done
	DiesEarly Way = "dies_early" // the connection breaks before the act: the caller cannot tell, nothing was done
	DiesMid   Way = "dies_mid"   // the connection breaks in the middle of the act, half of it done, and the host's journal says "unknown"
	DiesLate  Way = "dies_late"  // the act is done and recorded, the answer is lost
	Fails     Way = "fails"      // the act is tried and fails; Text says why
	Denies    Way = "denies"     // the host's policy refuses; Text says why
	Lies      Way = "lies"       // the act answers "done" and does nothing
	OldProto  Way = "old_proto"  // speaks no common version of the wire
	Skewed    Way = "skewed"     // its clock is off by Delay (negative: behind)
	Blind     Way = "blind"      // a scan sees half of the processes
)

// Trouble is one misbehaviour. It applies to requests in their order of arrival.
type Trouble struct {
	Host  string        `json:"host,omitempty"`  // "": every machine
	On    string        `json:"on,omitempty"`    // "look", "look scan", "do", "do restart", "put"; "": everything
	After int           `json:"after,omitempty"` // so many matching requests go well first
	Times int           `json:"times,omitempty"` // then it happens so often; 0: for ever
	Way   Way           `json:"way"`
	Delay time.Duration `json:"delay_ns,omitempty"`
	Text  string        `json:"text,omitempty"`
}
