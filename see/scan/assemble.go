package scan

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"staunch/see/scan/container"
	"staunch/see/scan/elf"
	"staunch/see/scan/files"
	"staunch/see/scan/ident"
	"staunch/see/scan/proc"
)

// assemble turns what was seen into the report.
func (l *look) assemble(running []*seen) error {
	r := l.report
	images := container.NewImages(l.roots.Top)
	packages := l.findOwners()
	for _, s := range running {
		r.Sight.ProcessesKnown++
		if s.exe != "" {
			p := s.process
			p.Listens, p.Outbound = l.nets.Describe(s.sockets)
			p.Exe = s.exePath()
			p.Container = containerOf(s.place, images)
			p.Objects = l.mapped(s, packages)
			s.unread(p.Objects)
			r.Processes = append(r.Processes, p)
		} // else nothing is known but that it runs: it stands in Unseen
		if len(s.unseen) == 0 {
			r.Sight.ProcessesSeen++
		}
		r.Unseen = append(r.Unseen, s.unseen...)
	}
	slices.SortFunc(r.Processes, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	slices.SortFunc(r.Unseen, func(a, b Unseen) int { return cmp.Compare(a.PID, b.PID) })
	if err := l.learn(); err != nil {
		return err
	}
	l.objects(packages)
	return nil
}

// containerOf is the container of a place, nil outside of one.
func containerOf(p container.Place, images *container.Images) *Container {
	if p.Container == "" {
		return nil
	}
	return &Container{Runtime: p.Runtime, ID: p.Container, Image: images.Of(p.Container)}
}

// unread notes the files of a process whose content could not be read: it was not seen in full, whatever the rest of it says.
func (r *seen) unread(objects []Mapped) {
	n, why := 0, ""
	for _, m := range objects {
		if m.ID == "" && m.Unread != "" {
			if n++; n == 1 {
				why = m.Path + ": " + m.Unread
			}
		}
	}
	if n > 0 {
		r.unseen = append(r.unseen, Unseen{
			PID: r.process.PID, Name: r.process.Name, Reason: strconv.Itoa(n) + " of " + strconv.Itoa(len(objects)) + " files that it has mapped could not be read (" + why + ")",
		})
	}
}

// exePath is the program's path without the kernel's mark for a name that is gone.
func (r *seen) exePath() string {
	for _, f := range r.uses {
		if f.IsExe(r.exe) {
			return f.Shown()
		}
	}
	return proc.Shown(r.exe)
}

// mapped lists the process's objects, its program first, then by path.
func (l *look) mapped(s *seen, packages packages) []Mapped {
	out := make([]Mapped, 0, len(s.uses))
	for _, f := range s.uses {
		m := Mapped{Path: f.Shown()}
		m.State, m.Doubt = f.StateFor(s.process.Start)
		m.Unread = f.Unread
		if c := f.Memory; c != nil {
			m.ID = c.ID
			if m.ID == "" && m.Unread == "" {
				m.Unread = c.Why
			}
		}
		if f.Disk != nil && m.State != Same {
			m.OnDisk = f.Disk.ID
		}
		if p := packages.memory[f]; p != nil {
			m.Package = p
		}
		out = append(out, m)
	}
	exe := s.exePath()
	slices.SortFunc(out, func(a, b Mapped) int {
		if (a.Path == exe) != (b.Path == exe) {
			if a.Path == exe {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// learn gives the cache what was analysed.
func (l *look) learn() error {
	now := time.Now()
	for _, c := range l.catalogue.All() {
		if c.Cached || !c.NoELF && (c.ID == "" || c.Object == nil) {
			continue
		}
		if err := l.cache.Learn(c.Key, ident.Entry{ID: c.ID, SumKind: c.Want.Kind, Sum: c.Sum}, c.Object, now); err != nil {
			return err
		}
	}
	return nil
}

// objects lists every object that a process holds or a name leads to, once.
func (l *look) objects(packages packages) {
	byID := map[string]*Object{}
	var ids []string
	add := func(c *files.Content, f *files.File) {
		if c == nil || c.ID == "" {
			return
		}
		o, ok := byID[c.ID]
		if !ok {
			got, err := l.objectOf(c)
			if err != nil {
				l.note("a cached object was damaged: " + err.Error())
				return
			}
			o = &Object{Object: *got}
			byID[c.ID] = o
			ids = append(ids, c.ID)
		}
		if o.Path == "" || f.Shown() < o.Path {
			o.Path, o.Size, o.SHA256 = f.Shown(), c.Key.Size, "" // files may differ outside of what is loaded: one of them is told, always the same
			if c.Want.Kind == "sha256" {
				o.SHA256 = c.Sum
			}
		}
		owned := packages.memory[f]
		if c != f.Memory {
			owned = packages.disk[f]
		}
		if owned != nil && (o.Package == nil || better(owned, o.Package)) {
			o.Package = owned
		}
	}
	for f := range l.files.All() {
		add(f.Memory, f)
		add(f.Disk, f)
	}
	slices.Sort(ids)
	for _, id := range ids {
		l.report.Objects = append(l.report.Objects, *byID[id])
	}
	dropEqualPackages(l.report.Processes, byID)
	fillFromPartner(l.report)
}

func (l *look) objectOf(c *files.Content) (*elf.Object, error) {
	if c.Object == nil {
		o, err := l.cache.Object(c.ID)
		if err != nil {
			return nil, err
		}
		c.Object, c.Cached = o, true
	}
	return c.Object, nil
}

// dropEqualPackages leaves a mapping's package out where it is the object's.
func dropEqualPackages(processes []Process, byID map[string]*Object) {
	for i := range processes {
		for j := range processes[i].Objects {
			m := &processes[i].Objects[j]
			if o := byID[m.ID]; o != nil && o.Package != nil && m.Package != nil && *o.Package == *m.Package {
				m.Package = nil
			}
		}
	}
}
