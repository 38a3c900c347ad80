package inventory

import (
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/verdict"
)

// Report puts a host's newest report together again.
func (inv *Inventory) Report(name string) (*scan.Report, error) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	h := inv.hosts[name]
	if h == nil {
		return nil, fault.New(fault.NotFound, "%s has never told us anything", name).Hinted("`staunch scan --on %s`", name)
	}
	return inv.report(h), nil
}

// Document judges a host's newest report. What the fleet's description calls public counts as public, whatever the addresses look like;
// outside is its fleet.Outside, made once for many documents.
func (inv *Inventory) Document(name string, catalogue *advisory.Catalogue, outside map[string]fleet.Outside, advisoryID string) (verdict.Document, error) {
	r, err := inv.Report(name)
	if err != nil {
		return verdict.Document{}, err
	}
	return verdict.Judge(r, catalogue, verdict.Options{Advisory: advisoryID, Public: Reached(outside, name)}), nil
}

// Reached tells which processes of a host strangers reach by the fleet's description.
func Reached(outside map[string]fleet.Outside, host string) func(*scan.Process) bool {
	here, some := outside[host]
	if !some {
		return nil
	}
	return func(p *scan.Process) bool { return here.Reaches(p.Unit, ports(p.Listens)...) }
}

func ports(listens []scan.Listen) []int {
	list := make([]int, len(listens))
	for i := range listens {
		list[i] = listens[i].Port
	}
	return list
}

func (inv *Inventory) report(h *host) *scan.Report {
	r := h.head
	r.Objects = make([]scan.Object, len(h.objects))
	for i, o := range h.objects {
		r.Objects[i] = inv.contents[o]
	}
	r.Processes = make([]scan.Process, len(h.processes))
	for i := range h.processes {
		r.Processes[i] = inv.rebuild(h, &h.processes[i])
	}
	return &r
}

func (inv *Inventory) rebuild(h *host, p *process) scan.Process {
	out := scan.Process{
		PID: int(p.pid), PPID: int(p.ppid), Start: time.Unix(0, p.start).UTC(), Exe: inv.words.All[p.exe], Name: inv.words.All[p.name],
		User: inv.words.All[p.user], Unit: inv.words.All[p.unit], Listens: []scan.Listen{},
	}
	has := inv.sets.All[p.set]
	out.Objects = make([]scan.Mapped, len(inv.lists.All[has.list]))
	for i, v := range inv.lists.All[has.list] {
		out.Objects[i] = inv.mapped(v)
	}
	for _, m := range inv.lists.All[has.modules] {
		out.Modules = append(out.Modules, inv.modules[m])
	}
	if p.extra >= 0 {
		x := h.extras[p.extra]
		out.Args, out.Container, out.Root, out.Outbound = x.args, x.container, x.root, x.outbound
		out.Listens = append(out.Listens, x.listens...)
	}
	return out
}

func (inv *Inventory) mapped(i int32) scan.Mapped {
	v := inv.variants.All[i]
	m := v.seen
	if v.object >= 0 {
		m.ID = inv.objects.All[v.object]
	}
	if v.pkg >= 0 {
		p := inv.packages.All[v.pkg]
		m.Package = &p
	}
	return m
}
