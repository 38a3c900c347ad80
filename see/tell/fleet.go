package tell

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ink"
	"staunch/pattern"
	"staunch/see/verdict"
	"staunch/tame"
)

// fleetFinding is a finding with the host it was made on.
type fleetFinding struct {
	verdict.Finding
	host string
}

// Fleet is what a scan of many hosts found: a document for each host that answered, a reason for each that did not.
type Fleet struct {
	On    string   // the selector, as the person wrote it
	Known int      // hosts that exist
	Hosts []string // hosts that were chosen, in the fleet's order
	Docs  map[string]*verdict.Document
	Mute  []Silent
}

// Silent is a host that could not be looked at: in JSON it stands where its document would.
type Silent struct {
	Schema int          `json:"schema"`
	Kind   string       `json:"kind,omitempty"` // "unreachable" in JSON lines
	Host   string       `json:"host"`
	Taken  time.Time    `json:"taken"`
	Error  *fault.Error `json:"error"`
	// Outside is what strangers met at the addresses of a host that is not covered; Restart says what alone restarts it.
	Outside []Outside `json:"outside,omitempty"`
	Restart string    `json:"restart,omitempty"`
}

// Outside is what one address showed to a probe from here.
type Outside struct {
	Endpoint   string `json:"endpoint"`
	Address    string `json:"address"`
	Port       int    `json:"port"`
	Vulnerable bool   `json:"vulnerable"`
	Says       string `json:"says"`
}

// PrintFleet groups by object: one piece of code is fixed once, however many hosts run it.
func (t Table) PrintFleet(w io.Writer, s *Fleet) error {
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
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Fleet) findings() (bad, dormant, unknown []fleetFinding) {
	for _, h := range s.Hosts {
		doc := s.Docs[h]
		if doc == nil {
			continue
		}
		for _, f := range doc.Findings {
			one := fleetFinding{f, h}
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

func (t Table) fleetHeadline(b *strings.Builder, s *Fleet, bad []fleetFinding) {
	line := tame.Line(s.headline(t.Advisory, bad))
	if len(bad) == 0 {
		line = t.Paint.Bold(line)
	} else {
		line = t.Paint.Red(line)
	}
	fmt.Fprintln(b, line)
}

// headline is the answer in one sentence; "clean" is always a fraction of the known hosts.
func (s *Fleet) headline(advisory string, bad []fleetFinding) string {
	subject := ""
	if advisory != "" {
		subject = " by " + advisory
	}
	if len(bad) == 0 {
		return fmt.Sprintf("No running process was found to be affected%s on %d of %s.", subject, len(s.Docs), s.whole())
	}
	var public []fleetFinding
	for _, f := range bad {
		if f.Exposure.In == "public" {
			public = append(public, f)
		}
	}
	line := fmt.Sprintf("AFFECTED%s: %s on %d of %s", subject, ink.Count(processesOf(bad), "process", "processes"), len(hostsOf(bad)), s.whole())
	if len(public) > 0 {
		line += fmt.Sprintf(", %d of them public on %s", processesOf(public), ink.Count(len(hostsOf(public)), "host", "hosts"))
	}
	return line
}

// taken is when a host was looked at, or given up.
func (s *Fleet) taken(host string) time.Time {
	if doc := s.Docs[host]; doc != nil {
		return doc.Taken
	}
	if i := slices.IndexFunc(s.Mute, func(m Silent) bool { return m.Host == host }); i >= 0 {
		return s.Mute[i].Taken
	}
	return time.Time{}
}

// whole says of how many hosts everything is a fraction.
func (s *Fleet) whole() string {
	if s.On == "" || s.Known == len(s.Hosts) {
		return ink.Count(len(s.Hosts), "known host", "known hosts")
	}
	return fmt.Sprintf("%s chosen by %s (%d known)", ink.Count(len(s.Hosts), "host", "hosts"), tame.Line(s.On), s.Known)
}

// fleetObject is one piece of code on all hosts that run it.
func (t Table) fleetObject(b *strings.Builder, s *Fleet, list []fleetFinding) {
	f := list[0]
	state := t.Paint.Red("affected")
	if f.State == verdict.Stale {
		state = t.Paint.Yellow("stale")
	}
	fmt.Fprintln(b)
	ink.Wrap(b, t.Width, "", fmt.Sprintf("%s in %s", t.Paint.Bold(tame.Line(codeOf(f.Finding))), s.spread(list)))
	plain := findingsOf(list)
	ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s  %s  %s", state, holds(f.Finding), advisoryWords(plain, 4)))
	for _, cure := range groupBy(list, cureOf) {
		ink.Wrap(b, t.Width, "    ", fmt.Sprintf("%s on %s: %s", unitOf(cure[0]), t.hostWords(hostsOf(cure)), tame.Line(verdict.Together(findingsOf(cure)).What)))
	}
	if t.Verbose {
		for _, g := range groupBy(list, func(f fleetFinding) string { return f.Advisory }) {
			t.explain(b, g[0].Finding)
		}
	}
}

// cureOf is the same for findings that are cured alike.
func cureOf(f fleetFinding) string {
	return string(f.Fix.Kind) + f.Fix.Package + f.Fix.Version + f.Unit
}

// codeOf names a piece of code as people say it: "libcrypto 3.0.11".
func codeOf(f verdict.Finding) string {
	name := filepath.Base(f.Path)
	if f.Path == "" {
		name = f.Process
	}
	name, _, _ = strings.Cut(name, ".so")
	return strings.TrimSpace(name + " " + f.Version)
}

// spread says how far something is spread: "214 processes on 61 of 63 hosts". A host that was not seen counts among all.
func (s *Fleet) spread(list []fleetFinding) string {
	return fmt.Sprintf("%s on %d of %s", ink.Count(processesOf(list), "process", "processes"), len(hostsOf(list)), ink.Count(len(s.Hosts), "host", "hosts"))
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

func (t Table) hostWords(hosts []string) string {
	if t.Verbose {
		return tame.Line(strings.Join(hosts, ", "))
	}
	return tame.Line(ink.Few(hosts, 8))
}

func (t Table) fleetDormant(b *strings.Builder, list []fleetFinding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.Paint.Bold("Does not run, but can start:"))
	groups := groupBy(list, func(f fleetFinding) string { return f.Object + f.Path + f.Component + f.Version })
	for i, g := range groups {
		if i == 20 && !t.Verbose {
			fmt.Fprintf(b, "  and %d more: -v lists them\n", len(groups)-i)
			return
		}
		ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s on %s: %s: %s", holds(g[0].Finding), t.hostWords(hostsOf(g)), advisoryWords(findingsOf(g), 2), tame.Line(verdict.Together(findingsOf(g)).What)))
	}
}

// fleetUnknown is one line a cause, not one a host.
func (t Table) fleetUnknown(b *strings.Builder, s *Fleet, list []fleetFinding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.Paint.Yellow("Unknown:"))
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
		ink.Wrap(b, t.Width, "  ", fmt.Sprintf("%s in %s on %d of %s: %s", ink.Few(things, 6), ink.Count(processesOf(g), "process", "processes"), len(hostsOf(g)), ink.Count(len(s.Docs), "host", "hosts"), short))
		ink.Wrap(b, t.Width, "    ", "do: "+tame.Line(g[0].Fix.What))
	}
}

// fleetSilent names the hosts that nothing is known of, grouped by reason.
func (t Table) fleetSilent(b *strings.Builder, s *Fleet) {
	if len(s.Mute) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", t.Paint.Yellow(fmt.Sprintf("Not seen, so nothing is known of %s:", ink.Count(len(s.Mute), "host", "hosts"))))
	groups := groupBy(s.Mute, func(m Silent) string {
		if len(m.Outside) > 0 {
			return m.Host // what strangers met is the host's own
		}
		return m.reason() + "\x00" + fault.HintOf(m.Error)
	})
	for i, g := range groups {
		if i == 20 && !t.Verbose {
			fmt.Fprintf(b, "  and %d more reasons: -v lists them\n", len(groups)-i)
			return
		}
		t.fleetMute(b, g)
	}
}

// reason is why a host was not seen, without its name and address: the same for every host that it holds for.
func (m Silent) reason() string {
	words := strings.TrimPrefix(strings.TrimPrefix(m.Error.What, m.Host), ": ")
	return strings.TrimSpace(reAddress.ReplaceAllString(words, ""))
}

// reAddress is "192.0.2.1:22: " and " (192.0.2.1:22)", as errors of connections have them.
var reAddress = pattern.New(`^[0-9A-Za-z.\[\]:-]+:\d+: |^ \([^ ()]+:\d+\)`)

// fleetMute is one reason with its hosts.
func (t Table) fleetMute(b *strings.Builder, g []Silent) {
	hosts := make([]string, len(g))
	for i, m := range g {
		hosts[i] = m.Host
	}
	says := g[0].Error.What
	if len(g) > 1 {
		says = t.hostWords(hosts) + ": " + g[0].reason()
	}
	ink.Wrap(b, t.Width, "  ", tame.Line(says))
	for _, o := range g[0].Outside {
		line := tame.Line(fmt.Sprintf("from outside, %s at %s: %s", o.Endpoint, net.JoinHostPort(o.Address, fmt.Sprint(o.Port)), o.Says))
		if o.Vulnerable {
			line = t.Paint.Red("AFFECTED ") + line
		}
		ink.Wrap(b, t.Width, "    ", line)
	}
	if hint := fault.HintOf(g[0].Error); hint != "" {
		ink.Wrap(b, t.Width, "    ", "do: "+tame.Line(hint))
	}
}

func (t Table) fleetCoverage(b *strings.Builder, s *Fleet) {
	var seen, known, partly, without int
	date := ""
	for _, h := range s.Hosts {
		doc := s.Docs[h]
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
	line := fmt.Sprintf("%d of %s seen", len(s.Docs), s.whole())
	if partly > 0 {
		line += fmt.Sprintf(" (%d of them not fully)", partly)
	}
	line += fmt.Sprintf(", %d of %d processes", seen, known)
	if without > 0 {
		line += fmt.Sprintf(", up to %s a host without data", ink.Count(without, "component", "components"))
	}
	if date != "" {
		line += ", catalogue of " + date
	}
	ink.Wrap(b, t.Width, "", line)
}
