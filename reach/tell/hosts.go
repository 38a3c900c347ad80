// Package tell is what hosts lack and what acts on them came to, as text.
package tell

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/ink"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/tame"
)

// Hosts lists hosts as the inventory names them, in lines of at most width columns.
func Hosts(out io.Writer, width int, hosts []fleet.Host) error {
	rows := [][]string{{"HOST", "RING", "ADDRESS", "LABELS", "NOTE"}}
	for _, h := range hosts {
		rows = append(rows, []string{h.Name, h.Ring, h.Dial(), labelWords(h), note(h)})
	}
	_, err := io.WriteString(out, columns(rows, width))
	return err
}

// columns sets rows under each other; the last column hangs where it does not fit.
func columns(rows [][]string, width int) string {
	wide := make([]int, len(rows[0])-1)
	for _, row := range rows {
		for i := range wide {
			wide[i] = max(wide[i], ink.Columns(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		lead := ""
		for i, w := range wide {
			lead += row[i] + strings.Repeat(" ", w-ink.Columns(row[i])+2)
		}
		ink.Hang(&b, width, lead, row[len(wide)])
	}
	return b.String()
}

// note says why a host is not covered, and what alone restarts it.
func note(h fleet.Host) string {
	if h.NotCovered() == "" {
		return ""
	}
	return h.NotCovered() + "; " + h.RestartedBy()
}

func labelWords(h fleet.Host) string {
	var words []string
	for k, v := range h.Labels {
		if v != "" {
			k += "=" + v
		}
		words = append(words, k)
	}
	slices.Sort(words)
	return tame.Line(strings.Join(words, " "))
}

// Checked is what a look at one host came to: what it lacks, or why it could not be asked.
type Checked struct {
	Host    string       `json:"host"`
	Missing []string     `json:"missing"`
	Health  *host.Health `json:"health,omitempty"`
	Error   *fault.Error `json:"error,omitempty"`
	TookMS  int64        `json:"took_ms"`
	// NotCovered says why nothing is asked of the host, and that is no fault.
	NotCovered string `json:"not_covered,omitempty"`
}

// Missing says what each host lacks, in lines of at most width columns, how many lack nothing, and what to do.
func Missing(out io.Writer, width int, rows []Checked) error {
	name, well, covered := len("HOST"), 0, 0
	for _, r := range rows {
		name = max(name, ink.Columns(r.Host))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %-11s  %s\n", name, "HOST", "STATE", "MISSING")
	for _, r := range rows {
		if r.NotCovered == "" {
			covered++
		}
		state, says := r.words()
		if state == "ok" {
			well++
		}
		lead := fmt.Sprintf("%-*s  %-11s  ", name, r.Host, state)
		for i, line := range says {
			if i > 0 {
				lead = strings.Repeat(" ", ink.Columns(lead))
			}
			ink.Hang(&b, width, lead, tame.Line(line))
		}
	}
	fmt.Fprintf(&b, "\n%d of %s ready", well, ink.Count(covered, "host is", "hosts are"))
	if covered < len(rows) {
		fmt.Fprintf(&b, ", %d not covered", len(rows)-covered)
	}
	b.WriteString("\n")
	toDo(&b, width, rows)
	_, err := io.WriteString(out, b.String())
	return err
}

// words are a row's state, and what it says, a line each.
func (r Checked) words() (state string, says []string) {
	switch {
	case r.NotCovered != "":
		return "not covered", []string{strings.TrimPrefix(r.NotCovered, "not covered: ")}
	case r.Error != nil:
		return "not reached", []string{strings.TrimPrefix(r.Error.What, r.Host+": ")}
	case len(r.Missing) > 0:
		return "lacks", r.Missing
	}
	return "ok", []string{""}
}

// toDo names each way out once, with the hosts that it is for.
func toDo(b *strings.Builder, width int, rows []Checked) {
	hosts := map[string][]string{}
	var order []string
	for _, r := range rows {
		hint := ""
		switch {
		case r.Error != nil && r.NotCovered == "":
			hint = r.Error.Hint
		case r.Health != nil && !r.Health.Root:
			hint = "if sudo there asks for a password: --ask-sudo-password; else let this user run sudo, or log in as root"
		}
		if hint == "" {
			continue
		}
		if hosts[hint] == nil {
			order = append(order, hint)
		}
		hosts[hint] = append(hosts[hint], r.Host)
	}
	for _, hint := range order {
		ink.Wrap(b, width, "", ink.Few(hosts[hint], 8)+": "+tame.Line(hint))
	}
}
