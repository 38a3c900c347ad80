package advisory

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"staunch/fault"
)

// opensslFacts is made from the OpenSSL project's CVE-JSON records by the test that is named in docs/advisories.md; facts only.
// Every scan reads it whole, which as JSON took longer than looking at a hundred processes.
//
//go:embed openssl.facts
var opensslFacts string

// A line of facts is one advisory: id, date, severity or "-", weaknesses joined by commas or "-", component, then its ranges as
// introduced<fixed or introduced..last, an open end as introduced<.
const factFields = 5

// readFacts reads lines of facts. Its texts are parts of text.
func readFacts(text, source string) ([]Advisory, error) {
	list := make([]Advisory, 0, strings.Count(text, "\n"))
	affected := make([]Affected, cap(list)) // one piece of memory for all
	for line := range strings.Lines(text) {
		a := Advisory{Source: source, Affects: affected[len(list) : len(list) : len(list)+1]}
		if err := a.readFact(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func (a *Advisory) readFact(line string) error {
	fields := strings.Split(line, " ")
	if len(fields) <= factFields {
		return fault.New(fault.Bug, "a built-in advisory has no ranges: %q", line)
	}
	var err error
	a.ID = fields[0]
	if a.Published, err = time.Parse(time.RFC3339, fields[1]); err != nil {
		return fault.New(fault.Bug, "a built-in advisory has no date: %q", line)
	}
	if fields[2] != "-" {
		a.Severity = Severity(fields[2])
	}
	if fields[3] != "-" {
		a.CWE = strings.Split(fields[3], ",")
	}
	ranges := make([]Range, 0, len(fields)-factFields)
	for _, text := range fields[factFields:] {
		r := Range{}
		var ok bool
		if r.Introduced, r.Fixed, ok = strings.Cut(text, "<"); !ok {
			if r.Introduced, r.Last, ok = strings.Cut(text, ".."); !ok {
				return fault.New(fault.Bug, "a built-in advisory has a broken range: %q", line)
			}
		}
		ranges = append(ranges, r)
	}
	a.Affects = append(a.Affects, Affected{Name: fields[4], Ranges: ranges})
	return nil
}

// fact writes what readFact reads, and refuses an advisory that does not fit into a line.
func (a *Advisory) fact() (string, error) {
	if len(a.Affects) != 1 || a.Withdrawn || a.Rule != nil {
		return "", fmt.Errorf("%s: more than one component, withdrawn, or a rule: a line of facts cannot say so", a.ID)
	}
	fields := []string{a.ID, a.Published.Format(time.RFC3339), string(a.Severity), strings.Join(a.CWE, ","), a.Affects[0].Name}
	for i := range fields {
		if fields[i] == "" {
			fields[i] = "-"
		}
	}
	for _, r := range a.Affects[0].Ranges {
		text := r.Introduced + "<" + r.Fixed
		if r.Last != "" {
			text = r.Introduced + ".." + r.Last
		}
		fields = append(fields, text)
	}
	return strings.Join(fields, " "), nil
}
