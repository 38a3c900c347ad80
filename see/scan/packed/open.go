package packed

import (
	"time"

	"staunch/fault"
	"staunch/see/scan"
)

// Most bounds what a few hostile bytes may become.
type Most struct {
	Processes, Objects int
	Mapped             int // mappings of all processes, and needs of all that is dormant
}

// Open gives back what Of packed. What does not fit together is Corrupt, what is over the bounds Full, another form Unsupported.
func (in *Report) Open(most Most) (*scan.Report, error) {
	if in.V != 1 {
		return nil, fault.New(fault.Unsupported, "a packed report of form %d; this staunch reads form 1", in.V)
	}
	if len(in.Procs) > most.Processes || len(in.Head.Objects) > most.Objects {
		return nil, fault.New(fault.Full, "a packed report of %d processes and %d objects", len(in.Procs), len(in.Head.Objects))
	}
	if err := in.checked(); err != nil {
		return nil, err
	}
	if in.Mapped() > most.Mapped {
		return nil, fault.New(fault.Full, "a packed report of more than %d mappings", most.Mapped)
	}
	r := in.Head
	r.Processes = make([]scan.Process, len(in.Procs))
	for i, n := range in.Procs {
		if err := in.process(&r.Processes[i], n); err != nil {
			return nil, err
		}
	}
	if len(in.Dormant) > 0 {
		r.Dormant = make([]scan.Dormant, len(in.Dormant))
	}
	for i, n := range in.Dormant {
		if err := in.dormant(&r.Dormant[i], n); err != nil {
			return nil, err
		}
	}
	return &r, nil
}

// checked tells whether every row refers to what is there.
func (in *Report) checked() error {
	for i, n := range in.Procs {
		if !in.fits(n) {
			return fault.New(fault.Corrupt, "a packed report: process %d refers to what is not there", i)
		}
	}
	for i, n := range in.Dormant {
		if !in.words(n[0], n[2], n[3]) || n[1] < -1 || int(n[1]) >= len(in.Head.Objects) || n[4] < 0 || int(n[4]) >= len(in.Lists) || n[5] < -1 || int(n[5]) >= len(in.More) {
			return fault.New(fault.Corrupt, "a packed report: dormant program %d refers to what is not there", i)
		}
	}
	return nil
}

// Mapped is how many mappings and needs Open makes; rows must refer to lists that are there.
func (in *Report) Mapped() int {
	total := 0
	for _, n := range in.Procs {
		total += len(in.Lists[n[7]])
	}
	for _, n := range in.Dormant {
		total += 1 + len(in.Lists[n[4]])
	}
	return total
}

func (in *Report) process(p *scan.Process, n [9]int64) error {
	*p = scan.Process{
		PID: int(n[0]), PPID: int(n[1]), Start: time.Unix(0, n[2]).UTC(), Exe: in.Words[n[3]], Name: in.Words[n[4]],
		User: in.Words[n[5]], Unit: in.Words[n[6]], Listens: []scan.Listen{},
	}
	for _, m := range in.Lists[n[7]] {
		mapped, ok := in.mapped(m)
		if !ok {
			return fault.New(fault.Corrupt, "a packed report: a mapping refers to what is not there")
		}
		p.Objects = append(p.Objects, mapped)
	}
	if n[8] >= 0 {
		x := in.More[n[8]]
		p.Args, p.Container, p.Root, p.Outbound, p.Modules = x.Args, x.Container, x.Root, x.Outbound, x.Modules
		p.Listens = append(p.Listens, x.Listens...)
	}
	return nil
}

func (in *Report) dormant(d *scan.Dormant, n [6]int32) error {
	*d = scan.Dormant{Path: in.Words[n[0]], Start: in.Words[n[2]], Unit: in.Words[n[3]]}
	if n[1] >= 0 {
		d.ID = in.Head.Objects[n[1]].ID
	}
	for _, o := range in.Lists[n[4]] {
		if o < 0 || int(o) >= len(in.Head.Objects) {
			return fault.New(fault.Corrupt, "a packed report: a dormant program needs what is not there")
		}
		d.Needs = append(d.Needs, in.Head.Objects[o].ID)
	}
	if n[5] >= 0 {
		d.Modules = in.More[n[5]].Modules
	}
	return nil
}

func (in *Report) words(numbers ...int32) bool {
	for _, w := range numbers {
		if w < 0 || int(w) >= len(in.Words) {
			return false
		}
	}
	return true
}

func (in *Report) fits(n [9]int64) bool {
	for _, w := range n[3:7] {
		if w < 0 || w >= int64(len(in.Words)) {
			return false
		}
	}
	return n[7] >= 0 && n[7] < int64(len(in.Lists)) && n[8] >= -1 && n[8] < int64(len(in.More)) && abs(n[0]) < 1<<31 && abs(n[1]) < 1<<31
}

func abs(n int64) int64 { return max(n, -n) }

func (in *Report) mapped(at int32) (scan.Mapped, bool) {
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
