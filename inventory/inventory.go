// Package inventory keeps what every host last told us, with each object once, and answers from memory which of them an advisory touches.
package inventory

import (
	"slices"
	"sync"
	"time"

	"staunch/fault"
	"staunch/numbered"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// Limits on what one host may tell: a hostile report must not fill the memory of all.
const (
	maxProcesses = 200_000
	maxObjects   = 200_000
	maxMapped    = 5_000_000 // over all processes of one report
)

// Inventory holds the newest report of each host. It is safe for concurrent use.
type Inventory struct {
	mu       sync.RWMutex
	words    numbered.Table[string]
	objects  numbered.Table[string] // by object id; what they hold is in contents
	contents []scan.Object
	variants numbered.Table[variant]
	packages numbered.Table[owner.Package]
	origins  map[int32]owner.Package // objects to a package that is known to have brought exactly these bytes, on whichever host
	lists    numbered.Lists          // of variants: what a process maps
	modules  []scan.Module
	moduleOf numbered.Table[string]
	hosts    map[string]*host
	unread   map[string]string // hosts that could not be asked, with the reason
	classes  numbered.Table[class]
	sets     numbered.Table[set]
}

// set is everything that one process maps and has open: processes with the same set get the same verdict.
type set struct {
	list, modules int32 // numbers of lists: of variants, of modules
	machine       int32 // class
}

// tally counts a host's processes by set and unit, so that an answer need not walk through processes.
type tally struct {
	set, unit, all, facing int32
}

// class is what a verdict may depend on besides the object.
type class struct{ Arch, Distro, Release string }

// variant is one object as processes see it: the same content may belong to another package, or have been replaced on disk.
type variant struct {
	object int32       // -1: could not be read
	pkg    int32       // package of the mapping where it differs from the object's; -1: none
	seen   scan.Mapped // the rest, with ID and Package empty
}

// process is one process in 48 bytes; what few have lies in extra.
type process struct {
	start                 int64 // Unix nanoseconds
	pid, ppid             int32
	set                   int32
	exe, name, user, unit int32
	extra                 int32 // index in host.extras; -1: nothing more
	exposure              Exposure
}

// extra is what only some processes have.
type extra struct {
	args      []string
	container *scan.Container
	root      string
	listens   []scan.Listen
	outbound  []scan.Outbound
}

// host is one machine's newest report, taken apart.
type host struct {
	head      scan.Report // without processes and objects
	processes []process
	extras    []extra
	objects   []int32 // in the report's order
	tallies   []tally
	dormant   []tally // what does not run but can start
}

// Exposure is who can talk to a process, worst first, and whether it talks to strangers.
type Exposure uint8

// Bits of an exposure.
const (
	Public   Exposure = 1 << iota // listens where strangers can come
	Internal                      // listens on an internal address
	Loopback                      // listens on this machine only
	Outbound                      // talks to the internet: a leaking client counts
)

// New makes an empty inventory.
func New() *Inventory {
	inv := &Inventory{hosts: map[string]*host{}, unread: map[string]string{}}
	inv.words.Of("") // number 0 is the empty word
	inv.lists.Of(nil)
	return inv
}

// Tell takes a host's report in; it replaces the one before. Name is the fleet's name of the host. An older report than the one known is a Conflict.
func (inv *Inventory) Tell(name string, r *scan.Report) error {
	if err := bounded(r); err != nil {
		return err
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if old := inv.hosts[name]; old != nil && old.head.Taken.After(r.Taken) {
		return fault.New(fault.Conflict, "the report of %s was taken at %s, a newer one is known", name, r.Taken.UTC().Format(time.RFC3339))
	}
	delete(inv.unread, name)
	inv.hosts[name] = inv.take(r)
	return nil
}

// Taken is when a host's newest report was taken; zero: it never told anything.
func (inv *Inventory) Taken(name string) time.Time {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	if h := inv.hosts[name]; h != nil {
		return h.head.Taken
	}
	return time.Time{}
}

// Unread notes why a host could not be asked. What it told before stays, and gets old.
func (inv *Inventory) Unread(name, why string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.unread[name] = why
}

// Forget drops a host.
func (inv *Inventory) Forget(name string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	delete(inv.hosts, name)
	delete(inv.unread, name)
}

func bounded(r *scan.Report) error {
	if len(r.Processes) > maxProcesses || len(r.Objects) > maxObjects {
		return fault.New(fault.Full, "%s tells of %d processes and %d objects, more than one machine can have", r.Host, len(r.Processes), len(r.Objects))
	}
	known := make(map[string]bool, len(r.Objects))
	for i := range r.Objects {
		known[r.Objects[i].ID] = true
	}
	mapped := 0
	for i := range r.Processes {
		mapped += len(r.Processes[i].Objects)
		for _, m := range r.Processes[i].Objects {
			if m.ID != "" && !known[m.ID] {
				return fault.New(fault.Corrupt, "%s: process %d maps an object that the report does not describe", r.Host, r.Processes[i].PID)
			}
		}
	}
	for i := range r.Dormant {
		d := &r.Dormant[i]
		if d.ID != "" && !known[d.ID] || slices.ContainsFunc(d.Needs, func(id string) bool { return !known[id] }) {
			return fault.New(fault.Corrupt, "%s: %.80q, which can start, names an object that the report does not describe", r.Host, d.Path)
		}
		mapped += len(d.Needs)
	}
	if mapped > maxMapped {
		return fault.New(fault.Full, "%s tells of %d mappings, more than one machine can have", r.Host, mapped)
	}
	return nil
}

// take interns a report.
func (inv *Inventory) take(r *scan.Report) *host {
	h := &host{head: *r}
	h.head.Processes, h.head.Objects = nil, nil
	for i := range r.Objects {
		h.objects = append(h.objects, inv.object(r.Objects[i]))
	}
	machine := inv.classes.Of(class{r.Machine.Arch, r.Machine.Distro, r.Machine.Release})
	h.processes = make([]process, len(r.Processes))
	own := inv.owners(r)
	inv.learn(r)
	for i := range r.Processes {
		p := r.Processes[i]
		p.Objects = inv.remembered(owned(p.Objects, own))
		h.processes[i] = inv.process(h, &p, machine)
		h.tallies = count(h.tallies, h.processes[i].set, h.processes[i].unit, h.processes[i].exposure)
	}
	slices.SortFunc(h.tallies, func(a, b tally) int { return int(a.set - b.set) })
	for i := range r.Dormant {
		h.dormant = count(h.dormant, inv.dormant(&r.Dormant[i], machine), 0, 0)
	}
	return h
}

func count(tallies []tally, set, unit int32, e Exposure) []tally {
	i := slices.IndexFunc(tallies, func(t tally) bool { return t.set == set && t.unit == unit })
	if i < 0 {
		i, tallies = len(tallies), append(tallies, tally{set: set, unit: unit})
	}
	tallies[i].all++
	if e.Facing() {
		tallies[i].facing++
	}
	return tallies
}

// object interns an object. The newest description wins: it holds the answers to the newest anchors.
func (inv *Inventory) object(o scan.Object) int32 {
	i := inv.objects.Of(o.ID)
	if int(i) == len(inv.contents) {
		inv.contents = append(inv.contents, o)
		return i
	}
	// One host's view must not change what is known of the others: where the file is deleted, its owner is not known any more.
	if known := inv.contents[i].Package; known != nil {
		o.Package = known
	}
	if len(o.Answers) >= len(inv.contents[i].Answers) {
		inv.contents[i] = o
	} else if inv.contents[i].Package == nil {
		inv.contents[i].Package = o.Package
	}
	return i
}

// owners gives the packages in which a host has objects otherwise than they are known: the same bytes may be packed twice.
func (inv *Inventory) owners(r *scan.Report) map[string]*owner.Package {
	own := map[string]*owner.Package{}
	for i := range r.Objects {
		o := &r.Objects[i]
		if known := inv.contents[inv.objects.Of(o.ID)].Package; o.Package != nil && known != nil && *known != *o.Package {
			own[o.ID] = o.Package
		}
	}
	return own
}

// owned is a process's mappings with the packages that this host has them in.
func owned(objects []scan.Mapped, own map[string]*owner.Package) []scan.Mapped {
	if len(own) == 0 {
		return objects
	}
	objects = slices.Clone(objects)
	for i := range objects {
		if objects[i].Package == nil {
			objects[i].Package = own[objects[i].ID]
		}
	}
	return objects
}

// learn notes which package brought which bytes, where a host compared the two.
func (inv *Inventory) learn(r *scan.Report) {
	note := func(id string, p *owner.Package) {
		if id == "" || p == nil || p.Intact != string(elf.Yes) && p.Intact != owner.Was {
			return
		}
		if inv.origins == nil {
			inv.origins = map[int32]owner.Package{}
		}
		if o := inv.objects.Of(id); inv.origins[o].Name == "" {
			from := *p
			from.Intact = owner.Was
			inv.origins[o] = from
		}
	}
	for i := range r.Objects {
		note(r.Objects[i].ID, r.Objects[i].Package)
	}
	for i := range r.Processes {
		for j := range r.Processes[i].Objects {
			note(r.Processes[i].Objects[j].ID, r.Processes[i].Objects[j].Package)
		}
	}
}

// remembered gives mappings whose file was deleted or replaced the package that the same bytes came from: the host's own database
// describes what lies on disk now, and nobody there can tell any more what is in memory.
func (inv *Inventory) remembered(objects []scan.Mapped) []scan.Mapped {
	copied := false
	for i := range objects {
		m := &objects[i]
		if m.ID == "" || m.State != scan.Deleted && m.State != scan.Replaced {
			continue
		}
		from, known := inv.origins[inv.objects.Of(m.ID)]
		if !known {
			continue
		}
		if !copied {
			objects, copied = slices.Clone(objects), true
		}
		objects[i].Package = &from
	}
	return objects
}

func (inv *Inventory) process(h *host, p *scan.Process, machine int32) process {
	out := process{
		start: p.Start.UnixNano(), pid: int32(p.PID), ppid: int32(p.PPID), set: inv.set(p.Objects, p.Modules, machine),
		exe: inv.words.Of(p.Exe), name: inv.words.Of(p.Name), user: inv.words.Of(p.User), unit: inv.words.Of(p.Unit),
		extra: -1, exposure: ExposureOf(p),
	}
	if len(p.Args) > 0 || p.Container != nil || p.Root != "" || len(p.Listens) > 0 || len(p.Outbound) > 0 {
		out.extra = int32(len(h.extras))
		h.extras = append(h.extras, extra{p.Args, p.Container, p.Root, p.Listens, p.Outbound})
	}
	return out
}

func (inv *Inventory) set(objects []scan.Mapped, modules []scan.Module, machine int32) int32 {
	list := make([]int32, len(objects))
	for i := range objects {
		list[i] = inv.variants.Of(inv.variant(&objects[i]))
	}
	open := make([]int32, len(modules))
	for i := range modules {
		open[i] = inv.module(modules[i])
	}
	return inv.sets.Of(set{inv.lists.Of(list), inv.lists.Of(open), machine})
}

// dormant is the set that the thing would map if it started: itself and the libraries that it names.
func (inv *Inventory) dormant(d *scan.Dormant, machine int32) int32 {
	var would []scan.Mapped
	if d.ID != "" {
		would = append(would, scan.Mapped{ID: d.ID, Path: d.Path, State: scan.Same})
	}
	for _, id := range d.Needs {
		m := scan.Mapped{ID: id, State: scan.Same}
		if i := inv.objects.Of(id); int(i) < len(inv.contents) {
			m.Path = inv.contents[i].Path
		}
		would = append(would, m)
	}
	return inv.set(would, d.Modules, machine)
}

func (inv *Inventory) variant(m *scan.Mapped) variant {
	v := variant{object: -1, pkg: -1, seen: *m}
	v.seen.ID, v.seen.Package = "", nil
	if m.ID != "" {
		v.object = inv.objects.Of(m.ID)
	}
	if m.Package != nil {
		v.pkg = inv.packages.Of(*m.Package)
	}
	return v
}

// ExposureOf reads a process's sockets.
func ExposureOf(p *scan.Process) Exposure {
	var e Exposure
	for _, l := range p.Listens {
		switch {
		case l.Public || l.Reach == "public":
			e |= Public
		case l.Reach == "loopback":
			e |= Loopback
		default:
			e |= Internal
		}
	}
	if slices.ContainsFunc(p.Outbound, func(o scan.Outbound) bool { return o.Reach == "internet" }) {
		e |= Outbound
	}
	return e
}

// Facing tells whether strangers can reach the process or be reached by it.
func (e Exposure) Facing() bool { return e&(Public|Outbound) != 0 }

// In names the worst listening address in the words of a finding.
func (e Exposure) In() string {
	switch {
	case e&Public != 0:
		return "public"
	case e&Internal != 0:
		return "internal"
	case e&Loopback != 0:
		return "loopback"
	}
	return "none"
}
