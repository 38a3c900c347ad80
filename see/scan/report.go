// Package scan tells which components run in which processes, with evidence.
package scan

import (
	"time"

	"staunch/see/scan/elf"
	"staunch/see/scan/files"
	"staunch/see/scan/owner"
	"staunch/see/scan/sockets"
)

// Schema is the version of the JSON that this package writes. Fields are only added.
const Schema = 1

// Report is what one Look at one machine (or directory) returned.
type Report struct {
	Schema    int       `json:"schema"`
	Host      string    `json:"host"`
	Taken     time.Time `json:"taken"`
	TookMS    int64     `json:"took_ms"`
	Scanner   string    `json:"scanner"` // version of staunch
	Machine   Machine   `json:"machine"`
	Processes []Process `json:"processes"`
	Objects   []Object  `json:"objects"`
	Dormant   []Dormant `json:"dormant,omitempty"`
	Unseen    []Unseen  `json:"unseen"`
	Sight     Sight     `json:"sight"`
	Anchors   string    `json:"anchors,omitempty"` // digest of the anchor set that the objects answered
}

// Machine says what was looked at.
type Machine struct {
	Arch    string `json:"arch"`
	Kernel  string `json:"kernel,omitempty"`
	Distro  string `json:"distro,omitempty"`  // ID of os-release
	Release string `json:"release,omitempty"` // VERSION_ID of os-release
	BootID  string `json:"boot_id,omitempty"`
	User    string `json:"user,omitempty"` // who looked
}

// Process is one running process. Its identity is (pid, start), not pid.
type Process struct {
	PID       int        `json:"pid"`
	PPID      int        `json:"ppid,omitempty"`
	Start     time.Time  `json:"start"`
	Exe       string     `json:"exe"`
	Name      string     `json:"name"`
	User      string     `json:"user"`
	Unit      string     `json:"unit"`
	Args      []string   `json:"args,omitempty"` // only when asked for
	Container *Container `json:"container,omitempty"`
	Root      string     `json:"root,omitempty"` // its mount namespace ("mnt:[4026532841]", and the directory if it is chrooted) when that is not ours
	Listens   []Listen   `json:"listens"`
	Outbound  []Outbound `json:"outbound,omitempty"`
	Objects   []Mapped   `json:"objects"`
	// Modules are jars, wheels, gems and Node modules that the process has open, mapped or on its class path.
	Modules []Module `json:"modules,omitempty"`
}

// Container names the container a process runs in, as far as cgroup and the runtime's own files tell.
type Container struct {
	Runtime string `json:"runtime"`
	ID      string `json:"id"`
	Image   string `json:"image"`
}

// Listen is one listening socket.
type Listen = sockets.Listen

// Outbound is an established connection that the process opened to somebody.
type Outbound = sockets.Outbound

// State compares what a process has in memory with what lies on disk now.
type State = files.State

// The states of a mapped object.
const (
	Same        = files.Same
	Deleted     = files.Deleted     // its name is gone
	Replaced    = files.Replaced    // its name is another file now
	Overwritten = files.Overwritten // written in place after the process started: neither code can be proven
)

// Mapped is one object in one process.
type Mapped struct {
	ID    string `json:"id"` // Object.ID; "" when it could not be read
	Path  string `json:"path"`
	State State  `json:"state"`
	// OnDisk is the id of the object that the path names now, when the state is not "same" and it could be read.
	OnDisk string `json:"on_disk,omitempty"`
	// Package is set where it differs from the object's (another root with the same bytes).
	Package *owner.Package `json:"package,omitempty"`
	Unread  string         `json:"unread,omitempty"` // why the content could not be read
	// Doubt says what else may be wrong with this mapping though its state is as told: the file's inode changed after the process
	// started while its time of writing is older (owner, mode or links changed, or written in place and the time put back).
	Doubt string `json:"doubt,omitempty"`
}

// Object is an analysed object with its owner.
type Object struct {
	elf.Object
	Package *owner.Package `json:"package,omitempty"`
	Path    string         `json:"path,omitempty"` // one path it was seen under
}

// Module is a bundled component outside of ELF.
type Module struct {
	Component elf.Component `json:"component"`
	Path      string        `json:"path"` // file, then "!/inner" for nested ones
	// Content answers questions about what is inside (Log4Shell: which classes), anchor id to answer.
	Answers []elf.Answer `json:"answers,omitempty"`
}

// Dormant is something that does not run now but can start.
type Dormant struct {
	Path    string   `json:"path"`
	ID      string   `json:"id,omitempty"` // Object.ID
	Start   string   `json:"starts"`       // unit, timer, cron, init, path, opt, image, file
	Unit    string   `json:"unit,omitempty"`
	Needs   []string `json:"needs,omitempty"` // ids of the libraries it would map
	Modules []Module `json:"modules,omitempty"`
}

// Unseen is a process that could not be looked at, or not fully.
type Unseen struct {
	PID    int    `json:"pid"`
	Name   string `json:"name,omitempty"`
	Reason string `json:"reason"`
}

// Sight counts what was seen of what is there.
type Sight struct {
	ProcessesSeen  int      `json:"processes_seen"`
	ProcessesKnown int      `json:"processes_known"`
	ObjectsRead    int      `json:"objects_read"`
	BytesRead      int64    `json:"bytes_read"`
	DormantLeft    int      `json:"dormant_left,omitempty"` // files that the budget did not reach
	Notes          []string `json:"notes,omitempty"`        // what else was not looked at, one sentence each
}
