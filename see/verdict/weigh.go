package verdict

import (
	"fmt"
	"slices"
	"strings"

	"staunch/see/advisory"
	"staunch/see/advisory/version"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// weighed is what the catalogue makes of one subject.
type weighed struct {
	verdicts []verdict
	unloaded string // the ecosystem whose data would be needed and is not here, where nothing else speaks about the subject either
}

// weigh judges a subject against every advisory that speaks about it, once.
func (j *judge) weigh(s *subject) *weighed {
	key := s.key()
	if w := j.memo[key]; w != nil {
		return w
	}
	w := &weighed{}
	j.memo[key] = w
	speaking := j.speaking(s)
	j.count(s, len(speaking) > 0)
	if len(speaking) == 0 {
		w.unloaded = j.missing(s)
	}
	grouped := map[reason]bool{}
	for _, a := range speaking {
		if j.asked != nil && a != j.asked || a.Withdrawn {
			continue
		}
		v := j.one(s, a)
		if j.asked == nil && (good(v.state) && len(j.probes) == 0 || v.grouped != "" && grouped[v.grouped] && !v.candidate) {
			continue
		}
		grouped[v.grouped] = true // one stands for all that are no candidates
		w.verdicts = append(w.verdicts, v)
	}
	return w
}

// speaking lists the advisories about the component or about its package.
func (j *judge) speaking(s *subject) []*advisory.Advisory {
	var list []*advisory.Advisory
	if s.component.Kind != "package" {
		list = j.catalogue.For(s.upstreamKey())
	}
	if s.own {
		for _, key := range s.packageKeys() {
			for _, a := range j.catalogue.For(key) {
				if !slices.Contains(list, a) {
					list = append(list[:len(list):len(list)], a)
				}
			}
		}
	}
	if j.asked != nil && !slices.Contains(list, j.asked) && j.namesSource(s) {
		list = append(list[:len(list):len(list)], j.asked)
	}
	return list
}

// namesSource tells whether the advisory that was asked about names, for some distribution only, the component whose copy this is although
// no package owns it: nothing that is loaded clears such a copy, so it must not pass in silence.
func (j *judge) namesSource(s *subject) bool {
	return s.component.Kind == "" && s.pkg == nil && slices.ContainsFunc(j.asked.Affects, func(a advisory.Affected) bool {
		return strings.Contains(a.Ecosystem, ":") && ownSource(s.component.Name, a.Name)
	})
}

// missing names the ecosystem whose data would be needed to judge a package; "" when it is here or would not help.
func (j *judge) missing(s *subject) string {
	key, ok := s.packageKey()
	if !ok || !s.own || !s.patched() {
		return ""
	}
	if _, loaded := j.catalogue.Loaded(key.Ecosystem); loaded {
		return ""
	}
	return key.Ecosystem
}

// count notes the component for the coverage: is there data that could judge it?
func (j *judge) count(s *subject, spoken bool) {
	k := componentKey{name: s.component.Kind + "/" + s.component.Name, version: s.version}
	data := spoken
	if s.component.Kind != "" && s.component.Kind != "package" {
		_, loaded := j.catalogue.Loaded(s.component.Kind)
		data = data || loaded
	}
	if s.pkg != nil {
		k.pkg, k.pkgVersion = s.pkg.Name, s.pkg.Version
		if key, ok := s.packageKey(); ok && s.patched() {
			_, data = j.catalogue.Loaded(key.Ecosystem)
		}
	}
	j.components[k] = j.components[k] || data
}

// one weighs one advisory: in memory first, then, where the file on disk is another one, that too.
func (j *judge) one(s *subject, a *advisory.Advisory) verdict {
	v := decide(a, j.clues(s, a))
	v.candidate = j.candidate(s, a)
	if s.state == scan.Overwritten && v.rank < rankProbe {
		v.state, v.justification, v.reason = Unknown, "", overwritten
	}
	if v.state == Unknown && v.reason == "" {
		v.reason = j.why(s, a)
	}
	switch v.reason {
	case notLoaded, noVersion, oldPackage, overwritten, carried:
		v.grouped = v.reason
	}
	if v.state == Affected && s.disk != nil && s.component.Kind != "package" {
		j.compareDisk(s, &v)
	}
	v.fix = j.remedy(s, a, v)
	return v
}

// compareDisk turns "affected in memory" into "stale" where the file on disk is good.
func (j *judge) compareDisk(s *subject, v *verdict) {
	on := &subject{object: s.disk, pkg: s.disk.Package, path: s.path, state: scan.Same, answers: s.disk.Answers, component: elf.Component{Name: s.component.Name}}
	for _, c := range s.disk.Components {
		if c.Name == s.component.Name && c.Linkage != elf.Headers {
			on.component, on.version = c, c.Version
		}
	}
	on.own = on.pkg != nil && ownSource(s.component.Name, on.pkg.Source)
	if on.component.Linkage == "" {
		v.state = Stale
		v.clues = append(v.clues, note("disk", "the file on disk does not hold "+s.component.Name+" any more", s.path))
		return
	}
	disk := decide(v.advisory, j.clues(on, v.advisory))
	if good(disk.state) {
		v.state = Stale
		v.clues = append(v.clues, note("disk", fmt.Sprintf("the file on disk is %s now: %s %s", words(disk.state), on.component.Name, shown(on.version, on)), s.path))
		return
	}
	v.clues = append(v.clues, note("disk", "the file on disk is another one, and "+words(disk.state)+" as well", s.path))
}

func shown(v string, s *subject) string {
	if s.pkg != nil {
		return strings.TrimSpace(v + " (" + s.pkg.Name + " " + s.pkg.Version + ")")
	}
	return v
}

func note(kind, says, detail string) clue {
	return clue{evidence: elf.Evidence{Kind: kind, Says: says, Detail: detail}}
}

// clues gathers everything that speaks for or against.
func (j *judge) clues(s *subject, a *advisory.Advisory) []clue {
	var list []clue
	if s.component.Kind != "package" {
		if elsewhere, is := otherPart(s, a.Rule); is {
			return []clue{elsewhere}
		}
		list = append(codeClues(s, a.Rule), flagClues(s, a.Rule)...)
		list = append(list, buildClues(s, a.Rule)...)
	}
	list = append(list, j.packageClues(s, a)...)
	list = append(list, j.versionClues(s, a)...)
	if a.Rule != nil {
		for _, says := range a.Rule.Disputes {
			list = append(list, note("dispute", says, ""))
		}
		for _, says := range a.Rule.Needs {
			list = append(list, note("needs", "exploiting it needs: "+says, ""))
		}
	}
	return list
}

// candidate tells whether upstream's ranges name the version (or cannot exclude it).
func (j *judge) candidate(s *subject, a *advisory.Advisory) bool {
	answer, _ := j.covers(a, s.upstreamKey(), s.version)
	return answer == advisory.Yes || answer == advisory.Unclear
}

// why says what keeps a subject unknown.
func (j *judge) why(s *subject, a *advisory.Advisory) reason {
	if s.patched() {
		if s.state == scan.Deleted || s.state == scan.Replaced {
			return oldPackage
		}
		key, ok := s.packageKey()
		if !ok {
			return notLoaded
		}
		if _, loaded := j.catalogue.Loaded(key.Ecosystem); !loaded {
			return notLoaded
		}
		if !s.own {
			return carried
		}
		return notTold
	}
	if answer, _ := j.covers(a, s.upstreamKey(), s.version); answer == advisory.Unclear {
		return noVersion
	}
	return notTold
}

// packageClues lets the distribution's record speak: it votes only for the packaged file itself.
func (j *judge) packageClues(s *subject, a *advisory.Advisory) []clue {
	key, ok := s.packageKeyOf(a)
	if !ok || !s.own {
		return nil
	}
	v := sourceVersion(s.pkg)
	answer, span := j.covers(a, key, v)
	name := fmt.Sprintf("%s %s %s", s.pkg.Type, s.pkg.Name, s.pkg.Version)
	c := clue{rank: rankPackage, evidence: elf.Evidence{Kind: "package", Detail: name + ", source " + s.pkg.Source + " " + v}}
	// Bytes that are known to have been a package's own are judged as that package's, although their file has been replaced since.
	gone := (s.state == scan.Deleted || s.state == scan.Replaced) && s.pkg.Intact != owner.Was
	switch {
	case answer == advisory.Silent || answer == advisory.Unclear:
		return j.silentClue(key, c, gone, answer)
	case gone:
		return []clue{formerPackage(s, a, key, c)}
	case s.pkg.Intact == string(elf.No):
		c.evidence.Says = "the package database says " + name + ", but this file is not the packaged one any more: its record does not count"
	case answer == advisory.Yes:
		c.vote, c.evidence.Says = Affected, fmt.Sprintf("%s's data says that %s %s is affected: %s", advisory.Title(key.Ecosystem), s.pkg.Source, v, spanWords(span))
	case span.Fixed != "":
		c.vote, c.evidence.Says = Fixed, fmt.Sprintf("%s's data says that %s is fixed since %s; this is %s", advisory.Title(key.Ecosystem), s.pkg.Source, span.Fixed, v)
	default:
		c.vote, c.justification = NotAffected, CodeNotPresent
		c.evidence.Says = fmt.Sprintf("%s's data names other versions of %s; this is %s", advisory.Title(key.Ecosystem), s.pkg.Source, v)
	}
	return []clue{c}
}

func spanWords(span advisory.Span) string {
	if span.Unfixed {
		return "no fix is known there"
	}
	return "fixed in " + span.Fixed
}

// silentClue notes that a distribution's data is missing, or is here and says nothing.
func (j *judge) silentClue(key advisory.Key, c clue, gone bool, answer advisory.Answer) []clue {
	date, loaded := j.catalogue.Loaded(key.Ecosystem)
	c.rank = rankPackage
	switch {
	case gone:
		return nil
	case loaded && answer == advisory.Unclear:
		c.evidence.Says = fmt.Sprintf("%s's data names versions of %s that this one cannot be put in order with (another stream, or no version)", advisory.Title(key.Ecosystem), key.Name)
	case loaded:
		c.evidence.Says = fmt.Sprintf("%s's data of %s lists nothing under this id for %s", advisory.Title(key.Ecosystem), date.Format("2006-01-02"), key.Name)
	default:
		c.evidence.Says = fmt.Sprintf("%s patches %s, and its data is not loaded: the patch level is not known", advisory.Title(key.Ecosystem), key.Name)
	}
	return []clue{c}
}

// formerPackage judges a file that its package has replaced since: its package version is gone, but its upstream version still tells it from the fix
// where the fix came with a newer (or older) upstream release.
func formerPackage(s *subject, a *advisory.Advisory, key advisory.Key, c clue) clue {
	c.evidence.Says = "the package database describes the file on disk, not the one in memory: its record does not count for memory"
	for _, aff := range a.Affects {
		if aff.Ecosystem != key.Ecosystem || aff.Name != key.Name || len(aff.Ranges) != 1 || aff.Ranges[0].Fixed == "" || s.version == "" {
			continue
		}
		fixed := version.Unpackaged(aff.Ranges[0].Fixed)
		n, ok := version.Upstream(s.component.Name)(s.version, fixed)
		low, okLow := 1, true
		if in := aff.Ranges[0].Introduced; in != "" {
			low, okLow = version.Upstream(s.component.Name)(s.version, version.Unpackaged(in))
		}
		if ok && okLow && n < 0 && low > 0 {
			c.vote = Affected
			c.evidence.Says = fmt.Sprintf("in memory is %s %s, older than any package with the fix (%s)", s.component.Name, s.version, aff.Ranges[0].Fixed)
		}
	}
	return c
}

// versionClues lets upstream's ranges speak; they vote only where no distribution patches, or where its data is here and agrees by its silence.
func (j *judge) versionClues(s *subject, a *advisory.Advisory) []clue {
	if s.component.Kind == "package" {
		return nil
	}
	answer, span := j.covers(a, s.upstreamKey(), s.version)
	if answer == advisory.Silent {
		return nil
	}
	c := clue{rank: rankVersion, evidence: elf.Evidence{Kind: "version", Detail: span.String()}}
	name := s.component.Name + " " + s.version
	switch {
	case s.version == "":
		c.rank, c.evidence = rankName, elf.Evidence{Kind: "name", Says: "holds " + s.component.Name + " of a version that is not known"}
		return []clue{c}
	case answer == advisory.Unclear:
		c.evidence.Says = name + " cannot be put in order with the advisory's versions"
		return []clue{c}
	case answer == advisory.Yes:
		c.vote, c.evidence.Says = Affected, name+" lies in the affected range"+by(span)
	case sameLine(s.component.Name, s.version, span):
		c.vote, c.evidence.Says = Fixed, fmt.Sprintf("%s has the fix of %s", name, span.Fixed)
	default:
		c.vote, c.justification, c.evidence.Says = NotAffected, CodeNotPresent, name+" is in none of the affected ranges"
		c.evidence.Detail = ""
	}
	if s.patched() && !j.silentAgrees(s, a, c.vote) {
		c.vote, c.justification = "", ""
		c.evidence.Says += "; that decides nothing here, because a distribution patches without changing this number"
	}
	return []clue{c}
}

func by(span advisory.Span) string {
	if span.Says != "" {
		return " (" + span.Says + ")"
	}
	return ""
}

// silentAgrees: the distribution's data is loaded, lists nothing under this id, and upstream's ranges leave the version out.
func (j *judge) silentAgrees(s *subject, a *advisory.Advisory, vote State) bool {
	key, ok := s.packageKeyOf(a)
	if !ok || !good(vote) || s.state != scan.Same || !s.own {
		return false
	}
	_, loaded := j.catalogue.Loaded(key.Ecosystem)
	answer, _ := j.covers(a, key, sourceVersion(s.pkg))
	return loaded && answer == advisory.Silent
}

// sameLine tells "fixed" from "never had it": the fix that the version has came in its own line of releases.
func sameLine(component, v string, span advisory.Span) bool {
	if span.Fixed == "" {
		return false
	}
	return span.Introduced == "" || version.Line(component, v) == version.Line(component, span.Fixed)
}
