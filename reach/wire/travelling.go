package wire

import (
	"staunch/fault"
	"staunch/reach/host"
	"staunch/see/scan/packed"
)

// travelling is a host.Answer on its way: what a scan saw goes packed, a tenth of its own JSON. An older end sends it as it is.
type travelling struct {
	host.Answer
	Packed *packed.Report `json:"packed,omitempty"`
}

// opened bounds what one host's answer may become here, where many are read at the same time.
func opened() packed.Most {
	return packed.Most{Processes: 100_000, Objects: 100_000, Mapped: 1_000_000}
}

// pack is the answer as it is sent. A report that cannot be packed, or that the other side would not open, travels as it is.
func pack(a host.Answer) travelling {
	if a.Scan == nil {
		return travelling{Answer: a}
	}
	p, err := packed.Of(a.Scan)
	if err != nil || p.Mapped() > opened().Mapped || len(p.Procs) > opened().Processes || len(a.Scan.Objects) > opened().Objects {
		return travelling{Answer: a}
	}
	a.Scan = nil
	return travelling{Answer: a, Packed: p}
}

// open is the answer as it was before pack.
func (t travelling) open() (host.Answer, error) {
	if t.Packed == nil {
		return t.Answer, nil
	}
	r, err := t.Packed.Open(opened())
	if err != nil {
		return host.Answer{}, fault.New(fault.Corrupt, "the host's answer cannot be read: %v", err)
	}
	t.Scan = r
	return t.Answer, nil
}
