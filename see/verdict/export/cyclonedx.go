package export

import (
	"fmt"
	"io"
	"slices"
	"time"

	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/verdict"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// CycloneDX writes a CycloneDX 1.6 bill of what really runs, with its vulnerabilities and what was decided about them.
func CycloneDX(w io.Writer, doc *verdict.Document) error {
	parts := newParts(doc, "")
	vulns := &rulings{list: []cdx.Vulnerability{}, at: map[string]int{}}
	vulns.add(doc, parts)
	return writeBOM(w, doc, cdx.Component{BOMRef: parts.host, Type: cdx.ComponentTypeDevice, Name: doc.Host}, parts.list, vulns)
}

// FleetCycloneDX does the same for many hosts: each is a device with its components inside. docs is not empty.
func FleetCycloneDX(w io.Writer, docs []*verdict.Document) error {
	devices := []cdx.Component{}
	vulns := &rulings{list: []cdx.Vulnerability{}, at: map[string]int{}}
	newest := docs[0]
	for _, doc := range docs {
		parts := newParts(doc, doc.Host+"/")
		vulns.add(doc, parts)
		devices = append(devices, cdx.Component{BOMRef: parts.host, Type: cdx.ComponentTypeDevice, Name: doc.Host, Components: &parts.list})
		if doc.Taken.After(newest.Taken) {
			newest = doc
		}
	}
	return writeBOM(w, newest, cdx.Component{BOMRef: "fleet", Type: cdx.ComponentTypePlatform, Name: "fleet"}, devices, vulns)
}

func writeBOM(w io.Writer, doc *verdict.Document, about cdx.Component, list []cdx.Component, vulns *rulings) error {
	bom := cdx.NewBOM()
	bom.SpecVersion, bom.JSONSchema = cdx.SpecVersion1_6, "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bom.Metadata = &cdx.Metadata{
		Timestamp: doc.Taken.Format(time.RFC3339), Component: &about,
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "staunch", Version: doc.Scanner}}},
	}
	bom.Components = &list
	bom.Vulnerabilities = &vulns.list
	enc := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON)
	enc.SetPretty(true)
	return enc.Encode(bom)
}

// parts is every component that runs, once per name, version and object.
type parts struct {
	pre  string // before every reference, so that hosts do not mix
	host string // the host's own reference
	list []cdx.Component
	refs map[string]string // object id, name, version -> bom-ref
}

func newParts(doc *verdict.Document, pre string) *parts {
	p := &parts{pre: pre, host: pre + "host", list: []cdx.Component{}, refs: map[string]string{}}
	paths := map[string][]string{}
	for i := range doc.Processes {
		for _, m := range doc.Processes[i].Objects {
			if !slices.Contains(paths[m.ID], m.Path) && len(paths[m.ID]) < 20 {
				paths[m.ID] = append(paths[m.ID], m.Path)
			}
		}
	}
	for i := range doc.Objects {
		o := &doc.Objects[i]
		at := paths[o.ID]
		if len(at) == 0 && o.Path != "" {
			at = []string{o.Path}
		}
		for _, c := range o.Components {
			if c.Linkage != elf.Headers {
				p.add(o.ID, c, at)
			}
		}
		if o.Package != nil && o.Package.Source != "" {
			p.addPackage(o, at)
		}
	}
	for i := range doc.Processes {
		for _, m := range doc.Processes[i].Modules {
			p.add(m.Path, m.Component, []string{m.Path})
		}
	}
	return p
}

func partKey(object, name, version string) string { return object + "\x00" + name + "\x00" + version }

func (p *parts) add(object string, c elf.Component, at []string) {
	key := partKey(object, c.Name, c.Version)
	if p.refs[key] != "" {
		return
	}
	ref := fmt.Sprintf("%sc%d", p.pre, len(p.list)+1)
	p.refs[key] = ref
	p.list = append(p.list, cdx.Component{
		BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: c.Name, Version: c.Version, PackageURL: componentPURL(c.Kind, c.Name, c.Version),
		Evidence: occurrences(at), Properties: &[]cdx.Property{{Name: "staunch:linkage", Value: string(c.Linkage)}, {Name: "staunch:object", Value: object}},
	})
}

func (p *parts) addPackage(o *scan.Object, at []string) {
	key := partKey("package", o.Package.Name, o.Package.Version)
	if p.refs[key] == "" {
		ref := fmt.Sprintf("%sc%d", p.pre, len(p.list)+1)
		p.refs[key] = ref
		p.list = append(p.list, cdx.Component{
			BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: o.Package.Name, Version: o.Package.Version, PackageURL: packagePURL(o.Package),
			Evidence: occurrences(at),
		})
	}
	p.refs[partKey(o.ID, o.Package.Source, o.Package.Version)] = p.refs[key]
}

func occurrences(at []string) *cdx.Evidence {
	if len(at) == 0 {
		return nil
	}
	var list []cdx.EvidenceOccurrence
	for _, path := range at {
		list = append(list, cdx.EvidenceOccurrence{Location: path})
	}
	return &cdx.Evidence{Occurrences: &list}
}

// ref finds the part that a finding is about.
func (p *parts) ref(f *verdict.Finding) string {
	for _, version := range []string{f.Version, ""} { // libssl's own part carries no version
		if ref := p.refs[partKey(f.Object, f.Component, version)]; ref != "" {
			return ref
		}
	}
	if ref := p.refs[partKey(f.Path, f.Component, f.Version)]; ref != "" {
		return ref
	}
	return p.host
}

// rulings gathers what was decided alike about one advisory.
type rulings struct {
	list []cdx.Vulnerability
	at   map[string]int
}

func (r *rulings) add(doc *verdict.Document, p *parts) {
	for i := range doc.Findings {
		f := &doc.Findings[i]
		if f.Advisory == "" {
			continue
		}
		key := f.Advisory + "\x00" + string(f.State) + "\x00" + string(f.Justification) + "\x00" + f.Fix.What
		n, known := r.at[key]
		if !known {
			n = len(r.list)
			r.at[key] = n
			r.list = append(r.list, cdx.Vulnerability{
				BOMRef: fmt.Sprintf("v%d", n+1), ID: f.Advisory, Recommendation: f.Fix.What, Analysis: analysis(f),
				Ratings: ratings(f), Affects: &[]cdx.Affects{},
			})
		}
		ref := cdx.Affects{Ref: p.ref(f)}
		if affects := r.list[n].Affects; !slices.ContainsFunc(*affects, func(a cdx.Affects) bool { return a.Ref == ref.Ref }) {
			*affects = append(*affects, ref)
		}
	}
}

func ratings(f *verdict.Finding) *[]cdx.VulnerabilityRating {
	if f.Severity == "" {
		return nil
	}
	severity := cdx.Severity(f.Severity)
	if f.Severity == "moderate" {
		severity = cdx.SeverityMedium
	}
	return &[]cdx.VulnerabilityRating{{Severity: severity}}
}

func analysis(f *verdict.Finding) *cdx.VulnerabilityAnalysis {
	a := &cdx.VulnerabilityAnalysis{}
	if len(f.Evidence) > 0 {
		a.Detail = f.Evidence[0].Says
	}
	switch f.State {
	case verdict.NotAffected:
		a.State = cdx.IASNotAffected
		a.Justification = cdx.IAJCodeNotPresent
	case verdict.Fixed:
		a.State = cdx.IASResolved
	case verdict.Unknown:
		a.State = cdx.IASInTriage
	default:
		a.State = cdx.IASExploitable
		response := []cdx.ImpactAnalysisResponse{cdx.IARUpdate}
		a.Response = &response
	}
	return a
}
