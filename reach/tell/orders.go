package tell

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"staunch/ink"
	"staunch/reach/act"
	"staunch/reach/act/carry"
	"staunch/tame"
)

// Preview says what an act would do, what to mind, and how it is taken back.
func Preview(w io.Writer, p act.Preview) {
	for _, line := range p.Says {
		fmt.Fprintf(w, "  %s\n", tame.Line(line))
	}
	for _, line := range p.Warns {
		fmt.Fprintf(w, "! %s\n", tame.Line(line))
	}
	if p.Refused != "" {
		fmt.Fprintf(w, "refused: %s\n", tame.Line(p.Refused))
		return
	}
	if !p.Already {
		fmt.Fprintf(w, "undo: %s\n", tame.Line(p.Undo))
	}
}

// Outcome says what an act came to, with its log unless it is done, and what it made.
func Outcome(w io.Writer, out act.Outcome) {
	fmt.Fprintf(w, "%s: %s (%s)\n", out.Status, tame.Line(out.Says), out.Ended.Sub(out.Began).Round(10*time.Millisecond))
	if out.Status != act.Done && out.Status != act.Already {
		for _, line := range out.Log {
			fmt.Fprintf(w, "  | %s\n", tame.Line(line))
		}
	}
	if made := new(struct {
		CSR    string `json:"csr_pem"`
		Sealed string `json:"sealed"`
	}); json.Unmarshal(out.After, made) == nil && made.CSR != "" {
		fmt.Fprint(w, made.CSR, made.Sealed)
	}
	fmt.Fprintf(w, "order %s\n", out.Order)
	if out.CanUndo {
		fmt.Fprintf(w, "undo it with: staunch do undo %s\n", out.Order)
	}
}

// Past lists what a host did by order.
func Past(w io.Writer, past []carry.Past) {
	if len(past) == 0 {
		fmt.Fprintln(w, "this host has carried out no orders")
	}
	for _, p := range past {
		status, says := act.Status("no end seen"), "begun, and its end was never seen: look, then order it again"
		if p.Ended != nil {
			status, says = p.Ended.Status, p.Ended.Says
		}
		fmt.Fprintf(w, "%s  %-8s %-11s %s\n", p.Began.Format(time.RFC3339), p.Order.Act.Kind, status, tame.Line(says))
		fmt.Fprintf(w, "    order %s%s\n", p.Order.ID, byWhom(p))
	}
}

func byWhom(p carry.Past) string {
	switch {
	case len(p.People) > 0:
		return ", signed by " + strings.Join(p.People, ", ")
	case p.Local:
		return ", by root on this host without a mandate"
	}
	return ""
}

// Said is what one host told, in words.
type Said struct{ Host, Text string }

// Groups says the same thing once for all hosts that it holds for.
func Groups(w io.Writer, all []Said) {
	hosts := map[string][]string{}
	var order []string
	for _, one := range all {
		if hosts[one.Text] == nil {
			order = append(order, one.Text)
		}
		hosts[one.Text] = append(hosts[one.Text], one.Host)
	}
	for _, t := range order {
		fmt.Fprintf(w, "%s (%s)\n%s", ink.Few(hosts[t], 8), ink.Count(len(hosts[t]), "host", "hosts"), t)
	}
}

// PreviewText is a preview of one host among many; err says why it could not be asked.
func PreviewText(p act.Preview, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "cannot be asked: %s\n", tame.Line(err.Error()))
		return b.String()
	}
	Preview(&b, p)
	return b.String()
}

// OutcomeText is an outcome of one host among many, with its log where it went wrong.
func OutcomeText(o act.Outcome, err error, wrong bool) string {
	if err != nil {
		return "error: " + tame.Line(err.Error()) + "\n"
	}
	text := fmt.Sprintf("%s: %s\n", o.Status, tame.Line(o.Says))
	if wrong {
		for _, line := range o.Log {
			text += "  | " + tame.Line(line) + "\n"
		}
	}
	return text
}
