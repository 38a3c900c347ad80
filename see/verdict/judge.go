package verdict

import (
	"cmp"
	"hash/maphash"
	"slices"

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
	doc := Document{Report: *report, CatalogueDate: catalogue.Date(), Findings: j.written(rest)}
	doc.Coverage = Coverage{
		ProcessesSeen: report.Sight.ProcessesSeen, ProcessesKnown: report.Sight.ProcessesKnown,
		Components: len(j.components), ComponentsWithoutData: j.withoutData(),
	}
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
	shared     map[uint64][]*alike // processes that map the same objects, by a hash of them
	seed       maphash.Seed
	pending    []pending // of processes: written down when their number is known, because findings are large
	findings   []Finding // of what can start
}

// pending is a finding that is decided, and not yet written down.
type pending struct {
	process  *scan.Process
	exposure Exposure
	subject  *subject
	verdict  *verdict
	held     *held
	fix      *Fix // shared by all findings of one process and cure
}

func newJudge(report *scan.Report, catalogue *advisory.Catalogue, options Options) *judge {
	j := &judge{
		report: report, catalogue: catalogue, probes: options.Probes, public: options.Public, findings: []Finding{},
		objects: make(map[string]*scan.Object, len(report.Objects)), memo: map[subjectKey]*weighed{}, covered: map[coverKey]covered{},
		components: map[componentKey]bool{}, groups: groups{}, unloaded: unloaded{}, opaque: opaque{},
		shared: map[uint64][]*alike{}, seed: maphash.MakeSeed(),
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
	a := j.alikeOf(p)
	if a.gathered == nil {
		a.gathered = j.gather(a.subjects, j.asked == nil, nil)
	}
	j.tell(a.gathered, p.PID, p.Name)
	next := pending{process: p, exposure: exposure(p)}
	if j.public != nil && j.public(p) {
		next.exposure.In = "public"
	}
	var cures cures
	for _, next.held = range a.gathered.held {
		if next.verdict, next.subject = j.probed(next.held, p.PID); j.wants(next.verdict) {
			next.fix = cures.of(p, next.subject, next.verdict.fix)
			if len(j.pending) == cap(j.pending) {
				j.pending = slices.Grow(j.pending, max(64, len(j.pending))) // they are many: twice, not a quarter more
			}
			j.pending = append(j.pending, next)
		}
	}
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
type held []joined

// worst picks what decides for the process: the worst state, of equals the one with the strongest evidence, of those a component rather
// than a package that was judged by its name alone.
func (h held) worst() joined {
	best := h[0]
	for _, next := range h[1:] {
		if cmp.Or(
			cmp.Compare(next.verdict.state.badness(), best.verdict.state.badness()), cmp.Compare(next.verdict.rank, best.verdict.rank),
			cmp.Compare(truth(next.subject.component.Kind != "package"), truth(best.subject.component.Kind != "package")),
		) > 0 {
			best = next
		}
	}
	return best
}

// probed adds what live probes said to the verdict that decides.
func (j *judge) probed(h *held, pid int) (*verdict, *subject) {
	worst := h.worst()
	v, s := worst.verdict, worst.subject
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

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
