package tell

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"staunch/ink"
	"staunch/see/heard"
	"staunch/tame"
)

// Rumour prints who runs what was heard of, public ones first; names are the components that run there, for when nobody holds it.
// Processes that differ in nothing but their pid share a line.
func Rumour(w io.Writer, p ink.Paint, r *heard.Rumour, names []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  the clock runs since %s\n", p.Bold("Heard: "+tame.Line(r.Says)), r.Heard.Local().Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintf(&b, "\n%s\n", rumourSums(p, r, names))
	groups := map[string][]heard.Holder{}
	for _, h := range r.Holders {
		groups[h.Version] = append(groups[h.Version], h)
	}
	for _, list := range sortedGroups(groups) {
		fmt.Fprintf(&b, "\n  %s\n", p.Bold(tame.Line(strings.TrimSpace(r.Component+" "+versionOr(list[0].Version)))))
		rumourHolders(&b, list)
	}
	fmt.Fprintf(&b, "\n%d of %d processes seen on %s.\n", r.Seen, r.Known, tame.Line(r.Host))
	if r.Note != "" {
		fmt.Fprintf(&b, "Noted as %s; next: staunch incident open --from-heard %s\n", tame.Line(r.Note), r.ID)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rumourSums says in one sentence how many hold it and how many of them face the public, or why nobody is listed.
func rumourSums(p ink.Paint, r *heard.Rumour, names []string) string {
	running := tame.Line(ink.Few(names, 20))
	if r.Component == "" {
		return "None of these words names something that runs here, so nobody was looked for: name it with --component. Components that run here: " + running + "."
	}
	if len(r.Holders) == 0 {
		return "No process that was seen has " + tame.Line(r.Component) + " in memory. Components that run here: " + running + "."
	}
	pids, public := map[int]bool{}, map[int]bool{}
	for _, h := range r.Holders {
		pids[h.PID] = true
		if h.Exposure.In == "public" {
			public[h.PID] = true
		}
	}
	return p.Bold(tame.Line(r.Component)) + " in memory of " + ink.Count(len(pids), "process", "processes") + ", " + p.Red(fmt.Sprintf("%d of them public", len(public)))
}

// fewPIDs is how many processes of a line are named by number; the JSON names all.
const fewPIDs = 5

// rumourHolders prints a version's processes, a line for all that differ in nothing but their pid.
func rumourHolders(b *strings.Builder, list []heard.Holder) {
	var order []heard.Holder
	pids := map[heard.Holder][]string{}
	for _, h := range list {
		pid := strconv.Itoa(h.PID)
		h.PID = 0
		if pids[h] == nil {
			order = append(order, h)
		}
		pids[h] = append(pids[h], pid)
	}
	for _, h := range order {
		where := "no unit"
		if h.Unit != "" {
			where = tame.Line(h.Unit)
		}
		fmt.Fprintf(b, "    %-9s %s (%s)  %s  %s in %s\n", h.Exposure.In, tame.Line(h.Process), ink.Few(pids[h], fewPIDs), where, h.Linkage, tame.Line(h.Path))
	}
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
