package advisory

import (
	"io"
	"slices"
	"strings"

	"staunch/fault"
)

type osvRecord struct {
	ID        string   `json:"id"`
	Aliases   []string `json:"aliases"`
	Upstream  []string `json:"upstream"`
	Related   []string `json:"related"`
	Published string   `json:"published"`
	Modified  string   `json:"modified"`
	Withdrawn string   `json:"withdrawn"`
	Severity  []osvSeverity
	Affected  []osvAffected `json:"affected"`
	Specific  struct {
		Severity any      `json:"severity"`
		CWE      []string `json:"cwe_ids"`
	} `json:"database_specific"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity []osvSeverity `json:"severity"`
	Ranges   []struct {
		Type   string     `json:"type"`
		Events []osvEvent `json:"events"`
	} `json:"ranges"`
	Versions []string `json:"versions"`
	Specific struct {
		Urgency any `json:"urgency"`
	} `json:"ecosystem_specific"`
}

type osvEvent struct {
	Introduced string `json:"introduced"`
	Fixed      string `json:"fixed"`
	Last       string `json:"last_affected"`
}

// ReadOSV reads one OSV 1.x record (https://ossf.github.io/osv-schema/). Facts only: prose and references are dropped.
//
// A record that speaks of several CVEs (a distribution's notice) becomes one advisory per CVE. Packages of ecosystems that staunch
// has no version order for, and git ranges, are left out; an advisory may therefore come back without Affects.
func ReadOSV(r io.Reader) ([]Advisory, error) {
	var rec osvRecord
	if err := decode(r, &rec); err != nil {
		return nil, err
	}
	if !SoundID(rec.ID) {
		return nil, fault.New(fault.Corrupt, "an OSV record without a usable id")
	}
	a := Advisory{
		ID: rec.ID, Published: readTime(rec.Published), Modified: readTime(rec.Modified), Withdrawn: withdrawn(rec.Withdrawn),
		CWE: sounds(rec.Specific.CWE), Severity: recordSeverity(rec), CVSS: recordVector(rec),
	}
	for _, aff := range rec.Affected {
		if one, ok := readAffected(aff); ok && len(a.Affects) < maxRanges {
			a.Affects = append(a.Affects, one)
		}
	}
	a.Affects = withoutOpenPockets(a.Affects)
	others := slices.Concat(rec.Aliases, rec.Upstream)
	if almaNotice(rec.ID) {
		others = append(others, rec.Related...)
	}
	return perCVE(a, others), nil
}

// withdrawn reads the time of a withdrawal; converters that know none write the zero time of their language.
func withdrawn(at string) bool { return at != "" && !strings.HasPrefix(at, "0001-01-01T") }

// almaNotice tells AlmaLinux's notices, which name the CVEs that they fix as related only.
func almaNotice(id string) bool {
	return strings.HasPrefix(id, "ALSA-") || strings.HasPrefix(id, "ALBA-") || strings.HasPrefix(id, "ALEA-")
}

// withoutOpenPockets drops "no fix is known" of a package for which another pocket of the same release (Ubuntu Pro) has a fix: who has it installed is
// not affected, and who has not is told which version cures it.
func withoutOpenPockets(list []Affected) []Affected {
	fixed := map[Key]bool{}
	for _, aff := range list {
		if !aff.Unfixed && len(aff.Ranges) > 0 {
			fixed[Key{aff.Ecosystem, aff.Name}] = true
		}
	}
	return slices.DeleteFunc(list, func(open Affected) bool { return open.Unfixed && fixed[Key{open.Ecosystem, open.Name}] })
}

// perCVE gives the advisory the id that people know it by.
func perCVE(a Advisory, others []string) []Advisory {
	others = sounds(others)
	var cves []string
	for _, id := range append([]string{a.ID}, others...) {
		if strings.HasPrefix(id, "CVE-") && !slices.Contains(cves, id) {
			cves = append(cves, id)
		}
	}
	if len(cves) == 0 {
		a.Aliases = union(nil, others)
		return []Advisory{a}
	}
	if len(cves) == 1 {
		a.Aliases = union(nil, slices.DeleteFunc(append([]string{a.ID}, others...), func(id string) bool { return id == cves[0] }))
		a.ID = cves[0]
		return []Advisory{a}
	}
	list := make([]Advisory, 0, len(cves))
	for _, id := range cves {
		one := a
		one.ID, one.Aliases = id, []string{a.ID}
		list = append(list, one)
	}
	return list
}

func sounds(ids []string) []string {
	var list []string
	for _, id := range ids {
		if SoundID(id) && len(list) < 1000 {
			list = append(list, id)
		}
	}
	return list
}

func recordSeverity(rec osvRecord) Severity {
	worst := Severity("")
	if word, ok := rec.Specific.Severity.(string); ok {
		worst = ReadSeverity(word)
	}
	scores := rec.Severity
	for _, aff := range rec.Affected {
		scores = append(scores, aff.Severity...)
		if word, ok := aff.Specific.Urgency.(string); ok {
			scores = append(scores, osvSeverity{"word", word})
		}
	}
	for _, s := range scores {
		switch {
		case strings.HasPrefix(s.Score, "CVSS:3"):
			worst = worse(worst, CVSS3(s.Score))
		case s.Type == "Ubuntu" || s.Type == "word":
			if worst == "" {
				worst = ReadSeverity(s.Score)
			}
		}
	}
	return worst
}

// recordVector is the record's CVSS vector of version 3 or 4, or "".
func recordVector(rec osvRecord) string {
	for _, s := range rec.Severity {
		if (strings.HasPrefix(s.Score, "CVSS:3") || strings.HasPrefix(s.Score, "CVSS:4")) && len(s.Score) < 300 {
			return s.Score
		}
	}
	return ""
}

func readAffected(aff osvAffected) (Affected, bool) {
	eco, ok := Canonical(aff.Package.Ecosystem)
	if !ok || aff.Package.Name == "" || len(aff.Package.Name) > 512 {
		return Affected{}, false
	}
	if aff.Specific.Urgency == "unimportant" { // Debian's word for "no security problem here"
		return Affected{}, false
	}
	one := Affected{Ecosystem: eco, Name: PackageName(eco, aff.Package.Name)}
	for _, r := range aff.Ranges {
		if r.Type == "GIT" || len(one.Ranges) > maxRanges {
			continue
		}
		one.Ranges = append(one.Ranges, readEvents(r.Events)...)
	}
	if len(one.Ranges) == 0 {
		one.Versions = aff.Versions[:min(len(aff.Versions), maxRanges)]
	}
	one.Unfixed = len(one.Ranges) > 0 && !slices.ContainsFunc(one.Ranges, func(r Range) bool { return r.Fixed != "" })
	return one, len(one.Ranges)+len(one.Versions) > 0
}

func readEvents(events []osvEvent) []Range {
	var list []Range
	open := false
	for _, e := range events {
		switch {
		case e.Introduced != "":
			if e.Introduced == "0" {
				e.Introduced = ""
			}
			list = append(list, Range{Introduced: e.Introduced})
			open = true
		case open && e.Fixed != "":
			list[len(list)-1].Fixed = e.Fixed
			open = false
		case open && e.Last != "":
			list[len(list)-1].Last = e.Last
			open = false
		}
	}
	return list
}

// Canonical turns OSV's name of an ecosystem into ours; ok is false for one that staunch cannot order or does not match.
func Canonical(osv string) (eco string, ok bool) {
	family, rest, _ := strings.Cut(osv, ":")
	switch family {
	case "Go", "npm", "PyPI", "Maven", "RubyGems", "crates.io":
		return family, true
	case "Debian":
		return release("debian", rest)
	case "Ubuntu":
		rest = strings.TrimPrefix(rest, "Pro:")
		return release("ubuntu", strings.TrimSuffix(rest, ":LTS"))
	case "Alpine":
		return release("alpine", strings.TrimPrefix(rest, "v"))
	case "Rocky Linux":
		return release("rocky", rest)
	case "AlmaLinux":
		return release("almalinux", rest)
	case "Red Hat":
		// only the main stream: extended and special streams number their fixes in ways that do not compare with it
		rest, main := strings.CutPrefix(rest, "enterprise_linux:")
		major, _, _ := strings.Cut(rest, ":")
		major, _, _ = strings.Cut(major, ".")
		eco, ok = release("rhel", major)
		return eco, ok && main
	}
	return "", false
}

func release(family, number string) (string, bool) {
	if number == "" || len(number) > 32 || strings.ContainsAny(number, ": \n") {
		return "", false
	}
	return family + ":" + number, true
}

// OfPackage names the ecosystem whose advisories speak about packages of a distribution's release (ID and VERSION_ID of os-release).
func OfPackage(distro, number string) string {
	major, _, _ := strings.Cut(number, ".")
	switch distro {
	case "debian", "rocky", "almalinux", "fedora", "rhel":
		return distro + ":" + major
	case "raspbian":
		return "debian:" + major
	case "centos":
		return "rhel:" + major
	case "alpine":
		parts := strings.SplitN(number, ".", 3)
		return "alpine:" + strings.Join(parts[:min(len(parts), 2)], ".")
	}
	return distro + ":" + number
}

// PackageName spells a package's name as advisories are indexed: PyPI's names do not tell '_', '-', '.' and case apart.
func PackageName(ecosystem, name string) string {
	if ecosystem != "PyPI" {
		return name
	}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	return strings.Join(words, "-")
}
