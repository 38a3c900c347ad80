// Package packed is a report as it travels and is stored: every text, package and list of objects once, and whatever has them refers to
// them by number. 300 processes of a few dozen objects are some 15 KB instead of a megabyte, and cost as much less to write and to read.
package packed

import (
	"staunch/fault"
	"staunch/numbered"
	"staunch/see/scan"
	"staunch/see/scan/owner"
)

// Report is a scan.Report in which processes and dormant programs are rows of numbers.
type Report struct {
	V        int             `json:"v"`
	Head     scan.Report     `json:"head"` // without processes, and without what is dormant
	Words    []string        `json:"words"`
	Packages []owner.Package `json:"packages,omitempty"`
	Maps     []mapping       `json:"maps"`
	Lists    [][]int32       `json:"lists"`             // of maps for processes, of objects for what is dormant
	Procs    [][9]int64      `json:"procs"`             // pid, ppid, start, exe, name, user, unit, list, index in More or -1
	Dormant  [][6]int32      `json:"dormant,omitempty"` // path, object or -1, start, unit, list, index in More or -1
	More     []more          `json:"more,omitempty"`
}

// mapping is a scan.Mapped with its object and package by number (-1: none).
type mapping struct {
	Object  int32       `json:"o"`
	Package int32       `json:"p"`
	Seen    scan.Mapped `json:"m"`
}

type more struct {
	Args      []string        `json:"args,omitempty"`
	Container *scan.Container `json:"container,omitempty"`
	Root      string          `json:"root,omitempty"`
	Listens   []scan.Listen   `json:"listens,omitempty"`
	Outbound  []scan.Outbound `json:"outbound,omitempty"`
	Modules   []scan.Module   `json:"modules,omitempty"`
}

// Of packs a report. One whose processes map what it does not describe is Corrupt.
func Of(r *scan.Report) (*Report, error) {
	p := packer{objects: make(map[string]int32, len(r.Objects)+1)}
	p.out.V, p.out.Head = 1, *r
	p.out.Head.Processes, p.out.Head.Dormant = nil, nil
	p.words.Of("")
	p.lists.Of(nil)
	p.objects[""] = -1
	for i := range r.Objects {
		p.objects[r.Objects[i].ID] = int32(i)
	}
	for i := range r.Processes {
		if err := p.process(&r.Processes[i]); err != nil {
			return nil, err
		}
	}
	for i := range r.Dormant {
		if !p.dormant(&r.Dormant[i]) { // needs what the report does not describe: then all of them stay as they are
			p.out.Dormant, p.out.Head.Dormant = nil, r.Dormant
			break
		}
	}
	p.out.Words, p.out.Packages, p.out.Lists, p.out.Maps = p.words.All, p.packages.All, p.lists.All, p.maps.All
	return &p.out, nil
}

type packer struct {
	out      Report
	words    numbered.Table[string]
	packages numbered.Table[owner.Package]
	maps     numbered.Table[mapping]
	lists    numbered.Lists
	objects  map[string]int32
}

func (p *packer) process(in *scan.Process) error {
	list := make([]int32, len(in.Objects))
	for i := range in.Objects {
		m := &in.Objects[i]
		at, known := p.objects[m.ID]
		if !known {
			return fault.New(fault.Corrupt, "process %d maps an object that the report does not describe", in.PID)
		}
		one := mapping{Object: at, Package: -1, Seen: *m}
		one.Seen.ID, one.Seen.Package = "", nil
		if m.Package != nil {
			one.Package = p.packages.Of(*m.Package)
		}
		list[i] = p.maps.Of(one)
	}
	x := int64(-1)
	if len(in.Args)+len(in.Listens)+len(in.Outbound)+len(in.Modules) > 0 || in.Container != nil || in.Root != "" {
		x = int64(len(p.out.More))
		p.out.More = append(p.out.More, more{in.Args, in.Container, in.Root, in.Listens, in.Outbound, in.Modules})
	}
	word := func(s string) int64 { return int64(p.words.Of(s)) }
	p.out.Procs = append(p.out.Procs, [9]int64{
		int64(in.PID), int64(in.PPID), in.Start.UnixNano(), word(in.Exe), word(in.Name), word(in.User), word(in.Unit), int64(p.lists.Of(list)), x,
	})
	return nil
}

func (p *packer) dormant(in *scan.Dormant) bool {
	id, known := p.objects[in.ID]
	if !known {
		return false
	}
	list := make([]int32, len(in.Needs))
	for i, need := range in.Needs {
		if list[i], known = p.objects[need]; !known || list[i] < 0 {
			return false
		}
	}
	x := int32(-1)
	if len(in.Modules) > 0 {
		x = int32(len(p.out.More))
		p.out.More = append(p.out.More, more{Modules: in.Modules})
	}
	p.out.Dormant = append(p.out.Dormant, [6]int32{p.words.Of(in.Path), id, p.words.Of(in.Start), p.words.Of(in.Unit), p.lists.Of(list), x})
	return true
}
