package inventory

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"staunch/fault"
	"staunch/see/scan"
	"staunch/see/scan/owner"

	"github.com/klauspost/compress/zstd"
)

// packed is a report as it travels and is stored: every text, object, package and list of mappings once, processes refer to them by number.
type packed struct {
	V        int             `json:"v"`
	Head     scan.Report     `json:"head"` // without processes
	Words    []string        `json:"words"`
	Packages []owner.Package `json:"packages,omitempty"`
	Maps     []mapping       `json:"maps"`
	Lists    [][]int32       `json:"lists"` // of maps
	Procs    [][9]int64      `json:"procs"` // pid, ppid, start, exe, name, user, unit, list, index in More or -1
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

// maxUnpacked bounds what a few hostile bytes may become.
const maxUnpacked = 256 << 20

// Pack makes the compact form of a report.
func Pack(r *scan.Report) ([]byte, error) {
	p := packer{words: table[string]{}, objects: map[string]int32{"": -1}}
	p.out.V, p.out.Head = 1, *r
	p.out.Head.Processes = nil
	p.words.of("")
	for i := range r.Objects {
		p.objects[r.Objects[i].ID] = int32(i)
	}
	for i := range r.Processes {
		if err := p.process(&r.Processes[i]); err != nil {
			return nil, err
		}
	}
	p.out.Words, p.out.Packages, p.out.Lists, p.out.Maps = p.words.all, p.packages.all, p.lists.all, p.maps.all
	b, err := json.Marshal(p.out)
	if err != nil {
		return nil, fault.New(fault.Bug, "packing the report of %s: %v", r.Host, err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fault.New(fault.Bug, "packing: %v", err)
	}
	return enc.EncodeAll(b, nil), enc.Close()
}

type packer struct {
	out      packed
	words    table[string]
	packages table[owner.Package]
	maps     table[mapping]
	lists    lists
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
			one.Package = p.packages.of(*m.Package)
		}
		list[i] = p.maps.of(one)
	}
	x := int64(-1)
	if len(in.Args)+len(in.Listens)+len(in.Outbound)+len(in.Modules) > 0 || in.Container != nil || in.Root != "" {
		x = int64(len(p.out.More))
		p.out.More = append(p.out.More, more{in.Args, in.Container, in.Root, in.Listens, in.Outbound, in.Modules})
	}
	word := func(s string) int64 { return int64(p.words.of(s)) }
	p.out.Procs = append(p.out.Procs, [9]int64{
		int64(in.PID), int64(in.PPID), in.Start.UnixNano(), word(in.Exe), word(in.Name), word(in.User), word(in.Unit), int64(p.lists.of(list)), x,
	})
	return nil
}

// Unpack reads what Pack made; what does not fit together is Corrupt.
func Unpack(b []byte) (*scan.Report, error) {
	dec, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "a packed report: %v", err)
	}
	defer dec.Close()
	text, err := io.ReadAll(io.LimitReader(dec, maxUnpacked))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "a packed report: %v", err)
	}
	var in packed
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fault.New(fault.Corrupt, "a packed report: %v", err)
	}
	if in.V != 1 {
		return nil, fault.New(fault.Unsupported, "a packed report of form %d; this staunch reads form 1", in.V)
	}
	if len(in.Procs) > maxProcesses || len(in.Head.Objects) > maxObjects {
		return nil, fault.New(fault.Full, "a packed report of %d processes and %d objects", len(in.Procs), len(in.Head.Objects))
	}
	return in.open()
}

func (in *packed) open() (*scan.Report, error) {
	r, total := in.Head, 0
	r.Processes = make([]scan.Process, len(in.Procs))
	for i, n := range in.Procs {
		p := &r.Processes[i]
		if !in.fits(n) {
			return nil, fault.New(fault.Corrupt, "a packed report: process %d refers to what is not there", i)
		}
		if total += len(in.Lists[n[7]]); total > maxMapped {
			return nil, fault.New(fault.Full, "a packed report of more than %d mappings", maxMapped)
		}
		*p = scan.Process{
			PID: int(n[0]), PPID: int(n[1]), Start: time.Unix(0, n[2]).UTC(), Exe: in.Words[n[3]], Name: in.Words[n[4]],
			User: in.Words[n[5]], Unit: in.Words[n[6]], Listens: []scan.Listen{},
		}
		for _, m := range in.Lists[n[7]] {
			mapped, ok := in.mapped(m)
			if !ok {
				return nil, fault.New(fault.Corrupt, "a packed report: a mapping refers to what is not there")
			}
			p.Objects = append(p.Objects, mapped)
		}
		if n[8] >= 0 {
			x := in.More[n[8]]
			p.Args, p.Container, p.Root, p.Outbound, p.Modules = x.Args, x.Container, x.Root, x.Outbound, x.Modules
			p.Listens = append(p.Listens, x.Listens...)
		}
	}
	return &r, nil
}

func (in *packed) fits(n [9]int64) bool {
	for _, w := range n[3:7] {
		if w < 0 || w >= int64(len(in.Words)) {
			return false
		}
	}
	return n[7] >= 0 && n[7] < int64(len(in.Lists)) && n[8] >= -1 && n[8] < int64(len(in.More)) && abs(n[0]) < 1<<31 && abs(n[1]) < 1<<31
}

func abs(n int64) int64 { return max(n, -n) }

func (in *packed) mapped(at int32) (scan.Mapped, bool) {
	if at < 0 || int(at) >= len(in.Maps) {
		return scan.Mapped{}, false
	}
	m := in.Maps[at]
	if m.Object < -1 || int(m.Object) >= len(in.Head.Objects) || m.Package < -1 || int(m.Package) >= len(in.Packages) {
		return scan.Mapped{}, false
	}
	out := m.Seen
	if m.Object >= 0 {
		out.ID = in.Head.Objects[m.Object].ID
	}
	if m.Package >= 0 {
		out.Package = &in.Packages[m.Package]
	}
	return out, true
}
