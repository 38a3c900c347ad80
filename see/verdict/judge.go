package verdict

import (
	"staunch/see/advisory"
	"staunch/see/scan"
)

// Options narrow and feed a judgement.
type Options struct {
	// Advisory asks about one advisory (id, alias or name): then every process that holds the component gets a finding, whatever its state.
	Advisory string
	Probes   []Probe // what live probes saw, if any
}

// Probe is what a live probe said about one process. A positive one outweighs everything; a negative one never lowers code evidence.
type Probe struct {
	Advisory string
	PID      int
	Positive bool
	Says     string
}

// Judge makes a document of a report. It is pure: memory only, no clock, the report is not changed.
func Judge(report *scan.Report, catalogue *advisory.Catalogue, options Options) Document {
	doc := Document{Report: *report, CatalogueDate: catalogue.Date()}
	doc.Coverage.ProcessesSeen = report.Sight.ProcessesSeen
	doc.Coverage.ProcessesKnown = report.Sight.ProcessesKnown
	return doc
}
