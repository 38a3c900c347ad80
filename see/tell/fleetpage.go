package tell

import (
	_ "embed" // the page is data
	"html/template"
	"io"
	"slices"
	"strings"

	"staunch/page"
	"staunch/see/verdict"
)

//go:embed fleet.html
var fleetText string

// fleetGroup is one piece of code on all hosts that run it, for the page.
type fleetGroup struct {
	Code, Holds, Advisories, Spread, State string
	Cures                                  []fleetCure
}

type fleetCure struct {
	Unit, Do string
	Hosts    []string
}

// fleetRow is one host of the page's list.
type fleetRow struct {
	Host, State, Why string
	Bad, Unknown     int // processes
	Seen, Processes  int
	Silent           *Silent
	Findings         []verdict.Finding
}

// PrintFleetPage writes one self-contained page with the same facts: what runs where, and every host by itself.
func (t Table) PrintFleetPage(w io.Writer, s *Fleet) error {
	own, err := page.Parse(fleetText, template.FuncMap{"join": func(list []string) string { return strings.Join(list, ", ") }})
	if err != nil {
		return err
	}
	bad, _, _ := s.findings()
	var groups []fleetGroup
	for _, list := range byObject(bad) {
		groups = append(groups, groupOf(s, list))
	}
	rows := s.rows()
	newest := slices.MaxFunc(rows, func(a, b fleetRow) int { return s.taken(a.Host).Compare(s.taken(b.Host)) })
	return own.Execute(w, struct {
		Headline, Whole, Taken, Subject string
		Affected                        bool
		Groups                          []fleetGroup
		Rows                            []fleetRow
		Seen                            int
	}{s.headline(t.Advisory, bad), s.whole(), s.taken(newest.Host).Format("2006-01-02 15:04:05 UTC"), t.Advisory, len(bad) > 0, groups, rows, len(s.Docs)})
}

func groupOf(s *Fleet, list []fleetFinding) fleetGroup {
	f := list[0]
	g := fleetGroup{Code: codeOf(f.Finding), Holds: holds(f.Finding), Advisories: advisoryWords(findingsOf(list), 6), Spread: s.spread(list), State: string(f.State)}
	for _, cure := range groupBy(list, cureOf) {
		g.Cures = append(g.Cures, fleetCure{Unit: unitOf(cure[0]), Do: verdict.Together(findingsOf(cure)).What, Hosts: hostsOf(cure)})
	}
	return g
}

// rows is one line a host, in the fleet's order.
func (s *Fleet) rows() []fleetRow {
	var rows []fleetRow
	for _, h := range s.Hosts {
		row := fleetRow{Host: h, State: "fixed", Why: "nothing affected was found"}
		doc := s.Docs[h]
		if doc == nil {
			row.State, row.Why = "unknown", "not seen"
			if i := slices.IndexFunc(s.Mute, func(m Silent) bool { return m.Host == h }); i >= 0 {
				row.Silent, row.Why = &s.Mute[i], s.Mute[i].Error.What
				if slices.ContainsFunc(row.Silent.Outside, func(o Outside) bool { return o.Vulnerable }) {
					row.State = "affected"
				}
			}
			rows = append(rows, row)
			continue
		}
		row.Seen, row.Processes, row.Findings = doc.Coverage.ProcessesSeen, doc.Coverage.ProcessesKnown, doc.Findings
		bad, unknown := map[int]bool{}, map[int]bool{}
		for _, f := range doc.Findings {
			switch {
			case f.Bad():
				bad[f.PID] = true
			case f.State == verdict.Unknown:
				unknown[f.PID] = true
			}
		}
		row.Bad, row.Unknown = len(bad), len(unknown)
		switch {
		case row.Bad > 0:
			row.State, row.Why = "affected", "runs affected code"
		case row.Unknown > 0 || len(doc.Unseen) > 0 || row.Seen < row.Processes:
			row.State, row.Why = "unknown", "not everything could be told"
		}
		rows = append(rows, row)
	}
	return rows
}
