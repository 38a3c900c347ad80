package verdict

import (
	"cmp"
	"slices"
	"strings"

	"staunch/see/advisory"
	"staunch/see/scan"
)

// Options narrow and feed a judgement.
type Options struct {
	// Advisory asks about one advisory (id, alias or name): then every process that holds the component gets a finding, whatever its state.
	Advisory string
	Probes   []Probe // what live probes saw, if any
	// Public tells of processes that strangers reach although no address of theirs shows it; nil: none. It is where the fleet's description speaks.
	Public func(*scan.Process) bool
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
	j := newJudge(report, catalogue, options)
	for i := range report.Processes {
		j.process(&report.Processes[i])
	}
	for i := range report.Dormant {
		j.dormant(&report.Dormant[i])
	}
	rest := slices.Concat(j.findings, j.groups.findings(), j.unloaded.findings(), j.opaque.findings(j.asked))
	doc := Document{Report: *report, CatalogueDate: catalogue.Date(), Findings: make([]Finding, 0, len(j.pending)+len(rest))}
	for _, f := range j.pending {
		doc.Findings = append(doc.Findings, j.finding(f.process, f.subject, f.verdict, f.held))
	}
	doc.Findings = append(doc.Findings, rest...)
	doc.Coverage = Coverage{
		ProcessesSeen: report.Sight.ProcessesSeen, ProcessesKnown: report.Sight.ProcessesKnown,
		Components: len(j.components), ComponentsWithoutData: j.withoutData(),
	}
	doc.Findings = ordered(doc.Findings)
	return doc
}

// judge holds what one judgement remembers, so that one object is weighed once however many processes map it.
type judge struct {
	report     *scan.Report
	catalogue  *advisory.Catalogue
	asked      *advisory.Advisory // the one advisory asked about; nil: all
	public     func(*scan.Process) bool
	nothing    bool // an advisory was asked about that the catalogue does not know
	objects    map[string]*scan.Object
	memo       map[subjectKey]*weighed
	covered    map[coverKey]covered
	components map[componentKey]bool // true: data could judge it
	groups     groups
	unloaded   unloaded
	opaque     opaque
	probes     []Probe
	fixes      map[fixKey]Fix
	pending    []pending // of processes: written down when their number is known, because findings are large
	findings   []Finding // of what can start
}

// pending is a finding that is decided, and not yet written down.
type pending struct {
	process *scan.Process
	subject *subject
	verdict *verdict
	held    *held
}

func newJudge(report *scan.Report, catalogue *advisory.Catalogue, options Options) *judge {
	j := &judge{
		report: report, catalogue: catalogue, probes: options.Probes, public: options.Public, findings: []Finding{},
		objects: make(map[string]*scan.Object, len(report.Objects)), memo: map[subjectKey]*weighed{}, covered: map[coverKey]covered{},
		components: map[componentKey]bool{}, groups: groups{}, unloaded: unloaded{}, opaque: opaque{}, fixes: map[fixKey]Fix{},
	}
	for i := range report.Objects {
		j.objects[report.Objects[i].ID] = &report.Objects[i]
	}
	if options.Advisory != "" {
		j.asked, _ = catalogue.Find(options.Advisory)
		j.nothing = j.asked == nil
	}
	return j
}

// coverKey is one question to an advisory's ranges; covered is its answer.
type coverKey struct {
	advisory *advisory.Advisory
	key      advisory.Key
	version  string
}

type covered struct {
	answer advisory.Answer
	span   advisory.Span
}

// covers asks an advisory's ranges, each question once: many objects hold the same version.
func (j *judge) covers(a *advisory.Advisory, key advisory.Key, version string) (advisory.Answer, advisory.Span) {
	k := coverKey{a, key, version}
	c, known := j.covered[k]
	if !known {
		c.answer, c.span = a.Covers(key, version)
		j.covered[k] = c
	}
	return c.answer, c.span
}

// fixFor is the first version that is good for somebody who runs this one; "" when none is known.
func (j *judge) fixFor(a *advisory.Advisory, key advisory.Key, version string) string {
	if answer, span := j.covers(a, key, version); answer == advisory.Yes {
		return span.Fixed
	}
	return ""
}

// wants tells whether a verdict becomes a finding.
func (j *judge) wants(v *verdict) bool {
	return j.asked != nil || v.state == Affected || v.state == Stale || v.state == Unknown
}

// process judges one running process: everything it maps, then everything it has open.
func (j *judge) process(p *scan.Process) {
	if j.nothing {
		return
	}
	j.unanalysed(p)
	for _, h := range j.gather(p, p.Name, true, func(*verdict) bool { return true }) {
		if v, s := j.probed(h, p.PID); j.wants(v) {
			j.pending = append(j.pending, pending{p, s, v, h})
		}
	}
}

// gather weighs everything in a process and joins what one advisory says of several objects, in a stable order. With grouping, unknowns
// that share a cause go into their groups, under the label, instead.
func (j *judge) gather(p *scan.Process, label string, grouping bool, keep func(*verdict) bool) []*held {
	grouping = grouping && j.asked == nil
	best := map[*advisory.Advisory]*held{}
	var order []*held
	for _, s := range j.subjects(p) {
		w := j.weigh(s)
		if grouping && w.unloaded != "" {
			j.unloaded.add(w.unloaded, s, p.PID, label)
		}
		for i := range w.verdicts {
			v := &w.verdicts[i]
			if grouping && v.grouped != "" {
				j.groups.add(s, v, p.PID, label)
				continue
			}
			if !keep(v) {
				continue
			}
			h := best[v.advisory]
			if h == nil {
				h = &held{}
				best[v.advisory] = h
				order = append(order, h)
			}
			h.add(s, v)
		}
	}
	return order
}

// unanalysed notes objects of which nothing could be learned.
func (j *judge) unanalysed(p *scan.Process) {
	for i := range p.Objects {
		if o := j.objects[p.Objects[i].ID]; o != nil && o.Unknown != "" && len(o.Components) == 0 {
			j.opaque.add(o, p.PID, p.Name)
		}
	}
}

// held is everything in one process that one advisory speaks about.
type held struct {
	subjects []*subject
	verdicts []*verdict
}

func (h *held) add(s *subject, v *verdict) {
	h.subjects = append(h.subjects, s)
	h.verdicts = append(h.verdicts, v)
}

// worst picks what decides for the process: the worst state, of equals the one with the strongest evidence, of those a component rather
// than a package that was judged by its name alone.
func (h *held) worst() int {
	at := 0
	for i, v := range h.verdicts {
		best := h.verdicts[at]
		if cmp.Or(
			cmp.Compare(v.state.badness(), best.state.badness()), cmp.Compare(v.rank, best.rank),
			cmp.Compare(truth(h.subjects[i].component.Kind != "package"), truth(h.subjects[at].component.Kind != "package")),
		) > 0 {
			at = i
		}
	}
	return at
}

// probed adds what live probes said to the verdict that decides.
func (j *judge) probed(h *held, pid int) (*verdict, *subject) {
	at := h.worst()
	v, s := h.verdicts[at], h.subjects[at]
	var extra []clue
	for _, p := range j.probes {
		if p.PID != pid {
			continue
		}
		if a, ok := j.catalogue.Find(p.Advisory); !ok || a != v.advisory {
			continue
		}
		extra = append(extra, probeClue(p))
	}
	if len(extra) == 0 {
		return v, s
	}
	again := decide(v.advisory, append(extra, v.clues...))
	if again.rank < rankProbe { // a negative probe changes nothing
		again.state, again.justification, again.reason, again.fix = v.state, v.justification, v.reason, v.fix
		return &again, s
	}
	if again.fix = v.fix; good(v.state) || v.state == Unknown {
		again.fix = j.remedy(s, v.advisory, again)
	}
	return &again, s
}

func (j *judge) withoutData() int {
	n := 0
	for _, data := range j.components {
		if !data {
			n++
		}
	}
	return n
}

// badness orders states for "the worst wins".
func (s State) badness() int {
	switch s {
	case Affected:
		return 5
	case Stale:
		return 4
	case Unknown:
		return 3
	case Dormant:
		return 2
	case Fixed:
		return 1
	}
	return 0
}

// Sort puts findings in the order in which a tired person should read them: bad first, exposed and known-exploited first.
func Sort(list []Finding) { copy(list, ordered(list)) }

func ordered(list []Finding) []Finding {
	type place struct { // findings are large: small things are sorted, each finding is moved only once
		rank uint64
		epss float64
		at   int
	}
	order := make([]place, len(list))
	for i := range list {
		order[i] = place{list[i].rank(), list[i].EPSS, i}
	}
	slices.SortFunc(order, func(a, b place) int {
		if a.rank != b.rank {
			return cmp.Compare(b.rank, a.rank)
		}
		if a.epss != b.epss {
			return cmp.Compare(b.epss, a.epss)
		}
		if c := compare(&list[a.at], &list[b.at]); c != 0 {
			return c
		}
		return a.at - b.at
	})
	sorted := make([]Finding, len(list))
	for to, from := range order {
		sorted[to] = list[from.at]
	}
	return sorted
}

// rank packs what decides first into one number, the most urgent highest.
func (f *Finding) rank() uint64 {
	return uint64(f.State.badness())<<24 | uint64(f.Exposure.rank())<<16 | uint64(truth(f.KnownExploited))<<8 | uint64(f.Severity.Rank())
}

// compare decides between findings of one rank and one chance of being exploited.
func compare(a, b *Finding) int {
	if a.Candidates != b.Candidates {
		return b.Candidates - a.Candidates
	}
	if c := truth(a.Object == "") - truth(b.Object == ""); c != 0 {
		return c
	}
	if c := strings.Compare(a.Unit, b.Unit); c != 0 {
		return c
	}
	if a.PID != b.PID {
		return a.PID - b.PID
	}
	if c := strings.Compare(a.Advisory, b.Advisory); c != 0 {
		return c
	}
	return strings.Compare(a.Path, b.Path)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
