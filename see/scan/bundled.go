package scan

import (
	"strings"

	"staunch/see/scan/elf"
	"staunch/see/scan/lang"
	"staunch/see/scan/modules"
	"staunch/see/scan/proc"
)

// findModules looks at the jars, wheels, gems and Node modules that the process holds open, maps, or has on its class path.
func (l *look) findModules(r *seen) {
	if r.root == nil || r.root.Dir == nil {
		return // the process ended; its mappings said so already
	}
	p := modules.Process{Dir: r.dir, Root: r.root.Dir, Open: r.open, Launch: r.launch}
	for _, u := range r.uses {
		if u.InTree {
			p.Mapped = append(p.Mapped, u.Name)
		}
	}
	found, unread := l.modules.Of(&p)
	for _, f := range found {
		r.process.Modules = append(r.process.Modules, l.moduleOf(f))
	}
	for _, why := range unread {
		r.unseen = append(r.unseen, Unseen{PID: r.process.PID, Name: r.process.Name, Reason: why})
	}
}

// marksOf are the anchors that an archive's entries can answer.
func marksOf(anchors []elf.Anchor) []lang.Mark {
	var out []lang.Mark
	for _, a := range anchors {
		if strings.Contains(a.Component, ":") && len(a.Strings) > 0 {
			out = append(out, lang.Mark{ID: a.ID, Ecosystem: "Maven", Component: a.Component, Entries: a.Strings})
		}
	}
	return out
}

func (l *look) moduleOf(f lang.Found) Module {
	m := Module{Path: f.Path, Component: elf.Component{Name: f.Name, Version: f.Version, Linkage: elf.Bundled, Kind: f.Ecosystem}}
	for _, fact := range f.Facts {
		m.Component.Evidence = append(m.Component.Evidence, elf.Evidence{Kind: fact.Kind, Says: fact.Says, Detail: proc.Shown(fact.Detail)})
	}
	for _, mark := range l.marks {
		there, asked := f.Marks[mark.ID]
		if !asked {
			continue
		}
		answer := elf.Answer{Anchor: mark.ID, Says: elf.No, Kind: "code"}
		if there {
			answer.Says, answer.Detail = elf.Yes, mark.Entries[0]
		}
		m.Answers = append(m.Answers, answer)
	}
	return m
}
