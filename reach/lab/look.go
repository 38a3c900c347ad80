package lab

import (
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/host"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// Version is what the lab's machines call themselves.
const Version = "lab"

func (l *Lab) answer(name, what string, q host.Question, w woes) (host.Answer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.machines[name]
	if w.early || w.mid || w.late {
		return host.Answer{}, lost(name, what)
	}
	if w.denies != "" {
		return host.Answer{}, fault.New(fault.Denied, "%s: %s", name, w.denies)
	}
	if w.fails != "" {
		return host.Answer{}, fault.New(fault.Unsupported, "%s: %s", name, w.fails)
	}
	l.happened(m, what, "")
	switch {
	case q.Scan != nil:
		return host.Answer{Scan: l.scan(m, *q.Scan, w)}, nil
	case q.Health != nil:
		return host.Answer{Health: l.health(m, *q.Health, w)}, nil
	case q.Check != nil:
		preview := l.preview(m, *q.Check)
		return host.Answer{Check: &preview}, nil
	case q.Keys != nil:
		return host.Answer{Keys: json.RawMessage(`{}`)}, nil
	}
	return host.Answer{}, fault.New(fault.Unsupported, "pretend machines do not probe")
}

func (l *Lab) happened(m *machine, what, order string) {
	e := Event{Host: m.Name, What: what, Order: order, Down: m.down()}
	l.seen = append(l.seen, e)
	if l.observe != nil {
		l.observe(e)
	}
}

func (l *Lab) scan(m *machine, q scan.Question, w woes) *scan.Report {
	r := &scan.Report{
		Schema: scan.Schema, Host: m.Name, Taken: l.now().Add(w.skew).UTC(), TookMS: 1, Scanner: Version,
		Machine: scan.Machine{Arch: "x86_64", Kernel: "6.1.0-lab", Distro: orElse(m.Distro, "debian"), Release: orElse(m.Release, "12"), BootID: m.bootID(), User: "root"},
		Unseen:  []scan.Unseen{}, Processes: []scan.Process{}, Objects: []scan.Object{},
	}
	seen := map[string]bool{}
	for i, p := range m.processes {
		if !asked(q, p) {
			continue
		}
		r.Sight.ProcessesKnown++
		if w.blind && i%2 == 1 {
			r.Unseen = append(r.Unseen, scan.Unseen{PID: p.pid, Name: base(p.exe), Reason: "not permitted"})
			continue
		}
		r.Sight.ProcessesSeen++
		seenAs := l.process(m, p, r, seen)
		seenAs.Start = seenAs.Start.Add(w.skew) // a machine tells when its processes started by its own clock
		r.Processes = append(r.Processes, seenAs)
	}
	if !q.NoDormant {
		l.dormant(m, r, seen)
	}
	r.Sight.ObjectsRead = len(r.Objects)
	return r
}

func asked(q scan.Question, p process) bool {
	return (len(q.PIDs) == 0 || slices.Contains(q.PIDs, p.pid)) && (len(q.Units) == 0 || slices.Contains(q.Units, p.unit))
}

func (l *Lab) process(m *machine, p process, r *scan.Report, seen map[string]bool) scan.Process {
	out := scan.Process{PID: p.pid, PPID: 1, Start: p.start, Exe: p.exe, Name: base(p.exe), User: p.user, Unit: p.unit, Listens: []scan.Listen{}, Objects: []scan.Mapped{}}
	if u, ok := m.unit(p.unit); ok && p.main {
		out.Listens = append(out.Listens, u.Listens...)
		out.Outbound = append(out.Outbound, u.Outbound...)
	}
	for _, path := range order(p) {
		mapped := l.state(m, path, p.mapped[path])
		out.Objects = append(out.Objects, mapped)
		l.object(m, r, seen, p.mapped[path])
		if disk, err := l.onDisk(m, path); err == nil {
			l.object(m, r, seen, disk)
		}
	}
	return out
}

// order is the executable first, then the libraries by name.
func order(p process) []string {
	var paths []string
	for path := range p.mapped {
		if path != p.exe {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return append([]string{p.exe}, paths...)
}

func (l *Lab) object(m *machine, r *scan.Report, seen map[string]bool, b Build) {
	if seen[b.id()] {
		return
	}
	seen[b.id()] = true
	o := scan.Object{Path: b.Path, Object: elf.Object{ID: b.id(), BuildID: b.id()[:40], Machine: "x86-64", Soname: b.Soname, Size: 1 << 20, Components: b.Components, Answers: b.Answers}}
	if o.Components == nil {
		o.Components = []elf.Component{}
	}
	if b.Package != "" {
		source := orElse(b.Source, b.Package)
		o.Package = &owner.Package{
			Type: "deb", Name: b.Package, Version: b.Version, Arch: "amd64", Source: source, SourceVersion: b.Version,
			Distro: orElse(m.Distro, "debian"), Release: orElse(m.Release, "12"), Intact: "yes",
		}
	}
	r.Objects = append(r.Objects, o)
}

// dormant lists the units that do not run but could start.
func (l *Lab) dormant(m *machine, r *scan.Report, seen map[string]bool) {
	for _, u := range m.Units {
		if m.runs(u.Name) || m.masked[u.Name] {
			continue
		}
		d := scan.Dormant{Path: u.Exe, Start: "unit", Unit: u.Name}
		for i, path := range append([]string{u.Exe}, u.Maps...) {
			b, err := l.onDisk(m, path)
			if err != nil {
				continue
			}
			l.object(m, r, seen, b)
			if i == 0 {
				d.ID = b.id()
			} else {
				d.Needs = append(d.Needs, b.id())
			}
		}
		r.Dormant = append(r.Dormant, d)
	}
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func (l *Lab) health(m *machine, q host.HealthQuestion, w woes) *host.Health {
	h := &host.Health{
		Systemd: true, Root: true, DiskFree: map[string]int64{"/": 10 << 30}, ClockMS: l.now().Add(w.skew).UnixMilli(), Version: Version,
	}
	for _, name := range q.Units {
		h.Units = append(h.Units, m.unitHealth(name))
	}
	for _, t := range q.Tries {
		h.Tries = append(h.Tries, m.try(t))
	}
	return h
}

func (m *machine) unitHealth(name string) host.UnitHealth {
	u := host.UnitHealth{Name: name, Active: "inactive", Sub: "dead"}
	for _, p := range m.processes {
		if p.unit == name && p.main {
			u.Active, u.Sub, u.MainPID = "active", "running", p.pid
		}
	}
	return u
}

// try says yes where a unit that runs listens on the port.
func (m *machine) try(t host.Try) host.Tried {
	address := t.TCP
	if u, err := url.Parse(t.URL); t.URL != "" && err == nil {
		address = u.Host
		if u.Port() == "" {
			address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		}
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return host.Tried{Try: t, Says: err.Error()}
	}
	for _, u := range m.Units {
		for _, l := range u.Listens {
			if strconv.Itoa(l.Port) == port && m.runs(u.Name) {
				return host.Tried{Try: t, OK: true, Says: u.Name + " answers"}
			}
		}
	}
	return host.Tried{Try: t, Says: "connection refused"}
}

// stamp is the machine's own idea of the time.
func (l *Lab) stamp(w woes) time.Time { return l.now().Add(w.skew).UTC().Truncate(time.Millisecond) }
