package verdict

import (
	"path"
	"slices"
	"strings"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
)

// Holder is one process that has a component in memory.
type Holder struct {
	PID      int         `json:"pid"`
	Process  string      `json:"process"`
	Unit     string      `json:"unit"`
	Version  string      `json:"version"`
	Linkage  elf.Linkage `json:"linkage"`
	Path     string      `json:"path"`
	Package  string      `json:"package,omitempty"`
	Exposure Exposure    `json:"exposure"`
}

// Holders lists who has a component in memory, one line per process and version, public ones first. A component is named by its name, its
// source package, or the last part of a module's name ("log4j-core").
func Holders(report *scan.Report, component string) []Holder {
	j := newJudge(report, advisory.NewCatalogue(), Options{})
	list := []Holder{}
	for i := range report.Processes {
		p := &report.Processes[i]
		for _, s := range j.subjects(p) {
			if !s.named(component) {
				continue
			}
			h := Holder{
				PID: p.PID, Process: p.Name, Unit: p.Unit, Version: s.version, Linkage: s.component.Linkage, Path: s.path,
				Package: packageWords(s.pkg), Exposure: exposure(p),
			}
			weaker := h.Version == "" || s.component.Kind == "package" // its library or its own code was listed already
			if !slices.ContainsFunc(list, func(o Holder) bool { return o.PID == h.PID && (o.Version == h.Version || weaker) }) {
				list = append(list, h)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Holder) int { return b.Exposure.rank() - a.Exposure.rank() })
	return list
}

// named tells whether people mean this subject by a word.
func (s *subject) named(word string) bool {
	name := s.component.Name
	return strings.EqualFold(name, word) || strings.EqualFold(path.Base(strings.ReplaceAll(name, ":", "/")), word) ||
		s.own && s.pkg != nil && strings.EqualFold(s.pkg.Source, word) || s.component.Kind == "" && sourceName(name, strings.ToLower(word))
}

// sourceName tells whether some distribution calls the component's source package exactly so: xz and xz-utils are liblzma.
func sourceName(component, word string) bool { return slices.Contains(sources()[component], word) }

// Named is the name of the first component that runs here and that people mean by the word; "" for none.
func Named(report *scan.Report, word string) string {
	j := newJudge(report, advisory.NewCatalogue(), Options{})
	for i := range report.Processes {
		for _, s := range j.subjects(&report.Processes[i]) {
			if s.named(word) {
				return s.component.Name
			}
		}
	}
	return ""
}

// Components lists the names of everything that runs, by which Holders finds it.
func Components(report *scan.Report) []string {
	j := newJudge(report, advisory.NewCatalogue(), Options{})
	seen := map[string]bool{}
	var list []string
	for i := range report.Processes {
		for _, s := range j.subjects(&report.Processes[i]) {
			if !seen[s.component.Name] {
				seen[s.component.Name] = true
				list = append(list, s.component.Name)
			}
		}
	}
	slices.Sort(list)
	return list
}
