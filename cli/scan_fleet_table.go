package cli

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/see/verdict"
	"staunch/tame"
)

// fleetFinding is a finding with the host it was made on.
type fleetFinding struct {
	verdict.Finding
	host string
}

// printFleet groups by object: one piece of code is fixed once, however many hosts run it.
func printFleet(env *Env, f scanFlags, s *fleetScan) error {
	t := newTable(env, f)
	var b strings.Builder
	bad, dormant, unknown := s.findings()
	t.fleetHeadline(&b, s, bad)
	for _, g := range byObject(bad) {
		t.fleetObject(&b, s, g)
	}
	t.fleetDormant(&b, dormant)
	t.fleetUnknown(&b, s, unknown)
	t.fleetSilent(&b, s)
	t.fleetCoverage(&b, s)
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

func (s *fleetScan) findings() (bad, dormant, unknown []fleetFinding) {
	for _, h := range s.hosts {
		doc := s.docs[h.Name]
		if doc == nil {
			continue
		}
		for _, f := range doc.Findings {
			one := fleetFinding{f, h.Name}
			switch {
			case f.Bad():
				bad = append(bad, one)
			case f.State == verdict.Dormant:
				dormant = append(dormant, one)
			case f.State == verdict.Unknown:
				unknown = append(unknown, one)
			}
		}
	}
	return bad, dormant, unknown
}

// byObject groups findings of the same code, the worst and the widest spread first.
func byObject(list []fleetFinding) [][]fleetFinding {
	groups := groupBy(list, func(f fleetFinding) string {
		return f.Object + "\x00" + f.Component + "\x00" + f.Version + "\x00" + string(f.State)
	})
	slices.SortStableFunc(groups, func(a, b []fleetFinding) int {
		return cmp.Or(worst(b)-worst(a), len(hostsOf(b))-len(hostsOf(a)))
	})
	return groups
}

// worst ranks: known exploited and public first, then by severity.
func worst(list []fleetFinding) int {
	rank := 0
	for _, f := range list {
		r := f.Severity.Rank()
		if f.KnownExploited {
			r += 100
		}
		if f.Exposure.In == "public" {
			r += 10
		}
		rank = max(rank, r)
	}
	return rank
}

// hostsOf lists the hosts of findings in the fleet's order.
func hostsOf(list []fleetFinding) []string {
	var hosts []string
	seen := map[string]bool{}
	for _, f := range list {
		if !seen[f.host] {
			seen[f.host] = true
			hosts = append(hosts, f.host)
		}
	}
	return hosts
}

func processesOf(list []fleetFinding) int {
	seen := map[string]bool{}
	for _, f := range list {
		for _, pid := range append([]int{f.PID}, f.PIDs...) {
			if pid != 0 {
				seen[fmt.Sprint(f.host, " ", pid)] = true
			}
		}
	}
	return len(seen)
}

func (t *table) fleetHeadline(b *strings.Builder, s *fleetScan, bad []fleetFinding) {
	subject := ""
	if t.flags.advisory != "" {
		subject = " by " + tame.Line(t.flags.advisory)
	}
	if len(bad) == 0 {
		fmt.Fprintln(b, t.paint.bold(fmt.Sprintf("No running process was found to be affected%s on %d of %s.", subject, len(s.docs), s.whole())))
		return
	}
	var public []fleetFinding
	for _, f := range bad {
		if f.Exposure.In == "public" {
			public = append(public, f)
		}
	}
	line := fmt.Sprintf("AFFECTED%s: %s on %d of %s", subject, count(processesOf(bad), "process", "processes"), len(hostsOf(bad)), s.whole())
	if len(public) > 0 {
		line += fmt.Sprintf(", %d of them public on %s", processesOf(public), count(len(hostsOf(public)), "host", "hosts"))
	}
	fmt.Fprintln(b, t.paint.red(line))
}

// whole says of how many hosts everything is a fraction.
func (s *fleetScan) whole() string {
	if s.on == "" || s.known == len(s.hosts) {
		return count(len(s.hosts), "known host", "known hosts")
	}
	return fmt.Sprintf("%s chosen by %s (%d known)", count(len(s.hosts), "host", "hosts"), tame.Line(s.on), s.known)
}

// fleetObject is one piece of code on all hosts that run it.
func (t *table) fleetObject(b *strings.Builder, s *fleetScan, list []fleetFinding) {
	f := list[0]
	state := t.paint.red("affected")
	if f.State == verdict.Stale {
		state = t.paint.yellow("stale")
	}
	name := tame.Line(filepath.Base(f.Path))
	if f.Path == "" {
		name = tame.Line(f.Process)
	}
	fmt.Fprintln(b)
	t.wrap(b, "", fmt.Sprintf("%s  %s in %s on %d of %s", t.paint.bold(name), tame.Line(strings.TrimSpace(f.Component+" "+f.Version)),
		count(processesOf(list), "process", "processes"), len(hostsOf(list)), count(len(s.docs), "host", "hosts")))
	plain := findingsOf(list)
	t.wrap(b, "  ", fmt.Sprintf("%s  %s  %s", state, holds(f.Finding), advisoryWords(plain, 4)))
	for _, cure := range groupBy(list, func(f fleetFinding) string { return string(f.Fix.Kind) + f.Fix.Package + f.Fix.Version + f.Unit }) {
		t.wrap(b, "    ", fmt.Sprintf("%s on %s: %s", unitOf(cure[0]), t.hostWords(hostsOf(cure)), tame.Line(verdict.Together(findingsOf(cure)).What)))
	}
	if t.flags.verbose {
		for _, g := range groupBy(list, func(f fleetFinding) string { return f.Advisory }) {
			t.explain(b, g[0].Finding)
		}
	}
}

func unitOf(f fleetFinding) string {
	name := tame.Line(cmp.Or(f.Unit, f.Process))
	if f.Exposure.In == "public" {
		name += " (public)"
	}
	return name
}

func findingsOf(list []fleetFinding) []verdict.Finding {
	plain := make([]verdict.Finding, len(list))
	for i, f := range list {
		plain[i] = f.Finding
	}
	return plain
}

func (t *table) hostWords(hosts []string) string {
	if t.flags.verbose {
		return tame.Line(strings.Join(hosts, ", "))
	}
	return tame.Line(few(hosts, 8))
}

func (t *table) fleetDormant(b *strings.Builder, list []fleetFinding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.paint.bold("Does not run, but can start:"))
	groups := groupBy(list, func(f fleetFinding) string { return f.Object + f.Path + f.Component + f.Version })
	for i, g := range groups {
		if i == 20 && !t.flags.verbose {
			fmt.Fprintf(b, "  and %d more: -v lists them\n", len(groups)-i)
			return
		}
		t.wrap(b, "  ", fmt.Sprintf("%s on %s: %s: %s", holds(g[0].Finding), t.hostWords(hostsOf(g)), advisoryWords(findingsOf(g), 2), tame.Line(verdict.Together(findingsOf(g)).What)))
	}
}

// fleetUnknown is one line a cause, not one a host.
func (t *table) fleetUnknown(b *strings.Builder, s *fleetScan, list []fleetFinding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.paint.yellow("Unknown:"))
	for _, g := range groupBy(list, func(f fleetFinding) string { return cause(f.Finding) + string(f.Fix.Kind) }) {
		var things []string
		for _, f := range g {
			thing := tame.Line(strings.TrimSpace(f.Component + " " + f.Version))
			if words := strings.Fields(f.Package); len(words) > 1 {
				thing = tame.Line(strings.Join(words[1:], " "))
			}
			if !slices.Contains(things, thing) {
				things = append(things, thing)
			}
		}
		short, _, _ := strings.Cut(cause(g[0].Finding), ";")
		t.wrap(b, "  ", fmt.Sprintf("%s in %s on %d of %s: %s", few(things, 6), count(processesOf(g), "process", "processes"), len(hostsOf(g)), count(len(s.docs), "host", "hosts"), short))
		t.wrap(b, "    ", "do: "+tame.Line(g[0].Fix.What))
	}
}

// fleetSilent names the hosts that nothing is known of, grouped by reason.
func (t *table) fleetSilent(b *strings.Builder, s *fleetScan) {
	if len(s.mute) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.paint.yellow(fmt.Sprintf("Not seen, so nothing is known of %s:", count(len(s.mute), "host", "hosts"))))
	for i, m := range s.mute {
		if i == 20 && !t.flags.verbose {
			fmt.Fprintf(b, "  and %d more: -v lists them\n", len(s.mute)-i)
			return
		}
		t.wrap(b, "  ", tame.Line(m.Error.What))
		if hint := fault.HintOf(m.Error); hint != "" {
			t.wrap(b, "    ", "do: "+tame.Line(hint))
		}
	}
}

func (t *table) fleetCoverage(b *strings.Builder, s *fleetScan) {
	var seen, known, partly, without int
	date := ""
	for _, h := range s.hosts {
		doc := s.docs[h.Name]
		if doc == nil {
			continue
		}
		seen += doc.Coverage.ProcessesSeen
		known += doc.Coverage.ProcessesKnown
		without = max(without, doc.Coverage.ComponentsWithoutData)
		if doc.Coverage.ProcessesSeen < doc.Coverage.ProcessesKnown || len(doc.Unseen) > 0 {
			partly++
		}
		date = doc.CatalogueDate.Format("2006-01-02")
	}
	fmt.Fprintln(b)
	line := fmt.Sprintf("%d of %s seen", len(s.docs), s.whole())
	if partly > 0 {
		line += fmt.Sprintf(" (%d of them not fully)", partly)
	}
	line += fmt.Sprintf(", %d of %d processes", seen, known)
	if without > 0 {
		line += fmt.Sprintf(", up to %s a host without data", count(without, "component", "components"))
	}
	if date != "" {
		line += ", catalogue of " + date
	}
	t.wrap(b, "", line)
}
