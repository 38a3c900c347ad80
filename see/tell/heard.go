package tell

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"staunch/ink"
	"staunch/see/heard"
	"staunch/tame"
)

// Rumour prints who runs what was heard of, public ones first; names are the components that run there, for when nobody holds it.
func Rumour(w io.Writer, p ink.Paint, r *heard.Rumour, names []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  the clock runs since %s\n", p.Bold("Heard: "+tame.Line(r.Says)), r.Heard.Local().Format("2006-01-02 15:04:05 MST"))
	groups := map[string][]heard.Holder{}
	for _, h := range r.Holders {
		groups[h.Version] = append(groups[h.Version], h)
	}
	pids, public := map[int]bool{}, map[int]bool{}
	for _, h := range r.Holders {
		pids[h.PID] = true
		if h.Exposure.In == "public" {
			public[h.PID] = true
		}
	}
	switch {
	case r.Component == "":
		fmt.Fprintf(&b, "\nNone of these words names something that runs here, so nobody was looked for: name it with --component. Components that run here: %s.\n", tame.Line(ink.Few(names, 20)))
	case len(r.Holders) == 0:
		fmt.Fprintf(&b, "\nNo process that was seen has %s in memory. Components that run here: %s.\n", tame.Line(r.Component), tame.Line(ink.Few(names, 20)))
	default:
		fmt.Fprintf(&b, "\n%s in memory of %s, %s\n", p.Bold(tame.Line(r.Component)), ink.Count(len(pids), "process", "processes"), p.Red(fmt.Sprintf("%d of them public", len(public))))
	}
	for _, list := range sortedGroups(groups) {
		fmt.Fprintf(&b, "\n  %s\n", p.Bold(tame.Line(strings.TrimSpace(r.Component+" "+versionOr(list[0].Version)))))
		for _, h := range list {
			where := h.Unit
			if where == "" {
				where = "no unit"
			}
			fmt.Fprintf(&b, "    %-9s %s (%d)  %s  %s in %s\n", h.Exposure.In, tame.Line(h.Process), h.PID, tame.Line(where), h.Linkage, tame.Line(h.Path))
		}
	}
	fmt.Fprintf(&b, "\n%d of %d processes seen on %s.\n", r.Seen, r.Known, tame.Line(r.Host))
	if r.Note != "" {
		fmt.Fprintf(&b, "Noted as %s; next: staunch incident open --from-heard %s\n", tame.Line(r.Note), r.ID)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func versionOr(v string) string {
	if v == "" {
		return "(version unknown)"
	}
	return v
}

// sortedGroups puts the versions with public holders first.
func sortedGroups(groups map[string][]heard.Holder) [][]heard.Holder {
	var list [][]heard.Holder
	for _, g := range groups {
		slices.SortStableFunc(g, func(a, b heard.Holder) int { return publicFirst(a, b) })
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b []heard.Holder) int {
		if c := publicFirst(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[0].Version, b[0].Version)
	})
	return list
}

func publicFirst(a, b heard.Holder) int {
	order := []string{"public", "internal", "loopback", "none"}
	return slices.Index(order, a.Exposure.In) - slices.Index(order, b.Exposure.In)
}
